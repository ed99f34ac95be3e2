//! Files that the command line names.

use super::error::usage;
use anyhow::Context;
use std::{fs::File, io::ErrorKind, path::Path};

/// Opens `path` to read it; `what` says what should be there, such as `file` or `module`.
pub(crate) fn open(path: &Path, what: &str) -> anyhow::Result<File> {
    let name = path.display();
    let opened = match File::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(usage(format!("there is no {what} {name}")));
        }
        opened => opened.with_context(|| format!("cannot open {name}"))?,
    };
    if opened.metadata().is_ok_and(|found| found.is_dir()) {
        return Err(usage(format!("{name} is a folder; name a {what}")));
    }
    Ok(opened)
}
