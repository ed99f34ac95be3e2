//! What revm reads: the tables themselves.

use crate::{
    account::Account,
    recent::Recent,
    state::{Chain, State},
    world::{Empty, Hashed, Keys, World},
};
use drivebay_disk::Digest;
use revm::{
    Database,
    bytecode::Bytecode,
    primitives::{Address, B256, B256Map, KECCAK_EMPTY, U256, keccak256},
    state::{AccountInfo, EvmState},
};
use std::convert::Infallible;

/// Places for hashes that are kept, of addresses, of slots and of mappings' entries each: a power of two.
const PLACES: usize = 1024;
/// Most bytes of analysed code kept; then all is forgotten.
const CODE_BYTES_MAX: usize = 32 << 20;

/// The state that is running, and caches of pure functions, which any state may use.
#[derive(Default)]
pub(crate) struct Db {
    pub(crate) world: World,
    pub(crate) chain: Chain,
    /// What is not in `world` yet, where changes are gathered.
    recent: Option<Box<Recent>>,
    keys: KeyCache,
    codes: B256Map<Bytecode>,
    code_bytes: usize,
}

/// What was hashed last, each at a place that follows from it, where there is room for two: whoever chooses keys for
/// one place only has them hashed again.
struct KeyCache {
    addresses: Places<Address, Digest>,
    slots: Places<U256, Digest>,
    entries: Places<Entry, B256>,
}

/// What a contract hashes to find an entry of a mapping.
type Entry = [u8; 64];

/// Keys and their hashes, two at a place: first one that was asked for again, then the newest.
struct Places<K, V> {
    /// Bits of the keys: where these differ, nothing else is looked at.
    bits: Box<[[u64; 2]]>,
    rows: Box<[[(K, V); 2]]>,
}

impl<K: Copy + PartialEq, V: Copy> Places<K, V> {
    /// Filled with a key and its hash.
    fn new(key: K, hash: V) -> Self {
        Self { bits: vec![[0; 2]; PLACES].into(), rows: vec![[(key, hash); 2]; PLACES].into() }
    }

    /// The hash of a key, of which these are bits that look like chance.
    #[inline]
    fn hash(&mut self, (bits, key): (u64, &K), hash: impl Fn(&K) -> V) -> V {
        let place = (bits >> (64 - PLACES.trailing_zeros())) as usize;
        let (Some(seen), Some(rows)) = (self.bits.get_mut(place), self.rows.get_mut(place)) else {
            return hash(key);
        };
        let [first, second] = rows;
        if seen[0] == bits && first.0 == *key {
            return first.1;
        }
        if seen[1] == bits && second.0 == *key {
            seen.swap(0, 1);
            std::mem::swap(first, second);
            return first.1;
        }
        let hash = hash(key);
        // What is asked for once only takes no place, and does not drive out what is asked for again and again.
        if seen[1] == bits {
            *second = (*key, hash);
        }
        seen[1] = bits;
        hash
    }
}

const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for KeyCache {
    fn default() -> Self {
        let (address, slot, entry) = (Address::ZERO, U256::ZERO, [0; 64]);
        Self {
            addresses: Places::new(address, Hashed.address(address)),
            slots: Places::new(slot, Hashed.slot(slot)),
            entries: Places::new(entry, keccak256(entry)),
        }
    }
}

impl Keys for KeyCache {
    #[inline]
    fn address(&mut self, address: Address) -> Digest {
        let bits = address.0.last_chunk().copied().map_or(0, u64::from_be_bytes).wrapping_mul(MIX);
        self.addresses.hash((bits, &address), |address| Hashed.address(*address))
    }

    #[inline]
    fn slot(&mut self, slot: U256) -> Digest {
        let [low, _, _, high] = slot.into_limbs();
        self.slots.hash(((low ^ high).wrapping_mul(MIX), &slot), |slot| Hashed.slot(*slot))
    }
}

