//! The program serves the stranger's machine beside those that Drivebay ships, and certifies it like them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const LUA: &str =
    "count = 0 function handle() count = count + 1 return { Output = 'lua ' .. count } end";

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drivebay-with-riscv"));
    command.current_dir(dir).stdin(Stdio::null()).env("DRIVEBAY_CACHE", dir.join("cache"));
    command
}

fn done(dir: &Path, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = program(dir).args(args).output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{args:?}: {out}{err}");
    out
}

/// A folder with two programs that count.
fn folder(name: &str) -> std::path::PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Left by an earlier run.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("counter.bin"), &drivebay_riscv::roles().counter.bytes).unwrap();
    std::fs::write(dir.join("counter.lua"), LUA).unwrap();
    dir
}

struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_is_served_beside_the_others() {
    let dir = folder("served");
    let mut command = program(&dir);
    command.args(["up", "--json", "--port", "0"]).stdout(Stdio::piped());
    let mut up = Up(command.spawn().unwrap());
    let mut out = BufReader::new(up.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let gateway = line.split("\"gateway\":\"").nth(1).unwrap().split('"').next().unwrap();
    let last = |out: String| out.lines().last().unwrap().trim().to_owned();
    for (file, format) in [("counter.bin", "rv32im-flat-1"), ("counter.lua", "lua-5.3-1")] {
        let line = ["publish", file, "--format", format, "--gateway", gateway];
        let module = last(done(&dir, &line));
        let process = last(done(&dir, &["spawn", &module, "--gateway", gateway]));
        let send = ["message", &process, "--gateway", gateway, "--wait", "--json"];
        let said = [done(&dir, &send), done(&dir, &send)];
        assert!(said.iter().all(|said| said.contains("\"Output\"")), "{said:?}");
        assert_ne!(said[0], said[1], "{file} counts");
    }
    // And the unit is held against the same program.
    let held = done(&dir, &["certify", "--against", gateway]);
    assert_eq!(held.matches("  equal").count(), 2, "{held}");
}

#[test]
fn it_is_certified_like_the_others() {
    let dir = folder("certified");
    let table = done(&dir, &["certify", "--only", "riscv"]);
    assert!(table.contains("riscv") && table.contains(" 0 failed"), "{table}");
    let recorded = include_str!("../../riscv/tests/golden.txt");
    assert_eq!(done(&dir, &["certify", "play", "riscv", "roles"]), recorded);
    done(&dir, &["certify", "fuzz", "--machine", "riscv", "--cases", "50"]);
}
