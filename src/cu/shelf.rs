//! Disks by module id: each module is fetched and compiled once, however many ask.

use super::{CuError, PublishedModule, Readers, lock};
use crate::{
    disk::{ArtifactStore, Disk, DiskReader, Limits, Module, Process, Refusal},
    wire::ModuleInfo,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// How many disks that nobody uses are kept.
const IDLE_MAX: usize = 32;

/// A module, read.
#[derive(Clone)]
pub(crate) struct Shelved {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) info: Arc<ModuleInfo>,
    reader: Arc<dyn DiskReader>,
    module: Arc<Module>,
}

impl Shelved {
    /// What the format makes of a process's tags.
    pub(crate) fn limits(&self, process: &Process) -> Limits {
        self.reader.limits(&self.module, process)
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    /// Name and version of the reader, for people.
    pub(crate) fn reader(&self) -> Arc<str> {
        let id = self.reader.id();
        format!("{} {}", id.name, id.version).into()
    }

    fn is_idle(&self) -> bool {
        // Drives and processes hold the disk.
        Arc::strong_count(&self.disk) == 1
    }
}

/// A place on the shelf; whoever comes first fills it, and the others wait. A refusal is for ever.
type Place = Arc<Mutex<Option<Result<Shelved, Refusal>>>>;

pub(crate) struct Shelf {
    readers: Readers,
    artifacts: Box<dyn ArtifactStore>,
    places: Mutex<HashMap<String, Place>>,
}

impl Shelf {
    pub(crate) fn new(readers: Readers, artifacts: Box<dyn ArtifactStore>) -> Self {
        Self { readers, artifacts, places: Mutex::default() }
    }

    /// The disk of a module, which `fetch` gets if it is not here.
    pub(crate) fn get(
        &self,
        id: &str,
        fetch: impl FnOnce() -> Result<PublishedModule, CuError>,
    ) -> Result<Shelved, CuError> {
        let place = Arc::clone(lock(&self.places).entry(id.to_owned()).or_default());
        let mut place = lock(&place);
        if let Some(known) = &*place {
            return known.clone().map_err(CuError::Refused);
        }
        match self.read(fetch()?) {
            Ok(shelved) => {
                *place = Some(Ok(shelved.clone()));
                drop(place);
                self.tidy();
                Ok(shelved)
            }
            Err(CuError::Refused(refusal)) => {
                *place = Some(Err(refusal.clone()));
                Err(CuError::Refused(refusal))
            }
            Err(other) => Err(other),
        }
    }

    /// How many disks there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.places).len()
    }

    fn read(&self, published: PublishedModule) -> Result<Shelved, CuError> {
        let PublishedModule { info, module } = published;
        let Some(reader) = self.readers.get(&module.format) else {
            let what = format!("module {}", info.id);
            return Err(CuError::Refused(self.readers.refusal(&what, &module.format)));
        };
        let disk = reader.read(&module, &*self.artifacts)?;
        let (reader, module) = (Arc::clone(reader), Arc::new(module));
        Ok(Shelved { disk, info: Arc::new(info), reader, module })
    }

    /// Forgets some disks that nobody uses, where there are too many.
    fn tidy(&self) {
        let mut places = lock(&self.places);
        let mut idle = 0;
        places.retain(|_, place| {
            let Ok(place) = place.try_lock() else { return true };
            let is_idle = match &*place {
                Some(Ok(shelved)) => shelved.is_idle(),
                Some(Err(_)) | None => true,
            };
            idle += usize::from(is_idle);
            !is_idle || idle <= IDLE_MAX
        });
    }
}
