//! Rows that go into the tables together, and rows as they were.

use crate::{
    account::Account,
    world::{Keys, World, put, slot_value},
};
use drivebay_disk::Digest;
use revm::primitives::{Address, U256};

/// Rows that are looked for before they are set: few enough that what was found is still in the cache.
const TOGETHER: usize = 64;

/// A row that was set.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Account(Address, Account),
    Slot(Address, U256, U256),
}

/// A row as it was, by its keys in the tables; of those that were set together each is there once.
pub(crate) enum Old {
    Account(Digest, Option<Account>),
    /// Account, slot, value.
    Slot(Digest, Digest, U256),
}

/// Sets rows: accounts first, then slots, of one account after the other as far as they come so. Says what was there
/// to whoever asks.
pub(crate) fn apply(
    world: &mut World,
    changes: impl Iterator<Item = Change>,
    keys: &mut impl Keys,
    mut old: Option<&mut Vec<Old>>,
) {
    let mut accounts: Vec<(Digest, Account)> = Vec::new();
    let mut slots: Vec<(Address, Digest, U256)> = Vec::new();
    for change in changes {
        match change {
            Change::Account(address, account) => accounts.push((keys.address(address), account)),
            Change::Slot(address, slot, value) => slots.push((address, keys.slot(slot), value)),
        }
    }
    for some in accounts.chunks(TOGETHER) {
        set_accounts(world, some, old.as_deref_mut());
    }
    for slots in slots.chunk_by(|(a, ..), (b, ..)| a == b) {
        let Some((address, ..)) = slots.first() else { continue };
        let account = keys.address(*address);
        for some in slots.chunks(TOGETHER) {
            set_slots(world, account, some, old.as_deref_mut());
        }
    }
}

fn set_accounts(world: &mut World, rows: &[(Digest, Account)], mut old: Option<&mut Vec<Old>>) {
    let keys: Vec<Digest> = rows.iter().map(|(key, _)| *key).collect();
    world.accounts.get_all(&keys, |at, row| {
        if let (Some(old), Some(key)) = (&mut old, keys.get(at)) {
            old.push(Old::Account(*key, row.and_then(Account::from_row)));
        }
    });
    for (key, account) in rows {
        world.accounts.set(*key, account.row().bytes());
    }
}

fn set_slots(
    world: &mut World,
    account: Digest,
    rows: &[(Address, Digest, U256)],
    mut old: Option<&mut Vec<Old>>,
) {
    let keys: Vec<Digest> = rows.iter().map(|(_, key, _)| *key).collect();
    world.storage(&account).get_all(&keys, |at, row| {
        if let (Some(old), Some(key)) = (&mut old, keys.get(at)) {
            old.push(Old::Slot(account, *key, slot_value(row)));
        }
    });
    let Some(storage) = world.accounts.table_mut(&account) else { return };
    for (_, key, value) in rows {
        put(storage, *key, *value);
    }
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
