//! A private chain: the blocks since it forked, and the state after each.

use super::{
    super::{block::Block, error::RpcError, ground::Stand, index::Ran, process::Process},
    keys,
    pool::Pool,
    revise::Snapshot,
    time::Time,
};
use crate::{
    cu::{
        At, Scene, evm,
        lab::{Kept, No, Order, Overrides, Signed},
    },
    disk::Slot,
};
use alloy_consensus::Transaction;
use alloy_primitives::{Address, B256, U256, keccak256};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::AtomicBool},
};

/// Bytes that a chain may hold, as they are counted here: states share what is equal, and each transaction,
/// block and change is counted by what it adds. That is some 130,000 blocks, or 19,000 with a plain transfer each.
pub(super) const BYTES_MAX: u64 = 128 << 20;
/// Bytes that a block or a change takes, about.
pub(super) const ENTRY_BYTES: u64 = 1 << 10;

/// Where a chain left its process.
pub(in super::super) struct Fork {
    /// The state, and what it takes to try calls on it.
    pub(in super::super) scene: Scene,
    /// The last block that is the process's.
    pub(in super::super) number: u64,
    /// Its last evaluation.
    pub(in super::super) slot: Slot,
}

/// A block, its transactions as they were sent, and the state after it. That of the newest one is the state
/// that there is: changes from outside are made there, and stay when the next block comes.
pub(super) struct Sealed {
    pub(super) block: Arc<Block>,
    pub(super) signed: Arc<[Arc<Signed>]>,
    pub(super) state: Kept,
}

/// What the next block is to say.
#[derive(Clone, Copy, Default)]
pub(super) struct Next {
    pub(super) random: Option<B256>,
    pub(super) base_fee: u64,
}

/// What holds until it is changed.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// Each transaction gets a block at once.
    pub(super) mines_itself: bool,
    pub(super) coinbase: Address,
    pub(super) gas_limit: u64,
}

/// Who may send without a signature.
#[derive(Default)]
pub(super) struct Lent {
    pub(super) all: bool,
    pub(super) some: HashSet<Address>,
}

/// A private chain.
pub(in super::super) struct Chain {
    pub(super) fork: Arc<Fork>,
    /// The first is the fork's own, in the state that the chain began with.
    pub(super) blocks: Vec<Sealed>,
    pub(super) transactions: HashMap<B256, Slot>,
    pub(super) numbers: HashMap<B256, u64>,
    pub(super) pool: Pool,
    pub(super) time: Time,
    pub(super) next: Next,
    pub(super) rules: Rules,
    pub(super) lent: Lent,
    pub(super) snapshots: Vec<Snapshot>,
    /// Snapshots so far: the next one's id.
    pub(super) snapshot: u64,
    /// Makes its blocks' hashes its own, together with how many it has made.
    pub(super) salt: B256,
    pub(super) made: u64,
    /// What it holds, as it is counted.
    pub(super) bytes: u64,
}

impl Chain {
    /// A chain that goes on from a state of a process, with the accounts that developers know.
    pub(in super::super) async fn fork(
        process: &Process,
        key: &str,
        at: At,
    ) -> Result<Self, RpcError> {
        let scene = process.cu().scene(&process.id, at).await?;
        let slot = scene.at().slot;
        let mut runs = process.scheduled(slot.nonce.saturating_sub(1), slot.nonce).await?;
        runs.retain(|run| run.slot <= slot);
        let block = Block::of_process(process.gas_limit(), slot.nonce, runs);
        let block = block.ok_or_else(RpcError::no_block)?;
        let mut state = Kept::of(scene.image())?;
        for address in keys::accounts() {
            let mut rich = Overrides::default();
            rich.entry(address).or_default().balance = Some(U256::from(keys::BALANCE));
            state.change(&rich)?;
        }
        let (coinbase, gas_limit) = (block.coinbase, block.gas_limit);
        Ok(Self {
            fork: Arc::new(Fork { scene, number: slot.nonce, slot }),
            numbers: [(block.hash, block.number)].into(),
            blocks: vec![Sealed { block: Arc::new(block), signed: Arc::new([]), state }],
            transactions: HashMap::new(),
            pool: Pool::default(),
            time: Time::default(),
            next: Next::default(),
            rules: Rules { mines_itself: true, coinbase, gas_limit },
            lent: Lent::default(),
            snapshots: Vec::new(),
            snapshot: 0,
            salt: keccak256(key),
            made: 0,
            bytes: 0,
        })
    }

    pub(in super::super) fn fork_point(&self) -> &Fork {
        &self.fork
    }

    /// Its newest transaction, or its newest block where that has none.
    pub(in super::super) fn newest(&self) -> Slot {
        let number = self.number();
        let last = self.sealed(number).and_then(|sealed| sealed.block.runs.last());
        last.map_or(Slot { epoch: 0, nonce: number, tick: 0 }, |run| run.slot)
    }

    pub(super) fn number(&self) -> u64 {
        self.fork.number + (self.blocks.len() as u64).saturating_sub(1)
    }

