//! `drivebay certify lua`: files of Lua that assert what Lua does, run as processes.

use super::{
    App,
    error::{Exit, usage},
    files,
};
use crate::{
    cu::Readers,
    disk::{
        Fuel, Limits, Module, NoArtifacts, Ran,
        testing::{NoHost, call},
    },
};
use anyhow::Context;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a file finds around it.
const HARNESS: &str = include_str!("../../conformance/lua/harness.lua");
/// What the sandbox changes, unless the user names another list.
const DIFFERENCES: &str = include_str!("../../conformance/lua/differences.txt");
/// As long as the format ever lets a message run.
const FUEL: u64 = 10_000_000_000;
const MEMORY_BYTES: u64 = 1 << 30;

/// Run a folder of Lua test files, such as the official ones, as processes
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder
    folder: PathBuf,
    /// Only the files whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// What the sandbox changes, line by line [default: the list for the official tests]
    #[arg(long, value_name = "FILE")]
    named: Option<PathBuf>,
}

/// Source lines that do not hold here, by file; each with the reason, and whether it was met.
type Named = BTreeMap<String, Vec<(String, String)>>;

impl Args {
    pub(crate) fn run(&self, app: &App) -> anyhow::Result<Exit> {
        let list = match &self.named {
            Some(file) => read(file)?,
            None => DIFFERENCES.to_owned(),
        };
        let named = parse(&list)?;
        let (mut passed, mut failed, mut skipped, mut out_of_place) = (0, 0, 0, 0);
        for path in self.files()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let changes = named.get(&name).map_or(&[][..], Vec::as_slice);
            let mut out = io::stdout().lock();
            if let Some((_, why)) = changes.iter().find(|(line, _)| line == "*") {
                skipped += 1;
                writeln!(out, "skip {name}: {why}")?;
                continue;
            }
            let (source, missing) = without(&read(&path)?, changes);
            match play(app, source)? {
                None => {
                    passed += 1;
                    writeln!(out, "ok   {name} ({} lines named)", changes.len())?;
                }
                Some(why) => {
                    failed += 1;
                    writeln!(out, "FAIL {name}: {why}")?;
                }
            }
            for line in missing {
                out_of_place += 1;
                writeln!(out, "     {name} has no line `{line}`")?;
            }
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{passed} passed, {failed} failed, {skipped} skipped")?;
        Ok(if failed + out_of_place > 0 { Exit::Guest } else { Exit::Done })
    }

    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let place = self.folder.display();
        let entries = fs::read_dir(&self.folder).with_context(|| format!("cannot list {place}"))?;
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {place}"))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let wanted = self.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
            if name.ends_with(".lua") && wanted {
                found.push(path);
            }
        }
        found.sort();
        if found.is_empty() {
            return Err(usage(format!("there is no Lua file in {place} by that name")));
        }
        Ok(found)
    }
}

/// A text of bytes: each is one character, so that sources in any coding pass.
fn read(path: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    files::open(path, "file")?
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.into_iter().map(char::from).collect())
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

/// `file: reason`, then, indented by a tab, a line as it stands in the file; or `9-12 text`, those lines, of
/// which the first is that text; or `*`, the whole file.
fn parse(list: &str) -> anyhow::Result<Named> {
    let mut named = Named::new();
    let mut head = None;
    for line in list.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match (line.strip_prefix('\t'), &head) {
            (Some(source), Some((file, why))) => {
                let entry: &mut Vec<(String, String)> =
                    named.entry(String::clone(file)).or_default();
                entry.push((source.to_owned(), String::clone(why)));
            }
            (Some(_), None) => {
                return Err(usage("a list of differences begins with `file: reason`"));
            }
            (None, _) => {
                let parts = line.split_once(": ");
                let (file, why) =
                    parts.ok_or_else(|| usage(format!("no `file: reason`: {line}")))?;
                head = Some((file.to_owned(), why.to_owned()));
            }
        }
    }
    Ok(named)
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
fn play(app: &App, source: String) -> anyhow::Result<Option<String>> {
    let files =
        vec![("main.lua".to_owned(), HARNESS.to_owned()), ("test.lua".to_owned(), loader(&source))];
    let format = Readers::lua();
    let reader = app.readers.get(&format).ok_or_else(|| usage("no reader knows Lua"))?;
    let module = Module::new(Readers::bundle(files).into_bytes(), format, Vec::new());
    let disk = reader.read(&module, &NoArtifacts)?;
    let drive = Arc::clone(&disk).mount(disk.blank())?;
    let limits = Limits {
        fuel: Fuel(FUEL),
        memory_bytes: MEMORY_BYTES,
        ..reader.limits(&module, &crate::disk::Process::default())
    };
    let ran = drive.run(call(0).build(), &limits, Arc::new(NoHost));
    Ok(match ran.map_err(|failure| failure.error)? {
        Ran::Done { .. } | Ran::Dry { fault: None, .. } => None,
        Ran::Faulted { fault, .. } | Ran::Dry { fault: Some(fault), .. } => {
            Some(format!("{}: {}", fault.code.text(), fault.note))
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn named_lines_are_emptied_and_missed() {
        let named = parse("# of Lua\na.lua: no system\n\tos.exit()\n\tgone\n").unwrap();
        let (source, missing) = without("x = 1\nos.exit()\ny = 2", &named["a.lua"]);
        assert_eq!(source, "x = 1\n\ny = 2");
        assert_eq!(missing, ["gone"]);
        assert!(parse("\tos.exit()").is_err());
    }
}
