//! What revm reads: the tables themselves.

use crate::state::{Chain, State};
use crate::world::{Empty, Keys, World};
use drivebay_disk::Digest;
use revm::{
    Database,
    bytecode::Bytecode,
    primitives::{Address, AddressMap, B256, HashMap, KECCAK_EMPTY, U256, keccak256},
    state::{AccountInfo, EvmState},
};
use std::convert::Infallible;

/// Most hashed keys kept; then all are forgotten.
const KEYS_MAX: usize = 8192;
/// Most bytes of analysed code kept; then all is forgotten.
const CODE_BYTES_MAX: usize = 32 << 20;

/// The state that is running, and caches of pure functions, which any state may use.
#[derive(Default)]
pub(crate) struct Db {
    pub(crate) world: World,
    pub(crate) chain: Chain,
    keys: KeyCache,
    codes: HashMap<B256, Bytecode>,
    code_bytes: usize,
}

#[derive(Default)]
struct KeyCache {
    addresses: AddressMap<Digest>,
    slots: HashMap<U256, Digest>,
}

impl Keys for KeyCache {
    #[inline]
    fn address(&mut self, address: Address) -> Digest {
        if self.addresses.len() > KEYS_MAX {
            self.addresses.clear();
        }
        *self.addresses.entry(address).or_insert_with(|| Digest(keccak256(address).0))
    }

    #[inline]
    fn slot(&mut self, slot: U256) -> Digest {
        if self.slots.len() > KEYS_MAX {
            self.slots.clear();
        }
        let hash = || Digest(keccak256(slot.to_be_bytes::<32>()).0);
        *self.slots.entry(slot).or_insert_with(hash)
    }
}

impl Db {
    pub(crate) fn load(&mut self, state: State) {
        (self.world, self.chain) = (state.world, state.chain);
    }

    pub(crate) fn unload(&mut self) -> State {
        State { world: std::mem::take(&mut self.world), chain: std::mem::take(&mut self.chain) }
    }

    pub(crate) fn commit(&mut self, changes: EvmState, empty: Empty) {
        self.world.commit(changes, empty, &mut self.keys);
    }
}

/// Code made ready to run. What is no designator of a delegation (EIP-7702) is plain code.
pub(crate) fn ready(code: &[u8]) -> Bytecode {
    let code = revm::primitives::Bytes::copy_from_slice(code);
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

impl Database for Db {
    type Error = Infallible;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let key = self.keys.address(address);
        let account = self.world.account(&key);
        Ok(account.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Infallible> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = ready(self.world.code(&hash).unwrap_or_default());
        self.code_bytes += 2 * code.len();
        if self.code_bytes > CODE_BYTES_MAX {
            self.code_bytes = 2 * code.len();
            self.codes.clear();
        }
        self.codes.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Infallible> {
        let (account, slot) = (self.keys.address(address), self.keys.slot(slot));
        Ok(self.world.slot(&account, &slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        Ok(self.chain.hash(number))
    }
}
