//! What a drive may ask of a host that stands alone.

use crate::disk::{Data, Host, HostError, Process, Resource, Tag};
use std::{ops::Range, sync::Arc};

/// A host without a network. What a guest may ask for is unavailable, which is our failure and not the
/// guest's: the message gets no verdict, and can be evaluated later on a host that has the data.
///
/// What a guest may not ask for, though, is known without a network: data is admitted only for a process
/// that was made with the extension, or that boots from it.
#[derive(Clone, Debug)]
pub struct OfflineHost {
    process: Arc<Process>,
    module_tags: Vec<Tag>,
}

impl OfflineHost {
    /// A host for one process and the tags of its module.
    pub fn new(process: Arc<Process>, module_tags: Vec<Tag>) -> Self {
        Self { process, module_tags }
    }

    fn admits(&self, what: &Resource) -> bool {
        let Resource::Data(id) = what else { return true };
        let extends = |tag: &Tag| tag.name == "Extension" && tag.value == "WeaveDrive";
        Tag::last(&self.process.tags, "On-Boot") == Some(id)
            || self.process.tags.iter().chain(&self.module_tags).any(extends)
    }
}

impl Host for OfflineHost {
    fn read(&self, what: &Resource, _range: Range<u64>) -> Result<Option<Data>, HostError> {
        if self.admits(what) {
            return Err(HostError::Unavailable { what: what.clone() });
        }
        Ok(None)
    }

    fn log(&self, _line: &str) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn host(tags: &[(&str, &str)]) -> OfflineHost {
        let tags = tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect();
        OfflineHost::new(Arc::new(Process { tags, ..Process::default() }), Vec::new())
    }

    #[test]
    fn data_is_not_there_for_a_process_without_the_extension() {
        let data = Resource::Data("id".into());
        assert_eq!(host(&[]).read(&data, 0..1).unwrap(), None);
        assert!(host(&[("Extension", "WeaveDrive")]).read(&data, 0..1).is_err());
        assert!(host(&[("On-Boot", "id")]).read(&data, 0..1).is_err());
        assert!(host(&[("On-Boot", "Data")]).read(&data, 0..1).unwrap().is_none());
        assert!(host(&[]).read(&Resource::Block(1), 0..1).is_err());
    }
}
