//! One process as a chain, or a private chain that forked it.

use super::{
    Eth,
    block::Block,
    error::RpcError,
    ground::{Ground, Spot},
    index::{Ran, is_of_slot},
    params::BlockName,
    private::{Guard, Private},
};
use crate::{
    cu::{At, Cu, CuError, Mark, ProcessDefinition, ResultsQuery, evm},
    disk::Slot,
    http::{Caller, Failure},
};
use alloy_primitives::{Address, B256};
use std::sync::Arc;

/// Results that are read at once.
const PAGE: usize = 64;
/// Most evaluations, and bytes of their results, that are looked at for a range of blocks.
const RUNS_MAX: usize = 10_000;
const RUN_BYTES_MAX: usize = 64 << 20;

/// A process, for one request of a client, or for as long as it is connected.
pub(super) struct Process {
    pub(super) eth: Arc<Eth>,
    pub(super) id: String,
    pub(super) definition: Arc<ProcessDefinition>,
    /// Who asks.
    pub(super) caller: Caller,
    /// The private chain that is meant, where it is one. Up to where it forked, it is the process.
    pub(super) private: Option<Arc<Private>>,
}

impl Process {
    pub(super) async fn new(eth: Arc<Eth>, id: String, caller: Caller) -> Result<Self, Failure> {
        let definition = eth.face.cu.process(&id).await?;
        Ok(Self { eth, id, definition, caller, private: None })
    }

    pub(super) fn cu(&self) -> &Cu {
        &self.eth.face.cu
    }

    /// What it is known by, among processes and private chains.
    pub(super) fn key(&self) -> &str {
        self.private.as_ref().map_or(&self.id, |private| &private.key)
    }

    /// The private chain, and nobody else has it meanwhile.
    pub(super) async fn chain(&self) -> Option<Guard> {
        Some(self.private.as_ref()?.lock().await)
    }

    pub(super) fn chain_id(&self) -> u64 {
        evm::chain_id(&self.definition.process)
    }

    pub(super) fn gas_limit(&self) -> u64 {
        evm::gas_limit(&self.definition.process)
    }

    /// The number of the newest block, after evaluating all that is scheduled.
    pub(super) async fn latest(&self) -> Result<u64, RpcError> {
        Ok(self.latest_slot().await?.nonce)
    }

    /// The newest evaluation, after evaluating all that is scheduled.
    pub(super) async fn latest_slot(&self) -> Result<Slot, RpcError> {
        if let Some(chain) = self.chain().await {
            return Ok(chain.newest());
        }
        let last = self.cu().evaluate(&self.id, At::Latest).await?;
        Ok(last.receipt.slot)
    }

    /// The number of a block; `None` if there is no such block yet.
    pub(super) async fn number(&self, block: BlockName) -> Result<Option<u64>, RpcError> {
        if let BlockName::Hash(hash) = block {
            return self.number_of(hash).await;
        }
        let latest = self.latest().await?;
        Ok(match block {
            BlockName::Number(number) => (number <= latest).then_some(number),
            _ => Some(latest),
        })
    }

    /// The number of a block that there must be.
    pub(super) async fn known(&self, block: BlockName) -> Result<u64, RpcError> {
        self.number(block).await?.ok_or_else(RpcError::no_block)
    }

    async fn number_of(&self, hash: B256) -> Result<Option<u64>, RpcError> {
        let Some(chain) = self.chain().await else {
            self.latest().await?;
            return self.eth.indices.block(self, hash).await;
        };
        if let Some(number) = chain.number_of(hash) {
            return Ok(Some(number));
        }
        let fork = chain.fork_point().number;
        drop(chain);
        let number = self.eth.indices.block(self, hash).await?;
        Ok(number.filter(|number| *number < fork))
    }

    /// The slot of a transaction.
    pub(super) async fn transaction(&self, hash: B256) -> Result<Option<Slot>, RpcError> {
        let Some(chain) = self.chain().await else {
            self.latest().await?;
            return self.eth.indices.transaction(self, hash).await;
        };
        if let Some(slot) = chain.slot_of(hash) {
            return Ok(Some(slot));
        }
        let forked = chain.fork_point().slot;
        drop(chain);
        let slot = self.eth.indices.transaction(self, hash).await?;
        Ok(slot.filter(|slot| *slot <= forked))
    }

    /// The nonce that the next transaction of an account has, with those that wait to be in a block.
    pub(super) async fn pending(&self, block: BlockName, address: Address) -> Option<u64> {
        let chain = self.chain().await.filter(|_| block == BlockName::Pending)?;
        Some(chain.next_nonce(address))
    }

