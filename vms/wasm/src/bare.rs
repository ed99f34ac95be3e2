//! The bare call: rewritten code on the same engine, fuel and meters on, with nothing around it. No state is
//! kept or watched, no answer is read. It is what benches measure a whole message against, and nothing else.

use crate::abi;
use crate::disk::WasmDisk;
use crate::engine::RUN_STACK_BYTES;
use crate::live::Live;
use drivebay_disk::{Call, Host, HostError, Limits, bug};
use std::sync::Arc;

/// A guest without a drive.
#[doc(hidden)]
pub struct Bare(Live);

impl Bare {
    pub(crate) fn new(disk: &WasmDisk) -> Result<Self, HostError> {
        let mut live = disk.blank_guest()?;
        live.unwatched();
        Ok(Self(live))
    }

    /// Evaluates a message and leaves the memory as it then is; the bytes of the answer, 0 on any fault.
    ///
    /// # Errors
    /// As a drive's run.
    pub fn call(
        &mut self,
        call: &Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<usize, HostError> {
        let live = &mut self.0;
        stacker::maybe_grow(RUN_STACK_BYTES, RUN_STACK_BYTES + (1 << 20), || {
            live.open(call, limits, host)?;
            let answered = abi::evaluate_bare(live, call);
            live.store.data_mut().run = None;
            answered.map_err(|error| bug!("bare call: {error}"))
        })
    }
}
