//! The message of a dry-run, as a client sends it.

use super::{Fields, number, schedule::from_process};
use crate::disk::{Refusal, RefusalCode, json::Value};

/// The keys that count; the rest is dropped, as the reference drops it. `From` follows from the others.
const KEYS: [&str; 9] =
    ["Id", "Signature", "Owner", "Target", "Data", "Tags", "Anchor", "Timestamp", "Block-Height"];

/// The message that `body` asks to be evaluated on `process`. Its time and height are those of the body, or
/// are left out, and then whoever evaluates it fills them in.
pub fn dry_fields(body: Value, process: &str) -> Result<Fields, Refusal> {
    let Some(pairs) = body.into_object() else {
        return Err(malformed(
            "the body of a dry-run is a JSON object, such as {\"Data\":\"hello\"}",
        ));
    };
    let kept = pairs.into_iter().filter_map(|(key, value)| {
        let key = key.into_string_lossy();
        let key = KEYS.iter().find(|known| **known == key)?;
        Some((*key, numeric(key, value)))
    });
    let mut fields = Fields::parse(Value::object(kept))?;
    fields.fill("Target", process);
    fields.fill("Tags", Vec::new());
    let owner = fields.text("Owner").filter(|owner| !owner.is_empty());
    let owner =
        owner.ok_or_else(|| malformed("Owner is missing: whom should the message be from?"))?;
    let tags = fields.tags();
    fields.set("From", from_process(&tags).unwrap_or(&owner));
    fields.set("Cron", false);
    fields.set("Read-Only", true);
    Ok(fields)
}

/// Sets where a dry-run stands, as far as its sender did not.
pub fn place_dry(fields: &mut Fields, timestamp_ms: u64, block_height: u64) {
    fields.fill("Timestamp", number(timestamp_ms));
    fields.fill("Block-Height", number(block_height));
}

/// Numbers may come as text.
fn numeric(key: &str, value: Value) -> Value {
    match value.as_str().and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(parsed) if key == "Timestamp" || key == "Block-Height" => number(parsed),
        _ => value,
    }
}

fn malformed(text: &str) -> Refusal {
    Refusal::new(RefusalCode::Malformed, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn shown(body: &str) -> String {
        let mut fields = dry_fields(Value::parse(body).unwrap(), "pid").unwrap();
        place_dry(&mut fields, 1_700_000_000_500, 1_500_000);
        fields.json().to_string()
    }

    /// What aoconnect sends when it is told nothing, and what the reference's loader was given for it.
    #[test]
    fn the_recorded_dry_run() {
        let body = r#"{"Id":"1234","Target":"pid","Owner":"1234","Anchor":"0","Data":"1234","Tags":[{"name":"Type","value":"Message"}]}"#;
        let json = r#"{"Id":"1234","Data":"1234","Owner":"1234","Target":"pid","Anchor":"0","From":"1234","Tags":[{"name":"Type","value":"Message"}],"Timestamp":1700000000500,"Block-Height":1500000,"Cron":false,"Read-Only":true}"#;
        assert_eq!(shown(body), json);
    }

    #[test]
    fn a_from_is_worked_out_and_time_may_be_text() {
        let body = r#"{"Owner":"o","From":"x","Timestamp":"42","Epoch":7,"Tags":[{"name":"From-Process","value":"p"}]}"#;
        let json = r#"{"Owner":"o","Target":"pid","From":"p","Tags":[{"name":"From-Process","value":"p"}],"Timestamp":42,"Block-Height":1500000,"Cron":false,"Read-Only":true}"#;
        assert_eq!(shown(body), json);
    }

    #[test]
    fn mistakes_are_named() {
        let say =
            |body: &str| dry_fields(Value::parse(body).unwrap(), "pid").unwrap_err().to_string();
        assert!(say("[]").contains("JSON object"));
        assert!(say("{}").contains("Owner is missing"));
        assert!(say(r#"{"Owner":"o","Timestamp":"soon"}"#).contains("Timestamp"));
        assert!(say(r#"{"Owner":"o","Tags":[1]}"#).contains("tag 0"));
    }
}
