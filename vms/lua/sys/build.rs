//! Takes Lua 5.3.6 from the registry's `lua-src` crate, applies our patch, and builds both with our own C.
//!
//! 5.3.6 is the last 5.3, so a hunk that fits today fits for ever; one that does not stops the build and
//! says where.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// In this order; later ones may build on what earlier ones added.
const PATCHES: [&str; 8] =
    ["identity", "collector", "fuel", "source", "work", "memory", "numbers", "steps"];

/// Of Lua's files, those that no guest needs: input and output, the system, loading, the programs.
const LEFT_OUT: [&str; 8] =
    ["lua.c", "luac.c", "liolib.c", "loslib.c", "loadlib.c", "ldblib.c", "linit.c", "ltests.c"];

fn main() {
    for watched in ["patches", "c", "build.rs"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("lua");
    copy(&upstream(), &out);
    for patch in PATCHES {
        let path = format!("patches/{patch}.hunks");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        hunks(&text).iter().for_each(|hunk| hunk.apply(&out));
    }
    let mut build = cc::Build::new();
    build.include(&out).include("c").opt_level(2).warnings(false).flag_if_supported("-fno-common");
    // No fused multiply-add: every processor rounds twice.
    build.flag_if_supported("-ffp-contract=off");
    build.define("LUA_COMPAT_5_2", None).define("lua_getlocaledecpoint()", "'.'");
    build.files(sources(&out)).files(sources(Path::new("c")));
    build.compile("drivebay_lua");
}

/// The folder of Lua 5.3.6 in the sources of `lua-src`, as cargo knows them.
///
/// Cargo tells of packages only once it has all that the lockfile names, those of other systems too; to build, it has
/// fetched fewer. So it may have to fetch the rest, which is asked for only if it does not know without.
fn upstream() -> PathBuf {
    let found = sources_by_cargo(&["--offline"]).or_else(|_| sources_by_cargo(&[]));
    found.unwrap_or_else(|error| {
        panic!(
            "the sources of Lua 5.3.6 were not found with the crate lua-src; \
             `cargo fetch` brings them ({error})"
        )
    })
}

/// The same, or what cargo says instead.
fn sources_by_cargo(how: &[&str]) -> Result<PathBuf, String> {
    let manifest =
        Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("Cargo.toml");
    let output = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .args(how)
        .output()
        .expect("cargo runs");
    let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let key = "\"manifest_path\":\"";
    let paths = text.match_indices(key).filter_map(|(at, _)| {
        let rest = &text[at + key.len()..];
        rest.split('"').next()
    });
    let folders = paths.map(|path| path.replace("\\\\", "/"));
    let mut found = folders
        .filter(|path| path.contains("/lua-src-"))
        .filter_map(|path| Some(Path::new(&path).parent()?.join("lua-5.3.6")));
    let found = found.find(|folder| folder.join("lvm.c").is_file());
    found.ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("OUT_DIR can be written");
    for entry in fs::read_dir(from).expect("it was found") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let wanted = name.ends_with(".c") || name.ends_with(".h");
        if wanted && !LEFT_OUT.contains(&name.as_str()) {
            fs::copy(&path, to.join(&name)).expect("OUT_DIR can be written");
        }
    }
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect();
    found.sort();
    found
}

/// `count` places of `old` in `file` become `new`.
struct Hunk {
    file: String,
    count: usize,
    old: String,
    new: String,
}

impl Hunk {
    fn apply(&self, folder: &Path) {
        let path = folder.join(&self.file);
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("the patch names {}: {error}", self.file));
        let found = text.matches(&self.old).count();
        assert!(
            found == self.count,
            "the patch does not fit: {} has {found} places, not {}, of:\n{}",
            self.file,
            self.count,
            self.old
        );
        fs::write(&path, text.replace(&self.old, &self.new)).expect("OUT_DIR can be written");
    }
}

/// `@@ file [xN]`, then `@-` and what is there, then `@+` and what takes its place.
fn hunks(text: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut is_new = None;
    for line in text.lines() {
        match (line.strip_prefix("@@ "), line) {
            (Some(head), _) => {
                let mut words = head.split_whitespace();
                let file = words.next().expect("a hunk names a file").to_owned();
                let count = words.next().map_or(1, |word| word[1..].parse().expect("xN"));
                hunks.push(Hunk { file, count, old: String::new(), new: String::new() });
                is_new = None;
            }
            (None, "@-") => is_new = Some(false),
            (None, "@+") => is_new = Some(true),
            (None, line) => {
                let (Some(hunk), Some(is_new)) = (hunks.last_mut(), is_new) else { continue };
                let side = if is_new { &mut hunk.new } else { &mut hunk.old };
                side.push_str(line);
                side.push('\n');
            }
        }
    }
    for hunk in &mut hunks {
        for side in [&mut hunk.old, &mut hunk.new] {
            if side.ends_with('\n') {
                side.pop();
            }
        }
    }
    hunks
}
