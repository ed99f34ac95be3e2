//! What a guest answered, as text, made into a [`Reply`].

use crate::live::End;
use drivebay_disk::json::{Json, JsonError, Value};
use drivebay_disk::{Assign, Fault, FaultCode, Outgoing, Output, Patch, Reply};

/// What evaluating a call came to.
pub(crate) struct Answer {
    pub(crate) end: End,
    pub(crate) reply: Reply,
}

/// Output that says so keeps the old memory, and is no error: the reference's rule for Lua modules.
const NO_MEMORY: &str = "not enough memory for buffer allocation";

/// `{"ok":…,"response":…}`, as the reference's loader reads it.
pub(crate) fn loader(text: &[u8]) -> Answer {
    match parse(text) {
        Ok(value) => loaded(value),
        Err(error) if text.is_empty() => bad(&format!("Unexpected end of JSON input ({error})")),
        Err(error) => bad(&error.to_string()),
    }
}

fn loaded(mut value: Value) -> Answer {
    let is_ok = value.get("ok").is_some_and(Value::truthy);
    let response = value.take("response");
    if !is_ok {
        return match response {
            Some(response) => raised(Reply::default(), response),
            None => bad("neither ok nor a response"),
        };
    }
    match response {
        None | Some(Value::Null) => bad("ok without a response"),
        Some(response) => settle(response),
    }
}

/// The reply of `wasm32-drivebay-1`: the response itself, or the loader's `{"ok":…,"response":…}`.
pub(crate) fn clean(text: &[u8]) -> Answer {
    match parse(text) {
        Ok(value @ Value::Object(_)) if value.get("ok").is_some() => loaded(value),
        Ok(value @ Value::Object(_)) => settle(value),
        Ok(_) => bad("the reply is JSON, but not an object"),
        Err(error) => bad(&error.to_string()),
    }
}

fn parse(text: &[u8]) -> Result<Value, JsonError> {
    Value::parse(&String::from_utf8_lossy(text))
}

fn bad(why: &str) -> Answer {
    let note = format!("reply cannot be understood: {why}");
    Answer { end: End::Fault(Fault::new(FaultCode::BadReply, note)), reply: Reply::default() }
}

fn raised(mut reply: Reply, error: Value) -> Answer {
    let json = Json::from(error);
    let payload = json.as_str().as_bytes().to_vec();
    let note = format!("the module raised {}", json.as_str());
    reply.error = Some(json);
    Answer { end: End::Fault(Fault { code: FaultCode::Raised, payload, note: note.into() }), reply }
}

fn settle(mut response: Value) -> Answer {
    let kept = says(response.get("Output")).is_some_and(|text| text.ends_with(NO_MEMORY));
    let error = response.take("Error").filter(Value::truthy);
    let reply = Reply {
        output: response.take("Output").map_or(Output::Absent, |value| Output::Json(value.into())),
        messages: list(&mut response, "Messages", |json| Outgoing { json }),
        spawns: list(&mut response, "Spawns", |json| Outgoing { json }),
        assignments: list(&mut response, "Assignments", |json| Assign { json }),
        patches: list(&mut response, "Patches", |json| Patch { json }),
        error: None,
        printed: Vec::new(),
    };
    if let Some(error) = error {
        return raised(reply, error);
    }
    Answer { end: if kept { End::Keep } else { End::Commit }, reply }
}

/// The text of an output: itself, or its `data.output`.
fn says(output: Option<&Value>) -> Option<&str> {
    let output = output?;
    output.as_str().or_else(|| output.get("data")?.get("output")?.as_str())
}

fn list<T>(response: &mut Value, key: &str, make: fn(Json) -> T) -> Vec<T> {
    let items = response.take(key).and_then(Value::into_array).unwrap_or_default();
    items.into_iter().map(|item| make(item.into())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn code(answer: &Answer) -> Option<FaultCode> {
        match &answer.end {
            End::Fault(fault) => Some(fault.code),
            End::Commit | End::Keep => None,
        }
    }

    #[test]
    fn an_answer_has_its_parts_in_order() {
        let answer =
            loader(br#"{"ok":true,"response":{"Output":{"b":1,"a":2},"Messages":[{"x":1}]}}"#);
        assert!(matches!(answer.end, End::Commit));
        let Output::Json(output) = answer.reply.output else { panic!("no output") };
        assert_eq!(output.as_str(), r#"{"b":1,"a":2}"#);
        assert_eq!(answer.reply.messages[0].json.as_str(), r#"{"x":1}"#);
    }

    #[test]
    fn failures_are_told_apart() {
        assert_eq!(code(&loader(b"")), Some(FaultCode::BadReply));
        assert_eq!(code(&loader(br#"{"ok":true}"#)), Some(FaultCode::BadReply));
        let answer = loader(br#"{"ok":false,"response":{"code":7}}"#);
        assert_eq!(code(&answer), Some(FaultCode::Raised));
        assert_eq!(answer.reply.error.unwrap().as_str(), r#"{"code":7}"#);
        let answer = loader(br#"{"ok":true,"response":{"Error":"x","Output":"0"}}"#);
        assert_eq!(code(&answer), Some(FaultCode::Raised));
        assert_ne!(answer.reply.output, Output::Absent);
    }

    #[test]
    fn an_empty_error_is_none_and_no_memory_keeps_the_state() {
        let answer = loader(br#"{"ok":true,"response":{"Error":"","Output":"a"}}"#);
        assert!(matches!(answer.end, End::Commit));
        let text = format!(r#"{{"ok":true,"response":{{"Output":"x {NO_MEMORY}"}}}}"#);
        assert!(matches!(loader(text.as_bytes()).end, End::Keep));
        let text = format!(
            r#"{{"ok":true,"response":{{"Output":{{"data":{{"output":"{NO_MEMORY}"}}}}}}}}"#
        );
        assert!(matches!(loader(text.as_bytes()).end, End::Keep));
    }

    #[test]
    fn our_own_format_takes_both_shapes() {
        assert!(matches!(clean(br#"{"Output":1}"#).end, End::Commit));
        assert!(matches!(clean(br#"{"ok":true,"response":{"Output":1}}"#).end, End::Commit));
        assert_eq!(code(&clean(b"7")), Some(FaultCode::BadReply));
    }
}
