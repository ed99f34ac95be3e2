//! Transactions taken, and blocks made of them.

use super::{
    super::{
        block::Block,
        call::StandIn,
        error::RpcError,
        ground::{Ground, Stand},
        index::{Log, Ran},
    },
    Means,
    chain::{Chain, ENTRY_BYTES, Next, Sealed},
    keys,
    pool::Pool,
    time::Time,
};
use crate::{
    cu::{
        evm,
        lab::{self, BlockOverrides, Lab, No, Setting, Signed, Step, Trial, Wish},
    },
    disk::Slot,
};
use alloy_consensus::Transaction;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use std::{collections::HashMap, sync::Arc};

/// Gas that adds a byte to what is kept, at least: each state is, so a slot that is written anew, for 5,000,
/// takes some 120 bytes of a path in a table. Code costs 200 a byte.
const GAS_PER_BYTE: u64 = 40;
/// Bytes that a transaction takes beside its input and logs, about, with the paths to its accounts.
const TRANSACTION_BYTES: u64 = 4 * ENTRY_BYTES;

/// Transactions that were dropped, and why.
type Dropped = HashMap<B256, RpcError>;

/// A block in the making.
struct Draft {
    stand: Stand,
    seed: B256,
    time: Time,
    pool: Pool,
    signed: Vec<Arc<Signed>>,
    runs: Vec<Ran>,
    dropped: Dropped,
    bytes: u64,
}

/// The call that a transaction counts as, for contracts that ask for the message.
pub(super) fn setting(
    process: &str,
    signed: &Signed,
    ground: &Ground,
) -> Result<Setting, RpcError> {
    let wish = Wish {
        from: Some(signed.from),
        to: Some(signed.envelope.kind()),
        value: Some(signed.envelope.value()),
        input: signed.envelope.input().clone().into(),
        ..Wish::default()
    };
    Ok(StandIn::new(process, &wish)?.setting(ground))
}

impl Chain {
    /// A transaction that somebody wants sent, filled in, and signed if its sender's key is here.
    pub(super) fn fill(
        &self,
        mut wish: Wish,
        means: &Means,
        is_lent: bool,
    ) -> Result<Signed, RpcError> {
        let from = wish.from.or_else(|| keys::accounts().next()).unwrap_or_default();
        let may = is_lent || self.lent.all || self.lent.some.contains(&from);
        if !may && !keys::is_own(from) {
            let text = format!(
                "nobody here has the key of {from}; anvil_impersonateAccount lets it send without"
            );
            return Err(RpcError::server(text));
        }
        wish.from = Some(from);
        let (nonce, base_fee) = (self.next_nonce(from), self.next.base_fee);
        let mut wish = lab::filled(wish, nonce, means.chain_id, base_fee);
        if wish.gas.is_none() {
            // One that fails is sent all the same: its receipt says so, and its trace says why.
            let enough = match self.estimate(&wish, means)? {
                Ok(gas) => gas,
                Err(No::Host(error)) => return Err(No::Host(error).into()),
                Err(_) => self.rules.gas_limit,
            };
            wish.gas = Some(enough);
        }
        let unsigned = lab::unsigned(wish).map_err(RpcError::invalid)?;
        Ok(keys::sign(unsigned, from))
    }

    fn estimate(&self, wish: &Wish, means: &Means) -> Result<Result<u64, No>, RpcError> {
        let stand = self.draft(means)?.stand;
        let ground = stand.ground();
        let setting = StandIn::new(&means.id, wish)?.setting(&ground);
        let block = ground.block(BlockOverrides::default());
        let lab = ground.lab(Arc::clone(&means.stop))?;
        Ok(lab.estimate(&Trial { setting, wish: wish.clone(), block }))
    }

    /// Takes a transaction, and makes blocks of what can run, if the chain does that by itself.
    pub(super) fn submit(&mut self, signed: Signed, means: &Means) -> Result<B256, RpcError> {
        let hash = *signed.envelope.tx_hash();
        self.check(&signed, means)?;
        self.charge(ENTRY_BYTES.saturating_add(signed.envelope.encode_2718_len() as u64))?;
        self.pool.add(Arc::new(signed))?;
        while self.rules.mines_itself && self.is_ready()? {
            let mut dropped = match self.seal(means, false) {
                Ok(dropped) => dropped,
                Err(error) => {
                    self.pool.remove(hash);
                    return Err(error);
                }
            };
            if let Some(why) = dropped.remove(&hash) {
                return Err(why);
            }
        }
        Ok(hash)
    }

