//! The house rules that a compiler does not hold: who may import whom, sizes, words, `unsafe`, and
//! whether ARCHITECTURE.md shows the tree as it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Lines of a file without its tests, and of a function.
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Where the fetched modules, other people's programs and built things are.
const NOT_OURS: &[&str] = &[
    "target",
    ".git",
    "node_modules",
    "modules/aos",
    "modules/.tools",
    "modules/built",
    "conformance/suites/data",
    "benches/.peers",
    ".cache",
    ".drivebay",
];

/// The files that may hold `unsafe`, each behind a safe interface.
const UNSAFE_FILES: &[&str] = &[
    "vms/wasm/src/linear.rs",
    "vms/wasm/src/artifact.rs",
    "vms/wasm/src/trampoline.rs",
    // The entries of C: declared in one, called in the other.
    "vms/lua/sys/src/lib.rs",
    "vms/lua/src/raw.rs",
];

/// What the files under a folder must not import. A file after `except` may.
struct Law {
    under: &'static str,
    never: &'static [&'static str],
    except: &'static [&'static str],
}

const PURE: &[&str] = &[
    "drivebay",
    "tokio",
    "serde",
    "rand",
    "getrandom",
    "std::fs",
    "std::net",
    "std::env",
    "std::time",
    "std::process",
];

const LAWS: &[Law] = &[
    Law { under: "vms/disk/src", never: PURE, except: &[] },
    Law {
        under: "vms/disk/src",
        never: &["drivebay_wasm", "wasmtime", "revm", "mlua"],
        except: &[],
    },
    Law { under: "vms/wasm/src", never: PURE, except: &[] },
    Law { under: "vms/wasm/src", never: &["drivebay_evm", "drivebay_lua"], except: &[] },
    Law { under: "vms/wasm/src", never: &["rustix"], except: &["vms/wasm/src/linear.rs"] },
    Law { under: "vms/lua/src", never: PURE, except: &[] },
    Law { under: "vms/lua/src", never: &["drivebay_wasm", "drivebay_evm"], except: &[] },
    Law { under: "vms/lua/src", never: &["drivebay_lua_sys"], except: &["vms/lua/src/raw.rs"] },
    Law { under: "vms/evm/src", never: PURE, except: &[] },
    Law { under: "vms/evm/src", never: &["drivebay_wasm", "drivebay_lua"], except: &[] },
    Law {
        under: "conformance/src",
        never: &["drivebay", "drivebay_wasm", "drivebay_evm", "drivebay_lua", "tokio"],
        except: &[],
    },
    // A stranger's machine knows the seam and the laws, and nothing else of this tree.
    Law {
        under: "conformance/fourth/riscv",
        never: &["drivebay", "drivebay_wasm", "drivebay_evm", "drivebay_lua", "tokio", "std::time"],
        except: &[],
    },
    Law {
        under: "src/item",
        never: &[
            "tokio",
            "serde",
            "axum",
            "reqwest",
            "crate::cu",
            "crate::cli",
            "crate::config",
            "crate::wire",
        ],
        except: &[],
    },
    Law {
        under: "src/gateway",
        never: &[
            "crate::cu",
            "crate::su",
            "crate::mu",
            "crate::net",
            "crate::cli",
            "crate::config",
        ],
        except: &[],
    },
    Law { under: "src/net", never: &["crate::gateway"], except: &["src/net/gateway/tests.rs"] },
    Law { under: "src/item", never: &["std::fs", "std::io"], except: &["src/item/keyfile.rs"] },
    Law {
        under: "src/wire",
        never: &["crate::cu", "crate::su", "crate::mu", "crate::cli", "crate::config", "tokio"],
        except: &[],
    },
    Law { under: "src/certify", never: &["crate::cli", "crate::config", "tokio"], except: &[] },
    Law {
        under: "src/cu",
        never: &[
            "crate::cli",
            "crate::config",
            "crate::su",
            "crate::mu",
            "crate::gateway",
            "anyhow",
        ],
        except: &[],
    },
    Law { under: "src/cu", never: &["axum", "crate::http"], except: &["src/cu/http/"] },
    Law {
        under: "src/eth",
        never: &["crate::cli", "crate::config", "crate::su", "crate::mu", "crate::gateway"],
        except: &[],
    },
    Law {
        under: "src/http",
        never: &["crate::cu", "crate::su", "crate::mu", "crate::cli", "crate::config"],
        except: &[],
    },
    Law {
        under: "src/net",
        never: &["crate::cu", "crate::su", "crate::mu", "crate::cli", "crate::config"],
        except: &[],
    },
    Law {
        under: "src/su",
        never: &[
            "crate::cu",
            "crate::mu",
            "crate::gateway",
            "crate::cli",
            "crate::config",
            "crate::disk::Drive",
        ],
        except: &[],
    },
    Law {
        under: "src/mu",
        never: &[
            "crate::cu",
            "crate::su",
            "crate::gateway",
            "crate::cli",
            "crate::config",
            "crate::disk::Drive",
        ],
        except: &[],
    },
    Law { under: "src/mu", never: &["axum", "crate::http"], except: &["src/mu/http.rs"] },
    Law {
        under: "src/su",
        never: &["axum", "crate::http", "crate::wire"],
        except: &["src/su/http.rs", "src/su/redirect.rs"],
    },
    Law {
        under: "src",
        never: &["drivebay_wasm", "drivebay_evm", "drivebay_lua"],
        except: &["src/cu/readers.rs"],
    },
    Law { under: "src", never: &["anyhow"], except: &["src/cli/"] },
    // A command never another command; what two of them need is beside them.
    Law {
        under: "src/cli",
        never: &[
            "crate::cli::inspect",
            "crate::cli::run",
            "crate::cli::image",
            "crate::cli::certify",
            "crate::cli::assign",
            "crate::cli::console",
            "crate::cli::dry_run",
            "crate::cli::item",
            "crate::cli::monitor",
            "crate::cli::publish",
            "crate::cli::replay",
            "crate::cli::store",
            "crate::cli::result",
            "crate::cli::send",
            "crate::cli::spawn",
            "crate::cli::trace",
            "crate::cli::up",
            "crate::cli::config",
            "crate::cli::wallet",
        ],
        except: &["src/cli/mod.rs"],
    },
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All our files, relative to the root, in order.
fn files() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let name = entry.file_name().into_string().unwrap();
            let text = path.to_str().unwrap().to_owned();
            if NOT_OURS.contains(&name.as_str()) || NOT_OURS.contains(&text.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() { folders.push(path) } else { found.push(text) }
        }
    }
    found.sort();
    found
}

