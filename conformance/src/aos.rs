//! Messages for aos processes, and logs of them.
//!
//! They are JSON as a unit of the network writes it, so that they fit aos of every age.

use crate::laws::{Broken, Log, Rng};
use drivebay_disk::{
    DiskReader, Module, Process,
    json::{Json, Value},
};

const OWNER: &str = "FcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY";
const MODULE: &str = "MODpQ2Z1c3R5dGVzdG1vZHVsZTAwMDAwMDAwMDAwMDE";
const PROCESS: &str = "BFjQ2Z1c3R5dGVzdHByb2Nlc3MwMDAwMDAwMDAwMDE";

/// One of each kind of thing that a process does, with `@` for a number that differs.
pub const EVALS: &[&str] = &[
    "Count = (Count or 0) + @ return Count",
    "local t = {} for k, v in pairs({a=1, b=2, c=@, d=4, [@]=5}) do t[#t+1] = tostring(k) end return table.concat(t, ',')",
    "error('boom @')",
    "return pcall(error, {code=@})",
    "Handlers.add('h@', Handlers.utils.hasMatchingTag('Action', 'Ping@'), function (m) Hits = (Hits or 0) + 1 end) return #Handlers.list",
    "return string.format('%.14g %.17g %s', 0.1 * @, 1/3, tostring(0/0))",
    "Co = coroutine.wrap(function () for i = 1, 3 do coroutine.yield(i * @) end end) return Co()",
    "return Co and Co()",
    "return os.time() .. ' ' .. os.date('!%Y-%m-%d') .. ' ' .. os.clock()",
    "this is not lua @",
    "Big = string.rep('x', @ * 1000) return #Big",
    "return require('json').encode({a={1,2,{b=@}}, c='é'})",
    "print('line @') io.write('half @') return math.random(1000)",
    "ao.send({Target='T@', Data=tostring(@), Action='Test'}) return 'sent'",
    "local f, e = io.open('/nothing/@') return tostring(e)",
    "local t = {} for i = 1, 300 do t[i] = (i * @) % 71 end table.sort(t) return t[1] .. ' ' .. t[300]",
    "ao.spawn('MODULE@', {Tags={Name='child'}}) return 'spawned'",
    "T = T or {} T[{}] = @ T[print] = 1 local n = 0 for k in pairs(T) do n = n + 1 end return n",
    "return select('#', string.byte(string.rep('ab', 20), 1, -1)) + @",
    "collectgarbage() return math.type(@ // 1)",
];

/// `{"Process":…,"Module":…}`, the environment of every message here.
pub fn env() -> String {
    let tagged = |id: &str, own: &[(&str, &str)]| {
        Value::object([("Id", Value::from(id)), ("Owner", Value::from(OWNER)), ("Tags", tags(own))])
    };
    let own = [("Data-Protocol", "ao"), ("Module", MODULE), ("Name", "test"), ("Authority", OWNER)];
    let process = tagged(PROCESS, &own);
    let module = tagged(MODULE, &[("Data-Protocol", "ao")]);
    Json::from(Value::object([("Process", process), ("Module", module)])).as_str().to_owned()
}

/// The message that made the process: the first one that aos wants to see.
pub fn birth() -> String {
    let own = [("Type", "Process"), ("Module", MODULE), ("Name", "test"), ("Authority", OWNER)];
    // It bears the process's id: by that, aos knows who its owner is, and evaluates what he sends.
    send((PROCESS, 0), "1984", &own)
}

/// A message from the process's owner.
pub fn message(nonce: u32, action: &str, data: &str) -> String {
    let id = format!("MSG{nonce:040}");
    send((&id, nonce), data, &[("Type", "Message"), ("Action", action)])
}

/// A log of `count` messages: the process's own, then [`EVALS`] over and over with other numbers.
pub fn log(reader: &dyn DiskReader, name: &str, module: Module, count: u32) -> Result<Log, Broken> {
    let evals = (1..count).map(|nonce| {
        let text = EVALS.get(nonce as usize % EVALS.len()).unwrap_or(&"");
        message(nonce, "Eval", &text.replace('@', &(nonce + 1).to_string()))
    });
    of_messages(reader, name, module, std::iter::once(birth()).chain(evals))
}

/// A log of the process's own message, and then an evaluation of each of `evals`.
pub fn log_of(
    reader: &dyn DiskReader,
    name: &str,
    module: Module,
    evals: &[String],
) -> Result<Log, Broken> {
    let evals = (1..).zip(evals).map(|(nonce, text)| message(nonce, "Eval", text));
    of_messages(reader, name, module, std::iter::once(birth()).chain(evals))
}

/// A log of `count` messages of which all but the first are drawn from [`EVALS`] by chance.
pub fn random_log(
    reader: &dyn DiskReader,
    name: &str,
    module: Module,
    (count, rng): (u32, &mut Rng),
) -> Result<Log, Broken> {
    let mut messages = vec![birth()];
    for nonce in 1..count.max(2) {
        let text = EVALS.get(rng.place(EVALS.len())).unwrap_or(&"");
        let number = (rng.below(40) + 1).to_string();
        messages.push(message(nonce, "Eval", &text.replace('@', &number)));
    }
    of_messages(reader, name, module, messages)
}

/// The format makes of a process without tags what its limits are.
fn of_messages(
    reader: &dyn DiskReader,
    name: &str,
    module: Module,
    messages: impl IntoIterator<Item = String>,
) -> Result<Log, Broken> {
    let (limits, env) = (reader.limits(&module, &Process::default()), env());
    let messages: Vec<String> = messages.into_iter().collect();
    let pairs = messages.iter().map(|message| (message.as_str(), env.as_str()));
    Log::from_json(name, (module, limits), pairs).map_err(|error| Broken::new(error.to_string()))
}

fn send((id, nonce): (&str, u32), data: &str, own: &[(&str, &str)]) -> String {
    let mut all = vec![("Data-Protocol", "ao"), ("Variant", "ao.TN.1")];
    all.extend(own);
    let message = Value::object([
        ("Id", Value::from(id)),
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

fn tags(tags: &[(&str, &str)]) -> Value {
    let tag = |(name, value): &(&str, &str)| {
        Value::object([("name", Value::from(*name)), ("value", Value::from(*value))])
    };
    Value::from(tags.iter().map(tag).collect::<Vec<_>>())
}
