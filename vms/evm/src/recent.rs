//! What the last messages changed, before it is in the tables.
//!
//! A table that somebody keeps is changed by copying a path of it, and every change looks for its row on a path. So
//! what messages change is gathered, and goes into the tables for [`MESSAGES`] messages together, each row once; a
//! state that is kept of each costs a link. Only the plain is gathered: accounts that are set and slots that are set.
//! All else is done in the tables at once, by [`World::commit`], after what was gathered.

use crate::{
    account::Account,
    rows::{Change, apply},
    version::Version,
    world::{Hashed, Keys, World},
};
use drivebay_disk::HostError;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use revm::{
    primitives::{Address, U256},
    state::{AccountInfo, EvmState},
};
use std::{
    hash::Hash,
    sync::{Arc, OnceLock},
};

/// Messages that are gathered; few in tests, whose steps are few.
const MESSAGES: usize = if cfg!(test) { 8 } else { 256 };
/// Rows that are gathered.
const CHANGES: usize = 512;
/// Rows that are remembered when they are in the tables.
const ROWS: usize = 1024;
/// Bytes that a row takes, about: as a change and as what is remembered.
const ROW_BYTES: u64 = 300;

/// The changes of a message, or of some, that a kept state has beside its tables; and those before.
pub(crate) struct Since {
    changes: Vec<Change>,
    before: Option<Arc<Since>>,
    /// The tables with all of them, once somebody asked for these.
    settled: OnceLock<World>,
}

impl Since {
    /// The tables with all these changes, which are of `base`.
    pub(crate) fn over(&self, base: &Version) -> Result<World, HostError> {
        if let Some(settled) = self.settled.get() {
            return Ok(settled.clone());
        }
        let mut links = vec![self];
        let mut start = None;
        let mut before = self.before.as_deref();
        while let Some(link) = before {
            start = link.settled.get().cloned();
            if start.is_some() {
                break;
            }
            links.push(link);
            before = link.before.as_deref();
        }
        let mut world = start.map_or_else(|| base.world(), Ok)?;
        let all = links.iter().rev().flat_map(|link| link.changes.iter().copied());
        apply(&mut world, all, &mut Hashed, None);
        Ok(self.settled.get_or_init(|| world).clone())
    }
}

/// Rows by their keys, and which of them are not in the tables yet.
struct Rows<K, V> {
    known: IndexMap<K, Row<V>, RandomState>,
    /// Places in `known` of those that are not in the tables, each once.
    due: Vec<u32>,
    /// How often rows went into the tables.
    round: u64,
}

#[derive(Clone, Copy)]
struct Row<V> {
    value: V,
    /// The round that it is to go into the tables after; one that is over, if it is there.
    due: u64,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self { known: IndexMap::default(), due: Vec::new(), round: 1 }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Rows<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.known.get(key).map(|row| row.value)
    }

    /// Remembers what is in the tables.
    fn know(&mut self, key: K, value: V) {
        self.known.entry(key).or_insert(Row { value, due: 0 });
    }

    fn set(&mut self, key: K, value: V) {
        let (at, before) = self.known.insert_full(key, Row { value, due: self.round });
        if before.is_none_or(|before| before.due != self.round) {
            self.due.push(at as u32);
        }
    }

    fn due(&self) -> impl Iterator<Item = (K, V)> {
        let row = |at: &u32| self.known.get_index(*at as usize);
        self.due.iter().filter_map(row).map(|(key, row)| (*key, row.value))
    }

    /// All are in the tables now.
    fn settled(&mut self) {
        self.due.clear();
        self.round += 1;
    }

    /// Forgets all; none is due.
    fn clear(&mut self) {
        self.known.clear();
        self.due.clear();
    }
}

/// Accounts and slots that were changed, or looked at often; and what of that is not in the tables yet.
#[derive(Default)]
pub(crate) struct Recent {
    accounts: Rows<Address, Account>,
    slots: Rows<(Address, U256), U256>,
    messages: usize,
    /// The tables as kept states see them, if one was kept of them or of those before.
    version: Option<Arc<Version>>,
    /// What a kept state has, if one was kept since rows were put into the tables; and what was changed after that.
    last: Option<Arc<Since>>,
    changes: Vec<Change>,
}

impl Recent {
    /// The account at an address, if it is remembered.
    pub(crate) fn account(&self, address: Address) -> Option<Account> {
        self.accounts.get(&address)
    }

    /// A slot, if it is remembered.
    pub(crate) fn slot(&self, address: Address, slot: U256) -> Option<U256> {
        self.slots.get(&(address, slot))
    }

    /// Remembers a contract, which is called again and again.
    pub(crate) fn know(&mut self, address: Address, account: Account) {
        if self.rows() < ROWS {
            self.accounts.know(address, account);
        }
    }

