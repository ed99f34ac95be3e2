//! A state that can be read, whatever its process is doing.

use super::{CuError, Evaluated, Position, bay, call, lane::Loaded, lock, receipt::result_json};
use super::{DryMessage, Source};
use crate::disk::{Digest, Drive, Frozen, Fuel, HostError, Image, Root};
use std::sync::{Arc, Mutex};

/// The frozen state of a process at a slot.
pub(crate) struct Window {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) at: Position,
    frozen: Arc<dyn Frozen>,
    /// Thawed already: a dry-run leaves no mark, so one drive serves many.
    spare: Mutex<Option<Box<dyn Drive>>>,
}

/// A state, and where it stands.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Where.
    pub at: Position,
    /// The state.
    pub image: Image,
}

/// What a dry-run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The slot after which it was evaluated.
    pub at: Position,
    /// The result as JSON text, its keys in the order of the wire.
    pub json: Arc<str>,
    /// It has an `Error`.
    pub is_error: bool,
    /// What it cost.
    pub fuel: Fuel,
    /// Root of the state that was read, where it was asked for.
    pub root: Option<Root>,
}

impl Window {
    pub(crate) fn new(loaded: Arc<Loaded>, at: Position, frozen: Arc<dyn Frozen>) -> Self {
        Self { loaded, at, frozen, spare: Mutex::default() }
    }

    /// Bytes that it keeps alive.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.frozen.held_bytes()
    }

    pub(crate) fn image(&self) -> Result<Image, HostError> {
        self.frozen.image()
    }

    /// Names state and message: equal keys have equal answers.
    pub(crate) fn key(&self, message: &DryMessage) -> Digest {
        let slot = self.at.slot;
        let limits = format!("{:?}", self.loaded.limits);
        let parts: [&[u8]; 10] = [
            self.loaded.id().as_bytes(),
            &slot.epoch.to_le_bytes(),
            &slot.nonce.to_le_bytes(),
            &slot.tick.to_le_bytes(),
            self.at.hash_chain.as_bytes(),
            message.json.as_bytes(),
            &message.timestamp_ms.to_le_bytes(),
            &message.block_height.to_le_bytes(),
            limits.as_bytes(),
            &self.loaded.shelved.disk.id().0.0,
        ];
        Digest::of_parts("drivebay dry-run v1", &parts)
    }

    /// Evaluates a message on the state, which stays as it is.
    pub(crate) fn dry_run(
        &self,
        source: &dyn Source,
        message: &DryMessage,
    ) -> Result<DryRun, CuError> {
        let process = &self.loaded.definition.process;
        let call = call::dry(process, &self.loaded.env, &self.at, message);
        let host = source.dry_host(&self.loaded.definition, &self.at, message);
        let spare = lock(&self.spare).take();
        let drive = match spare {
            Some(drive) => drive,
            None => self.frozen.thaw()?,
        };
        let (done, drive) = bay::run(drive, call, &self.loaded.limits, host);
        *lock(&self.spare) = drive;
        let done: Evaluated = done?;
        let (json, is_error) = result_json(&done);
        Ok(DryRun { at: self.at.clone(), json, is_error, fuel: done.meter.fuel, root: None })
    }
}
