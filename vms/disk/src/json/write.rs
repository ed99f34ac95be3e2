//! `JSON.stringify`.

use super::{
    text::Text,
    value::Value,
    walk::{Event, Walk},
};
use std::fmt::Write;

/// Appends `value` as `JSON.stringify` writes it, keys in the order they stand in.
pub(super) fn value(value: &Value, out: &mut String) {
    // Which brackets to close, and whether a comma goes before what comes next.
    let mut closers = Vec::new();
    let mut comma = false;
    for event in Walk::new(value) {
        if comma && !matches!(event, Event::Close) {
            out.push(',');
        }
        comma = true;
        match event {
            Event::Leaf(leaf) => scalar(leaf, out),
            Event::OpenArray(_) => open('[', ']', &mut closers, out),
            Event::OpenObject(_) => open('{', '}', &mut closers, out),
            Event::Key(key) => {
                text(key, out);
                out.push(':');
            }
            Event::Close => out.extend(closers.pop()),
        }
        if matches!(event, Event::OpenArray(_) | Event::OpenObject(_) | Event::Key(_)) {
            comma = false;
        }
    }
}

fn open(bracket: char, closer: char, closers: &mut Vec<char>, out: &mut String) {
    out.push(bracket);
    closers.push(closer);
}

fn scalar(leaf: &Value, out: &mut String) {
    match leaf {
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) if number.is_finite() => {
            out.push_str(ryu_js::Buffer::new().format_finite(*number));
        }
        Value::String(string) => text(string, out),
        _ => out.push_str("null"),
    }
}

/// Appends a string in quotes, escaped as `JSON.stringify` does it.
pub(super) fn text(string: &Text, out: &mut String) {
    out.push('"');
    match (string.as_str(), string.units()) {
        (Some(utf8), _) => escaped(utf8, out),
        (None, units) => {
            for unit in char::decode_utf16(units.unwrap_or_default().iter().copied()) {
                match unit {
                    Ok(c) => escaped(c.encode_utf8(&mut [0; 4]), out),
                    Err(lone) => hex(lone.unpaired_surrogate(), out),
                }
            }
        }
    }
    out.push('"');
}

pub(super) fn escaped(mut rest: &str, out: &mut String) {
    let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    // Nearly no text has one, and to look at all of it is done many bytes at a time.
    if !rest.as_bytes().iter().fold(false, |found, byte| found | special(byte)) {
        return out.push_str(rest);
    }
    while let Some(at) = rest.as_bytes().iter().position(special) {
        // Special bytes are ASCII, so both cuts fall between characters.
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = tail.chars();
        if let Some(c) = chars.next() {
            escape(c, out);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

fn escape(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        other => hex(u32::from(other) as u16, out),
    }
}

fn hex(unit: u16, out: &mut String) {
    // Writing into a String cannot fail.
    let _ = write!(out, "\\u{unit:04x}");
}
