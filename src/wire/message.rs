//! The message and the environment as a module sees them.
//!
//! The shape is that of the reference CU (its schema drops what it does not know and fixes the order), so
//! that a legacy module meets the same text, byte for byte.

use crate::disk::{
    Message, Process, Refusal, RefusalCode, Tag,
    json::{Json, Value},
};
use std::collections::BTreeMap;

/// The keys of a message, in the order in which a module sees them. Absent ones are left out.
pub const KEYS: [&str; 16] = [
    "Id",
    "Signature",
    "Data",
    "Owner",
    "Target",
    "Anchor",
    "From",
    "Forwarded-By",
    "Tags",
    "Epoch",
    "Nonce",
    "Timestamp",
    "Block-Height",
    "Hash-Chain",
    "Cron",
    "Read-Only",
];

/// A message as JSON fields, each under one of [`KEYS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(BTreeMap<usize, Value>);

/// What a module's environment says of the module itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its id, 43 characters of base64url.
    pub id: String,
    /// Address of its publisher.
    pub owner: String,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl Fields {
    /// The fields of a JSON object. Refused with a text that names the key, what it holds and what it
    /// should hold.
    pub fn parse(value: Value) -> Result<Self, Refusal> {
        let found = kind(&value);
        let Some(pairs) = value.into_object() else {
            return Err(malformed(format!(
                "a message is a JSON object such as {{\"Data\":\"hello\"}}, but this is {found}"
            )));
        };
        let mut fields = Self::default();
        for (key, value) in pairs {
            let key = key.into_string_lossy();
            let Some(at) = position(&key) else {
                let known = KEYS.join(", ");
                return Err(malformed(format!(
                    "a message has no key {key:?}; its keys are {known} (put anything else into Tags)"
                )));
            };
            fields.0.insert(at, checked(&key, value)?);
        }
        Ok(fields)
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&position(key)?)
    }

    /// The text under `key`, if it is one.
    pub fn text(&self, key: &str) -> Option<String> {
        Some(self.get(key)?.as_text()?.to_string_lossy().into_owned())
    }

    /// The whole number under `key`, if it is one.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// Sets `key`, which must be one of [`KEYS`]; others are ignored, as the reference ignores them.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        if let Some(at) = position(key) {
            self.0.insert(at, value.into());
        }
    }

    /// Sets `key` where the sender left it out.
    pub fn fill(&mut self, key: &str, value: impl Into<Value>) {
        if self.get(key).is_none() {
            self.set(key, value);
        }
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) {
        if let Some(at) = position(key) {
            self.0.remove(&at);
        }
    }

    /// The tags.
    pub fn tags(&self) -> Vec<Tag> {
        self.get("Tags").and_then(Value::as_array).map_or_else(Vec::new, |tags| {
            let text = |tag: &Value, key: &str| {
                tag.get(key)
                    .and_then(Value::as_text)
                    .map_or_else(String::new, |text| text.to_string_lossy().into_owned())
            };
            tags.iter().map(|tag| Tag::new(text(tag, "name"), text(tag, "value"))).collect()
        })
    }

    /// The text that a legacy module is given.
    pub fn json(&self) -> Json {
        let pairs = self.0.iter().filter_map(|(at, value)| Some((*KEYS.get(*at)?, value.clone())));
        Json::from(Value::object(pairs))
    }

    /// The same, typed, for formats that take no JSON.
    pub fn message(&self) -> Message {
        let text = |key| self.text(key).unwrap_or_default();
        let data =
            self.get("Data").filter(|data| !data.is_null()).map(|data| match data.as_text() {
                Some(text) => text.to_string_lossy().into_owned().into_bytes(),
                None => Json::from(data.clone()).as_str().as_bytes().to_vec(),
            });
        Message {
            id: text("Id"),
            from: text("From"),
            owner: text("Owner"),
            target: text("Target"),
            anchor: self.text("Anchor"),
            tags: self.tags(),
            data: data.map(Into::into),
        }
    }
}

/// The second argument of `handle`.
pub fn env_json(process: &Process, module: &ModuleInfo) -> Json {
    let part = |id: &str, owner: &str, tags: &[Tag]| {
        Value::object([
            ("Id", Value::from(id)),
            ("Owner", Value::from(owner)),
            ("Tags", tags_value(tags)),
        ])
    };
    Json::from(Value::object([
        ("Process", part(&process.id, &process.owner, &process.tags)),
        ("Module", part(&module.id, &module.owner, &module.tags)),
    ]))
}

