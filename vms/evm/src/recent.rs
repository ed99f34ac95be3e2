//! What messages changed and looked at lately: rows that are found in one look, and go into the tables together.
//!
//! To bring tables up to date is to hash the key of each row and to write on a path of it; a table that somebody keeps
//! is changed by copying that path. All of it is for roots, images and proofs, which are not asked for with every
//! message. So what messages change is gathered, and goes into the tables when one of these is asked for, or when
//! there is much of it: each row once, in the order of the tables. A state that is kept costs no more than a place in a
//! log. Only the plain is gathered: accounts that are set and slots that are set. All else is done in the tables at
//! once, by [`World::commit`], after what was gathered.

use crate::{
    account::Account,
    known::{Known, LOG_MAX},
    log::Log,
    rows::{Change, apply},
    version::Version,
    world::{Empty, Keys, World},
};
use revm::{
    primitives::{Address, U256},
    state::{Account as Touched, AccountInfo, EvmState},
};
use std::sync::Arc;

/// Rows that are gathered, about as many as a read should wait for; few in tests, whose steps are few.
const DUE: usize = if cfg!(test) { 12 } else { 16_384 };
/// Rows of one message that are gathered.
const DUE_OF_ONE: usize = if cfg!(test) { 5 } else { 1024 };
const _: () = assert!(DUE + DUE_OF_ONE < LOG_MAX, "a log has room for them");
/// Places for accounts and for slots that are remembered: all of a process of a million slots.
const PLACES: (usize, usize) = if cfg!(test) { (4, 24) } else { (3 << 17, 3 << 19) };

/// The key of a slot: an address, and the slot's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SlotKey([u8; 52]);

impl Default for SlotKey {
    fn default() -> Self {
        Self([0; 52])
    }
}

impl SlotKey {
    fn new(address: Address, slot: U256) -> Self {
        let mut key = [0; 52];
        let (left, right) = key.split_at_mut(20);
        left.copy_from_slice(address.as_slice());
        right.copy_from_slice(&slot.to_le_bytes::<32>());
        Self(key)
    }
}

/// Accounts and slots that were changed or looked at; and what of that is not in the tables yet.
pub(crate) struct Recent {
    accounts: Known<Address, Account>,
    slots: Known<SlotKey, U256>,
    /// The tables as kept states see them, if one was kept of them or of those before.
    version: Option<Arc<Version>>,
    /// What kept states have, if one was kept since rows were put into the tables; and how many rows that is.
    log: Option<Arc<Log>>,
    kept: usize,
    /// What was changed after that: each row once.
    changes: Vec<Change>,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            accounts: Known::new(PLACES.0),
            slots: Known::new(PLACES.1),
            version: None,
            log: None,
            kept: 0,
            changes: Vec::new(),
        }
    }
}

impl Recent {
    /// The account at an address, if it is remembered: an empty one is none.
    pub(crate) fn account(&mut self, address: Address) -> Option<Account> {
        self.accounts.get(&address)
    }

    /// A slot, if it is remembered.
    pub(crate) fn slot(&mut self, address: Address, slot: U256) -> Option<U256> {
        self.slots.get(&SlotKey::new(address, slot))
    }

    /// Remembers an account that is in the tables; an empty one, if none is.
    pub(crate) fn know_account(&mut self, address: Address, account: Account) {
        let due = self.due();
        self.accounts.know(address, account, due);
    }

    /// Remembers a slot that is in the tables; 0, if none is.
    pub(crate) fn know_slot(&mut self, address: Address, slot: U256, value: U256) {
        let due = self.due();
        self.slots.know(SlotKey::new(address, slot), value, due);
    }

    /// So many rows are not in the tables; some may be counted more than once.
    fn due(&self) -> usize {
        self.kept + self.changes.len()
    }

    /// Sets an account, which is not empty.
    pub(crate) fn set_account(&mut self, address: Address, account: Account) {
        let (due, change) = (self.due(), Change::Account(address, account));
        let (log, kept, changes) = (self.log.as_deref(), self.kept, &mut self.changes);
        self.accounts.set(address, account, due, |at| note(log, kept, changes, at, change));
    }

