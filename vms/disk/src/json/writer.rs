//! JSON text, written value by value: where a tree would be built only to be written.

use super::{Json, Value, order, write};

/// A byte as two digits. Worked out and not looked up, so that it is done for many bytes at a time.
fn pair_of(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}

/// Whether nothing in a text needs to be escaped. It is looked at sixteen bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let any = |bytes: &[u8; 16]| bytes.iter().fold(false, |any, byte| any | is_special(*byte));
    let (chunks, rest) = text.as_chunks::<16>();
    let mut last = [b' '; 16];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    !chunks.iter().fold(any(&last), |found, chunk| found | any(chunk))
}

/// A key that is known when this is compiled, as it stands in a text: see [`crate::json_key`].
#[derive(Clone, Copy)]
pub struct Key(&'static str);

impl Key {
    /// A key with its quotes and colon. Panics, which is when this is compiled, if it is not in that form, or if
    /// anything in it had to be escaped.
    #[allow(clippy::panic, reason = "in constants only, which do not compile then")]
    pub const fn quoted(text: &'static str) -> Self {
        let [b'"', name @ .., b'"', b':'] = text.as_bytes() else {
            panic!("expected a key with its quotes and colon");
        };
        let mut rest = name;
        while let [byte, others @ ..] = rest {
            assert!(*byte >= 0x20 && *byte != b'"' && *byte != b'\\', "a key is to be escaped");
            rest = others;
        }
        Self(text)
    }
}

/// A [`json::Key`](crate::json::Key) of a literal.
#[macro_export]
macro_rules! json_key {
    ($name:literal) => {
        const { $crate::json::Key::quoted(concat!("\"", $name, "\":")) }
    };
}

/// Writes the text of one value in its one form. Brackets close by construction; keys must come in the
/// order that JavaScript keeps, so none may be an array's index, and none may come twice.
#[derive(Default)]
pub struct Writer {
    /// UTF-8, since only texts and digits are put into it: looked at once, at the end, and not piece by piece.
    out: Vec<u8>,
    /// A comma goes before what comes next.
    comma: bool,
}

impl Writer {
    /// Writes into a buffer that was used before; what is in it is forgotten.
    pub fn over(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { out: buffer, comma: false }
    }

    fn next(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    /// An object, whose keys and values `inside` writes in turn.
    pub fn object(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.within(b'{', b'}', inside)
    }

    /// An array, whose values `inside` writes.
    pub fn array(&mut self, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.within(b'[', b']', inside)
    }

    fn within(&mut self, open: u8, close: u8, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.next();
        self.out.push(open);
        self.comma = false;
        inside(self);
        self.out.push(close);
        self.comma = true;
        self
    }

    /// A key; its value comes next.
    #[inline]
    pub fn key(&mut self, key: Key) -> &mut Self {
        self.next();
        self.out.extend_from_slice(key.0.as_bytes());
        self.comma = false;
        self
    }

    /// One digit as a number.
    pub fn digit(&mut self, digit: u8) -> &mut Self {
        self.next();
        self.out.push(b'0' + digit % 10);
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.next();
        self.out.reserve(text.len() + 3);
        self.out.push(b'"');
        if is_plain(text.as_bytes()) {
            self.out.extend_from_slice(text.as_bytes());
        } else {
            let mut escaped = String::new();
            write::escaped(text, &mut escaped);
            self.out.extend_from_slice(escaped.as_bytes());
        }
        self.out.push(b'"');
        self
    }

    /// Bytes as `0x` and hexadecimal digits, in lower case.
    pub fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        self.next();
        // Nearly all is single words, of which the compiler knows where each digit goes.
        if let Ok(word) = <&[u8; 32]>::try_from(bytes) {
            self.word(word);
            return self;
        }
        self.out.reserve(2 * bytes.len() + 4);
        self.out.extend_from_slice(b"\"0x");
        let (words, rest) = bytes.as_chunks::<32>();
        for word in words {
            self.out.extend_from_slice(word.map(pair_of).as_flattened());
        }
        for byte in rest {
            self.out.extend_from_slice(&pair_of(*byte));
        }
        self.out.push(b'"');
        self
    }

    fn word(&mut self, word: &[u8; 32]) {
        let mut text = [b'"'; 68];
        let [_, zero, x, digits @ .., _] = &mut text;
        (*zero, *x) = (b'0', b'x');
        let (pairs, _) = digits.as_chunks_mut::<2>();
        pairs.iter_mut().zip(word).for_each(|(pair, byte)| *pair = pair_of(*byte));
        self.out.extend_from_slice(&text);
    }

    /// A value that is there already.
    pub fn value(&mut self, mut value: Value) -> &mut Self {
        self.next();
        order::settle_all(&mut value);
        let mut text = String::new();
        write::value(&value, &mut text);
        self.out.extend_from_slice(text.as_bytes());
        self
    }

    /// The text, as one value (`null` if nothing was written), and the buffer for another.
    pub fn finish(self) -> (Json, Vec<u8>) {
        let json = match simdutf8::basic::from_utf8(&self.out) {
            Ok(text) if !text.is_empty() => Json(text.into()),
            _ => Json::default(),
        };
        (json, self.out)
    }
}
