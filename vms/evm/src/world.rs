//! The state of accounts: what Ethereum calls the world state, as two tables.

use crate::account::{AFTER, Account, read_number, rlp_number};
use drivebay_disk::{Digest, Table};
use revm::{
    primitives::{Address, B256, KECCAK_EMPTY, U256, hardfork::SpecId, keccak256},
    state::{Account as Touched, EvmState},
};
use std::sync::LazyLock;

/// Accounts by the hash of their address, each with its storage by the hash of its slot; and code by its
/// hash. A clone costs a few reference counts.
#[derive(Clone)]
pub struct World {
    pub(crate) accounts: Table,
    pub(crate) codes: Table,
}

impl Default for World {
    fn default() -> Self {
        Self { accounts: Table::nesting(AFTER), codes: Table::new() }
    }
}

/// What becomes of an account that was touched, and has neither nonce nor balance nor code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    /// It is gone (EIP-161).
    Gone,
    /// It stays, as before that.
    Stays,
}

impl Empty {
    pub(crate) fn under(spec: SpecId) -> Self {
        if spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) { Self::Gone } else { Self::Stays }
    }
}

/// Keys of tables. A pure function of the address or slot, so it may be cached.
pub(crate) trait Keys {
    fn address(&mut self, address: Address) -> Digest;
    fn slot(&mut self, slot: U256) -> Digest;
}

/// Keys, hashed whenever asked for.
pub(crate) struct Hashed;

impl Keys for Hashed {
    fn address(&mut self, address: Address) -> Digest {
        Digest(keccak256(address).0)
    }
    fn slot(&mut self, slot: U256) -> Digest {
        Digest(keccak256(slot.to_be_bytes::<32>()).0)
    }
}

static NO_STORAGE: LazyLock<Table> = LazyLock::new(Table::new);

impl World {
    /// Ethereum's state root. Only what changed since it was last asked for is hashed.
    pub fn root(&self) -> B256 {
        B256::from(self.accounts.root().0)
    }

    /// The account at `key`, if it is there.
    pub(crate) fn account(&self, key: &Digest) -> Option<Account> {
        Account::from_row(self.accounts.get(key)?)
    }

    pub(crate) fn storage(&self, account: &Digest) -> &Table {
        self.accounts.table(account).unwrap_or(&NO_STORAGE)
    }

    /// A slot of an account's storage; 0 if nothing is there.
    pub(crate) fn slot(&self, account: &Digest, slot: &Digest) -> U256 {
        slot_value(self.storage(account).get(slot))
    }

    /// The code of that hash, if it is known.
    pub(crate) fn code(&self, hash: &B256) -> Option<&[u8]> {
        self.codes.get(&Digest(hash.0))
    }

    /// Nonce, balance and code of an address, for whoever looks at a state from outside.
    pub fn look(&self, address: Address) -> (u64, U256, Vec<u8>) {
        let account = self.account(&Hashed.address(address)).unwrap_or_default();
        let code = self.code(&account.code_hash).unwrap_or_default().to_vec();
        (account.nonce, account.balance, code)
    }

    /// The nonce of an address.
    pub fn nonce(&self, address: Address) -> u64 {
        self.account(&Hashed.address(address)).unwrap_or_default().nonce
    }

    /// A slot of an address's storage, for whoever looks at a state from outside.
    pub fn look_slot(&self, address: Address, slot: U256) -> U256 {
        self.slot(&Hashed.address(address), &Hashed.slot(slot))
    }

    /// Sets nonce, balance and code of an address. Its storage stays.
    pub fn set_account(&mut self, address: Address, nonce: u64, balance: U256, code: &[u8]) {
        let code_hash = if code.is_empty() { KECCAK_EMPTY } else { keccak256(code) };
        self.put_code(code_hash, code);
        let account = Account { nonce, balance, code_hash };
        self.accounts.set(Hashed.address(address), account.row().bytes());
    }

    /// Sets a slot of the storage of an account that is there.
    pub fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        if let Some(storage) = self.accounts.table_mut(&Hashed.address(address)) {
            put(storage, Hashed.slot(slot), value);
        }
    }

    fn put_code(&mut self, hash: B256, code: &[u8]) {
        let key = Digest(hash.0);
        if hash != KECCAK_EMPTY && self.codes.get(&key).is_none() {
            self.codes.set(key, code);
        }
    }

    /// Takes over what a transaction changed.
    pub(crate) fn commit(&mut self, changes: &EvmState, empty: Empty, keys: &mut impl Keys) {
        for (address, touched) in changes {
            if touched.is_touched() {
                self.commit_account(keys.address(*address), touched, empty, keys);
            }
        }
    }

    /// Whether a transaction takes away what there is of an account's storage.
    pub(crate) fn loses_storage(&self, changes: &EvmState, keys: &mut impl Keys) -> bool {
        let touched = changes.iter().filter(|(_, touched)| touched.is_touched());
        let mut may = touched.filter(|(_, touched)| {
            touched.is_created() || touched.is_selfdestructed() || touched.is_empty()
        });
        may.any(|(address, _)| !self.storage(&keys.address(*address)).is_empty())
    }

    fn commit_account(
        &mut self,
        key: Digest,
        touched: &Touched,
        empty: Empty,
        keys: &mut impl Keys,
    ) {
        let is_gone = empty == Empty::Gone && touched.is_empty();
        if touched.is_selfdestructed() || is_gone {
            self.accounts.remove(&key);
            return;
        }
        let info = &touched.info;
        let account =
            Account { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash };
        let old = self.accounts.get(&key).map(Account::from_row);
        let created = touched.is_created();
        if created && old.is_some() {
            self.accounts.remove(&key);
        }
        if created || old != Some(Some(account)) {
            if let Some(code) = &info.code {
                self.put_code(info.code_hash, code.original_byte_slice());
            }
            self.accounts.set(key, account.row().bytes());
        }
        if !touched.storage.values().any(|slot| slot.is_changed()) {
            return;
        }
        let Some(storage) = self.accounts.table_mut(&key) else { return };
        for (slot, value) in touched.storage.iter().filter(|(_, slot)| slot.is_changed()) {
            put(storage, keys.slot(*slot), value.present_value());
        }
    }
}

/// The value of a slot's row; 0 if there is none.
pub(crate) fn slot_value(row: Option<&[u8]>) -> U256 {
    row.and_then(read_number).map(|(value, _)| value).unwrap_or_default()
}

/// The row of a slot.
pub(crate) struct Slot {
    bytes: [u8; 33],
    len: usize,
}

impl Slot {
    pub(crate) fn new(value: U256) -> Self {
        let mut bytes = [0; 33];
        let len = if value.is_zero() { 0 } else { rlp_number(value, &mut bytes) };
        Self { bytes, len }
    }

    /// Whether it is 0: then there is no row.
    pub(crate) fn is_none(&self) -> bool {
        self.len == 0
    }
}

impl AsRef<[u8]> for Slot {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Sets a slot; 0 is none.
pub(crate) fn put(storage: &mut Table, key: Digest, value: U256) {
    let slot = Slot::new(value);
    match slot.is_none() {
        true => drop(storage.remove(&key)),
        false => storage.set(key, slot.as_ref()),
    }
}