    /// So many rows are remembered.
    fn rows(&self) -> usize {
        self.accounts.known.len() + self.slots.known.len()
    }

    /// Takes what a transaction changed; false, and takes nothing, if it is not plain.
    pub(crate) fn take(&mut self, touched: &EvmState) -> bool {
        if !is_plain(touched) {
            return false;
        }
        let is_kept = self.last.is_some();
        for (address, touched) in touched.iter().filter(|(_, touched)| touched.is_touched()) {
            let info = &touched.info;
            if info.is_empty() {
                continue;
            }
            if touched.is_changed() {
                let AccountInfo { nonce, balance, code_hash, .. } = *info;
                let account = Account { nonce, balance, code_hash };
                self.accounts.set(*address, account);
                if is_kept {
                    self.changes.push(Change::Account(*address, account));
                }
            }
            for (slot, value) in touched.storage.iter().filter(|(_, slot)| slot.is_changed()) {
                let value = value.present_value();
                self.slots.set((*address, *slot), value);
                if is_kept {
                    self.changes.push(Change::Slot(*address, *slot, value));
                }
            }
        }
        self.messages += 1;
        true
    }

    /// Rows that are not in the tables.
    fn due(&self) -> impl Iterator<Item = Change> {
        let accounts =
            self.accounts.due().map(|(address, account)| Change::Account(address, account));
        let slots =
            self.slots.due().map(|((address, slot), value)| Change::Slot(address, slot, value));
        accounts.chain(slots)
    }

    /// Puts all that is gathered into the tables, of which it is.
    pub(crate) fn settle(&mut self, world: &mut World, keys: &mut impl Keys) {
        let linked = self.changes.is_empty();
        let version = self.version.take();
        let settled = self.last.as_ref().filter(|_| linked).and_then(|last| last.settled.get());
        self.version = match (settled, version) {
            (Some(settled), _) => {
                *world = settled.clone();
                None
            }
            (None, None) => {
                apply(world, self.due(), keys, None);
                None
            }
            (None, Some(version)) => {
                version.change(world, |world, old| apply(world, self.due(), keys, old))
            }
        };
        self.changes.clear();
        (self.last, self.messages) = (None, 0);
        self.accounts.settled();
        self.slots.settled();
        if self.rows() > ROWS {
            self.clear();
        }
    }

    /// The same, if it is time; or if it was done already for a state that is kept.
    pub(crate) fn settle_in_time(&mut self, world: &mut World, keys: &mut impl Keys) {
        let is_done = self.last.as_ref().is_some_and(|last| last.settled.get().is_some());
        let due = self.accounts.due.len() + self.slots.due.len();
        if is_done || self.messages >= MESSAGES || due >= CHANGES {
            self.settle(world, keys);
        }
    }

    /// Forgets what it remembers: the tables are to be changed past it.
    pub(crate) fn forget(&mut self) {
        self.version = None;
        self.clear();
    }

    fn clear(&mut self) {
        self.accounts.clear();
        self.slots.clear();
    }

    /// The tables with all that is gathered.
    pub(crate) fn over(&self, world: &World) -> World {
        let mut world = world.clone();
        apply(&mut world, self.due(), &mut Hashed, None);
        world
    }