    /// What can be said of a transaction before it runs.
    fn check(&self, signed: &Signed, means: &Means) -> Result<(), RpcError> {
        let (tx, limit) = (&signed.envelope, self.rules.gas_limit);
        let no = |text: String| Err(RpcError::server(text));
        if tx.chain_id() != Some(means.chain_id) {
            let expected = means.chain_id;
            return no(format!(
                "the transaction is for another chain; expected chain id {expected}"
            ));
        }
        if tx.gas_limit() > limit {
            let asked = tx.gas_limit();
            return no(format!("the transaction's gas limit {asked} is over the block's {limit}"));
        }
        let (nonce, balance, _) = self.head()?.state.world().look(signed.from);
        if tx.nonce() < nonce {
            return no(format!("nonce too low: {}; expected {nonce}", tx.nonce()));
        }
        let fee = U256::from(tx.max_fee_per_gas()).saturating_mul(U256::from(tx.gas_limit()));
        let cost = fee.saturating_add(tx.value());
        if cost > balance {
            return no(format!(
                "insufficient funds: value and fee are {cost}, the balance is {balance}"
            ));
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<bool, RpcError> {
        let world = self.head()?.state.world();
        Ok(self.pool.ready(|address| world.nonce(address), self.rules.gas_limit).is_some())
    }

    /// Makes a block of what waits.
    pub(super) fn mine(&mut self, means: &Means) -> Result<(), RpcError> {
        self.seal(means, true).map(|_| ())
    }

    /// The next block, with nothing in it yet.
    fn draft(&self, means: &Means) -> Result<Draft, RpcError> {
        let head = self.head()?;
        let (number, mut time) = (head.block.number.saturating_add(1), self.time);
        let timestamp = time.next(means.now, head.block.timestamp);
        let parts: [&[u8]; 5] = [
            b"drivebay private block",
            self.salt.as_slice(),
            head.block.hash.as_slice(),
            &timestamp.to_be_bytes(),
            &self.made.to_be_bytes(),
        ];
        let seed = keccak256(parts.concat());
        let block = Block {
            number,
            hash: evm::block_hash(number, &seed),
            parent: head.block.hash,
            timestamp,
            random: self.next.random.unwrap_or(seed),
            gas_limit: self.rules.gas_limit,
            base_fee: self.next.base_fee,
            coinbase: self.rules.coinbase,
            runs: Vec::new(),
        };
        let (fork, state) = (Arc::clone(&self.fork), head.state.clone());
        Ok(Draft {
            stand: Stand { fork, block: Arc::new(block), state },
            seed,
            time,
            pool: self.pool.clone(),
            signed: Vec::new(),
            runs: Vec::new(),
            dropped: Dropped::new(),
            bytes: 0,
        })
    }

    /// Makes a block of what waits and fits, if something does or it must be.
    fn seal(&mut self, means: &Means, must_be: bool) -> Result<Dropped, RpcError> {
        let mut draft = self.draft(means)?;
        self.charge(ENTRY_BYTES)?;
        if self.is_ready()? {
            draft.run(means)?;
        }
        let Draft { stand, seed, time, pool, signed, runs, dropped, bytes } = draft;
        self.pool = pool;
        if runs.is_empty() && !must_be {
            return Ok(dropped);
        }
        (self.time, self.next) = (time, Next::default());
        self.made += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let block = Block { runs, ..(*stand.block).clone() };
        self.transactions.extend(block.runs.iter().map(|run| (run.hash, run.slot)));
        self.numbers.insert(block.hash, block.number);
        let mut state = stand.state;
        state.seal(block.number, seed.0);
        self.blocks.push(Sealed { block: Arc::new(block), signed: signed.into(), state });
        Ok(dropped)
    }
}

impl Draft {
    /// Runs what waits and fits. An error of ours leaves all as it was.
    fn run(&mut self, means: &Means) -> Result<(), RpcError> {
        let mut lab = self.stand.ground().lab(Arc::clone(&means.stop))?;
        let (block, mut left) = (self.stand.block.overrides(), self.stand.block.gas_limit);
        while let Some(signed) = self.ready(&lab, left) {
            let hash = *signed.envelope.tx_hash();
            self.pool.remove(hash);
            let setting = setting(&means.id, &signed, &self.stand.ground())?;
            match lab.transact((&setting, &block), &signed, left) {
                Ok(step) => {
                    left = left.saturating_sub(step.gas.1);
                    self.take(signed, step);
                }
                Err(No::Host(error)) => return Err(No::Host(error).into()),
                Err(no) => {
                    self.dropped.insert(hash, no.into());
                }
            }
        }
        self.stand.state = lab.kept();
        Ok(())
    }

    fn ready(&self, lab: &Lab, left: u64) -> Option<Arc<Signed>> {
        self.pool.ready(|address| lab.world().nonce(address), left)
    }

    /// A transaction ran.
    fn take(&mut self, signed: Arc<Signed>, step: Step) {
        let block = &self.stand.block;
        let hash = *signed.envelope.tx_hash();
        let logs = step.logs.into_iter().filter(|log| log.address != evm::OUTBOX);
        let logs = logs.map(|log| Log {
            address: log.address,
            topics: log.topics().to_vec(),
            data: Bytes::from(log.data.data.to_vec()),
        });
        let logs: Vec<Log> = logs.collect();
        let heard: usize = logs.iter().map(|log| 256 + log.data.len()).sum();
        self.bytes += TRANSACTION_BYTES + step.gas.0 / GAS_PER_BYTE + heard as u64;
        let succeeded = step.failure.is_none();
        let words: [&[u8]; 3] =
            [hash.as_slice(), &[u8::from(succeeded)], &step.gas.1.to_be_bytes()];
        self.runs.push(Ran {
            slot: Slot { epoch: 0, nonce: block.number, tick: self.signed.len() as u32 },
            hash,
            block_hash: block.hash,
            seed: self.seed,
            timestamp: block.timestamp,
            base_fee: block.base_fee,
            gas: step.gas.1,
            succeeded,
            created: step.created,
            logs,
            receipt: keccak256(words.concat()),
            is_again: false,
        });
        self.signed.push(signed);
    }
}
