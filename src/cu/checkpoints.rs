//! Images by process and slot.

use super::{
    Position,
    codec::{Decoder, Encoder},
    images::{Images, Known},
    ledger::slot_key,
    receipt::{position, read_position},
    store::{Change, Scan, Store, Table, process_key},
};
use crate::disk::{Digest, HostError, Image, Root, Slot};
use std::{ops::Bound, sync::Arc};

/// The checkpoints of all processes.
pub(crate) struct Checkpoints {
    store: Arc<dyn Store>,
    pub(crate) images: Images,
}

/// What is stored of a checkpoint beside its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) at: Position,
    pub(crate) manifest: Digest,
    pub(crate) root: Root,
}

impl Checkpoints {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let images = Images::new(Arc::clone(&store));
        Self { store, images }
    }

    /// Keeps an image, and gives the same one with its pages in the store. `known` is one that was kept before,
    /// and where.
    pub(crate) fn save(
        &self,
        process: &str,
        at: &Position,
        image: &Image,
        known: Option<(&Position, &Image)>,
    ) -> Result<Image, HostError> {
        let known = match known {
            Some((at, image)) => self
                .nearest(process, at.slot)?
                .filter(|record| record.at == *at)
                .map(|record| Known { image, manifest: record.manifest }),
            None => None,
        };
        let manifest = self.images.put(image, known)?;
        let record = Record { at: at.clone(), manifest, root: image.root() };
        let key = slot_key(process, at.slot);
        self.store.write(vec![Change::Put(Table::Checkpoints, key, record.encode())])?;
        Ok(self.images.lend(image))
    }

    /// The last checkpoint at or before a slot.
    pub(crate) fn nearest(&self, process: &str, slot: Slot) -> Result<Option<Record>, HostError> {
        let scan = Scan {
            to: Bound::Included(slot_key(process, slot)),
            backwards: true,
            limit: 1,
            ..Scan::prefix(Table::Checkpoints, &process_key(process))
        };
        let found = self.store.scan(&scan)?;
        found.first().map(|(_, bytes)| Record::decode(bytes)).transpose()
    }

    /// The image of a checkpoint.
    pub(crate) fn image(&self, record: &Record) -> Result<Image, HostError> {
        self.images.get(&record.manifest, record.root)
    }
}

impl Record {
    fn encode(&self) -> Vec<u8> {
        position(Encoder::default(), &self.at).digest(&self.manifest).digest(&self.root.0).end()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HostError> {
        let mut from = Decoder::new(bytes, "checkpoint");
        let at = read_position(&mut from)?;
        let record = Self { at, manifest: from.digest()?, root: Root(from.digest()?) };
        from.end()?;
        Ok(record)
    }
}
