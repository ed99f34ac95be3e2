//! What a drive may ask of a host that stands alone.

use crate::disk::{Data, Host, HostError, Resource};
use std::ops::Range;

/// A host without a network. Whatever a guest asks for is unavailable, which is our failure and not the
/// guest's: the message gets no verdict, and can be evaluated later on a host that has the data.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfflineHost;

impl Host for OfflineHost {
    fn read(&self, what: &Resource, _range: Range<u64>) -> Result<Option<Data>, HostError> {
        Err(HostError::Unavailable { what: what.clone() })
    }

    fn log(&self, _line: &str) {}
}
