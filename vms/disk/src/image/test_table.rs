#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::Digest;
use alloy_trie::{HashBuilder, Nibbles, proof::verify_proof};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Digest, Vec<u8>>;

/// What alloy-trie says of the same rows.
fn oracle(rows: &Model) -> [u8; 32] {
    let mut builder = HashBuilder::default();
    for (key, value) in rows {
        builder.add_leaf(Nibbles::unpack(key.0), value);
    }
    builder.root().0
}

/// Few keys, sharing long prefixes: all but a few bits are zero, so that extensions, inline nodes and
/// buckets that overflow and empty do occur.
fn keys() -> impl Strategy<Value = Digest> {
    let close = (0..4u8, any::<u8>(), any::<u8>()).prop_map(|(a, b, c)| {
        let mut key = [0; 32];
        (key[0], key[16], key[31]) = (a & 1, b & 0x11, c & 0x37);
        Digest(key)
    });
    let far = any::<u8>().prop_map(|seed| Digest::of(&[seed]));
    prop_oneof![close, far]
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::collection::vec(any::<u8>(), 28..34),
        prop::collection::vec(any::<u8>(), 50..70),
        prop::collection::vec(any::<u8>(), 250..300),
        Just(vec![0x7f]),
        Just(vec![0x80]),
    ]
}

fn check(table: &Table, model: &Model) {
    assert_eq!(table.len(), model.len() as u64);
    assert_eq!(table.is_empty(), model.is_empty());
    let rows: Model = table.iter().map(|row| (row.key, row.bytes.to_vec())).collect();
    assert_eq!(&rows, model);
    assert!(table.iter().map(|row| row.key).is_sorted());
    assert_eq!(table.root().0, oracle(model));
    let keys: Vec<Digest> = model.keys().flat_map(|key| [*key, Digest::of(&key.0)]).collect();
    let mut found = Vec::new();
    table.get_all(&keys, |at, bytes| found.push((at, bytes)));
    let one_by_one = keys.iter().map(|key| model.get(key).map(Vec::as_slice));
    assert!(found.into_iter().eq(one_by_one.enumerate()));
}

proptest! {
    #[test]
    fn many_rows_are_set_as_one_by_one(
        batches in prop::collection::vec(prop::collection::vec((keys(), values()), 0..60), 0..6),
        nested in prop::collection::vec(keys(), 0..20),
        is_sorted: bool,
        nests: bool,
        is_kept: bool,
    ) {
        let new = || if nests { Table::nesting(33) } else { Table::new() };
        let (mut one_by_one, mut together) = (new(), new());
        let mut kept = Vec::new();
        for mut rows in batches {
            if is_sorted {
                rows.sort_by_key(|(key, _)| *key);
            }
            rows.iter().for_each(|(key, bytes)| one_by_one.set(*key, bytes));
            together.set_all(&rows);
            prop_assert_eq!(together.len(), one_by_one.len());
            prop_assert_eq!(together.digest(), one_by_one.digest());
            for key in &nested {
                for table in [&mut one_by_one, &mut together] {
                    if let Some(table) = table.table_mut(key) {
                        table.set(*key, b"nested");
                    }
                }
            }
            if is_kept {
                kept.push((together.clone(), together.digest()));
            }
        }
        prop_assert_eq!(together.digest(), one_by_one.digest());
        for (kept, digest) in kept {
            let again = kept.iter().fold(new(), |mut table, row| {
                table.set(row.key, row.bytes);
                row.table.map(|rows| table.set_table(&row.key, rows.clone()));
                table
            });
            prop_assert_eq!(again.digest(), digest);
        }
    }
}

fn check_proof(table: &Table, model: &Model, key: &Digest) {
    let nodes: Vec<_> = table.proof(key).into_iter().map(Into::into).collect();
    let value = model.get(key).cloned();
    verify_proof(table.root().0.into(), Nibbles::unpack(key.0), value, &nodes).unwrap();
}

