//! Rows by the keys that contracts know them by: those that were changed or looked at lately.
//!
//! To find a row in the tables is to hash its key and to follow a path, each step of which waits for memory; here a
//! row lies where its key says, or among the next few, so it is waited for once. Those that were changed and are not
//! in the tables yet are in a log too. Where there is no more room, a row that was not asked for lately gives its place
//! away: never one that is only in the log.

use foldhash::quality::RandomState;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash},
};

/// Places that a row may have: the one that its key says, and those after it.
const NEAR: usize = 24;
/// Places at first.
const FIRST: usize = 16;
/// Rows that a log may have.
pub(crate) const LOG_MAX: usize = NOT_LOGGED as usize;
const NOT_LOGGED: u16 = u16::MAX;

/// Rows; most of the time at most seven of ten places are taken.
pub(crate) struct Known<K, V> {
    /// The last ones are for rows whose places would be beyond the end.
    rows: Vec<Row<K, V>>,
    /// So many are taken.
    len: usize,
    /// Places at most.
    most: usize,
    /// What is in the log and found no place, and where in the log.
    spill: HashMap<K, (V, usize), RandomState>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Row<K, V> {
    key: K,
    value: V,
    /// Where the row was in a log when it was last set. The log may be over: then another row is there, or none.
    logged: u16,
    /// Some bits of the key's hash: where these differ, the keys do.
    tag: u8,
    mark: Mark,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// No row is here, nor was one since the place was made.
    Free,
    /// It was not asked for since it came or since others wanted its place.
    Idle,
    /// It was asked for.
    Used,
}

/// What is found of a key.
enum Found {
    Here(usize),
    /// It is not there; a place for it, if there is one.
    Place(Option<usize>),
}

impl<K: Copy + Default + Eq + Hash, V: Copy + Default> Known<K, V> {
    /// Room for so many places at most.
    pub(crate) fn new(most: usize) -> Self {
        let (hasher, spill) = (RandomState::default(), HashMap::default());
        Self { rows: Vec::new(), len: 0, most, spill, hasher }
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> u64 {
        size_of_val(self.rows.as_slice()) as u64
    }

    /// Where a key's row is if it is where it should be, and its tag.
    #[inline]
    fn home(&self, key: &K) -> (usize, u8) {
        let hash = self.hasher.hash_one(key);
        let places = self.rows.len().saturating_sub(NEAR);
        (((u128::from(hash) * places as u128) >> 64) as usize, hash as u8)
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let (home, tag) = self.home(key);
        for row in self.rows.get_mut(home..home + NEAR).unwrap_or_default() {
            if row.mark == Mark::Free {
                break;
            }
            if row.tag == tag && row.key == *key {
                if row.mark == Mark::Idle {
                    row.mark = Mark::Used;
                }
                return Some(row.value);
            }
        }
        if self.spill.is_empty() { None } else { self.spill.get(key).map(|(value, _)| *value) }
    }

    /// Where a key is, or a place for it: not that of a row that may be among the `logged` of the log.
    fn find(&self, (home, tag): (usize, u8), key: &K, logged: usize) -> Found {
        let (mut idle, mut used) = (None, None);
        let near = self.rows.get(home..home + NEAR).unwrap_or_default();
        for (at, row) in (home..).zip(near) {
            match row.mark {
                Mark::Free => return Found::Place(Some(at)),
                _ if row.tag == tag && row.key == *key => return Found::Here(at),
                _ if usize::from(row.logged) < logged => {}
                Mark::Idle => idle = idle.or(Some(at)),
                Mark::Used => used = used.or(Some(at)),
            }
        }
        Found::Place(idle.or(used))
    }

    /// Remembers what is in the tables, in another's place if there is no more room. The log has `logged` rows.
    pub(crate) fn know(&mut self, key: K, value: V, logged: usize) {
        self.grow(logged);
        let (home, tag) = self.home(&key);
        match self.find((home, tag), &key, logged) {
            Found::Place(None) => {}
            Found::Place(Some(at)) => {
                self.put(at, Row { key, value, logged: NOT_LOGGED, tag, mark: Mark::Idle });
            }
            Found::Here(at) => {
                if let Some(row) = self.rows.get_mut(at) {
                    row.value = value;
                }
            }
        }
    }

    /// Sets what is not in the tables: that is never forgotten, so there is always room for it. Whoever logs it is
    /// told where it was last logged, if it was, and says where it is now.
    pub(crate) fn set(
        &mut self,
        key: K,
        value: V,
        logged: usize,
        log: impl FnOnce(Option<usize>) -> usize,
    ) {
        self.grow(logged);
        let (home, tag) = self.home(&key);
        match self.find((home, tag), &key, logged) {
            Found::Here(at) => {
                if let Some(row) = self.rows.get_mut(at) {
                    row.value = value;
                    row.logged = log(Some(row.logged.into())) as u16;
                }
            }
            Found::Place(Some(at)) if !self.spill.contains_key(&key) => {
                let logged = log(None) as u16;
                self.put(at, Row { key, value, logged, tag, mark: Mark::Idle });
            }
            Found::Place(_) => {
                let before = self.spill.get(&key).map(|(_, before)| *before);
                self.spill.insert(key, (value, log(before)));
            }
        }
    }

    /// Puts a row in the place of another, or in a free one.
    fn put(&mut self, at: usize, row: Row<K, V>) {
        let Some(place) = self.rows.get_mut(at) else { return };
        match std::mem::replace(place, row).mark {
            Mark::Free => self.len += 1,
            Mark::Idle => {}
            // All that might have gone were in use: now those are to be asked for again, if they are to stay.
            Mark::Used => {
                let near = self.rows.iter_mut().skip(at.saturating_sub(NEAR)).take(2 * NEAR);
                near.filter(|row| row.mark == Mark::Used).for_each(|row| row.mark = Mark::Idle);
            }
        }
    }

    /// Makes room for one more, if there may be more.
    fn grow(&mut self, logged: usize) {
        let places = self.rows.len().saturating_sub(NEAR);
        if self.len * 10 < places * 7 || places >= self.most {
            return;
        }
        let places = (2 * places).clamp(FIRST.min(self.most), self.most);
        let (key, value) = (K::default(), V::default());
        let free = Row { key, value, logged: NOT_LOGGED, tag: 0, mark: Mark::Free };
        let rows = std::mem::replace(&mut self.rows, vec![free; places + NEAR]);
        self.len = 0;
        for row in rows.into_iter().filter(|row| row.mark != Mark::Free) {
            let is_logged = usize::from(row.logged) < logged;
            match self.find(self.home(&row.key), &row.key, logged) {
                Found::Place(Some(at)) => self.put(at, row),
                _ if is_logged => {
                    self.spill.insert(row.key, (row.value, row.logged.into()));
                }
                _ => {}
            }
        }
    }

    /// All that was logged is in the tables now.
    pub(crate) fn settled(&mut self) {
        self.spill.clear();
    }

    /// Forgets all: none is only in the log.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u16, u32),
        Know(u16),
        Get(u16),
        Settle,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = || 0..400u16;
        let step = prop_oneof![
            60 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Set(key, value)),
            60 => key().prop_map(Step::Know),
            60 => key().prop_map(Step::Get),
            1 => Just(Step::Settle),
        ];
        vec(step, 0..1500)
    }