impl KeyCache {
    /// Keccak-256 of an entry.
    fn entry(&mut self, entry: &Entry) -> B256 {
        let (words, _) = entry.as_chunks::<8>();
        // Words are not to cancel each other out: a mapping of mappings hashes a hash.
        let bits = words.iter().fold(0u64, |bits, word| {
            (bits.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(MIX)
        });
        self.entries.hash((bits, entry), |entry| keccak256(entry))
    }
}

impl Db {
    /// Keccak-256 of bytes; those that a mapping's entry is found by are remembered.
    pub(crate) fn entry_hash(&mut self, bytes: &[u8]) -> B256 {
        match bytes.try_into() {
            Ok(entry) => self.keys.entry(entry),
            Err(_) => keccak256(bytes),
        }
    }

    /// Takes a state that is to run, in exchange for what was here.
    pub(crate) fn load(&mut self, state: &mut State) {
        self.exchange(state);
        if let Some(recent) = &mut self.recent {
            recent.settle_in_time(&mut self.world);
        }
    }

    /// Gives back what ran, in exchange for what was here before.
    pub(crate) fn exchange(&mut self, state: &mut State) {
        std::mem::swap(&mut self.world, &mut state.world);
        std::mem::swap(&mut self.chain, &mut state.chain);
        std::mem::swap(&mut self.recent, &mut state.recent);
    }

    /// What ran. Nothing is left.
    pub(crate) fn unload(&mut self) -> State {
        let mut state = State::default();
        self.exchange(&mut state);
        state
    }

    pub(crate) fn commit(&mut self, changes: &EvmState, empty: Empty) {
        let recent = self.recent.as_deref_mut().filter(|_| empty == Empty::Gone);
        let Some(recent) = recent else {
            self.settle();
            return self.world.commit(changes, empty, &mut self.keys);
        };
        if !recent.take(changes) {
            recent.commit(&mut self.world, changes, &mut self.keys);
        }
    }

    /// Sets an account; one that is empty goes.
    pub(crate) fn set_account(&mut self, address: Address, account: Account) {
        let (world, keys) = (&mut self.world, &mut self.keys);
        match (self.recent.as_deref_mut(), account.is_empty()) {
            (Some(recent), false) => recent.set_account(address, account),
            (Some(recent), true) => recent.remove_account(world, address, keys),
            (None, false) => world.accounts.set(keys.address(address), account.row().bytes()),
            (None, true) => drop(world.accounts.remove(&keys.address(address))),
        }
    }

    /// The tables, with all that was changed so far, to be changed.
    pub(crate) fn tables(&mut self) -> &mut World {
        self.settle();
        &mut self.world
    }

    fn settle(&mut self) {
        if let Some(recent) = &mut self.recent {
            recent.settle(&mut self.world);
            recent.forget();
        }
    }

    /// An account as it is now.
    pub(crate) fn account(&mut self, address: Address) -> Option<Account> {
        let recent = self.recent.as_deref_mut();
        let Some(recent) = recent else { return self.world.account(&self.keys.address(address)) };
        if let Some(account) = recent.account(address) {
            return Some(account).filter(|account| !account.is_empty());
        }
        let account = self.world.account(&self.keys.address(address));
        // An empty one that is there is not the same as none.
        if !account.is_some_and(|account| account.is_empty()) {
            recent.know_account(address, account.unwrap_or_default());
        }
        account
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
        Ok(self.account(address).map(|account| AccountInfo {
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
        let known = self.recent.as_mut().and_then(|recent| recent.slot(address, slot));
        if let Some(value) = known {
            return Ok(value);
        }
        let keys = (self.keys.address(address), self.keys.slot(slot));
        let value = self.world.slot(&keys.0, &keys.1);
        if let Some(recent) = &mut self.recent {
            recent.know_slot(address, slot, value);
        }
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Infallible> {
        Ok(self.chain.hash(number))
    }
}
