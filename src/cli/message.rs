//! From what was typed to a message that a module can be shown.

use super::{
    error::{refused, usage},
    files,
};
use crate::{
    disk::{Tag, json::Value},
    wire::{Fields, tags_value},
};
use anyhow::Context;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use std::{
    io::{self, Read},
    path::Path,
};

/// Time of a process's slot 0 unless a message says another; each further message comes a second later.
/// Fixed, so that the same command gives the same state on every day.
pub(crate) const CLOCK_START_MS: u64 = 1_700_000_000_000;
/// A second.
pub(crate) const CLOCK_STEP_MS: u64 = 1000;
/// Block height of slot 0: about that of Arweave at [`CLOCK_START_MS`].
pub(crate) const BLOCK_START: u64 = 1_300_000;

/// The most bytes of one input.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// Where a message will stand, and who sends it if it does not say so itself.
pub(crate) struct Place<'a> {
    pub(crate) process: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) nonce: u64,
    pub(crate) timestamp_ms: u64,
    pub(crate) block_height: u64,
    pub(crate) hash_chain: &'a str,
    pub(crate) dry: bool,
}

/// What `--eval` sends: code as the data of an `Eval`.
pub(crate) fn eval(code: &str) -> Fields {
    let mut fields = Fields::default();
    fields.set("Data", code);
    fields.set("Tags", tags_value(&tags("Message", &[Tag::new("Action", "Eval")])));
    fields
}

/// The three tags of everything in ao, and more.
pub(crate) fn tags(kind: &str, more: &[Tag]) -> Vec<Tag> {
    let mut tags = vec![
        Tag::new("Data-Protocol", "ao"),
        Tag::new("Variant", "ao.TN.1"),
        Tag::new("Type", kind),
    ];
    // What is said by hand goes before what is said by custom.
    tags.retain(|tag| more.iter().all(|other| other.name != tag.name));
    tags.extend_from_slice(more);
    tags
}

/// The messages that one `--message` gives: an object, an array of them, or one on each line; in the
/// argument itself, in a file (`@FILE`) or on stdin (`-`).
pub(crate) fn messages(given: &str) -> anyhow::Result<Vec<Fields>> {
    let text = text(given)?;
    let values = match Value::parse(&text) {
        Ok(value @ Value::Array(_)) => value.into_array().unwrap_or_default(),
        Ok(value) => vec![value],
        Err(whole) => lines(&text).map_err(|line| {
            let why = line.unwrap_or_else(|| whole.to_string());
            usage(format!(
                "--message is not JSON: {why}; it should be an object such as '{{\"Data\":\"hello\"}}', \
                 @FILE or - for stdin"
            ))
        })?,
    };
    values.into_iter().map(|value| Fields::parse(value).map_err(refused)).collect()
}

/// One value a line. The error is `None` if there is only one line.
fn lines(text: &str) -> Result<Vec<Value>, Option<String>> {
    let lines: Vec<_> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    if lines.len() < 2 {
        return Err(None);
    }
    let read = |(at, line): (usize, &str)| {
        Value::parse(line).map_err(|error| Some(format!("line {}: {error}", at + 1)))
    };
    lines.into_iter().map(read).collect()
}

/// An argument's text: itself, or what its file or stdin holds.
pub(crate) fn text(given: &str) -> anyhow::Result<String> {
    if given == "-" {
        return bounded(&mut io::stdin(), "stdin");
    }
    match given.strip_prefix('@') {
        Some(path) => file(Path::new(path)),
        None => Ok(given.to_owned()),
    }
}

/// A file's text.
pub(crate) fn file(path: &Path) -> anyhow::Result<String> {
    let name = path.display().to_string();
    bounded(&mut files::open(path, "file")?, &name)
}

fn bounded(from: &mut dyn Read, name: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    from.take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(usage(format!("{name} is over 64 MiB; send less in one message")));
    }
    String::from_utf8(bytes).map_err(|_| usage(format!("{name} is not UTF-8 text")))
}

/// Says what the sender left out, as the network's units would.
pub(crate) fn fill(fields: &mut Fields, place: &Place<'_>) {
    let sender = Tag::last(&fields.tags(), "From-Process").map(str::to_owned);
    fields.fill("Id", message_id(place.process, place.nonce, place.dry));
    fields.fill("Owner", place.owner);
    let owner = fields.text("Owner").unwrap_or_default();
    if let Some(sender) = &sender {
        fields.fill("From", sender.as_str());
        fields.fill("Forwarded-By", owner.as_str());
    }
    fields.fill("From", owner);
    fields.fill("Target", place.process);
    fields.fill("Tags", tags_value(&tags("Message", &[])));
    if !place.dry {
        fields.fill("Epoch", number(0));
        fields.fill("Nonce", number(place.nonce));
        fields.fill("Hash-Chain", place.hash_chain);
    }
    fields.fill("Timestamp", number(place.timestamp_ms));
    fields.fill("Block-Height", number(place.block_height));
    fields.fill("Cron", false);
    fields.fill("Read-Only", place.dry);
}

/// An id in the form of the network's, which depends on nothing but its inputs.
pub(crate) fn id_of(parts: &[&[u8]]) -> String {
    BASE64URL_NOPAD.encode(&sha256(parts))
}

/// SHA-256 of parts, each after its length.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn message_id(process: &str, nonce: u64, dry: bool) -> String {
    let kind: &[u8] = if dry { b"drivebay dry-run id" } else { b"drivebay message id" };
    id_of(&[kind, process.as_bytes(), &nonce.to_le_bytes()])
}

fn number(number: u64) -> Value {
    crate::wire::number(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn messages_come_as_an_object_a_list_or_lines() {
        let count = |text: &str| messages(text).unwrap().len();
        assert_eq!(count(r#"{"Data":"a"}"#), 1);
        assert_eq!(count(r#"[{"Data":"a"},{"Data":"b"}]"#), 2);
        assert_eq!(count("{\"Data\":\"a\"}\n\n{\"Data\":\"b\"}\n"), 2);
        let error = messages("{\"Data\":\"a\"}\n{oops}").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_filled_message_has_the_references_shape() {
        let mut fields = eval("1+1");
        let place = Place {
            process: "P",
            owner: "O",
            nonce: 1,
            timestamp_ms: 2,
            block_height: 3,
            hash_chain: "h",
            dry: false,
        };
        fields.set("Id", "M");
        fill(&mut fields, &place);
        let tags = r#"[{"name":"Data-Protocol","value":"ao"},{"name":"Variant","value":"ao.TN.1"},{"name":"Type","value":"Message"},{"name":"Action","value":"Eval"}]"#;
        let expected = format!(
            r#"{{"Id":"M","Data":"1+1","Owner":"O","Target":"P","From":"O","Tags":{tags},"Epoch":0,"Nonce":1,"Timestamp":2,"Block-Height":3,"Hash-Chain":"h","Cron":false,"Read-Only":false}}"#
        );
        assert_eq!(fields.json().as_str(), expected);
    }

    #[test]
    fn a_forwarded_message_speaks_for_the_process_it_comes_from() {
        let mut fields = messages(r#"{"Tags":{"From-Process":"Q"}}"#).unwrap().remove(0);
        let place = Place {
            process: "P",
            owner: "O",
            nonce: 1,
            timestamp_ms: 2,
            block_height: 3,
            hash_chain: "h",
            dry: false,
        };
        fill(&mut fields, &place);
        assert_eq!(fields.text("From").as_deref(), Some("Q"));
        assert_eq!(fields.text("Forwarded-By").as_deref(), Some("O"));
    }
}
