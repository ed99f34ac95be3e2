//! Rows that go into the tables together, and rows as they were.

use crate::{
    account::{Account, Row},
    world::{Hashed, Keys, Slot, World, put, slot_value},
};
use drivebay_disk::{Digest, Table, keccak_all};
use revm::primitives::{Address, U256};

/// Rows that are looked for before they are set: few enough that what was found is still in the cache.
const TOGETHER: usize = 64;

/// A row that was set.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Account(Address, Account),
    Slot(Address, U256, U256),
}

impl Change {
    /// Whether both set the same row.
    pub(crate) fn is_of_row(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Account(a, _), Self::Account(b, _)) => a == b,
            (Self::Slot(a, slot, _), Self::Slot(b, other, _)) => (a, slot) == (b, other),
            _ => false,
        }
    }
}

/// A row as it was, by its keys in the tables.
pub(crate) enum Old {
    Account(Digest, Option<Account>),
    /// Account, slot, value.
    Slot(Digest, Digest, U256),
}

/// Sets rows, of which a later one goes over an earlier one. Says what was there to whoever asks.
pub(crate) fn apply(
    world: &mut World,
    changes: impl Iterator<Item = Change>,
    mut old: Option<&mut Vec<Old>>,
) {
    let (mut addresses, mut accounts) = (Vec::new(), Vec::new());
    let mut slots: Vec<(Address, [u8; 32], U256)> = Vec::new();
    for change in changes {
        match change {
            Change::Account(address, account) => {
                addresses.push(address);
                accounts.push(account.row());
            }
            Change::Slot(address, slot, value) => slots.push((address, slot.to_be_bytes(), value)),
        }
    }
    let accounts = by_key(&addresses, accounts);
    for some in accounts.chunks(TOGETHER) {
        set_accounts(world, some, old.as_deref_mut());
    }
    slots.sort_by_key(|(address, ..)| *address);
    for slots in slots.chunk_by(|(a, ..), (b, ..)| a == b) {
        let Some((address, ..)) = slots.first() else { continue };
        let numbers: Vec<_> = slots.iter().map(|(_, slot, _)| slot).collect();
        let values = slots.iter().map(|(.., value)| Slot::new(*value)).collect();
        let (account, slots) = (Hashed.address(*address), by_key(&numbers, values));
        for some in slots.chunks(TOGETHER) {
            set_slots(world, account, some, old.as_deref_mut());
        }
    }
}

/// Rows in the order of their keys, which are hashes, so that their first bytes tell; those of one key in the order
/// that they had.
fn by_key<N: AsRef<[u8]>, R>(names: &[N], rows: Vec<R>) -> Vec<(Digest, R)> {
    let mut rows: Vec<(Digest, R)> = keccak_all(names).into_iter().zip(rows).collect();
    rows.sort_by_cached_key(|(key, _)| key.0.first_chunk().copied().map_or(0, u64::from_be_bytes));
    // Of one key the last one counts.
    rows.dedup_by(|next, before| {
        let is_same = next.0 == before.0;
        if is_same {
            std::mem::swap(next, before);
        }
        is_same
    });
    rows
}

fn set_accounts(world: &mut World, rows: &[(Digest, Row)], old: Option<&mut Vec<Old>>) {
    note(&world.accounts, rows, old, |key, row| Old::Account(key, row.and_then(Account::from_row)));
    world.accounts.set_all(rows);
}

fn set_slots(
    world: &mut World,
    account: Digest,
    rows: &[(Digest, Slot)],
    old: Option<&mut Vec<Old>>,
) {
    note(world.storage(&account), rows, old, |key, row| Old::Slot(account, key, slot_value(row)));
    let Some(storage) = world.accounts.table_mut(&account) else { return };
    for rows in rows.chunk_by(|(_, a), (_, b)| a.is_none() == b.is_none()) {
        match rows.first().is_some_and(|(_, slot)| slot.is_none()) {
            true => {
                for (key, _) in rows {
                    storage.remove(key);
                }
            }
            false => storage.set_all(rows),
        }
    }
}

/// Looks for rows before they are set, so that they are in the cache then; and says what they were.
fn note<R>(
    table: &Table,
    rows: &[(Digest, R)],
    mut old: Option<&mut Vec<Old>>,
    as_it_was: impl Fn(Digest, Option<&[u8]>) -> Old,
) {
    let keys: Vec<Digest> = rows.iter().map(|(key, _)| *key).collect();
    table.get_all(&keys, |at, row| {
        if let (Some(old), Some(key)) = (&mut old, keys.get(at)) {
            old.push(as_it_was(*key, row));
        }
    });
}

/// Sets rows as they were: those that were set last first.
pub(crate) fn undo(world: &mut World, old: &[Old]) {
    for old in old.iter().rev() {
        match old {
            Old::Account(key, Some(account)) => {
                world.accounts.set(*key, account.row().bytes());
            }
            Old::Account(key, None) => drop(world.accounts.remove(key)),
            Old::Slot(account, slot, value) => {
                if let Some(storage) = world.accounts.table_mut(account) {
                    put(storage, *slot, *value);
                }
            }
        }
    }
}
