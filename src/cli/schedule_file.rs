//! A schedule in a file, as a source for a unit.

use super::{
    error::{refused, usage},
    exported::read_exported,
};
use crate::{
    cu::{
        At, Batch, CuError, DryMessage, Entry, OfflineHost, Position, ProcessDefinition,
        PublishedModule, Source, Until,
    },
    disk::{
        Host, Module, Process, Refusal, RefusalCode, Slot, Tag,
        json::{Json, Value},
    },
    wire::{Fields, KEYS, ModuleInfo},
};
use std::sync::Arc;

/// A process, its module's name, and its whole schedule.
pub(crate) struct Log {
    pub(crate) process: Process,
    pub(crate) module: ModuleInfo,
    entries: Vec<Entry>,
}

impl Log {
    /// The last slot, if there is one.
    pub(crate) fn last_slot(&self) -> Option<Slot> {
        self.entries.last().map(|entry| entry.at.slot)
    }
}

/// Reads a log. What is wrong with it is said by place.
pub(crate) fn read_log(text: &str) -> anyhow::Result<Log> {
    let mut value =
        Value::parse(text).map_err(|error| usage(format!("the log is no JSON: {error}")))?;
    if let Some(exported) = read_exported(&mut value) {
        let (process, entries) = exported?;
        let module = ModuleInfo { id: process.module.clone(), ..ModuleInfo::default() };
        return Ok(Log { process, module, entries });
    }
    let (Some(env), Some(messages)) = (value.take("env"), value.take("messages")) else {
        return Err(usage(
            "the log has no env and messages: give a workload's file, or a scheduler's answer",
        ));
    };
    let (process, module) = environment(&env);
    let chosen = scheduled(&value, messages.as_array().map_or(0, |all| all.len()));
    let mut entries: Vec<Entry> = Vec::with_capacity(chosen.len());
    for (at, message) in messages.into_array().unwrap_or_default().into_iter().enumerate() {
        if chosen.get(at) == Some(&true) {
            let entry = entry(message).map_err(|why| bad(format!("message {at}: {why}")))?;
            let last = entries.last().map(|last| last.at.slot.nonce);
            let expected = last.map_or(0, |last| last + 1);
            if entry.at.slot.nonce != expected {
                let found = entry.at.slot.nonce;
                return Err(bad(format!(
                    "message {at} has Nonce {found}, but should have {expected}"
                )));
            }
            entries.push(entry);
        }
    }
    Ok(Log { process, module, entries })
}

fn bad(why: String) -> anyhow::Error {
    refused(Refusal::new(RefusalCode::Malformed, why))
}

/// The process and the module of an environment.
pub(crate) fn environment(env: &Value) -> (Process, ModuleInfo) {
    let part = |key: &str| {
        let mut fields = Fields::default();
        let part = env.get(key);
        if let Some(tags) = part.and_then(|part| part.get("Tags")) {
            fields.set("Tags", tags.clone());
        }
        let text = |key: &str| {
            let text = part.and_then(|part| part.get(key)).and_then(Value::as_text);
            text.map_or_else(String::new, |text| text.to_string_lossy().into_owned())
        };
        (text("Id"), text("Owner"), fields.tags())
    };
    let (id, owner, tags) = part("Module");
    let module = ModuleInfo { id, owner, tags };
    let (id, owner, tags) = part("Process");
    let named = Tag::last(&tags, "Module").unwrap_or(&module.id).to_owned();
    (Process { id, owner, module: named, tags }, module)
}

/// Which messages are scheduled; steps that are dry-runs hold messages that are not.
fn scheduled(log: &Value, count: usize) -> Vec<bool> {
    let Some(steps) = log.get("steps").and_then(Value::as_array) else { return vec![true; count] };
    let mut chosen = vec![false; count];
    for step in steps {
        let number = |key| step.get(key).and_then(Value::as_u64).unwrap_or_default();
        let is_read = step.get("kind").and_then(Value::as_str) == Some("dryrun");
        let (from, to) = (number("from"), number("to"));
        let within = chosen.iter_mut().zip(0_u64..).filter(|(_, at)| (from..to).contains(at));
        within.for_each(|(chosen, _)| *chosen = !is_read);
    }
    chosen
}

