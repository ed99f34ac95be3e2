//! One message's answer against the reference's, field by field.

use super::{Answer, Difference, Field};
use drivebay_disk::json::{Json, Value};
use drivebay_disk::{Fault, FaultCode, Meter, Output, Reply};

/// Bytes shown of each side of a difference.
const SHOWN: usize = 160;

/// What the reader made of a message.
pub(super) struct Got<'a> {
    pub(super) fault: Option<&'a Fault>,
    pub(super) reply: &'a Reply,
    pub(super) meter: &'a Meter,
}

/// Everything in which the two differ; none, if they are equal.
pub(super) fn compare(message: usize, want: &Answer, got: &Got<'_>) -> Vec<Difference> {
    let mut found = Found { message, list: Vec::new() };
    match want {
        Answer::Thrown(value) => thrown(&mut found, value.as_ref(), got),
        Answer::Reply { error, .. } => {
            verdict(&mut found, error.as_ref(), got);
            fields(&mut found, want, got);
        }
    }
    found.list
}

struct Found {
    message: usize,
    list: Vec<Difference>,
}

impl Found {
    fn add(&mut self, field: Field, text: String) {
        self.list.push(Difference { message: Some(self.message), field, text });
    }

    fn same(&mut self, field: Field, want: Option<&Json>, got: Option<&Json>) {
        if want != got {
            let show = |json: Option<&Json>| json.map_or("nothing", Json::as_str).to_owned();
            let (want, got) = part(&show(want), &show(got));
            self.add(field, format!("expected {want}, got {got}"));
        }
    }
}

fn thrown(found: &mut Found, value: Option<&Json>, got: &Got<'_>) {
    if got.fault.is_none() {
        let what = value.map_or("an error", Json::as_str);
        found.add(Field::Verdict, format!("expected {} thrown, got a reply", clip(what)));
    } else if value.is_some() {
        // The text of JavaScript's own errors never leaves a unit, so only a module's value counts.
        found.same(Field::Error, value, got.reply.error.as_ref());
    }
}

fn verdict(found: &mut Found, error: Option<&Json>, got: &Got<'_>) {
    match (error, got.fault) {
        (None, None) => {}
        (Some(_), Some(fault)) if fault.code == FaultCode::Raised => {}
        (None, Some(fault)) => {
            found.add(Field::Verdict, format!("expected a reply, got {}", say(fault)))
        }
        (Some(_), Some(fault)) => {
            found.add(
                Field::Verdict,
                format!("expected an error of the module, got {}", say(fault)),
            );
        }
        (Some(error), None) => {
            found.add(
                Field::Verdict,
                format!("expected {} raised, got a reply", clip(error.as_str())),
            );
        }
    }
}

fn say(fault: &Fault) -> String {
    format!("{} ({})", fault.code.text(), fault.note)
}

fn fields(found: &mut Found, want: &Answer, got: &Got<'_>) {
    let Answer::Reply { output, messages, spawns, assignments, error, gas } = want else { return };
    let reply = got.reply;
    found.same(Field::Output, output.as_ref(), output_json(&reply.output).as_ref());
    let lists = [
        (Field::Messages, messages, array(reply.messages.iter().map(|sent| &sent.json))),
        (Field::Spawns, spawns, array(reply.spawns.iter().map(|sent| &sent.json))),
        (Field::Assignments, assignments, array(reply.assignments.iter().map(|sent| &sent.json))),
    ];
    for (field, want, got) in lists {
        // A unit answers an empty list where the module gave none.
        let empty = Json::from(Value::Array(Vec::new()));
        found.same(field, Some(want.as_ref().unwrap_or(&empty)), Some(&got));
    }
    // An error that JavaScript takes as false is no error, and need not be told apart from none.
    let raised = reply.error.as_ref().filter(|error| error.value().truthy());
    found.same(Field::Error, error.as_ref(), raised);
    let used = got.meter.gas.unwrap_or(0);
    if let Some(gas) = gas.filter(|gas| *gas != used) {
        found.add(Field::GasUsed, format!("expected {gas}, got {used}"));
    }
}

fn output_json(output: &Output) -> Option<Json> {
    match output {
        Output::Absent => None,
        Output::Json(json) => Some(json.clone()),
        Output::Text(text) => Some(Json::from(Value::from(text.as_str()))),
        Output::Raw(bytes) => {
            Some(Json::from(Value::from(String::from_utf8_lossy(bytes).into_owned())))
        }
    }
}

fn array<'a>(items: impl Iterator<Item = &'a Json>) -> Json {
    Json::from(Value::Array(items.map(Json::value).collect()))
}

/// Both texts from a little before the place where they part.
fn part(one: &str, other: &str) -> (String, String) {
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let mut from = same.saturating_sub(SHOWN / 4);
    while from > 0 && !(one.is_char_boundary(from) && other.is_char_boundary(from)) {
        from -= 1;
    }
    let side = |text: &str| {
        let dots = if from > 0 { format!("(from byte {from}) …") } else { String::new() };
        dots + &clip(text.get(from..).unwrap_or_default())
    };
    (side(one), side(other))
}

fn clip(text: &str) -> String {
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    let mut end = SHOWN;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}
