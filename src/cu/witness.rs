//! A host that remembers, by digest, what a guest was told: a replay that is told anything else is caught.

use super::{lock, receipt::no_reads};
use crate::disk::{Data, Digest, Host, HostError, Resource};
use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

pub(crate) struct Witness {
    host: Arc<dyn Host>,
    told: Mutex<Digest>,
}

impl Witness {
    pub(crate) fn new(host: Arc<dyn Host>) -> Arc<Self> {
        Arc::new(Self { host, told: Mutex::new(no_reads()) })
    }

    /// Covers every question and its answer, in order.
    pub(crate) fn digest(&self) -> Digest {
        *lock(&self.told)
    }
}

impl Host for Witness {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        let data = self.host.read(what, range.clone())?;
        let mut told = lock(&self.told);
        let (start, end) = (range.start.to_le_bytes(), range.end.to_le_bytes());
        let question = what.to_string();
        let mut parts: Vec<&[u8]> = vec![&told.0, question.as_bytes(), &start, &end];
        let total = data.as_ref().map(|data| data.total.to_le_bytes());
        if let (Some(data), Some(total)) = (&data, &total) {
            parts.extend([&data.bytes[..], total]);
        }
        *told = Digest::of_parts("drivebay read v1", &parts);
        Ok(data)
    }

    fn log(&self, line: &str) {
        self.host.log(line);
    }
}