/// Tags as the wire has them.
pub(crate) fn tags_value(tags: &[Tag]) -> Value {
    let tag = |tag: &Tag| {
        let (name, value) = (tag.name.as_str(), tag.value.as_str());
        Value::object([("name", Value::from(name)), ("value", Value::from(value))])
    };
    Value::from(tags.iter().map(tag).collect::<Vec<_>>())
}

fn position(key: &str) -> Option<usize> {
    KEYS.iter().position(|known| *known == key)
}

fn checked(key: &str, value: Value) -> Result<Value, Refusal> {
    let wants = match key {
        "Data" => return Ok(value),
        "Tags" => return tags(value),
        "Epoch" | "Nonce" | "Timestamp" | "Block-Height" if value.as_u64().is_none() => {
            "a whole number, 0 or more"
        }
        "Epoch" | "Nonce" | "Timestamp" | "Block-Height" => return Ok(value),
        "Cron" | "Read-Only" if value.as_bool().is_none() => "true or false",
        "Cron" | "Read-Only" => return Ok(value),
        "Signature" | "Anchor" | "Hash-Chain" if value.is_null() => return Ok(value),
        _ if value.as_text().is_none() => "a string",
        _ => return Ok(value),
    };
    Err(malformed(format!("{key} is {}, but should be {wants}", kind(&value))))
}

/// Tags in either spelling, as a list of names and values.
fn tags(value: Value) -> Result<Value, Refusal> {
    let say = |what: String| {
        malformed(format!(
            "{what}; write Tags as {{\"Action\":\"Ping\"}} or as [{{\"name\":\"Action\",\"value\":\"Ping\"}}]"
        ))
    };
    let found = kind(&value);
    let object = matches!(value, Value::Object(_));
    if let Some(pairs) = object.then(|| value.clone().into_object()).flatten() {
        if let Some((name, value)) = pairs.iter().find(|(_, value)| value.as_text().is_none()) {
            let name = name.to_string_lossy();
            return Err(say(format!("the value of tag {name:?} is {}, not a string", kind(value))));
        }
        let tag = |(name, value)| Value::object([("name", Value::String(name)), ("value", value)]);
        return Ok(Value::from(pairs.into_iter().map(tag).collect::<Vec<_>>()));
    }
    let list = value.as_array().ok_or_else(|| say(format!("Tags is {found}")))?;
    let whole = |tag: &Value| {
        let has = |key| tag.get(key).is_some_and(|value| value.as_text().is_some());
        has("name") && has("value")
    };
    match list.iter().position(|tag| !whole(tag)) {
        Some(at) => Err(say(format!("tag {at} has no name and value that are strings"))),
        None => Ok(value),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn malformed(note: String) -> Refusal {
    Refusal::new(RefusalCode::Malformed, note)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(text: &str) -> Result<Fields, String> {
        Fields::parse(Value::parse(text).unwrap()).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn keys_come_out_in_the_order_of_the_schema() {
        let fields = parse(r#"{"Tags":{"b":"2","a":"1"},"Data":null,"Id":"m"}"#).unwrap();
        let tags = r#"[{"name":"b","value":"2"},{"name":"a","value":"1"}]"#;
        assert_eq!(fields.json().as_str(), format!(r#"{{"Id":"m","Data":null,"Tags":{tags}}}"#));
    }

    #[test]
    fn a_lone_surrogate_survives() {
        let fields = parse(r#"{"Data":"x\ud800y"}"#).unwrap();
        assert_eq!(fields.json().as_str(), r#"{"Data":"x\ud800y"}"#);
    }

    #[test]
    fn absent_data_is_not_empty_data() {
        assert_eq!(parse("{}").unwrap().message().data, None);
        assert_eq!(parse(r#"{"Data":""}"#).unwrap().message().data.as_deref(), Some(&b""[..]));
        let object = parse(r#"{"Data":{"a":1}}"#).unwrap().message().data;
        assert_eq!(object.as_deref(), Some(&br#"{"a":1}"#[..]));
    }

    #[test]
    fn refusals_say_what_was_expected() {
        for (text, part) in [
            ("[]", "a message is a JSON object"),
            (r#"{"Dta":"x"}"#, "no key \"Dta\""),
            (r#"{"Timestamp":"now"}"#, "Timestamp is a string, but should be a whole number"),
            (r#"{"Timestamp":-1}"#, "should be a whole number"),
            (r#"{"Owner":1}"#, "Owner is a number, but should be a string"),
            (r#"{"Read-Only":0}"#, "true or false"),
            (r#"{"Tags":{"n":1}}"#, "the value of tag \"n\" is a number"),
            (r#"{"Tags":[{"name":"n"}]}"#, "tag 0 has no name and value"),
            (r#"{"Tags":"Action"}"#, "Tags is a string"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
