//! Hosts for tests.

use crate::{Data, Host, HostError, Resource};
use bytes::Bytes;
use std::ops::Range;

/// A host at which nothing is available.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn read(&self, what: &Resource, _range: Range<u64>) -> Result<Option<Data>, HostError> {
        Err(HostError::Unavailable { what: what.clone() })
    }
    fn log(&self, _line: &str) {}
}

/// A host that knows what it was given, and that there is nothing else.
#[derive(Clone, Debug, Default)]
pub struct MapHost(Vec<(Resource, Bytes)>);

impl MapHost {
    /// A host for which nothing is admitted.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same host with `bytes` as the whole of `what`, in place of what it had.
    pub fn with(mut self, what: Resource, bytes: impl Into<Bytes>) -> Self {
        self.0.retain(|(known, _)| *known != what);
        self.0.push((what, bytes.into()));
        self
    }
}

impl Host for MapHost {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        Ok(self.0.iter().find(|(known, _)| known == what).map(|(_, whole)| cut(whole, range)))
    }
    fn log(&self, _line: &str) {}
}

/// The part of `whole` that lies in `range`; what lies past its end is left out.
fn cut(whole: &Bytes, range: Range<u64>) -> Data {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
    let (start, end) = (place(range.start), place(range.end));
    Data { bytes: whole.slice(start.min(end)..end), total: whole.len() as u64 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_range_is_cut_at_the_end() {
        let what = Resource::Data("a".into());
        let host = MapHost::new().with(what.clone(), "old").with(what.clone(), "abcdef");
        let read = |range| host.read(&what, range).unwrap().unwrap();
        assert_eq!(read(1..3), Data { bytes: "bc".into(), total: 6 });
        assert_eq!(read(4..99).bytes, "ef");
        assert_eq!(read(9..99).bytes, "");
        assert_eq!(read(Range { start: u64::MAX, end: 0 }).bytes, "");
        assert_eq!(host.read(&Resource::Block(1), 0..1).unwrap(), None);
    }
}
