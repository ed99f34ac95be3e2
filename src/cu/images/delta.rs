//! What a table differs in from another: rows set, rows gone, and the same of the tables in them.
//!
//! ```text
//! delta  = count row*                            in the order of keys
//! row    = key 0                                 gone
//!        | key 1 bytes                           set; its table stays as it is, or there is none
//!        | key 2 bytes delta                     set; its table changes
//!        | key 3 bytes (0 | 1 after) delta       set; its table is new
//! ```

use super::super::codec::{Decoder, Encoder};
use super::NESTS_MAX;
use crate::disk::{Digest, HostError, Table, bug};
use std::collections::{BTreeMap, btree_map::Entry};

const GONE: u8 = 0;
const PLAIN: u8 = 1;
const CHANGED: u8 = 2;
const NEW: u8 = 3;

/// The changes of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta(BTreeMap<Digest, Option<Set>>);

/// A row that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    bytes: Vec<u8>,
    table: Inner,
}

/// What becomes of the table of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Inner {
    Stays,
    Changed(Delta),
    New(Option<u16>, Delta),
}

impl Delta {
    /// What leads from `old` to `new`, which nest alike.
    pub(super) fn between(old: &Table, new: &Table) -> Self {
        let mut rows = BTreeMap::new();
        new.diff(old, |change| {
            let set = change.new.map(|row| {
                let before = change.old.and_then(|old| old.table);
                Set { bytes: row.bytes.to_vec(), table: Inner::between(before, row.table) }
            });
            rows.insert(change.key, set);
        });
        Self(rows)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This one, and then `later`.
    pub(super) fn and(mut self, later: Self) -> Self {
        for (key, set) in later.0 {
            match self.0.entry(key) {
                Entry::Vacant(place) => drop(place.insert(set)),
                Entry::Occupied(mut place) => {
                    let earlier = place.get_mut().take();
                    *place.get_mut() = set.map(|set| set.after(earlier));
                }
            }
        }
        self
    }

    /// Makes the changes.
    pub(super) fn apply(&self, table: &mut Table) -> Result<(), HostError> {
        for (key, set) in &self.0 {
            let Some(set) = set else {
                table.remove(key);
                continue;
            };
            table.set(*key, &set.bytes);
            let none = || bug!("a stored change is of the table of a row that has none");
            match &set.table {
                Inner::Stays => {}
                Inner::Changed(delta) => delta.apply(table.table_mut(key).ok_or_else(none)?)?,
                Inner::New(after, delta) => {
                    let mut made = after.map_or_else(Table::new, Table::nesting);
                    delta.apply(&mut made)?;
                    if !table.set_table(key, made) {
                        return Err(none());
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, HostError> {
        Ok(self.write(Encoder::default(), 0)?.end())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HostError> {
        let mut from = Decoder::new(bytes, "change of a table");
        let delta = Self::read(&mut from, 0)?;
        from.end()?;
        Ok(delta)
    }

    fn write(&self, to: Encoder, depth: u32) -> Result<Encoder, HostError> {
        if depth > NESTS_MAX {
            return Err(bug!("tables are nested deeper than {NESTS_MAX}"));
        }
        let mut to = to.u64(self.0.len() as u64);
        for (key, set) in &self.0 {
            to = to.digest(key);
            let Some(set) = set else {
                to = to.u8(GONE);
                continue;
            };
            to = match &set.table {
                Inner::Stays => to.u8(PLAIN).bytes(&set.bytes),
                Inner::Changed(delta) => {
                    delta.write(to.u8(CHANGED).bytes(&set.bytes), depth + 1)?
                }
                Inner::New(after, delta) => {
                    let to = to.u8(NEW).bytes(&set.bytes);
                    delta.write(to.option(*after, Encoder::u16), depth + 1)?
                }
            };
        }
        Ok(to)
    }

    fn read(from: &mut Decoder<'_>, depth: u32) -> Result<Self, HostError> {
        if depth > NESTS_MAX {
            return Err(from.damaged("tables are nested too deep"));
        }
        let mut rows = BTreeMap::new();
        for _ in 0..from.u64()? {
            let key = from.digest()?;
            let kind = from.u8()?;
            if kind == GONE {
                rows.insert(key, None);
                continue;
            }
            let bytes = from.bytes()?.to_vec();
            let table = match kind {
                PLAIN => Inner::Stays,
                CHANGED => Inner::Changed(Self::read(from, depth + 1)?),
                NEW => Inner::New(from.option(Decoder::u16)?, Self::read(from, depth + 1)?),
                _ => return Err(from.damaged("a row is of no known kind")),
            };
            rows.insert(key, Some(Set { bytes, table }));
        }
        Ok(Self(rows))
    }
}

impl Set {
    /// This row, set after what was done to it before.
    fn after(self, earlier: Option<Self>) -> Self {
        let table = match (earlier.map(|earlier| earlier.table), self.table) {
            (None, table) | (_, table @ Inner::New(..)) => table,
            (Some(table), Inner::Stays) => table,
            (Some(Inner::Stays), changed) => changed,
            (Some(Inner::Changed(one)), Inner::Changed(two)) => Inner::Changed(one.and(two)),
            (Some(Inner::New(after, one)), Inner::Changed(two)) => Inner::New(after, one.and(two)),
        };
        Self { bytes: self.bytes, table }
    }
}

impl Inner {
    fn between(old: Option<&Table>, new: Option<&Table>) -> Self {
        let Some(new) = new else { return Self::Stays };
        match old.filter(|old| old.nests() == new.nests()) {
            None => Self::New(new.nests(), Delta::between(&Table::new(), new)),
            Some(old) => match Delta::between(old, new) {
                delta if delta.is_empty() => Self::Stays,
                delta => Self::Changed(delta),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn key(number: u8) -> Digest {
        Digest::of(&[number])
    }

    /// Rows of a nesting table: set, given a row of its table, loses one, or goes.
    fn change(table: &mut Table, (row, inner, what): (u8, u8, u8)) {
        let row = key(row % 24);
        match what % 8 {
            0 => drop(table.remove(&row)),
            1 | 2 => table.set(row, &[inner]),
            3 => drop(table.set_table(&row, Table::new())),
            4 => drop(table.table_mut(&row).map(|table| table.remove(&key(inner % 6)))),
            _ => drop(table.table_mut(&row).map(|table| table.set(key(inner % 6), &[what]))),
        }
    }

    fn applied(old: &Table, delta: &Delta) -> Digest {
        let mut table = old.clone();
        delta.apply(&mut table).unwrap();
        table.digest()
    }

    proptest! {
        #[test]
        fn changes_lead_from_one_to_the_other_and_add_up(
            steps in proptest::collection::vec(
                proptest::collection::vec(any::<(u8, u8, u8)>(), 0..60), 3..4,
            ),
        ) {
            let mut states = vec![Table::nesting(2)];
            for step in steps {
                let mut table = states.last().unwrap().clone();
                step.into_iter().for_each(|step| change(&mut table, step));
                states.push(table);
            }
            let between = |from: usize, to: usize| {
                let delta = Delta::between(&states[from], &states[to]);
                let back = Delta::decode(&delta.encode().unwrap()).unwrap();
                assert_eq!(back, delta);
                delta
            };
            for to in 1..states.len() {
                prop_assert_eq!(applied(&states[to - 1], &between(to - 1, to)), states[to].digest());
            }
            let all = between(1, 2).and(between(2, 3));
            prop_assert_eq!(applied(&states[1], &all), states[3].digest());
            let other = between(0, 1).and(all);
            prop_assert_eq!(applied(&states[0], &other), states[3].digest());
        }
    }

    #[test]
    fn what_is_cut_or_makes_no_sense_is_damage() {
        let mut table = Table::nesting(2);
        table.set(key(1), b"row");
        table.set_table(&key(1), Table::new());
        let bytes = Delta::between(&Table::nesting(2), &table).encode().unwrap();
        for cut in 0..bytes.len() {
            assert!(Delta::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(Delta::decode(&[bytes.clone(), vec![0]].concat()).is_err());
        let mut plain = Table::new();
        assert!(Delta::decode(&bytes).unwrap().apply(&mut plain).is_err(), "it does not nest");
        let mut other = bytes;
        other[40] = 9;
        assert!(Delta::decode(&other).is_err(), "a kind of row that there is not");
    }
}