    proptest! {
        #[test]
        fn nothing_is_wrong_and_nothing_that_is_logged_is_lost(most in 1..300usize, steps in steps()) {
            let mut known = Known::new(most);
            let (mut tables, mut log) = (BTreeMap::new(), Vec::<(u16, u32)>::new());
            for step in steps {
                match step {
                    Step::Set(key, value) => {
                        let logged = log.len();
                        known.set(key, value, logged, |before| {
                            let same = before.filter(|at| log.get(*at).is_some_and(|(k, _)| *k == key));
                            let at = same.unwrap_or(logged);
                            match log.get_mut(at) {
                                Some(row) => row.1 = value,
                                None => log.push((key, value)),
                            }
                            at
                        });
                        let times = log.iter().filter(|(logged, _)| *logged == key).count();
                        prop_assert_eq!(times, 1);
                    }
                    Step::Know(key) => {
                        if known.get(&key).is_none() {
                            let value = tables.get(&key).copied().unwrap_or_default();
                            known.know(key, value, log.len());
                        }
                    }
                    Step::Get(key) => {
                        let logged = log.iter().find(|(logged, _)| *logged == key);
                        let is = logged.map(|(_, value)| *value);
                        let should = is.or(tables.get(&key).copied()).unwrap_or_default();
                        let found = known.get(&key);
                        prop_assert!(found.is_none_or(|found| found == should));
                        prop_assert!(found.is_some() || logged.is_none());
                    }
                    Step::Settle => {
                        tables.extend(log.drain(..));
                        known.settled();
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_asked_for_stays_longer() {
        let mut known = Known::new(1000);
        let mut missed = 0;
        for round in 0..100u32 {
            for key in 0..200 {
                missed += u32::from(known.get(&key).is_none());
                known.know(key, key, 0);
            }
            (0..100).for_each(|key| known.know(1000 + round * 100 + key, 0, 0));
        }
        assert!(missed < 3 * 200, "{missed}");
    }

    #[test]
    fn many_rows_are_nearly_all_known() {
        for _ in 0..20 {
            let mut known = Known::new(3 << 14);
            (0..34_000u32).for_each(|key| known.know(key, key, 0));
            let missed = (0..34_000).filter(|key| known.get(key).is_none()).count();
            assert!(missed < 34_000 / 25, "{missed}");
        }
    }
}