fn rust_files() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|path| path.ends_with(".rs")).map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text)
    })
}

#[track_caller]
fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// The source with comments, strings and characters blanked out, line by line as long as before.
fn blank(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while !rest.is_empty() {
        let length = opaque_length(rest);
        let (piece, after) = match length {
            0 => rest.split_at(rest.chars().next().map_or(0, char::len_utf8)),
            length => rest.split_at(length),
        };
        if length == 0 {
            out.push_str(piece);
        } else {
            out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = after;
    }
    out
}

/// Length in bytes of the comment, string or character that `rest` begins with, or 0.
fn opaque_length(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    let hashes = rest.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len());
    if let Some(hashes) = hashes.filter(|hashes| rest[1 + hashes..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        return rest[hashes + 2..].find(&end).map_or(rest.len(), |at| hashes + 2 + at + end.len());
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    let mut chars = rest.chars();
    match (chars.next(), chars.next(), chars.next()) {
        (Some('\''), Some('\\'), _) => quoted(rest, '\''),
        (Some('\''), Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// Every path that the file's `use` lines name, with `super` and `self` resolved.
fn imports(path: &str, source: &str) -> Vec<String> {
    let blanked = blank(source);
    let mut found = Vec::new();
    let starts = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").or(line.strip_prefix("pub(crate) ")).unwrap_or(line);
        line.strip_prefix("use ").map(str::to_owned)
    };
    let mut lines = blanked.lines();
    while let Some(line) = lines.next() {
        let Some(mut tree) = starts(line) else { continue };
        while !tree.contains(';') {
            tree.push_str(lines.next().unwrap_or(";"));
        }
        let tree: String =
            tree.split(';').next().unwrap().replace(" as ", "@").split_whitespace().collect();
        expand("", &tree, &mut found);
    }
    let home = home(path);
    found.into_iter().map(|import| resolve(&home, &import)).collect()
}

fn expand(prefix: &str, tree: &str, found: &mut Vec<String>) {
    match tree.split_once('{') {
        None => found.push(format!("{prefix}{tree}")),
        Some((head, inner)) => {
            let inner = inner.strip_suffix('}').unwrap_or(inner);
            let (mut depth, mut start) = (0_i32, 0);
            for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
                depth += i32::from(c == '{') - i32::from(c == '}');
                if c == ',' && depth == 0 {
                    if start < at {
                        expand(&format!("{prefix}{head}"), &inner[start..at], found);
                    }
                    start = at + 1;
                }
            }
        }
    }
}

/// The module that a file is: `src/cu/bay.rs` is `crate::cu::bay`.
fn home(path: &str) -> Vec<String> {
    let inside = path.split_once("src/").map_or("", |(_, inside)| inside);
    let inside = inside.trim_end_matches(".rs");
    let parts = inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part));
    ["crate"].into_iter().chain(parts).map(str::to_owned).collect()
}

fn resolve(home: &[String], import: &str) -> String {
    let mut base = home.to_vec();
    let mut rest = import;
    if let Some(inner) = rest.strip_prefix("self::") {
        rest = inner;
    } else if !rest.starts_with("super::") {
        return import.to_owned();
    }
    while let Some(inner) = rest.strip_prefix("super::") {
        base.pop();
        rest = inner;
    }
    format!("{}::{rest}", base.join("::"))
}

fn names(import: &str, banned: &str) -> bool {
    import == banned || import.strip_prefix(banned).is_some_and(|rest| rest.starts_with(['@', ':']))
}

#[test]
fn nobody_imports_what_is_not_theirs() {
    let mut found = Vec::new();
    for (path, source) in rust_files() {
        let imports = imports(&path, &source);
        for law in LAWS.iter().filter(|law| path.starts_with(&format!("{}/", law.under))) {
            if law.except.iter().any(|except| path.starts_with(except)) {
                continue;
            }
            let broken =
                imports.iter().filter(|import| law.never.iter().any(|never| names(import, never)));
            found.extend(broken.map(|import| format!("{path} imports {import}")));
        }
    }
    assert_none(&found, "the import law (ARCHITECTURE.md)");
}

#[test]
fn machines_stay_clear_of_runtimes_and_networks() {
    for package in
        ["drivebay-disk", "drivebay-wasm", "drivebay-evm", "drivebay-lua", "drivebay-conformance"]
    {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--package",
                package,
            ])
            .current_dir(root())
            .output()
            .unwrap();
        let text = String::from_utf8(tree.stdout).unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let found: Vec<String> = text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| ["tokio", "async-std", "reqwest", "hyper", "drivebay"].contains(name))
            .map(|name| format!("{package} depends on {name}"))
            .collect();
        assert_none(&found, "virtual machines are synchronous and have no network");
    }
}

