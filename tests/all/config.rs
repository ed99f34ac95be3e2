//! Flag before environment before file.

use crate::kit::{Bench, ended};

fn data_dirs(bench: &Bench) -> Vec<&'static str> {
    ["by-flag", "by-env", "by-file", ".drivebay"]
        .into_iter()
        .filter(|name| bench.path(name).exists())
        .collect()
}

#[test]
fn the_nearest_choice_wins() {
    let bench = Bench::new();
    bench.drivebay(&["run", "counter.wasm"]).expect(0, "");
    assert_eq!(data_dirs(&bench), [".drivebay"]);

    let bench = Bench::new();
    bench.write("drivebay.toml", "data = \"by-file\"\n");
    bench.drivebay(&["run", "counter.wasm"]).expect(0, "");
    assert_eq!(data_dirs(&bench), ["by-file"]);

    let bench = Bench::new();
    bench.write("drivebay.toml", "data = \"by-file\"\n");
    let run = |args: &[&str]| {
        let mut command = bench.command(&[&["run", "counter.wasm"], args].concat());
        ended(&command.env("DRIVEBAY_DATA", "by-env").output().unwrap())
    };
    run(&[]).expect(0, "");
    assert_eq!(data_dirs(&bench), ["by-env"]);
    run(&["--data", "by-flag"]).expect(0, "");
    assert_eq!(data_dirs(&bench), ["by-flag", "by-env"]);
}

#[test]
fn mistakes_in_a_choice_are_refused() {
    let bench = Bench::new();
    bench.write("drivebay.toml", "colour = \"never\"\n");
    bench.drivebay(&["run", "counter.wasm"]).expect(2, "drivebay.toml");
    bench.drivebay(&["run", "counter.wasm", "--config", "none.toml"]).expect(2, "no such file");
    bench.drivebay(&["run", "counter.wasm", "--engine", "warp"]).expect(2, "speed, plain, pulley");
}

#[test]
fn a_cache_that_cannot_be_written_is_said_once_and_done_without() {
    let bench = Bench::new();
    bench.write("file", "in the way");
    let ended = bench.drivebay(&["run", "counter.wasm", "--cache", "file/cache", "-m", "{}"]);
    let ended = ended.expect(0, "compiled modules are not kept");
    assert_eq!(ended.err.matches("warning:").count(), 1, "{}", ended.err);
}

#[test]
fn a_damaged_cache_is_not_believed() {
    let bench = Bench::new();
    let run = || {
        let mut command = bench.command(&["run", "counter.wasm", "--json", "--fresh", "-m", "{}"]);
        ended(&command.env("DRIVEBAY_CACHE", "cache").output().unwrap())
    };
    let first = run();
    assert_eq!(first.code, 0, "{}", first.err);
    let mut bent = 0;
    for entry in std::fs::read_dir(bench.path("cache")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if bytes.len() > 32 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            bent += 1;
        }
    }
    assert!(bent > 0, "nothing was kept");
    let second = run();
    assert_eq!((second.code, second.out), (0, first.out), "{}", second.err);
}
