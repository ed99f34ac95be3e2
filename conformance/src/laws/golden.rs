//! Receipts as they were recorded, line by line.

use super::{Broken, Held, Transcript, role_logs, script::Subject};
use std::{env, fs, path::Path};

/// Set to `1`, it has the law write what it finds instead of comparing.
const BLESS: &str = "DRIVEBAY_BLESS";

/// The receipts are those in the file, if one was named.
pub(super) fn golden(subject: &Subject) -> Held {
    let Some(path) = subject.roles.golden.as_deref() else { return Ok(()) };
    if env::var(BLESS).is_ok_and(|value| value == "1") {
        return bless(subject, path);
    }
    let recorded = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let found = Transcript::parse(&lines(subject)?);
    let recorded = Transcript::parse(&recorded);
    found.same_as(&recorded).map_err(|broken| broken.at(path.display()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Broken {
    Broken::new(format!("{}: {error}; {BLESS}=1 writes it", path.display()))
}

/// Writes the file.
pub(super) fn bless(subject: &Subject, path: &Path) -> Held {
    let lines = lines(subject)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| unreadable(folder, &error))?;
    }
    fs::write(path, lines).map_err(|error| unreadable(path, &error))
}

fn lines(subject: &Subject) -> Result<String, Broken> {
    let logs = role_logs(&subject.reader, &subject.roles);
    Ok(Transcript::play(&*subject.reader, &logs)?.to_string())
}
