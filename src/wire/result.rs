//! What a client is answered.

use crate::disk::{
    Fault, Meter, Output, Reply,
    json::{Json, Value},
};
use data_encoding::BASE64URL_NOPAD;

/// The result of one evaluation, as keys and values in the order of the wire: `Messages`, `Assignments`,
/// `Spawns`, `Output`, `GasUsed`, and `Error` only if there is one.
///
/// `GasUsed` is the gas where the format defines it, else the fuel.
pub fn result_pairs(
    reply: &Reply,
    fault: Option<&Fault>,
    meter: &Meter,
) -> Vec<(&'static str, Value)> {
    let list =
        |list: Vec<&Json>| Value::from(list.into_iter().map(Json::value).collect::<Vec<_>>());
    let mut pairs = vec![
        ("Messages", list(reply.messages.iter().map(|message| &message.json).collect())),
        ("Assignments", list(reply.assignments.iter().map(|assign| &assign.json).collect())),
        ("Spawns", list(reply.spawns.iter().map(|spawn| &spawn.json).collect())),
        ("Output", output_value(&reply.output)),
        ("GasUsed", number(meter.gas.unwrap_or(meter.fuel.0))),
    ];
    pairs.extend(error_value(reply, fault).map(|error| ("Error", error)));
    pairs
}

/// What went wrong, in the guest's words, else in the fixed words of the fault's code.
pub fn error_value(reply: &Reply, fault: Option<&Fault>) -> Option<Value> {
    if let Some(error) = &reply.error {
        return Some(error.value());
    }
    let fault = fault?;
    if fault.payload.is_empty() {
        return Some(Value::from(fault.code.text()));
    }
    Some(Value::from(String::from_utf8_lossy(&fault.payload).into_owned()))
}

/// A number is shown as text, as the reference shows it.
fn output_value(output: &Output) -> Value {
    match output {
        Output::Absent => Value::from(""),
        Output::Json(json) => match json.value() {
            Value::Number(_) => Value::from(json.as_str()),
            Value::Null => Value::from(""),
            value => value,
        },
        Output::Text(text) => Value::from(text.as_str()),
        Output::Raw(bytes) => Value::from(BASE64URL_NOPAD.encode(bytes)),
    }
}

/// JSON numbers are doubles. Past 2⁵³ a count is not exact, as in every JavaScript client.
pub(crate) fn number(count: u64) -> Value {
    Value::from(count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{FaultCode, Fuel};

    fn line(reply: &Reply, fault: Option<&Fault>, meter: Meter) -> String {
        Json::from(Value::object(result_pairs(reply, fault, &meter))).to_string()
    }

    #[test]
    fn nothing_said_is_empty_not_absent() {
        let meter = Meter { fuel: Fuel(7), gas: None };
        let expected = r#"{"Messages":[],"Assignments":[],"Spawns":[],"Output":"","GasUsed":7}"#;
        assert_eq!(line(&Reply::default(), None, meter), expected);
    }

    #[test]
    fn the_guests_words_go_before_ours() {
        let meter = Meter { fuel: Fuel(7), gas: Some(0) };
        let mut fault = Fault::new(FaultCode::OutOfFuel, "a note that nobody sees");
        let said = |fault: &Fault| line(&Reply::default(), Some(fault), meter);
        assert!(said(&fault).ends_with(r#""GasUsed":0,"Error":"out of fuel"}"#));
        fault.payload = b"enough".to_vec();
        assert!(said(&fault).ends_with(r#""Error":"enough"}"#));
    }
}
