//! What a drive may read from the network while it evaluates: data, transactions and blocks, where the
//! rules of WeaveDrive admit them.

use super::{Archive, ArchiveError};
use crate::{
    cu::{OfflineHost, ProcessDefinition},
    disk::{Data, Host, HostError, Process, Resource, Tag},
};
use std::{ops::Range, sync::Arc};
use tokio::runtime::Handle;

/// The most bytes of one read.
const READ_BYTES_MAX: u64 = 64 << 20;

/// A host that reads from an archive. Whether something is admitted follows from the process alone.
pub(super) struct ArchiveHost {
    runtime: Handle,
    archive: Arc<dyn Archive>,
    rules: OfflineHost,
    process: Arc<Process>,
    block_height: u64,
}

impl ArchiveHost {
    pub(super) fn new(
        runtime: Handle,
        archive: Arc<dyn Archive>,
        (process, module_tags): (&ProcessDefinition, Vec<Tag>),
        block_height: u64,
    ) -> Self {
        let rules = OfflineHost::new(Arc::clone(&process.process), module_tags);
        Self { runtime, archive, rules, process: Arc::clone(&process.process), block_height }
    }

    async fn fetch(
        &self,
        what: &Resource,
        range: Range<u64>,
    ) -> Result<Option<Data>, ArchiveError> {
        let range = range.start..range.end.min(range.start.saturating_add(READ_BYTES_MAX));
        match what {
            Resource::Data(id) => {
                let Some(total) = self.archive.size(id).await? else { return Ok(None) };
                let range = range.start.min(total)..range.end.min(total);
                if range.is_empty() {
                    return Ok(Some(Data { bytes: Default::default(), total }));
                }
                let bytes = self.archive.data(id, Some(range)).await?;
                Ok(bytes.map(|bytes| Data { bytes, total }))
            }
            Resource::Transaction(id) => Ok(part(self.archive.transaction(id).await?, range)),
            // A block above the message's is not there yet, whenever it is asked for.
            Resource::Block(height) if *height > self.block_height => Ok(None),
            Resource::Block(height) => Ok(part(self.archive.block(*height).await?, range)),
        }
    }
}

fn part(whole: Option<bytes::Bytes>, range: Range<u64>) -> Option<Data> {
    let whole = whole?;
    let total = whole.len() as u64;
    let at = |place: u64| usize::try_from(place.min(total)).unwrap_or_default();
    let (start, end) = (at(range.start), at(range.end));
    Some(Data { bytes: whole.slice(start..end.max(start)), total })
}

impl Host for ArchiveHost {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        // `Ok` is an absence that the rules decide; an error says that the data would be admitted.
        if let Ok(None) = self.rules.read(what, range.clone()) {
            return Ok(None);
        }
        match self.runtime.block_on(self.fetch(what, range)) {
            Ok(Some(data)) => Ok(Some(data)),
            Ok(None) if matches!(what, Resource::Block(height) if *height > self.block_height) => {
                Ok(None)
            }
            // It is admitted, so it is somewhere: an absence here would be a lie that the state remembers.
            Ok(None) => Err(HostError::Unavailable { what: what.clone() }),
            Err(error) => {
                tracing::warn!(process = self.process.id, %what, %error, "a read waits for a gateway");
                Err(HostError::Unavailable { what: what.clone() })
            }
        }
    }

    fn log(&self, line: &str) {
        tracing::debug!(process = self.process.id, line, "guest");
    }
}