/// A message of a log.
pub(crate) struct Message {
    /// What a unit knows of it.
    pub(crate) fields: Fields,
    /// The module meets it as it was recorded, keys that no unit sends and their order included.
    pub(crate) json: Arc<str>,
}

impl Message {
    pub(crate) fn read(message: Value) -> Self {
        let mut fields = Fields::default();
        for key in KEYS {
            if let Some(value) = message.get(key) {
                fields.set(key, value.clone());
            }
        }
        Self { fields, json: Json::from(message).text() }
    }
}

fn entry(message: Value) -> Result<Entry, String> {
    let Message { fields, json } = Message::read(message);
    let nonce = fields.number("Nonce").ok_or("it has no Nonce")?;
    let epoch = fields.number("Epoch").unwrap_or_default();
    let mut entry = Entry::new(Slot { epoch, nonce, tick: 0 }, &fields);
    entry.json = json;
    Ok(entry)
}

/// One process, out of a log.
pub(crate) struct LogSource {
    definition: ProcessDefinition,
    published: PublishedModule,
    entries: Vec<Entry>,
}

impl LogSource {
    pub(crate) fn new(log: Log, module: Module) -> Self {
        let first = log.entries.first().map(|entry| entry.at.clone()).unwrap_or_default();
        let definition = ProcessDefinition {
            process: Arc::new(log.process),
            timestamp_ms: first.timestamp_ms,
            block_height: first.block_height,
        };
        let published = PublishedModule { info: log.module, module };
        Self { definition, published, entries: log.entries }
    }

    fn offline(&self, process: &Arc<ProcessDefinition>) -> Arc<dyn Host> {
        let tags = self.published.info.tags.clone();
        Arc::new(OfflineHost::new(Arc::clone(&process.process), tags))
    }
}

impl Source for LogSource {
    fn process(&self, id: &str) -> Result<ProcessDefinition, CuError> {
        if id == self.definition.process.id {
            return Ok(self.definition.clone());
        }
        Err(CuError::Unknown(format!("the log is not of process {id}")))
    }

    fn module(&self, _id: &str) -> Result<PublishedModule, CuError> {
        Ok(self.published.clone())
    }

    fn resolve(&self, _process: &ProcessDefinition, at: &At) -> Result<Until, CuError> {
        let At::Message(id) = at else { return Ok(Until::Now) };
        let found = self.entries.iter().find(|entry| entry.id == *id);
        let found = found.map(|entry| Until::Slot(entry.at.slot));
        found.ok_or_else(|| CuError::Unknown(format!("the log has no message {id}")))
    }

    fn entries(
        &self,
        _process: &ProcessDefinition,
        after: Option<&Position>,
        until: Until,
        limit: usize,
    ) -> Result<Batch, CuError> {
        let is_past = |entry: &Entry| after.is_none_or(|after| entry.at.slot > after.slot);
        let start = self.entries.partition_point(|entry| !is_past(entry));
        let rest = self.entries.iter().skip(start);
        let mut rest = rest.take_while(|entry| Until::Slot(entry.at.slot) <= until);
        let entries: Vec<Entry> = rest.by_ref().take(limit).cloned().collect();
        Ok(Batch { entries, is_last: rest.next().is_none() })
    }

    fn host(&self, process: &Arc<ProcessDefinition>, _entry: &Entry) -> Arc<dyn Host> {
        self.offline(process)
    }

    fn dry_host(
        &self,
        process: &Arc<ProcessDefinition>,
        _at: &Position,
        _message: &DryMessage,
    ) -> Arc<dyn Host> {
        self.offline(process)
    }
}
