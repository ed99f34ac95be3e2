//! What a result sends, as drafts of items. Pure: the same result gives the same drafts, and names for
//! them, each time.

use crate::{
    disk::json::{Json, Value},
    item::{Draft, Id, Tag},
};
use bytes::Bytes;

/// Taken from what a process says of a message, before the messenger says its own.
const NOT_IN_MESSAGES: [&str; 5] =
    ["Data-Protocol", "Type", "From-Process", "From-Module", "Assignments"];

/// Who sends, and why.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) process: Id,
    /// Its `Module` tag.
    pub(super) module: String,
    /// Its `Scheduler` tag.
    pub(super) scheduler: String,
    /// The user's item that everything came from.
    pub(super) chain: Option<Id>,
    /// Names the result: no other one has this name.
    pub(super) origin: String,
}

/// Something that a result asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A message, and the processes that are to see it as well.
    Push { target: Id, draft: Draft, also: Vec<Id> },
    /// A process, and what its maker is told; the latter lacks the new process's id.
    Spawn { scheduler: Id, draft: Draft, notice: Vec<Tag> },
    /// An existing item for a process; the rest of the query that asks for it.
    Assign { process: Id, item: Id, query: String },
    /// Something that cannot be.
    Skip { why: String },
}

/// All effects of a result in the order in which they are to be carried out, named within the result.
pub(super) fn effects(result: &Value, sender: &Sender) -> Vec<(String, Effect)> {
    let list = |key: &str| result.get(key).and_then(Value::as_array).unwrap_or_default();
    let mut effects = Vec::new();
    for (at, message) in list("Messages").iter().enumerate() {
        let name = format!("m{at}");
        let effect = push(message, sender, &name).unwrap_or_else(|why| Effect::Skip { why });
        effects.push((name, effect));
    }
    for (at, spawn_) in list("Spawns").iter().enumerate() {
        let name = format!("s{at}");
        let effect = spawn(spawn_, sender, &name).unwrap_or_else(|why| Effect::Skip { why });
        effects.push((name, effect));
    }
    for (at, assignment) in list("Assignments").iter().enumerate() {
        assign(assignment, &format!("a{at}"), &mut effects);
    }
    effects
}

/// Whether a result asks for anything.
pub(super) fn count(result: &Value) -> usize {
    let lists = ["Messages", "Spawns", "Assignments"].into_iter();
    lists.filter_map(|key| Some(result.get(key)?.as_array()?.len())).sum()
}

fn push(message: &Value, sender: &Sender, name: &str) -> Result<Effect, String> {
    let said = tags(message)?;
    let target = field(message, "Target")?;
    let target: Id = target.parse().map_err(|error| format!("its Target: {error}"))?;
    let anchor = field(message, "Anchor")?;
    let anchor: [u8; 32] = anchor
        .as_bytes()
        .try_into()
        .map_err(|_| format!("its Anchor has {} bytes, and should have 32", anchor.len()))?;
    let also = also(&said);
    let mut tags = without(&said, &NOT_IN_MESSAGES);
    refer(&mut tags, sender, name);
    tags.push(Tag::new("Data-Protocol", "ao"));
    tags.push(Tag::new("Type", "Message"));
    tags.push(Tag::new("From-Process", sender.process.to_string()));
    tags.push(Tag::new("From-Module", &sender.module));
    tags.extend(sender.chain.map(|id| Tag::new("Pushed-For", id.to_string())));
    let draft = Draft { target: Some(target), anchor: Some(anchor), tags, data: data(message) };
    Ok(Effect::Push { target, draft, also })
}

fn spawn(spawn: &Value, sender: &Sender, name: &str) -> Result<Effect, String> {
    let said = tags(spawn)?;
    let of = |name: &str| said.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str());
    if of("Module").is_none() {
        return Err("it has no Module tag".to_owned());
    }
    let scheduler = of("Scheduler").unwrap_or(&sender.scheduler).to_owned();
    let to: Id = scheduler.parse().map_err(|error| format!("its Scheduler tag: {error}"))?;
    let variant = if of("Variant") == Some("ao.N.1") { "ao.N.1" } else { "ao.TN.1" };
    let mut tags = without(&said, &["Data-Protocol", "Type"]);
    refer(&mut tags, sender, name);
    let named = tags.clone();
    for tag in tags.iter_mut().filter(|tag| tag.name == "From-Module") {
        tag.value.clone_from(&sender.module);
    }
    tags.push(Tag::new("Variant", variant));
    tags.push(Tag::new("Data-Protocol", "ao"));
    tags.push(Tag::new("Type", "Process"));
    tags.push(Tag::new("From-Process", sender.process.to_string()));
    tags.extend(sender.chain.map(|id| Tag::new("Pushed-For", id.to_string())));
    if of("Scheduler").is_none() {
        tags.push(Tag::new("Scheduler", &scheduler));
    }
    let draft = Draft { target: None, anchor: None, tags, data: data(spawn) };
    let notice = without(&named, &["Variant"]);
    Ok(Effect::Spawn { scheduler: to, draft, notice })
}

