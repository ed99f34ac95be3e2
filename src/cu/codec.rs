//! Numbers, texts and digests as bytes, for what is stored.

use crate::disk::{Digest, HostError};
use std::io;

/// What is stored is not what was written. Another try is of no use.
pub(crate) fn damaged(why: String) -> HostError {
    HostError::io("reading the store", io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Writes fields one after the other; texts and bytes after their length.
#[derive(Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn digest(mut self, value: &Digest) -> Self {
        self.0.extend_from_slice(&value.0);
        self
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    /// A flag, and the value if there is one.
    pub(crate) fn option<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.0
    }
}

/// Reads what an [`Encoder`] wrote. What does not fit is damage of the store: our error.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    fn take(&mut self, size: usize) -> Result<&'a [u8], HostError> {
        self.rest.split_off(..size).ok_or_else(|| self.damaged("it ends early"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HostError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.damaged("it ends early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, HostError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, HostError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, HostError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, HostError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, HostError> {
        self.array().map(Digest)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], HostError> {
        let size = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        self.take(size)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, HostError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text is not UTF-8"))
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, HostError>,
    ) -> Result<Option<T>, HostError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.damaged("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn end(self) -> Result<(), HostError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.damaged("there are bytes after its end"))
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn damaged(&self, why: &str) -> HostError {
        damaged(format!("a stored {} is damaged: {why}", self.what))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let digest = Digest::of(b"x");
        let bytes = Encoder::default()
            .u8(7)
            .u32(8)
            .u64(9)
            .digest(&digest)
            .text("tézt")
            .option(Some(3), Encoder::u64)
            .option(None, Encoder::u64)
            .end();
        let mut from = Decoder::new(&bytes, "thing");
        assert_eq!((from.u8().unwrap(), from.u32().unwrap(), from.u64().unwrap()), (7, 8, 9));
        assert_eq!(from.digest().unwrap(), digest);
        assert_eq!(from.text().unwrap(), "tézt");
        assert_eq!(from.option(Decoder::u64).unwrap(), Some(3));
        assert_eq!(from.option(Decoder::u64).unwrap(), None);
        from.end().unwrap();
    }

    #[test]
    fn a_cut_or_longer_value_is_damage_and_no_panic() {
        let bytes = Encoder::default().text("hello").u64(1).end();
        for cut in 0..bytes.len() {
            let mut from = Decoder::new(&bytes[..cut], "thing");
            assert!(from.text().and_then(|_| from.u64()).is_err(), "{cut}");
        }
        let mut from = Decoder::new(&bytes, "thing");
        from.text().unwrap();
        assert!(from.end().is_err());
        assert!(Decoder::new(&[0xff; 8], "thing").bytes().is_err());
    }
}
