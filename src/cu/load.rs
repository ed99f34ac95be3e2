//! A process becomes known: its definition, its module, and where its ledger stands.

use super::{
    CuError, Position,
    core::{Core, fail},
    lane::{Lane, Loaded},
    ledger::Quarantine,
    lock,
};
use std::sync::Arc;

impl Core {
    /// Gets to know a process, on a thread that may wait.
    pub(crate) fn load(self: &Arc<Self>, lane: &Arc<Lane>) {
        let loaded = self.try_load(&lane.id);
        let mut state = lock(&lane.state);
        state.is_loading = false;
        let wants = match loaded {
            Ok((loaded, head, quarantine)) => {
                state.loaded = Some(Arc::new(loaded));
                (state.head, state.quarantine) = (head, quarantine);
                state.trouble = None;
                Vec::new()
            }
            Err(error) => state.fail(error, self.options.pause),
        };
        let error = state.trouble.as_ref().map(|trouble| trouble.error.clone());
        drop(state);
        if let Some(error) = error {
            fail(wants, &error);
        }
        let _ = self.wake(lane);
    }

    /// Takes over a published state of a process that is new here. Without one it begins at its start: that
    /// takes longer, and comes to the same.
    fn begin_late(&self, loaded: &Loaded) -> Option<Position> {
        let found = self.source.checkpoint(&loaded.definition);
        let kept = found.and_then(|found| match found {
            Some(foreign) => self.keep_foreign(loaded, &foreign).map(|stored| Some(stored.at)),
            None => Ok(None),
        });
        kept.unwrap_or_else(|error| {
            tracing::warn!(process = loaded.id(), %error, "a published state was not taken over");
            None
        })
    }

    pub(crate) fn try_load(
        &self,
        id: &str,
    ) -> Result<(Loaded, Option<Position>, Option<Quarantine>), CuError> {
        let definition = self.source.process(id)?;
        let module = &definition.process.module;
        let shelved = self.shelf.get(module, || self.source.module(module))?;
        let tags = (&definition.process.tags, &shelved.info.tags);
        self.options.asked_max.admit(tags.0, tags.1).map_err(CuError::Refused)?;
        let head = self.ledger.head(id)?.map(|stored| stored.at);
        let loaded = Loaded::new(definition, shelved);
        let head = match head {
            None => self.begin_late(&loaded),
            head => head,
        };
        let quarantine = self.ledger.quarantine(id)?;
        Ok((loaded, head, quarantine))
    }
}