#[test]
fn files_and_functions_are_small() {
    let mut found = Vec::new();
    for (path, source) in rust_files() {
        let code = blank(&source);
        let tests = code.find("#[cfg(test)]\nmod ").unwrap_or(code.len());
        let lines = code[..tests].lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!("{path} has {lines} lines, of at most {FILE_LINES_MAX}"));
        }
        for (line, length) in functions(&code) {
            if length > FUNCTION_LINES_MAX {
                found.push(format!(
                    "{path}:{line}: {length} lines, of at most {FUNCTION_LINES_MAX}"
                ));
            }
        }
    }
    assert_none(&found, "too long");
}

/// Line number and length of each function that has a body.
fn functions(code: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let mut words = line.split_whitespace();
        let modifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern"];
        if words.find(|word| !modifiers.contains(word)) != Some("fn") {
            continue;
        }
        let (mut depth, mut opened) = (0_i64, false);
        for (offset, line) in lines[at..].iter().enumerate() {
            for c in line.chars() {
                opened |= c == '{';
                depth += i64::from(c == '{') - i64::from(c == '}');
            }
            if !opened && line.trim_end().ends_with(';') {
                break;
            }
            if opened && depth == 0 {
                found.push((at + 1, offset + 1));
                break;
            }
        }
    }
    found
}

