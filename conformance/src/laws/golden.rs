//! Receipts as they were recorded, line by line.

use super::{
    Broken, Held,
    broken::{At, must},
    player::play_all,
    script::Subject,
};
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
    let found = lines(subject)?;
    for (number, (recorded, found)) in (1..).zip(recorded.lines().zip(found.lines())) {
        must!(
            recorded == found,
            "{}:{number}: recorded {recorded}\n   found {found}",
            path.display()
        );
    }
    let (recorded, found) = (recorded.lines().count(), found.lines().count());
    must!(recorded == found, "{}: {recorded} lines are recorded, {found} found", path.display());
    Ok(())
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
    let mut lines = String::new();
    for script in subject.scripts() {
        let disk = subject.disk(&script.module)?;
        let (format, module) = (disk.format(), &script.module.id);
        let role = script.role;
        lines += &format!("{role} {} rules {} module {module}\n", format.name, format.rules);
        let entries = play_all(&disk, &script.steps).at(role)?;
        for (step, entry) in script.steps.iter().zip(entries) {
            lines += &format!("{role} {} {entry}\n", step.call.slot.nonce);
        }
    }
    Ok(lines)
}
