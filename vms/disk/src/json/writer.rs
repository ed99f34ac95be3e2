//! JSON text, written value by value: where a tree would be built only to be written.

use super::{Json, Value, order, write};

/// A byte as two digits. Worked out and not looked up, so that it is done for many bytes at a time.
fn pair_of(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

/// Writes the text of one value in its one form. Brackets close by construction; keys must come in the
/// order that JavaScript keeps, so none may be an array's index, and none may come twice.
#[derive(Default)]
pub struct Writer {
    out: String,
    /// A comma goes before what comes next.
    comma: bool,
}

impl Writer {
    /// Writes into a buffer that was used before; what is in it is forgotten.
    pub fn over(mut buffer: String) -> Self {
        buffer.clear();
        Self { out: buffer, comma: false }
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

    /// One digit as a number.
    pub fn digit(&mut self, digit: u8) -> &mut Self {
        self.next();
        self.out.push(char::from(b'0' + digit % 10));
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
        self.next();
        self.out.reserve(2 * bytes.len() + 4);
        self.out.push_str("\"0x");
        // Nearly all is words, of which the compiler knows where each digit goes.
        let (words, rest) = bytes.as_chunks::<32>();
        for word in words {
            self.digits(&word.map(pair_of));
        }
        let mut last = [[0; 2]; 32];
        last.iter_mut().zip(rest).for_each(|(pair, byte)| *pair = pair_of(*byte));
        self.digits(last.get(..rest.len()).unwrap_or_default());
        self.out.push('"');
        self
    }

    fn digits(&mut self, pairs: &[[u8; 2]]) {
        self.out.push_str(str::from_utf8(pairs.as_flattened()).unwrap_or_default());
    }

    /// A value that is there already.
    pub fn value(&mut self, mut value: Value) -> &mut Self {
        self.next();
        order::settle_all(&mut value);
        write::value(&value, &mut self.out);
        self
    }

    /// The text, as one value (`null` if nothing was written), and the buffer for another.
    pub fn finish(self) -> (Json, String) {
        match self.out.is_empty() {
            true => (Json::default(), self.out),
            false => (Json(self.out.as_str().into()), self.out),
        }
    }
}
