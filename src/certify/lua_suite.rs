//! Files of Lua that assert what Lua does, each run as a process.

use super::report::Found;
use crate::{
    cu::Readers,
    disk::{
        DiskReader, Fuel, Limits, Module, NoArtifacts, Process, Ran,
        testing::{NoHost, call},
    },
};
use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a file finds around it.
const HARNESS: &str = include_str!("../../conformance/lua/harness.lua");
/// What the sandbox changes, for the official tests.
const DIFFERENCES: &str = include_str!("../../conformance/lua/differences.txt");
/// As long as the format ever lets a message run.
const FUEL: u64 = 10_000_000_000;
const MEMORY_BYTES: u64 = 1 << 30;

/// Source lines that do not hold here, by file, each with the reason.
pub struct LuaDifferences(BTreeMap<String, Vec<(String, String)>>);

impl LuaDifferences {
    /// The list for the official tests.
    pub fn official() -> Result<Self, String> {
        Self::parse(DIFFERENCES)
    }

    /// `file: reason`, then, indented by a tab, a line as it stands in the file; or `9-12 text`, those lines, of
    /// which the first is that text; or `*`, the whole file.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut named = BTreeMap::<String, Vec<(String, String)>>::new();
        let mut head = None;
        for line in list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            match (line.strip_prefix('\t'), &head) {
                (Some(source), Some((file, why))) => {
                    let entry = named.entry(String::clone(file)).or_default();
                    entry.push((source.to_owned(), String::clone(why)));
                }
                (Some(_), None) => {
                    return Err("a list of differences begins with `file: reason`".to_owned());
                }
                (None, _) => {
                    let parts = line.split_once(": ");
                    let (file, why) = parts.ok_or_else(|| format!("no `file: reason`: {line}"))?;
                    head = Some((file.to_owned(), why.to_owned()));
                }
            }
        }
        Ok(Self(named))
    }
}

/// The Lua files in a folder, in order.
pub fn lua_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        files.push(entry?.path());
    }
    files.retain(|path| path.extension().is_some_and(|kind| kind == "lua"));
    files.sort();
    Ok(files)
}

/// Runs a file. A line that is named and is not there fails it too: the list must fit the files.
pub fn run_lua_file(
    reader: &dyn DiskReader,
    (name, bytes): (&str, &[u8]),
    named: &LuaDifferences,
) -> Found {
    let changes = named.0.get(name).map_or(&[][..], Vec::as_slice);
    if let Some((_, why)) = changes.iter().find(|(line, _)| line == "*") {
        return Found::skipped(why);
    }
    // Each byte is one character, so that sources in any coding pass.
    let source: String = bytes.iter().copied().map(char::from).collect();
    let (source, missing) = without(&source, changes);
    if let Some(line) = missing.first() {
        return Found::failed(format!("it has no line `{line}`"));
    }
    match play(reader, &source) {
        None if changes.is_empty() => Found::passed(),
        None => Found::passed().with_note(format!("{} places named", changes.len())),
        Some(why) => Found::failed(why),
    }
}

/// Such a text as Lua that loads it: a bundle holds UTF-8, and a source need not be any.
fn loader(source: &str) -> String {
    let mut quoted = String::new();
    for c in source.chars() {
        match c {
            ' '..='~' if c != '"' && c != '\\' => quoted.push(c),
            _ => quoted.push_str(&format!("\\{:03}", u32::from(c))),
        }
    }
    format!("return assert(load(\"{quoted}\", \"@test.lua\"))(...)")
}

/// The source with those lines emptied, and those of them that it does not have.
fn without(source: &str, changes: &[(String, String)]) -> (String, Vec<String>) {
    let mut lines: Vec<&str> = source.lines().collect();
    let mut missing = Vec::new();
    for (line, _) in changes {
        let met = match range(line) {
            Some((places, first)) => lines
                .get_mut(places)
                .filter(|lines| lines.first().is_some_and(|line| line.trim() == first.trim()))
                .map(|lines| lines.fill("")),
            None => {
                let mut found = lines.iter_mut().filter(|place| **place == line.as_str());
                found.next().map(|place| *place = "")
            }
        };
        if met.is_none() {
            missing.push(line.clone());
        }
    }
    (lines.join("\n"), missing)
}

/// `9-12 text`: lines by number from 1, and what the first of them says.
fn range(line: &str) -> Option<(Range<usize>, &str)> {
    let (numbers, first) = line.split_once(' ')?;
    let (from, to) = numbers.split_once('-')?;
    let from: usize = from.parse().ok()?;
    Some((from.checked_sub(1)?..to.parse().ok()?, first))
}

/// Why it failed, if it did.
fn play(reader: &dyn DiskReader, source: &str) -> Option<String> {
    let files =
        vec![("main.lua".to_owned(), HARNESS.to_owned()), ("test.lua".to_owned(), loader(source))];
    let module = Module::new(Readers::bundle(files).into_bytes(), Readers::lua(), Vec::new());
    let disk = match reader.read(&module, &NoArtifacts) {
        Ok(disk) => disk,
        Err(error) => return Some(error.to_string()),
    };
    let drive = match Arc::clone(&disk).mount(disk.blank()) {
        Ok(drive) => drive,
        Err(error) => return Some(error.to_string()),
    };
    let limits = Limits {
        fuel: Fuel(FUEL),
        memory_bytes: MEMORY_BYTES,
        ..reader.limits(&module, &Process::default())
    };
    match drive.run(call(0).build(), &limits, Arc::new(NoHost)) {
        Ok(Ran::Done { .. } | Ran::Dry { fault: None, .. }) => None,
        Ok(Ran::Faulted { fault, .. } | Ran::Dry { fault: Some(fault), .. }) => {
            Some(format!("{}: {}", fault.code.text(), fault.note))
        }
        Err(failure) => Some(failure.error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn named_lines_are_emptied_and_missed() {
        let list = "# of Lua\na.lua: no system\n\tos.exit()\n\tgone\n";
        let named = LuaDifferences::parse(list).unwrap().0;
        let (source, missing) = without("x = 1\nos.exit()\ny = 2", &named["a.lua"]);
        assert_eq!(source, "x = 1\n\ny = 2");
        assert_eq!(missing, ["gone"]);
        assert!(LuaDifferences::parse("\tos.exit()").is_err());
    }
}
