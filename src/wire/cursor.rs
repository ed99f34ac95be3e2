//! Places in a list of results, as clients pass them around: base64 of a small JSON object.

use crate::disk::json::{Json, Value};
use data_encoding::BASE64;

/// The most bytes of a cursor that is read.
const CURSOR_BYTES_MAX: usize = 4096;

/// In which direction a list runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Oldest first.
    #[default]
    Asc,
    /// Newest first.
    Desc,
}

/// A place in the results of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the evaluation, in milliseconds.
    pub timestamp_ms: u64,
    /// Nonce of the message, or of the one before a tick; absent where somebody gave only a time.
    pub ordinate: Option<u64>,
    /// Which cron ticked.
    pub cron: Option<String>,
}

impl Sort {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Asc => "ASC",
            Self::Desc => "DESC",
        }
    }

    /// Reads the word; an error is the reference's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "ASC" => Ok(Self::Asc),
            "DESC" => Ok(Self::Desc),
            _ => Err(format!(
                "'sort': Invalid enum value. Expected 'ASC' | 'DESC', received '{text}'."
            )),
        }
    }
}

impl Cursor {
    /// Reads what `Cursor::text` wrote, or a plain time in milliseconds.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(timestamp_ms) = text.parse() {
            return Some(Self { timestamp_ms, ..Self::default() });
        }
        // Some clients lose the padding in a query.
        let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
        let bytes = BASE64.decode(padded.as_bytes()).ok()?;
        if bytes.len() > CURSOR_BYTES_MAX {
            return None;
        }
        let value = Value::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
        let number = |key: &str| {
            let value = value.get(key)?;
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        Some(Self {
            timestamp_ms: number("timestamp")?,
            ordinate: number("ordinate"),
            cron: value.get("cron").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// The text for a client, who may want to read `ordinate` in it.
    pub fn text(&self, sort: Sort) -> String {
        let mut pairs = vec![("timestamp", super::number(self.timestamp_ms))];
        pairs.extend(self.ordinate.map(|nonce| ("ordinate", Value::from(nonce.to_string()))));
        pairs.extend(self.cron.as_deref().map(|cron| ("cron", Value::from(cron))));
        pairs.push(("sort", Value::from(sort.word())));
        BASE64.encode(Json::from(Value::object(pairs)).as_str().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// The reference's, recorded.
    #[test]
    fn the_recorded_cursor() {
        let cron = Some("0-10-seconds".to_owned());
        let cursor = Cursor { timestamp_ms: 1_700_000_010_500, ordinate: Some(0), cron };
        let text = cursor.text(Sort::Asc);
        let json =
            r#"{"timestamp":1700000010500,"ordinate":"0","cron":"0-10-seconds","sort":"ASC"}"#;
        assert_eq!(BASE64.decode(text.as_bytes()).unwrap(), json.as_bytes());
        assert_eq!(Cursor::parse(&text), Some(cursor.clone()));
        assert_eq!(Cursor::parse(text.trim_end_matches('=')), Some(cursor));
    }

    #[test]
    fn a_plain_time_is_a_place_and_rubbish_is_none() {
        assert_eq!(Cursor::parse("1700").map(|cursor| cursor.timestamp_ms), Some(1700));
        for text in ["", "!", "e30=", "-1", "bnVsbA=="] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_direction_is_named_in_the_references_words() {
        let text = "'sort': Invalid enum value. Expected 'ASC' | 'DESC', received 'UP'.";
        assert_eq!(Sort::parse("UP").unwrap_err(), text);
    }
}