/// What the maker of `process` is told. It comes from the messenger; it says that it is from the maker
/// where the maker's own tags do.
pub(super) fn notice(maker: Id, said: Vec<Tag>, process: Id) -> Draft {
    let mut tags = said;
    tags.push(Tag::new("Data-Protocol", "ao"));
    tags.push(Tag::new("Type", "Message"));
    tags.push(Tag::new("Process", process.to_string()));
    tags.push(Tag::new("Action", "Spawned"));
    tags.push(Tag::new("Variant", "ao.TN.1"));
    Draft { target: Some(maker), anchor: None, tags, data: Bytes::from_static(b" ") }
}

fn assign(assignment: &Value, name: &str, effects: &mut Vec<(String, Effect)>) {
    let skip = |why: String| (name.to_owned(), Effect::Skip { why });
    let item = assignment.get("Message").and_then(Value::as_str).unwrap_or_default();
    let item: Id = match item.parse() {
        Ok(item) => item,
        Err(error) => return effects.push(skip(format!("its Message: {error}"))),
    };
    let texts = |key: &str| {
        let list = assignment.get(key).and_then(Value::as_array).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let base = assignment.get("BaseLayer").is_some_and(Value::truthy);
    let query = assign_query(base, &texts("Exclude"));
    for (at, process) in texts("Processes").iter().enumerate() {
        let effect = match process.parse() {
            Ok(process) => Effect::Assign { process, item, query: query.clone() },
            Err(error) => Effect::Skip { why: format!("one of its Processes: {error}") },
        };
        effects.push((format!("{name}.{at}"), effect));
    }
}

/// The end of the query that asks a scheduler to assign something.
pub(super) fn assign_query(base_layer: bool, exclude: &[String]) -> String {
    let mut query = String::new();
    if base_layer {
        query.push_str("&base-layer");
    }
    if !exclude.is_empty() {
        let exclude: String =
            reqwest::Url::parse_with_params("http://x", [("exclude", exclude.join(","))])
                .ok()
                .and_then(|url| url.query().map(str::to_owned))
                .unwrap_or_default();
        query.push('&');
        query.push_str(&exclude);
    }
    query
}

/// Two messages of one result that say the same are two, also to a scheduler that knows messages of
/// processes by their content.
fn refer(tags: &mut Vec<Tag>, sender: &Sender, name: &str) {
    if !tags.iter().any(|tag| tag.name == "Reference") {
        tags.push(Tag::new("Reference", format!("{}-{name}", sender.origin)));
    }
}

fn without(tags: &[Tag], names: &[&str]) -> Vec<Tag> {
    tags.iter().filter(|tag| !names.contains(&tag.name.as_str())).cloned().collect()
}

fn tags(of: &Value) -> Result<Vec<Tag>, String> {
    let list = of.get("Tags").and_then(Value::as_array).ok_or("it has no Tags")?;
    list.iter().map(tag).collect()
}

fn tag(value: &Value) -> Result<Tag, String> {
    let part = |key: &str| value.get(key).and_then(text).ok_or(format!("a tag without {key}"));
    Ok(Tag::new(part("name")?, part("value")?))
}

fn field(of: &Value, key: &str) -> Result<String, String> {
    of.get(key).and_then(text).ok_or_else(|| format!("it has no {key}"))
}

/// A text; or a number as one.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string_lossy().into_owned()),
        Value::Number(_) => Some(Json::from(value.clone()).as_str().to_owned()),
        _ => None,
    }
}

/// The payload, or one space: an item without any is not taken everywhere.
fn data(of: &Value) -> Bytes {
    let data = of.get("Data").and_then(text).filter(|data| !data.is_empty());
    Bytes::from(data.unwrap_or_else(|| " ".to_owned()))
}

/// The processes of an `Assignments` tag: a list in JSON, or with commas.
fn also(tags: &[Tag]) -> Vec<Id> {
    let Some(tag) = tags.iter().find(|tag| tag.name == "Assignments") else { return Vec::new() };
    let listed = Value::parse(&tag.value).ok().and_then(Value::into_array);
    match listed {
        Some(list) => list.iter().filter_map(|id| id.as_str()?.parse().ok()).collect(),
        None => tag.value.split(',').filter_map(|id| id.trim().parse().ok()).collect(),
    }
}

#[cfg(test)]
mod tests;