fn step(table: &mut Table, model: &mut Model, key: Digest, value: Option<Vec<u8>>) {
    match value {
        Some(value) => {
            table.set(key, &value);
            model.insert(key, value);
        }
        None => assert_eq!(table.remove(&key), model.remove(&key).is_some()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_is_a_map_with_ethereums_root(
        steps in prop::collection::vec((keys(), prop::option::weighted(0.7, values())), 0..200),
    ) {
        let (mut table, mut model) = (Table::new(), Model::new());
        for (at, (key, value)) in steps.into_iter().enumerate() {
            let (old, before) = (table.clone(), model.clone());
            step(&mut table, &mut model, key, value);
            prop_assert_eq!(table.get(&key), model.get(&key).map(Vec::as_slice));
            if at % 5 == 0 {
                check(&table, &model);
                check(&old, &before);
                check_proof(&table, &model, &key);
                check_proof(&table, &model, &Digest::of(&[at as u8]));
            }
        }
        check(&table, &model);
        // Another history, the same root; then back to nothing.
        let mut other = Table::new();
        for (key, value) in model.iter().rev() {
            other.set(*key, value);
        }
        prop_assert!(other.is(&table));
        for key in model.keys() {
            prop_assert!(other.remove(key));
        }
        prop_assert_eq!(other.root(), Table::new().root());
    }

    #[test]
    fn a_diff_is_what_differs(
        first in prop::collection::btree_map(keys(), values(), 0..100),
        steps in prop::collection::vec((keys(), prop::option::weighted(0.5, values())), 0..30),
    ) {
        let (mut base, mut before) = (Table::new(), Model::new());
        first.into_iter().for_each(|(key, value)| step(&mut base, &mut before, key, Some(value)));
        let (mut table, mut model) = (base.clone(), before.clone());
        steps.into_iter().for_each(|(key, value)| step(&mut table, &mut model, key, value));
        let mut found = Vec::new();
        table.diff(&base, |row| {
            let bytes = |row: Option<Row<'_>>| row.map(|row| row.bytes.to_vec());
            found.push((row.key, bytes(row.old), bytes(row.new)));
        });
        let mut all: Vec<_> = before.keys().chain(model.keys()).copied().collect();
        all.sort_unstable();
        all.dedup();
        let expected: Vec<_> = all
            .into_iter()
            .map(|key| (key, before.get(&key).cloned(), model.get(&key).cloned()))
            .filter(|(_, old, new)| old != new)
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_nesting_table_hashes_its_tables_in_place(
        rows in prop::collection::btree_map(
            keys(), (values(), prop::collection::btree_map(keys(), values(), 0..12)), 0..12),
        after in 0..60u16,
    ) {
        let (mut table, mut flat) = (Table::nesting(after), Table::new());
        for (key, (bytes, inner)) in &rows {
            table.set(*key, bytes);
            for (key_in, value) in inner {
                table.table_mut(key).unwrap().set(*key_in, value);
            }
            let at = bytes.len().saturating_sub(after.into());
            let full = [&bytes[..at], &oracle(inner), &bytes[at..]].concat();
            prop_assert_eq!(table.hashed_value(key), Some(full.clone()));
            flat.set(*key, &full);
        }
        prop_assert_eq!(table.root(), flat.root());
        prop_assert_ne!(table.digest(), flat.digest());
        let model: Model = flat.iter().map(|row| (row.key, row.bytes.to_vec())).collect();
        for key in rows.keys() {
            check_proof(&table, &model, key);
        }
    }
}

#[test]
fn the_empty_roots_are_ethereums() {
    assert_eq!(Table::new().root().0, alloy_trie::EMPTY_ROOT_HASH.0);
    assert_eq!(Table::nesting(33).root().0, alloy_trie::EMPTY_ROOT_HASH.0);
    assert_ne!(Table::nesting(33).digest(), Table::new().digest());
    assert_ne!(Table::nesting(33).digest(), Table::nesting(32).digest());
}

#[test]
fn nested_tables_change_in_place_and_apart() {
    let key = Digest::of(b"account");
    let mut table = Table::nesting(33);
    table.set(key, b"bytes");
    assert!(table.table(&key).unwrap().is_empty());
    let first = table.clone();
    table.table_mut(&key).unwrap().set(Digest::of(b"slot"), b"1");
    table.set(key, b"other");
    assert_eq!(table.table(&key).unwrap().len(), 1, "setting bytes keeps the table");
    assert!(first.table(&key).unwrap().is_empty(), "a clone never changes");
    assert_ne!(first.root(), table.root());
    let inner = table.table(&key).unwrap().clone();
    assert!(table.remove(&key));
    assert!(!table.set_table(&key, inner.clone()), "no row, no table");
    table.set(key, b"other");
    assert!(table.set_table(&key, inner));
    assert_eq!(table.table(&key).unwrap().len(), 1);
    let mut flat = Table::new();
    flat.set(key, b"bytes");
    assert!(flat.table(&key).is_none());
    assert!(!flat.set_table(&key, Table::new()));
}

#[test]
fn a_row_changes_if_its_table_does() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let mut base = Table::nesting(0);
    base.set(a, b"");
    base.set(b, b"");
    let mut table = base.clone();
    table.table_mut(&a).unwrap().set(b, b"1");
    let mut changed = Vec::new();
    table.diff(&base, |row| changed.push(row.key));
    assert_eq!(changed, [a]);
    table.table_mut(&a).unwrap().remove(&b);
    table.diff(&base, |row| panic!("{row:?} is as it was"));
}

#[test]
fn many_rows() {
    let (mut table, mut model) = (Table::new(), Model::new());
    for at in 0..20_000u32 {
        step(
            &mut table,
            &mut model,
            Digest::of(&at.to_be_bytes()),
            Some(at.to_le_bytes().to_vec()),
        );
    }
    check(&table, &model);
    for at in (0..20_000u32).filter(|at| at % 7 != 0) {
        step(&mut table, &mut model, Digest::of(&at.to_be_bytes()), None);
    }
    check(&table, &model);
}
