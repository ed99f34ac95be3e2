//! What `handle` returned, made into a [`Reply`].

use drivebay_disk::json::{Json, Value};
use drivebay_disk::{Assign, Fault, FaultCode, Outgoing, Output, Patch, Reply};

/// The reply, and the fault if it says that it failed.
pub(crate) type Answer = (Reply, Option<Fault>);

/// A table: `Output`, `Messages`, `Spawns`, `Assignments`, `Patches`, `Error`.
pub(crate) fn json(text: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(text);
    match Value::parse(&text) {
        Ok(value @ Value::Object(_)) => settle(&value),
        // An empty table is an empty array, and a reply that says nothing.
        Ok(Value::Array(ref items)) if items.is_empty() => (Reply::default(), None),
        Ok(value) => bad(format!("handle returned {}, not a table of results", kind(&value))),
        Err(error) => bad(format!("handle returned what is no JSON: {error}")),
    }
}

/// A string is the output.
pub(crate) fn text(bytes: Vec<u8>) -> Answer {
    let output = match String::from_utf8(bytes) {
        Ok(text) => Output::Text(text),
        Err(error) => Output::Raw(error.into_bytes()),
    };
    (Reply { output, ..Reply::default() }, None)
}

/// An error that the module raised.
pub(crate) fn raised(mut reply: Reply, error: Json, note: String) -> Answer {
    let payload = error.as_str().as_bytes().to_vec();
    reply.error = Some(error);
    (reply, Some(Fault { code: FaultCode::Raised, payload, note: note.into() }))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn bad(note: String) -> Answer {
    (Reply::default(), Some(Fault::new(FaultCode::BadReply, note)))
}

fn settle(response: &Value) -> Answer {
    let output = response.get("Output").map_or(Output::Absent, |value| Output::Json(copy(value)));
    let reply = Reply {
        output,
        messages: list(response, "Messages", |json| Outgoing { json }),
        spawns: list(response, "Spawns", |json| Outgoing { json }),
        assignments: list(response, "Assignments", |json| Assign { json }),
        patches: list(response, "Patches", |json| Patch { json }),
        error: None,
        printed: Vec::new(),
    };
    match response.get("Error").filter(|error| error.truthy()) {
        Some(error) => {
            let error = copy(error);
            let note = format!("the module answered with the error {}", error.as_str());
            raised(reply, error, note)
        }
        None => (reply, None),
    }
}

fn copy(value: &Value) -> Json {
    Json::from(value.clone())
}

fn list<T>(response: &Value, key: &str, make: fn(Json) -> T) -> Vec<T> {
    let items = response.get(key).and_then(Value::as_array).unwrap_or_default();
    items.iter().map(|item| make(copy(item))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_their_parts() {
        let (reply, fault) = json(br#"{"Output":"x","Messages":[{"a":1}],"Spawns":[]}"#);
        assert!(fault.is_none());
        assert_eq!((reply.messages.len(), reply.spawns.len()), (1, 0));
        assert_eq!(json(b"[]"), (Reply::default(), None));
        assert_eq!(json(b"7").1.map(|fault| fault.code), Some(FaultCode::BadReply));
        let (reply, fault) = json(br#"{"Error":"no","Output":"0"}"#);
        assert_eq!(fault.map(|fault| fault.code), Some(FaultCode::Raised));
        assert_ne!(reply.output, Output::Absent);
        assert_eq!(text(vec![0xff]).0.output, Output::Raw(vec![0xff]));
    }
}
