//! A state that outlives the lab it was in.

use super::{No, Overrides, overrides};
use crate::{state::State, world::World};
use drivebay_disk::Image;

/// A state of a process, or one that followed from it in a lab. A clone costs a few reference counts, and
/// shares what is equal.
#[derive(Clone)]
pub struct Kept(pub(super) State);

impl Kept {
    /// The state of an image that this unit made.
    pub fn of(image: &Image) -> Result<Self, No> {
        let state = State::of_ours(image);
        state.map(Self).ok_or_else(|| No::Invalid("this is no EVM process".into()))
    }

    /// Its accounts.
    pub fn world(&self) -> &World {
        &self.0.world
    }

    /// From now on, accounts are as `overrides` says.
    pub fn change(&mut self, overrides: &Overrides) -> Result<(), No> {
        overrides::accounts(&mut self.0.world, overrides)
    }

    /// A block ends here: from now on, `blockhash` knows it by its number and its seed.
    pub fn seal(&mut self, number: u64, seed: [u8; 32]) {
        self.0.chain.push(number, seed);
    }
}
