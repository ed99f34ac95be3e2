//! Real modules, where they are at hand, and messages for them.

use crate::roles::root;
use drivebay_disk::json::{Json, Value};
use drivebay_disk::{Limits, Module, Process};
use libtest_mimic::Completion;

/// A module that `modules/fetch` brings, or why there is none.
pub(crate) fn module(file: &str, format: &str) -> Result<Module, Completion> {
    let path = root().join("modules/aos").join(file);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Module::new(bytes, format, Vec::new())),
        Err(_) => {
            Err(Completion::ignored_with(format!("no {}; run modules/fetch", path.display())))
        }
    }
}

const OWNER: &str = "FcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY";
const MODULE: &str = "MODpQ2Z1c3R5dGVzdG1vZHVsZTAwMDAwMDAwMDAwMDE";
const PROCESS: &str = "BFjQ2Z1c3R5dGVzdHByb2Nlc3MwMDAwMDAwMDAwMDE";

fn object(pairs: Vec<(&str, Value)>) -> Value {
    Value::object(pairs)
}

fn tags(tags: &[(&str, &str)]) -> Value {
    let tag = |(name, value): &(&str, &str)| {
        object(vec![("name", Value::from(*name)), ("value", Value::from(*value))])
    };
    Value::from(tags.iter().map(tag).collect::<Vec<_>>())
}

/// `{"Process":…,"Module":…}`.
pub(crate) fn env() -> String {
    let process = object(vec![
        ("Id", Value::from(PROCESS)),
        ("Owner", Value::from(OWNER)),
        (
            "Tags",
            tags(&[
                ("Data-Protocol", "ao"),
                ("Module", MODULE),
                ("Name", "test"),
                ("Authority", OWNER),
            ]),
        ),
    ]);
    let module = object(vec![
        ("Id", Value::from(MODULE)),
        ("Owner", Value::from(OWNER)),
        ("Tags", tags(&[("Data-Protocol", "ao")])),
    ]);
    let env = object(vec![("Process", process), ("Module", module)]);
    Json::from(env).as_str().to_owned()
}

/// The message that made the process: the first one that aos wants to see.
pub(crate) fn birth() -> String {
    let own = [("Type", "Process"), ("Module", MODULE), ("Name", "test"), ("Authority", OWNER)];
    send(0, "1984", &own)
}

/// A message from the process's owner.
pub(crate) fn message(nonce: u32, action: &str, data: &str) -> String {
    send(nonce, data, &[("Type", "Message"), ("Action", action)])
}

fn send(nonce: u32, data: &str, own: &[(&str, &str)]) -> String {
    let mut all = vec![("Data-Protocol", "ao"), ("Variant", "ao.TN.1")];
    all.extend(own);
    let message = object(vec![
        ("Id", Value::from(format!("MSG{nonce:040}"))),
        ("Data", Value::from(data)),
        ("Owner", Value::from(OWNER)),
        ("Target", Value::from(PROCESS)),
        ("From", Value::from(OWNER)),
        ("Tags", tags(&all)),
        ("Epoch", Value::from(0)),
        ("Nonce", Value::from(nonce)),
        ("Timestamp", Value::from(1.729e12 + f64::from(nonce) * 1000.0)),
        ("Block-Height", Value::from(1_520_000 + nonce)),
        ("Cron", Value::from(false)),
        ("Read-Only", Value::from(false)),
    ]);
    Json::from(message).as_str().to_owned()
}

/// The limits of a process without tags.
pub(crate) fn limits(reader: &dyn drivebay_disk::DiskReader, module: &Module) -> Limits {
    reader.limits(module, &Process::default())
}
