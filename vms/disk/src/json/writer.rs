//! JSON text, written value by value: where a tree would be built only to be written.

use super::{Json, Value, order, write};

/// Writes the text of one value in its one form. Brackets close by construction; keys must come in the
/// order that JavaScript keeps, so none may be an array's index, and none may come twice.
#[derive(Default)]
pub struct Writer {
    out: String,
    /// A comma goes before what comes next.
    comma: bool,
}

impl Writer {
    /// Room for so many bytes, to begin with.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), comma: false }
    }

    fn next(&mut self) {
        if self.comma {
            self.out.push(',');
        }
        self.comma = true;
    }

    /// An object, whose keys and values `inside` writes in turn.
    pub fn object(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.within('{', '}', inside)
    }

    /// An array, whose values `inside` writes.
    pub fn array(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.within('[', ']', inside)
    }

    fn within(&mut self, open: char, close: char, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.next();
        self.out.push(open);
        self.comma = false;
        inside(self);
        self.out.push(close);
        self.comma = true;
        self
    }

    /// A key; its value comes next.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.text(key);
        self.out.push(':');
        self.comma = false;
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.next();
        self.out.push('"');
        write::escaped(text, &mut self.out);
        self.out.push('"');
        self
    }

    /// Bytes as `0x` and hexadecimal digits, in lower case.
    pub fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |at: u8| char::from(DIGITS.get(usize::from(at)).copied().unwrap_or(b'0'));
        self.next();
        self.out.push_str("\"0x");
        self.out.reserve(2 * bytes.len() + 1);
        self.out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        self.out.push('"');
        self
    }

    /// A value that is there already.
    pub fn value(&mut self, mut value: Value) -> &mut Self {
        self.next();
        order::settle_all(&mut value);
        write::value(&value, &mut self.out);
        self
    }

    /// The text, as one value; `null` if nothing was written.
    pub fn finish(self) -> Json {
        match self.out.is_empty() {
            true => Json::default(),
            false => Json(self.out.into()),
        }
    }
}
