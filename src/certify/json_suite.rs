//! JSONTestSuite on the codec of messages: what JavaScript reads and writes, so does it.

use super::{jobs::Step, report::Found};
use crate::disk::json::{Json, Value};
use std::{fs, path::Path};

/// The most bytes of the suite's file.
const FILE_MAX: u64 = 16 << 20;

/// A step for each text of the suite at `file`, which `conformance/suites/fetch` writes.
pub(super) fn steps(file: &Path) -> Vec<Step> {
    match load(file) {
        Ok(texts) => texts.into_iter().map(Text::step).collect(),
        Err(why) => vec![Step::skipped("JSONTestSuite", why)],
    }
}

struct Text {
    name: String,
    input: String,
    /// What JavaScript writes for what it read, or that it refuses.
    expected: Option<String>,
}

impl Text {
    fn step(self) -> Step {
        Step::new(self.name.clone(), move || self.judge())
    }

    fn judge(&self) -> Found {
        let found = Json::parse(&self.input);
        match (&self.expected, found) {
            (Some(expected), Ok(found)) if found.as_str() == expected => Found::passed(),
            (None, Err(_)) => Found::passed(),
            (None, Ok(found)) => Found::failed(format!("read as {found}; JavaScript refuses it")),
            (Some(expected), Ok(found)) => Found::failed(format!("{found} instead of {expected}")),
            (Some(expected), Err(error)) => {
                Found::failed(format!("refused ({error}) instead of {expected}"))
            }
        }
    }
}

fn load(file: &Path) -> Result<Vec<Text>, String> {
    let fetch = "conformance/suites/fetch brings it";
    let size =
        fs::metadata(file).map_err(|_| format!("{} is not there; {fetch}", file.display()))?;
    if size.len() > FILE_MAX {
        return Err(format!("{} is over {FILE_MAX} bytes; {fetch}", file.display()));
    }
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let list = Value::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let field = |entry: &Value, key: &str| entry.get(key)?.as_str().map(str::to_owned);
    let text = |entry: &Value| {
        let (name, input) = (field(entry, "name")?, field(entry, "input")?);
        Some(Text { name, input, expected: field(entry, "expected") })
    };
    let texts = list.as_array().unwrap_or_default().iter().map(text).collect::<Option<Vec<_>>>();
    let texts = texts.filter(|texts| !texts.is_empty());
    texts.ok_or_else(|| format!("{} is no such suite; remove it, and {fetch}", file.display()))
}