    fn set_slot(&mut self, address: Address, slot: U256, value: U256) {
        let (due, change) = (self.due(), Change::Slot(address, slot, value));
        let (log, kept, changes) = (self.log.as_deref(), self.kept, &mut self.changes);
        let key = SlotKey::new(address, slot);
        self.slots.set(key, value, due, |at| note(log, kept, changes, at, change));
    }

    /// Takes what a transaction changed; false, and takes nothing, if it is not plain.
    pub(crate) fn take(&mut self, touched: &EvmState) -> bool {
        if !is_plain(touched) {
            return false;
        }
        for (address, touched) in touched.iter().filter(|(_, touched)| touched.is_touched()) {
            if touched.info.is_empty() {
                continue;
            }
            if touched.is_changed() {
                self.set_account(*address, account_of(touched));
            }
            for (slot, value) in touched.storage.iter().filter(|(_, slot)| slot.is_changed()) {
                self.set_slot(*address, *slot, value.present_value());
            }
        }
        true
    }

    /// Does in the tables what a transaction changed that was not taken, and remembers it.
    pub(crate) fn commit(&mut self, world: &mut World, touched: &EvmState, keys: &mut impl Keys) {
        self.pass(world);
        if world.loses_storage(touched, keys) {
            self.forget();
        }
        world.commit(touched, Empty::Gone, keys);
        for (address, touched) in touched.iter().filter(|(_, touched)| touched.is_touched()) {
            if touched.is_selfdestructed() || touched.is_empty() {
                self.know_account(*address, Account::default());
                continue;
            }
            self.know_account(*address, account_of(touched));
            for (slot, value) in touched.storage.iter().filter(|(_, slot)| slot.is_changed()) {
                self.know_slot(*address, *slot, value.present_value());
            }
        }
    }

    /// Removes an account from the tables.
    pub(crate) fn remove_account(
        &mut self,
        world: &mut World,
        address: Address,
        keys: &mut impl Keys,
    ) {
        self.pass(world);
        let key = keys.address(address);
        if !world.storage(&key).is_empty() {
            self.forget();
        }
        world.accounts.remove(&key);
        self.know_account(address, Account::default());
    }

    /// The tables are to be changed past what is gathered.
    fn pass(&mut self, world: &mut World) {
        self.settle(world);
        self.version = None;
    }

    /// Shows the rows that are not in the tables, in the order in which they were set.
    fn with_due<R>(&self, give: impl FnOnce(&mut dyn Iterator<Item = Change>) -> R) -> R {
        match &self.log {
            Some(log) => log.with(&self.changes, give),
            None => give(&mut self.changes.iter().copied()),
        }
    }

    /// The tables with all that is gathered, if they were made for a state that is kept.
    fn settled(&self) -> Option<World> {
        self.log.as_ref().filter(|_| self.changes.is_empty())?.settled(self.kept)
    }

    /// Puts all that is gathered into the tables, of which it is.
    pub(crate) fn settle(&mut self, world: &mut World) {
        let version = self.version.take();
        self.version = match (self.settled(), version) {
            (Some(settled), _) => {
                *world = settled;
                None
            }
            (None, None) => {
                self.with_due(|due| apply(world, due, None));
                None
            }
            (None, Some(version)) => {
                self.with_due(|due| version.change(world, |world, old| apply(world, due, old)))
            }
        };
        self.changes.clear();
        self.kept = 0;
        match self.log.as_mut().and_then(Arc::get_mut) {
            Some(log) => log.clear(),
            None => self.log = None,
        }
        self.accounts.settled();
        self.slots.settled();
    }

    /// The same, if it is time; or if it was done already for a state that is kept.
    pub(crate) fn settle_in_time(&mut self, world: &mut World) {
        if self.due() >= DUE || self.settled().is_some() {
            self.settle(world);
        }
    }