    pub(super) fn sealed(&self, number: u64) -> Option<&Sealed> {
        let at = number.checked_sub(self.fork.number)?;
        self.blocks.get(usize::try_from(at).ok()?)
    }

    /// The newest block.
    pub(super) fn head(&self) -> Result<&Sealed, RpcError> {
        self.blocks.last().ok_or_else(|| RpcError::new(-32603, "a chain without blocks"))
    }

    pub(in super::super) fn number_of(&self, hash: B256) -> Option<u64> {
        self.numbers.get(&hash).copied()
    }

    /// Where one of its own transactions stands.
    pub(in super::super) fn slot_of(&self, hash: B256) -> Option<Slot> {
        self.transactions.get(&hash).copied()
    }

    /// One of its blocks; the first is that at which it forked.
    pub(in super::super) fn block(&self, number: u64) -> Option<Arc<Block>> {
        self.sealed(number).map(|sealed| Arc::clone(&sealed.block))
    }

    /// The state after one of its blocks.
    pub(in super::super) fn stand(&self, number: u64) -> Option<Stand> {
        let sealed = self.sealed(number)?;
        Some(Stand {
            fork: Arc::clone(&self.fork),
            block: Arc::clone(&sealed.block),
            state: sealed.state.clone(),
        })
    }

    /// The transactions of its blocks among some.
    pub(in super::super) fn runs(&self, first: u64, last: u64) -> Vec<Ran> {
        let blocks = (first.max(self.fork.number)..=last.min(self.number()))
            .filter_map(|number| self.sealed(number));
        blocks.flat_map(|sealed| sealed.block.runs.iter().cloned()).collect()
    }

    fn signed(&self, slot: Slot) -> Option<&Arc<Signed>> {
        let sealed = self.sealed(slot.nonce).filter(|_| slot.nonce > self.fork.number)?;
        sealed.signed.get(usize::try_from(slot.tick).ok()?)
    }

    /// What one of its own transactions asked.
    pub(in super::super) fn asked(&self, slot: Slot) -> Option<evm::Transacted> {
        self.signed(slot).map(|signed| transacted(signed))
    }

    /// What a transaction asks that waits.
    pub(in super::super) fn waiting(&self, hash: B256) -> Option<evm::Transacted> {
        self.pool.find(hash).map(transacted)
    }

    /// The nonce of an account's next transaction, after those that wait.
    pub(in super::super) fn next_nonce(&self, address: Address) -> u64 {
        let nonce = self.blocks.last().map_or(0, |head| head.state.world().nonce(address));
        self.pool.after(address, nonce)
    }

    /// One of its own transactions, to be run again.
    pub(in super::super) fn again(&self, slot: Slot) -> Option<Again> {
        let stand = self.stand(slot.nonce.checked_sub(1)?)?;
        let stand = Stand { block: self.block(slot.nonce)?, ..stand };
        let sealed = self.sealed(slot.nonce).filter(|_| self.signed(slot).is_some())?;
        let signed = Arc::clone(&sealed.signed);
        Some(Again { stand, signed, at: usize::try_from(slot.tick).ok()? })
    }

    /// Counts what is added, and refuses what would be too much.
    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), RpcError> {
        let total = self.bytes.saturating_add(bytes);
        if total > BYTES_MAX {
            return Err(RpcError::server(
                "this private chain is full; go back with evm_revert, begin anew with anvil_reset, or \
                 use a chain of another name",
            ));
        }
        self.bytes = total;
        Ok(())
    }

    /// Accounts change, without a transaction.
    pub(super) fn change(&mut self, overrides: &Overrides, bytes: usize) -> Result<(), RpcError> {
        self.charge(ENTRY_BYTES.saturating_add(bytes as u64))?;
        match self.blocks.last_mut() {
            Some(head) => Ok(head.state.change(overrides)?),
            None => Ok(()),
        }
    }
}

/// A signed transaction, as its parts.
fn transacted(signed: &Signed) -> evm::Transacted {
    evm::Transacted {
        from: signed.from,
        to: signed.envelope.to(),
        value: signed.envelope.value(),
        input: signed.envelope.input().clone(),
        signed: Some(signed.envelope.clone()),
    }
}

/// A transaction of a block, to be run again: the state before the block, and those before it.
pub(in super::super) struct Again {
    stand: Stand,
    signed: Arc<[Arc<Signed>]>,
    at: usize,
}

impl Again {
    /// What it did, as JSON.
    pub(in super::super) fn trace(
        &self,
        process: &str,
        order: &Order,
        stop: Arc<AtomicBool>,
    ) -> Result<String, RpcError> {
        let ground = self.stand.ground();
        let mut lab = ground.lab(stop)?;
        let block = self.stand.block.overrides();
        for signed in self.signed.iter().take(self.at) {
            let setting = super::mine::setting(process, signed, &ground)?;
            lab.transact((&setting, &block), signed, u64::MAX)?;
        }
        let signed = self.signed.get(self.at);
        let signed = signed.ok_or_else(|| No::Invalid("transaction not found".into()))?;
        let setting = super::mine::setting(process, signed, &ground)?;
        Ok(lab.trace_signed((&setting, &block), signed, order)?)
    }
}
