//! `JSON.parse`.

use super::{
    JsonError,
    text::Text,
    value::Value,
    walk::{Builder, Inside},
};

/// Reads one JSON value and nothing else, at most `depth` containers deep.
pub(super) fn parse(text: &str, depth: usize) -> Result<Value, JsonError> {
    let mut parser = Parser { text, depth, at: 0, builder: Builder::default() };
    loop {
        if parser.begin()? {
            // An opened container waits for its first value.
            continue;
        }
        if !parser.more()? {
            return Ok(parser.builder.finish());
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    depth: usize,
    at: usize,
    builder: Builder,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes `byte` if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn wrong<T>(&self, expected: &'static str) -> Result<T, JsonError> {
        Err(if self.at < self.text.len() {
            JsonError::Syntax { at: self.at, expected }
        } else {
            JsonError::End { at: self.at, expected }
        })
    }

    /// Reads a whole scalar or an empty container (`false`), or opens a container that is not empty.
    fn begin(&mut self) -> Result<bool, JsonError> {
        self.space();
        let leaf = match self.peek() {
            Some(b'[') => return self.begin_array(),
            Some(b'{') => return self.begin_object(),
            Some(b'"') => Value::String(self.string()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return self.wrong("a value"),
        };
        self.builder.leaf(leaf);
        Ok(false)
    }

    fn begin_array(&mut self) -> Result<bool, JsonError> {
        self.deeper()?;
        self.builder.open_array(0);
        self.space();
        if self.eat(b']') {
            self.builder.close();
            return Ok(false);
        }
        Ok(true)
    }

    fn begin_object(&mut self) -> Result<bool, JsonError> {
        self.deeper()?;
        self.builder.open_object(0);
        self.space();
        if self.eat(b'}') {
            self.builder.close();
            return Ok(false);
        }
        self.key("a key or `}`")?;
        Ok(true)
    }

    fn deeper(&mut self) -> Result<(), JsonError> {
        if self.builder.depth() >= self.depth {
            return Err(JsonError::TooDeep { at: self.at });
        }
        self.at += 1;
        Ok(())
    }

    fn key(&mut self, expected: &'static str) -> Result<(), JsonError> {
        self.space();
        if self.peek() != Some(b'"') {
            return self.wrong(expected);
        }
        let key = self.string()?;
        self.builder.key(key);
        self.space();
        if self.eat(b':') { Ok(()) } else { self.wrong("`:`") }
    }

    /// After a value: closes what ends here. Says whether another value follows.
    fn more(&mut self) -> Result<bool, JsonError> {
        loop {
            self.space();
            match (self.builder.inside(), self.peek()) {
                (None, None) => return Ok(false),
                (None, Some(_)) => return self.wrong("the end"),
                (Some(Inside::Array), Some(b',')) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(Inside::Object), Some(b',')) => {
                    self.at += 1;
                    self.key("a key")?;
                    return Ok(true);
                }
                (Some(Inside::Array), Some(b']')) => self.builder.close(),
                (Some(Inside::Object), Some(b'}')) => self.builder.close_object(),
                (Some(Inside::Array), _) => return self.wrong("`,` or `]`"),
                (Some(Inside::Object), _) => return self.wrong("`,` or `}`"),
            }
            self.at += 1;
        }
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        for byte in word.bytes() {
            if !self.eat(byte) {
                return self.wrong(word);
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        // The grammar is a part of Rust's, which rounds as JavaScript does.
        match self.text.get(start..self.at).map(str::parse) {
            Some(Ok(number)) => Ok(Value::Number(number)),
            _ => self.wrong("a number"),
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.wrong("a digit") } else { Ok(()) }
    }

    /// Reads a string; its opening quote is next.
    fn string(&mut self) -> Result<Text, JsonError> {
        self.at += 1;
        let mut out = Text::default();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            let plain = rest.as_bytes().iter().position(special).unwrap_or(rest.len());
            out.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(_) => return self.wrong("no bare control character in a string"),
                None => return self.wrong("`\"`"),
            }
        }
    }

    fn escape(&mut self, out: &mut Text) -> Result<(), JsonError> {
        self.at += 1;
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(out),
            _ => return self.wrong("an escape"),
        };
        self.at += 1;
        out.push(c);
        Ok(())
    }

    fn unicode(&mut self, out: &mut Text) -> Result<(), JsonError> {
        self.at += 1;
        let unit = self.hex4()?;
        // Only a low surrogate that follows at once, escaped too, makes a pair.
        let low = match (unit, self.text.as_bytes().get(self.at..self.at + 2)) {
            (0xd800..=0xdbff, Some(b"\\u")) => self.low_half()?,
            _ => None,
        };
        let units = [Some(unit), low].into_iter().flatten();
        for decoded in char::decode_utf16(units) {
            match decoded {
                Ok(c) => out.push(c),
                Err(lone) => out.push_lone(lone.unpaired_surrogate()),
            }
        }
        Ok(())
    }

    /// The low surrogate of the escape that is next; anything else stays where it is.
    fn low_half(&mut self) -> Result<Option<u16>, JsonError> {
        let start = self.at;
        self.at += 2;
        let unit = self.hex4()?;
        if (0xdc00..=0xdfff).contains(&unit) {
            return Ok(Some(unit));
        }
        self.at = start;
        Ok(None)
    }

    fn hex4(&mut self) -> Result<u16, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return self.wrong("a hexadecimal digit") };
            unit = unit << 4 | digit as u16;
            self.at += 1;
        }
        Ok(unit)
    }
}
