//! A state that was taken out to be looked at, and what it takes to try calls on it.

use super::{CuError, DryMessage, Entry, Position, Window, call, core::Core};
use crate::disk::{Call, Host, Image, Limits, Module};
use std::sync::Arc;

/// The state of a process somewhere in its schedule. What is tried on it leaves no mark.
pub struct Scene {
    core: Arc<Core>,
    window: Arc<Window>,
    image: Image,
}

impl Scene {
    pub(crate) fn after(core: Arc<Core>, window: Arc<Window>) -> Result<Self, CuError> {
        let image = window.image()?;
        Ok(Self { core, window, image })
    }

    /// Before anything: the state of `window`'s process when nothing was evaluated.
    pub(crate) fn blank(core: Arc<Core>, window: Arc<Window>) -> Self {
        let image = window.loaded.shelved.disk.blank().clone();
        Self { core, window, image }
    }

    /// The state.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Where it stands.
    pub fn at(&self) -> &Position {
        &self.window.at
    }

    /// The process's module.
    pub fn module(&self) -> &Module {
        self.window.loaded.shelved.module()
    }

    /// What a call of the process may use.
    pub fn limits(&self) -> &Limits {
        &self.window.loaded.limits
    }

    /// The call that a message would be here, and what it may read.
    pub fn dry(&self, message: &DryMessage) -> (Arc<Call>, Arc<dyn Host>) {
        let loaded = &self.window.loaded;
        let process = &loaded.definition.process;
        let call = call::dry(process, &loaded.env, &self.window.at, message);
        (call, self.core.source.dry_host(&loaded.definition, &self.window.at, message))
    }

    /// The call that an entry of the schedule is, and what it may read.
    pub fn scheduled(&self, entry: &Entry) -> (Arc<Call>, Arc<dyn Host>) {
        let loaded = &self.window.loaded;
        let call = call::scheduled(&loaded.definition.process, &loaded.env, entry);
        (call, self.core.source.host(&loaded.definition, entry))
    }
}
