//! What calls are tried on: a state of the process, or one of a private chain.

use super::{block::Block, private::Fork};
use crate::cu::{
    At, Scene,
    lab::{BlockOverrides, Kept, Lab, No},
};
use std::sync::{Arc, atomic::AtomicBool};

/// Where a state is found.
pub(super) enum Spot {
    /// At a slot of the process.
    Process(At),
    /// At a block of a private chain.
    Private(Stand),
}

/// The state after a block of a private chain.
#[derive(Clone)]
pub(super) struct Stand {
    pub(super) fork: Arc<Fork>,
    pub(super) block: Arc<Block>,
    pub(super) state: Kept,
}

/// A state, and what it takes to try calls on it.
pub(super) struct Ground<'a> {
    pub(super) scene: &'a Scene,
    private: Option<&'a Stand>,
}

impl<'a> From<&'a Scene> for Ground<'a> {
    fn from(scene: &'a Scene) -> Self {
        Self { scene, private: None }
    }
}

impl Stand {
    pub(super) fn ground(&self) -> Ground<'_> {
        Ground { scene: &self.fork.scene, private: Some(self) }
    }
}

impl Ground<'_> {
    /// A lab on the state, whose calls end when `stop` is set.
    pub(super) fn lab(&self, stop: Arc<AtomicBool>) -> Result<Lab, No> {
        match self.private {
            Some(stand) => Lab::on(self.scene.module(), stand.state.clone(), stop),
            None => Lab::new(self.scene.module(), self.scene.image(), stop),
        }
    }

    /// Unix time in milliseconds.
    pub(super) fn timestamp_ms(&self) -> u64 {
        let private = self.private.map(|stand| stand.block.timestamp.saturating_mul(1000));
        private.unwrap_or(self.scene.at().timestamp_ms)
    }

    /// What the block is to say, where the scene does not: what somebody says, else what its chain says.
    pub(super) fn block(&self, said: BlockOverrides) -> BlockOverrides {
        let Some(stand) = self.private else { return said };
        let own = stand.block.overrides();
        BlockOverrides {
            number: said.number.or(own.number),
            time: said.time.or(own.time),
            gas_limit: said.gas_limit.or(own.gas_limit),
            coinbase: said.coinbase.or(own.coinbase),
            random: said.random.or(own.random),
            base_fee: said.base_fee.or(own.base_fee),
            ..said
        }
    }
}