    /// Forgets what it remembers: the tables are to be changed past it.
    pub(crate) fn forget(&mut self) {
        self.version = None;
        self.accounts.clear();
        self.slots.clear();
    }

    /// The tables with all that is gathered.
    pub(crate) fn over(&self, world: &World) -> World {
        let mut world = world.clone();
        self.with_due(|due| apply(&mut world, due, None));
        world
    }

    /// The tables, and all that is not in them, to be kept: rows of a log, and how many.
    pub(crate) fn keep(&mut self, world: &World) -> (Arc<Version>, Option<(Arc<Log>, usize)>) {
        let version = || Arc::new(Version::new(world.clone()));
        let version = self.version.get_or_insert_with(version).clone();
        if !self.changes.is_empty() {
            self.kept += self.changes.len();
            self.log.get_or_insert_default().append(&mut self.changes);
        }
        let log = self.log.as_ref().filter(|_| self.kept > 0);
        (version, log.map(|log| (log.clone(), self.kept)))
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> u64 {
        let changes = self.due() * size_of::<Change>();
        self.accounts.bytes() + self.slots.bytes() + changes as u64
    }
}

/// Notes a change after the `kept` ones of a log: in the place of one of the same row, if that is not kept. `before`
/// is where the row was noted last, in this log or in one that is over.
fn note(
    log: Option<&Log>,
    kept: usize,
    changes: &mut Vec<Change>,
    before: Option<usize>,
    change: Change,
) -> usize {
    let here = before.and_then(|at| at.checked_sub(kept));
    if let (Some(at), Some(log), None) = (before, log, here) {
        log.go_over(at, &change);
    }
    let at = here.unwrap_or(changes.len());
    match changes.get_mut(at) {
        Some(before) if before.is_of_row(&change) => {
            *before = change;
            kept + at
        }
        _ => {
            changes.push(change);
            kept + changes.len() - 1
        }
    }
}

fn account_of(touched: &Touched) -> Account {
    let AccountInfo { nonce, balance, code_hash, .. } = touched.info;
    Account { nonce, balance, code_hash }
}

/// Whether a transaction only set accounts and slots, and not too many: none is made with its code, or gone.
fn is_plain(touched: &EvmState) -> bool {
    let mut rows = 0;
    touched.values().filter(|touched| touched.is_touched()).all(|touched| {
        rows += 1 + touched.storage.len();
        // revm sets the hash of a code with the code; to compare it first would copy the whole of what was before.
        let has_code = touched.info.code.is_some();
        let is_other = || has_code && touched.info.code_hash != touched.original_info().code_hash;
        let is_gone = touched.is_empty() && !touched.is_loaded_as_not_existing();
        let is_more = touched.is_created() || touched.is_selfdestructed() || is_gone;
        !is_more && rows <= DUE_OF_ONE && !(touched.is_changed() && is_other())
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
        /// One that makes an account anew, in the place of what was there.
        Create { who: u8, slot: u8 },
        /// A balance that is set without a transaction; with 0 the account goes.
        Put { who: u8, balance: u8 },
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
            1 => (0..6u8, 0..8u8).prop_map(|(who, slot)| Step::Create { who, slot }),
            1 => (0..6u8, 0..2u8).prop_map(|(who, balance)| Step::Put { who, balance }),
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
            Step::Create { who, slot } => {
                let mut account = Account::new_not_existing(TransactionId::ZERO);
                account.mark_touch();
                account.mark_created();
                account.info.nonce = 1;
                let value = U256::from(1 + who);
                let made = EvmStorageSlot::new_changed(U256::ZERO, value, TransactionId::ZERO);
                account.storage.insert(U256::from(*slot), made);
                (who, account)
            }
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
                    Step::Put { who, balance } => {
                        for db in [&mut plain, &mut gathering] {
                            let nonce = 0;
                            let balance = U256::from(*balance);
                            let put = crate::account::Account { nonce, balance, ..Default::default() };
                            db.set_account(address(*who), put);
                        }
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