    /// What was asked by an evaluation.
    pub(super) async fn asked(&self, run: &Ran) -> Result<evm::Transacted, RpcError> {
        if let Some(asked) = self.chain().await.and_then(|chain| chain.asked(run.slot)) {
            return Ok(asked);
        }
        let entry = self.cu().entry(&self.id, run.slot).await?;
        Ok(evm::transacted(&self.definition.process, &entry.message))
    }

    /// Where the state of a block is asked for.
    pub(super) async fn spot(&self, block: BlockName) -> Result<Spot, RpcError> {
        if self.private.is_none() && matches!(block, BlockName::Latest | BlockName::Pending) {
            return Ok(Spot::Process(At::Latest));
        }
        let number = self.known(block).await?;
        match self.chain().await.and_then(|chain| chain.stand(number)) {
            Some(stand) => Ok(Spot::Private(stand)),
            None => self.scheduled_at(number).await.map(Spot::Process),
        }
    }

    /// Where the state after a block of the process itself is found.
    pub(super) async fn scheduled_at(&self, number: u64) -> Result<At, RpcError> {
        // Ticks belong to the block of the message before them: its state is that after the last of them.
        let runs = self.scheduled(number, number).await?;
        let last = runs.last().map(|run| run.slot);
        Ok(At::Slot(last.unwrap_or(Slot { epoch: 0, nonce: number, tick: 0 })))
    }

    /// The evaluations of some blocks, in order.
    pub(super) async fn runs(&self, first: u64, last: u64) -> Result<Vec<Ran>, RpcError> {
        let Some(chain) = self.chain().await else { return self.scheduled(first, last).await };
        let (fork, own) = (chain.fork_point().number, chain.runs(first, last));
        drop(chain);
        let mut runs = match first < fork {
            true => self.scheduled(first, last.min(fork - 1)).await?,
            false => Vec::new(),
        };
        runs.extend(own);
        Ok(runs)
    }

    /// A block; `None` if there is no such block yet.
    pub(super) async fn block(&self, number: u64) -> Result<Option<Arc<Block>>, RpcError> {
        if let Some(chain) = self.chain().await {
            let fork = chain.fork_point().number;
            if number >= fork {
                return Ok(chain.block(number));
            }
        }
        let runs = self.scheduled(number.saturating_sub(1), number).await?;
        Ok(Block::of_process(self.gas_limit(), number, runs).map(Arc::new))
    }

    /// The evaluations of some slots of the process itself, in order.
    pub(super) async fn scheduled(&self, first: u64, last: u64) -> Result<Vec<Ran>, RpcError> {
        let end = |nonce| Slot { epoch: 0, nonce, tick: u32::MAX };
        let mut after = first.checked_sub(1).map(end);
        let (mut runs, mut bytes) = (Vec::<Ran>::new(), 0);
        loop {
            let query = ResultsQuery {
                after: after.map(Mark::Slot),
                through: Some(Mark::Slot(end(last))),
                limit: PAGE,
                ..ResultsQuery::default()
            };
            let found = self.cu().results(&self.id, query).await?;
            for stored in &found.results {
                bytes += stored.json.len();
                let head = runs.last().filter(|run| is_of_slot(run, stored));
                runs.push(Ran::new(&self.id, stored, head.map(|run| run.block_hash)));
            }
            if !found.has_more {
                return Ok(runs);
            }
            if bytes > RUN_BYTES_MAX || runs.len() > RUNS_MAX {
                let text = "there is too much in these blocks; ask for fewer";
                return Err(RpcError::new(-32005, text));
            }
            after = runs.last().map(|run| run.slot);
        }
    }

    /// The accounts of the state after a block.
    pub(super) async fn world(&self, block: BlockName) -> Result<evm::World, RpcError> {
        let spot = self.spot(block).await?;
        self.world_at(spot).await
    }

    pub(super) async fn world_at(&self, spot: Spot) -> Result<evm::World, RpcError> {
        let at = match spot {
            Spot::Private(stand) => return Ok(stand.state.world().clone()),
            Spot::Process(at) => at,
        };
        let image = self.cu().image_at(&self.id, at).await?.image;
        evm::world(&image).ok_or_else(|| {
            RpcError::server(format!("process {} is no EVM process: it has no accounts", self.id))
        })
    }

    /// Has a job look at a state, on a thread for reads.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        spot: Spot,
        job: impl FnOnce(&Ground) -> Result<T, CuError> + Send + 'static,
    ) -> Result<T, CuError> {
        match spot {
            Spot::Process(at) => self.cu().look(&self.id, at, |scene| job(&scene.into())).await,
            Spot::Private(stand) => self.cu().work(move || job(&stand.ground())).await?,
        }
    }
}
