//! A module's files: one file of Lua, or a JSON object of names and texts.

use crate::limits::{FILES, MODULE_BYTES};
use drivebay_disk::json::{Json, Value};
use drivebay_disk::{Module, Refusal, RefusalCode};

/// What a lone file is called in error messages.
const LONE: &str = "main.lua";
/// A bundle's program, in the order in which it is looked for.
const PROGRAMS: [&str; 2] = ["main.lua", "process.lua"];

/// A named text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
}

/// The files of a module, the program last.
pub(crate) fn files(module: &Module) -> Result<Vec<File>, Refusal> {
    let bytes = &module.bytes;
    if bytes.len() > MODULE_BYTES {
        let why = format!("a module of {} bytes; at most {MODULE_BYTES}", bytes.len());
        return Err(Refusal::new(RefusalCode::TooBig, why));
    }
    if bytes.starts_with(b"\x1bLua") {
        let why = "compiled Lua; publish the source, since bytecode cannot be checked";
        return Err(Refusal::new(RefusalCode::NotAllowed, why));
    }
    // No Lua program begins with a brace.
    if bytes.trim_ascii_start().starts_with(b"{") {
        return bundle(bytes);
    }
    Ok(vec![File { name: LONE.into(), text: bytes.to_vec() }])
}

fn bundle(bytes: &[u8]) -> Result<Vec<File>, Refusal> {
    let malformed = |why: String| Refusal::new(RefusalCode::Malformed, why);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed(format!("a bundle that is no UTF-8: {error}")))?;
    let value = Value::parse(text)
        .map_err(|error| malformed(format!("a bundle is a JSON object of files: {error}")))?;
    let pairs =
        value.into_object().ok_or_else(|| malformed("a bundle that is no object".into()))?;
    if pairs.len() > FILES {
        let why = format!("a bundle of {} files; at most {FILES}", pairs.len());
        return Err(Refusal::new(RefusalCode::TooBig, why));
    }
    let mut files = Vec::new();
    for (name, text) in pairs {
        let name = name.into_string_lossy();
        let Some(text) = text.as_str() else {
            return Err(malformed(format!("file {name} of the bundle is no text")));
        };
        if name.is_empty() || name.len() > 256 || name.contains('\0') {
            return Err(malformed("a file of the bundle has no proper name".into()));
        }
        files.push(File { name, text: text.as_bytes().to_vec() });
    }
    let found = PROGRAMS.iter().find_map(|name| files.iter().position(|file| file.name == *name));
    let Some(at) = found else {
        return Err(malformed(format!("a bundle needs a file called {}", PROGRAMS.join(" or "))));
    };
    let program = files.remove(at);
    files.push(program);
    Ok(files)
}

/// The module that these names and texts are, in any order.
pub(crate) fn write(mut files: Vec<(String, String)>) -> String {
    files.sort();
    let pairs = files.into_iter().map(|(name, text)| (name, Value::from(text)));
    Json::from(Value::object(pairs)).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn of(text: &str) -> Result<Vec<File>, Refusal> {
        files(&Module::new(text.as_bytes().to_vec(), "lua-5.3-1", Vec::new()))
    }

    #[test]
    fn a_bundle_ends_with_its_program() {
        let files = of(r#"{"main.lua":"x=1","a/b.lua":"y=2"}"#).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[1], File { name: "main.lua".into(), text: b"x=1".to_vec() });
        assert_eq!(of("x = {}").unwrap()[0].name, LONE);
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        for text in
            ["{", "{\"a\":\"\"}", "{\"main.lua\":1}", "\u{1b}Lua", "{\"main.lua\":\"\",\"\":\"\"}"]
        {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