/// Whatever has no place in what we publish. In two halves, so that this file is clean itself.
fn banned_words() -> Vec<String> {
    [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X:"),
        ("/wo", "rk/"),
        ("../sha", "red"),
        ("/ro", "ot/"),
        ("crates", ".io"),
        ("npm", "js."),
        ("pypi", ".org"),
        ("local", "host:"),
    ]
    .iter()
    .map(|(one, two)| format!("{one}{two}"))
    .collect()
}

#[test]
fn words_that_belong_to_nobody_are_not_there() {
    let banned = banned_words();
    let mut found = Vec::new();
    for path in files() {
        let is_lock = path.ends_with("Cargo.lock") || path.ends_with("package-lock.json");
        // Recorded cases and the licence are quoted word by word.
        if is_lock || path.starts_with("conformance/golden/cases/") || path == "LICENSE" {
            continue;
        }
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (at, line) in text.lines().enumerate() {
            let words = banned.iter().filter(|word| line.contains(word.as_str()));
            found.extend(words.map(|word| format!("{path}:{}: {word}", at + 1)));
        }
    }
    assert_none(&found, "words that are banned");
}

#[test]
fn every_unsafe_is_in_its_place_and_says_why() {
    let mut found = Vec::new();
    for (path, source) in rust_files() {
        let lines: Vec<&str> = source.lines().collect();
        let code = blank(&source);
        for (at, line) in code.lines().enumerate() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            if !line.split(|c| !is_word(c)).any(|word| word == "unsafe") {
                continue;
            }
            // Guests meet their host through raw pointers.
            if !UNSAFE_FILES.contains(&path.as_str()) && !path.starts_with("modules/") {
                found.push(format!("{path}:{}: unsafe outside of {UNSAFE_FILES:?}", at + 1));
            }
            let above = lines[..at].iter().rev().take_while(|line| {
                let line = line.trim_start();
                line.starts_with("//") || line.starts_with("#[")
            });
            if !above
                .chain([&lines[at]])
                .any(|line| line.contains("SAFETY:") || line.contains("# Safety"))
            {
                found.push(format!("{path}:{}: no SAFETY comment", at + 1));
            }
        }
    }
    assert_none(&found, "unsafe");
}

/// The paths of the block that ARCHITECTURE.md marks as `tree`: the first word of each line.
fn mapped() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, block) = text.split_once("```tree\n").expect("a block marked tree");
    let (block, _) = block.split_once("```").unwrap();
    block.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_map_shows_the_tree_as_it_is() {
    let mapped = mapped();
    let mut real = BTreeSet::new();
    for path in files() {
        let path = Path::new(&path);
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        if is_rust && path.starts_with("src") {
            real.insert(path.to_str().unwrap().to_owned());
        }
        // Every folder with Rust in it, and every folder in the hall.
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        if path.components().count() > 1 {
            real.insert(format!("{first}/"));
        }
        if is_rust && !path.starts_with("src") && !path.starts_with("modules") {
            real.insert(format!("{}/", path.parent().unwrap().display()));
        }
    }
    let unseen: Vec<_> = real
        .iter()
        .filter(|path| !mapped.contains(*path))
        .map(|path| format!("{path} is not on it"))
        .collect();
    assert_none(&unseen, "ARCHITECTURE.md, the map");
    let gone: Vec<_> = mapped
        .iter()
        .filter(|path| !root().join(path).exists())
        .map(|path| format!("{path} is on it, and is not there"))
        .collect();
    assert_none(&gone, "ARCHITECTURE.md, the map");
}

#[test]
fn main_only_composes() {
    let lines = fs::read_to_string(root().join("src/main.rs")).unwrap().lines().count();
    assert!(lines <= 60, "src/main.rs has {lines} lines");
}

#[test]
fn the_scanner_sees_through_strings_comments_and_nesting() {
    let source =
        "use a::{b, c::{self, d as e}, super_x};\n// use no::no;\nfn f() {\n  \"}{ unsafe\"\n}\n";
    assert_eq!(imports("src/x.rs", source), ["a::b", "a::c::self", "a::c::d@e", "a::super_x"]);
    assert_eq!(imports("src/cu/x.rs", "use super::{y, super::z};\n"), ["crate::cu::y", "crate::z"]);
    assert_eq!(functions(&blank(source)), [(3, 3)]);
    assert!(!blank("'\"' r#\"unsafe\"# b").contains("unsafe"));
    assert_eq!(blank("'a' x '\\'' <'b>"), "    x      <'b>");
}
