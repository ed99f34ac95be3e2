//! Results for people, and for programs.

use super::{session::Step, tame::tame};
use crate::{
    disk::{
        Fault,
        json::{Json, Value},
    },
    wire::{number, result_pairs},
};
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// The most characters of one value in a line for people.
const SHOWN_MAX: usize = 2000;

/// Colours, or none.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    color: bool,
}

impl Style {
    pub(crate) fn new(color: bool) -> Self {
        Self { color }
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What a guest said. Its colours stay where ours are.
    fn said(self, text: &str) -> String {
        tame(text, self.color)
    }
}

/// A step as one JSON object: the result's keys, then `Slot`, `Root` and `Fuel`.
pub(crate) fn json(step: &Step) -> Json {
    let done = &step.evaluated;
    let mut pairs = result_pairs(&done.reply, done.fault.as_ref(), &done.meter);
    pairs.push(("Slot", number(step.nonce)));
    pairs.push(("Root", Value::from(step.root.to_string())));
    pairs.push(("Fuel", number(done.meter.fuel.0)));
    Json::from(Value::object(pairs))
}

/// Writes a step for a person.
pub(crate) fn step(out: &mut dyn Write, step: &Step, style: Style) -> io::Result<()> {
    let done = &step.evaluated;
    let result = Value::object(result_pairs(&done.reply, done.fault.as_ref(), &done.meter));
    let kind = if step.dry { "dry-run at slot" } else { "slot" };
    let gas = text_of(result.get("GasUsed"));
    let title = style.bold(&format!("{kind} {} · {}", step.nonce, clip(&style.said(&step.name))));
    let cost = style.dim(&format!("GasUsed {gas} · fuel {} · root {}", done.meter.fuel, step.root));
    writeln!(out, "{title}  {cost}")?;
    effects(out, &result, style, &remark(step))
}

/// Writes a result that a compute unit answered, for a person.
pub(crate) fn result(out: &mut dyn Write, result: &Value, style: Style) -> io::Result<()> {
    effects(out, result, style, "")?;
    let gas = text_of(result.get("GasUsed"));
    if gas.is_empty() { Ok(()) } else { writeln!(out, "{}", style.dim(&format!("GasUsed {gas}"))) }
}

/// What a result says and sends. `remark` goes behind its error.
fn effects(out: &mut dyn Write, result: &Value, style: Style, remark: &str) -> io::Result<()> {
    let output = shown_output(result.get("Output"));
    if !output.is_empty() {
        writeln!(out, "{}", style.said(&output))?;
    }
    let logs = result.get("Output").and_then(|output| output.get("logs"));
    for log in logs.and_then(Value::as_array).unwrap_or_default() {
        writeln!(out, "{} {}", style.green("event →"), style.said(&event(log)))?;
    }
    for (key, name) in [("Messages", "message"), ("Spawns", "spawn"), ("Assignments", "assignment")]
    {
        for item in result.get(key).and_then(Value::as_array).unwrap_or_default() {
            writeln!(out, "{} {}", style.green(&format!("{name} →")), style.said(&outgoing(item)))?;
        }
    }
    if let Some(error) = result.get("Error") {
        let said = style.said(&clip(text_of(Some(error)).trim_start()));
        writeln!(out, "{} {said}{remark}", style.red("error"))?;
    }
    Ok(())
}

/// What belongs to no result: the lines that the guest printed.
pub(crate) fn printed(step: &Step) {
    let plain = Style::new(false);
    let mut err = io::stderr().lock();
    // Nobody may be listening, and nothing is lost then.
    for line in step.evaluated.reply.printed.iter().flat_map(|text| text.lines()) {
        let _ = writeln!(err, "guest: {}", plain.said(line));
    }
}

/// Our own words on a fault, which no result has.
pub(crate) fn fault(step: &Step) {
    if let Some(fault) = &step.evaluated.fault {
        let _ = writeln!(io::stderr(), "fault: {}{}", fault.code.text(), note(fault));
    }
}

/// The same in brackets, where the guest has no words of its own; where we have more to say than it, that.
fn remark(step: &Step) -> String {
    let Some(fault) = &step.evaluated.fault else { return String::new() };
    if fault.payload.is_empty() {
        return note(fault);
    }
    let said = step.evaluated.reply.error.as_ref().map(Json::value);
    let rest = fault.note.as_str().strip_prefix(text_of(said.as_ref()).as_str());
    let rest = rest.filter(|rest| rest.starts_with('\n'));
    rest.map(|rest| tame(rest, false)).unwrap_or_default()
}

fn note(fault: &Fault) -> String {
    let note = tame(fault.note.as_str(), false);
    if note.is_empty() || note == fault.code.text() { String::new() } else { format!(" ({note})") }
}

/// The prompt that aos asks for, if it does, as one line.
pub(crate) fn prompt(step: &Step, style: Style) -> Option<String> {
    let done = &step.evaluated;
    prompt_of(&Value::object(result_pairs(&done.reply, None, &done.meter)), style)
}

/// The same of a result that a compute unit answered.
pub(crate) fn prompt_of(result: &Value, style: Style) -> Option<String> {
    let output = result.get("Output")?;
    let prompt = output.get("prompt").or_else(|| output.get("data")?.get("prompt"))?;
    Some(style.said(&prompt.as_text()?.to_string_lossy().replace(['\n', '\t'], " ")))
}

/// The part of an output that is meant to be read: aos wraps it in `data`, or in `data.output`.
fn shown_output(output: Option<&Value>) -> String {
    let Some(output) = output else { return String::new() };
    let inner = match output.get("data") {
        // Where an evaluation gives nothing, older ones leave `output` out.
        Some(data @ Value::Object(_)) if data.get("prompt").is_some() => {
            return text_of(data.get("output"));
        }
        Some(data @ Value::Object(_)) => data.get("output"),
        data => data,
    };
    text_of(Some(inner.unwrap_or(output)))
}

/// What a contract logged: by name, if its ABI is known.
fn event(log: &Value) -> String {
    let Some(name) = log.get("event") else { return clip(&Json::from(log.clone()).to_string()) };
    let args = log.get("args").and_then(Value::as_object).unwrap_or_default();
    let args = args
        .iter()
        .map(|(name, value)| format!("  {}={}", name.to_string_lossy(), text_of(Some(value))));
    clip(&format!("{}{}", text_of(Some(name)), args.collect::<String>()))
}

fn outgoing(item: &Value) -> String {
    let mut line = text_of(item.get("Target"));
    for tag in item.get("Tags").and_then(Value::as_array).unwrap_or_default() {
        let (name, value) = (text_of(tag.get("name")), text_of(tag.get("value")));
        let custom = ["Data-Protocol", "Variant", "Type"].contains(&name.as_str());
        if !custom {
            line.push_str(&format!("  {name}={value}"));
        }
    }
    match item.get("Data") {
        Some(data) => line.push_str(&format!("  {}", Json::from(data.clone()))),
        // No message at all, so show what it is.
        None if line.is_empty() => line = Json::from(item.clone()).to_string(),
        None => {}
    }
    clip(line.trim_start())
}

fn text_of(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(value) => match value.as_text().map(|text| text.to_string_lossy()) {
            Some(Cow::Borrowed(text)) => text.to_owned(),
            Some(Cow::Owned(text)) => text,
            None => Json::from(value.clone()).to_string(),
        },
    }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => {
            format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len())
        }
        None => text.to_owned(),
    }
}