    /// The tables, and all that is not in them, to be kept.
    pub(crate) fn keep(&mut self, world: &World) -> (Arc<Version>, Option<Arc<Since>>) {
        let version = || Arc::new(Version::new(world.clone()));
        let version = self.version.get_or_insert_with(version).clone();
        let changes = match self.last {
            Some(_) => std::mem::take(&mut self.changes),
            None => self.due().collect(),
        };
        if !changes.is_empty() {
            let before = self.last.take();
            self.last = Some(Arc::new(Since { changes, before, settled: OnceLock::new() }));
        }
        (version, self.last.clone())
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> u64 {
        (self.rows() + self.changes.len()) as u64 * ROW_BYTES
    }
}

/// Whether a transaction only set accounts and slots, and not too many: none is made with its code, or gone.
fn is_plain(touched: &EvmState) -> bool {
    let mut slots = 0;
    touched.values().filter(|touched| touched.is_touched()).all(|touched| {
        slots += touched.storage.len();
        // revm sets the hash of a code with the code; to compare it first would copy the whole of what was before.
        let has_code = touched.info.code.is_some();
        let is_other = || has_code && touched.info.code_hash != touched.original_info().code_hash;
        let is_gone = touched.is_empty() && !touched.is_loaded_as_not_existing();
        let is_more = touched.is_created() || touched.is_selfdestructed() || is_gone;
        !is_more && slots <= CHANGES && !(touched.is_changed() && is_other())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use crate::{
        db::Db,
        state::State,
        world::{Empty, World},
    };
    use proptest::{collection::vec, prelude::*};
    use revm::{
        Database,
        primitives::{Address, B256, HashMap, U256},
        state::{Account, AccountInfo, EvmState, EvmStorageSlot, TransactionId},
    };

    #[derive(Clone, Debug)]
    enum Step {
        /// A message that sets an account and slots of it.
        Set { who: u8, balance: u8, slots: Vec<(u8, u8)> },
        /// One that destroys an account.
        Destroy(u8),
        /// One that touches an account.
        Touch(u8),
        /// The state is kept.
        Keep,
        /// A state that was kept is looked at.
        Look(usize),
        /// The drive goes on from a state that was kept.
        Thaw(usize),
        /// A state is not kept any more.
        Drop(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let set = (0..6u8, 0..4u8, vec((0..8u8, 0..3u8), 0..4));
        let step = prop_oneof![
            12 => set.prop_map(|(who, balance, slots)| Step::Set { who, balance, slots }),
            1 => (0..6u8).prop_map(Step::Destroy),
            1 => (0..6u8).prop_map(Step::Touch),
            6 => Just(Step::Keep),
            2 => any::<usize>().prop_map(Step::Look),
            1 => any::<usize>().prop_map(Step::Thaw),
            2 => any::<usize>().prop_map(Step::Drop),
        ];
        vec(step, 0..120)
    }

    fn address(who: u8) -> Address {
        Address::repeat_byte(who + 1)
    }

    /// An account as a transaction loads it.
    fn loaded(db: &mut Db, who: u8) -> Account {
        let mut account = match db.basic(address(who)).unwrap() {
            Some(info) => Account::from(info),
            None => Account::new_not_existing(TransactionId::ZERO),
        };
        account.mark_touch();
        account
    }

    /// What a transaction that takes a step does to the state.
    fn changes(db: &mut Db, step: &Step) -> EvmState {
        let (who, account) = match step {
            Step::Set { who, balance, slots } => {
                let mut account = loaded(db, *who);
                account.info.balance = U256::from(*balance);
                account.info.nonce += 1;
                for (slot, value) in slots {
                    let slot = U256::from(*slot);
                    let old = db.storage(address(*who), slot).unwrap();
                    let new = U256::from(*value);
                    let changed = EvmStorageSlot::new_changed(old, new, TransactionId::ZERO);
                    account.storage.insert(slot, changed);
                }
                (who, account)
            }
            Step::Destroy(who) => {
                let mut account = loaded(db, *who);
                account.mark_selfdestruct();
                (who, account)
            }
            Step::Touch(who) => (who, loaded(db, *who)),
            _ => return HashMap::default(),
        };
        HashMap::from_iter([(address(*who), account)])
    }

    fn all(db: &mut Db) -> Vec<(Option<AccountInfo>, Vec<U256>)> {
        let slots = |db: &mut Db, who| {
            (0..8).map(|slot| db.storage(address(who), U256::from(slot)).unwrap()).collect()
        };
        (0..6).map(|who| (db.basic(address(who)).unwrap(), slots(db, who))).collect()
    }

    proptest! {
        #[test]
        fn gathered_or_not_is_the_same(steps in steps()) {
            let (mut plain, mut gathering) = (Db::default(), Db::default());
            gathering.load(&mut State::default().gathering());
            let mut kept: Vec<(_, World, B256)> = Vec::new();
            for step in &steps {
                match step {
                    Step::Keep => {
                        let mut state = gathering.unload();
                        kept.push((state.keep(), plain.world.clone(), plain.world.root()));
                        gathering.load(&mut state);
                    }
                    Step::Look(which) if !kept.is_empty() => {
                        let (kept, _, root) = &kept[which % kept.len()];
                        prop_assert_eq!(kept.state().unwrap().world.root(), *root);
                    }
                    Step::Thaw(which) if !kept.is_empty() => {
                        let (kept, world, _) = &kept[which % kept.len()];
                        plain.world = world.clone();
                        gathering.load(&mut kept.state().unwrap().gathering());
                    }
                    Step::Drop(which) if !kept.is_empty() => {
                        kept.swap_remove(which % kept.len());
                    }
                    step => {
                        let made = changes(&mut plain, step);
                        prop_assert_eq!(&changes(&mut gathering, step), &made);
                        plain.commit(&made, Empty::Gone);
                        gathering.commit(&made, Empty::Gone);
                        let mut state = gathering.unload();
                        gathering.load(&mut state);
                    }
                }
                prop_assert_eq!(all(&mut plain), all(&mut gathering));
            }
            let (mut cloned, root) = (gathering.unload(), plain.world.root());
            let settled = State { chain: Default::default(), ..State::clone(&cloned) };
            prop_assert_eq!(settled.world.root(), root);
            gathering.load(&mut cloned);
            prop_assert_eq!(gathering.tables().root(), root);
            for (kept, _, root) in kept {
                prop_assert_eq!(kept.state().unwrap().world.root(), root);
            }
        }
    }
}
