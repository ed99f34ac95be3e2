//! A folder with a module in it, and the program to run there.

use drivebay::disk::json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A folder of a test's own.
pub(crate) struct Bench {
    dir: TempDir,
}

/// How a run of the program ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Bench {
    /// With the counting process as `counter.wasm`.
    pub(crate) fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        let counter = wat::parse_str(include_str!("counter.wat")).unwrap();
        std::fs::write(bench.path("counter.wasm"), counter).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The program, with nothing of this machine's choices in it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drivebay"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIVEBAY_")) {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("DRIVEBAY_CACHE", cache())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn drivebay(&self, args: &[&str]) -> Ended {
        ended(&self.command(args).output().unwrap())
    }

    /// Runs the counter, as lines of JSON.
    pub(crate) fn count(&self, more: &[&str]) -> Vec<Value> {
        let ended = self.drivebay(&[&["run", "counter.wasm", "--json"], more].concat());
        assert!(ended.code <= 1, "{}", ended.err);
        ended.lines()
    }

    /// The only process's folder.
    pub(crate) fn process_dir(&self) -> PathBuf {
        only(&self.path(".drivebay"))
    }

    /// The only process's id.
    pub(crate) fn process(&self) -> String {
        self.process_dir().file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// The only process's image.
    pub(crate) fn image(&self) -> PathBuf {
        only(&self.process_dir().join("images"))
    }
}

impl Ended {
    /// What it printed, as JSON, line by line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| Value::parse(line).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32, part_of_err: &str) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(self.err.contains(part_of_err), "{part_of_err:?} is not in: {}", self.err);
        self
    }
}

pub(crate) fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout.clone()).unwrap(),
        err: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

/// One cache for all tests: compiling is slow, and nobody's results may depend on it.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// The one entry of a folder.
#[track_caller]
fn only(dir: &Path) -> PathBuf {
    let entries: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

pub(crate) fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {key} in {line:?}"))
}

pub(crate) fn number(line: &Value, key: &str) -> u64 {
    line.get(key).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {key} in {line:?}"))
}
