#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::{Digest, HostError, bug};
use proptest::prelude::*;
use std::{
    borrow::Cow,
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

const SIZE: u64 = PAGE as u64;

/// A store that keeps pages by hash, and may be told to give another page than it should.
#[derive(Default)]
struct Shelf {
    pages: Mutex<BTreeMap<Digest, Page>>,
    bent: bool,
}

impl Shelf {
    fn of(pages: &Pages) -> Arc<dyn PageStore> {
        let shelf = Self::default();
        shelf.add(pages);
        Arc::new(shelf)
    }

    fn add(&self, pages: &Pages) {
        let add = |_, page: &Page| {
            self.pages.lock().unwrap().insert(page_hash(page), *page);
            Ok(())
        };
        pages.for_each_page(add).unwrap();
    }
}

impl PageStore for Shelf {
    fn page(&self, index: u64, hash: &Digest, into: &mut Page) -> Result<(), HostError> {
        *into = *self.pages.lock().unwrap().get(hash).ok_or_else(|| bug!("no page {index}"))?;
        if self.bent {
            into[7] ^= 1;
        }
        Ok(())
    }
}

/// A source that records which pages it was asked for.
struct Watched<'a>(SliceSource<'a>, RefCell<Vec<u64>>);

impl PageSource for Watched<'_> {
    fn len_bytes(&self) -> u64 {
        self.0.len_bytes()
    }
    fn page(&self, index: u64) -> Result<&Page, HostError> {
        self.1.borrow_mut().push(index);
        self.0.page(index)
    }
}

fn bytes_of(pages: &Pages) -> Vec<u8> {
    pages.to_vec(u64::MAX).unwrap()
}

/// Every invariant that can be seen from outside, against the plain bytes.
fn check(pages: &Pages, model: &[u8]) {
    assert_eq!(pages.len_bytes(), model.len() as u64);
    assert_eq!(bytes_of(pages), model);
    assert_eq!(pages.root(), Pages::from_bytes(model).root(), "history leaves no trace");
    assert!(pages.diff(&Pages::from_bytes(model)).is_empty());
    let mut shown = Vec::new();
    pages
        .for_each_page(|index, page| {
            shown.push((index, page_hash(page)));
            assert_ne!(*page, [0; PAGE], "zero pages are absent");
            Ok(())
        })
        .unwrap();
    let mut hashes = Vec::new();
    pages
        .for_each_hash(|index, hash| {
            hashes.push((index, hash));
            Ok(())
        })
        .unwrap();
    assert_eq!(shown, hashes);
    let expected: Vec<u64> = (0..)
        .zip(model.chunks(PAGE))
        .filter_map(|(index, page)| page.iter().any(|byte| *byte != 0).then_some(index))
        .collect();
    assert_eq!(shown.iter().map(|(index, _)| *index).collect::<Vec<_>>(), expected);
    let wanted: Vec<u64> = (0..pages.page_count() + 3).step_by(3).collect();
    let mut picked = Vec::new();
    let pick = |index, page: &Page| {
        assert_eq!(*page, *pages.page(index).unwrap());
        picked.push(index);
        Ok(())
    };
    pages.for_these(&wanted, pick).unwrap();
    assert!(picked.iter().eq(wanted.iter().filter(|page| **page < pages.page_count())));
    assert_eq!(pages.census().pages, expected.len() as u64);
    let runs = pages.runs().unwrap();
    assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
    assert_eq!(runs.into_iter().flatten().collect::<Vec<_>>(), expected);
}

/// A memory at rest, page by page.
struct Copied(Vec<Page>);

impl PageMap for Copied {
    fn page(&self, index: u64) -> &Page {
        &self.0[index as usize]
    }
}

fn copied(pages: &Pages) -> Arc<dyn PageMap> {
    let page = |index| *pages.page(index).unwrap();
    Arc::new(Copied((0..pages.page_count()).map(page).collect()))
}

#[derive(Clone, Debug)]
enum Op {
    Write(u64, Vec<u8>),
    Zero(u64, usize),
    Resize(u64),
    Rebase(Vec<(u64, u8)>, u64, bool),
    Lend,
    Map,
    RebaseLent(Vec<(u64, u8)>),
}

/// Lengths near pages, near the edges of the tree's heights, and in between.
fn lengths() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..300 * SIZE,
        (0..20u64).prop_map(|pages| pages * SIZE),
        prop::sample::select(vec![
            0,
            1,
            SIZE - 1,
            SIZE,
            16 * SIZE,
            16 * SIZE + 1,
            256 * SIZE,
            257 * SIZE
        ]),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    let some_bytes = prop::collection::vec(any::<u8>(), 0..3 * PAGE);
    let pokes = prop::collection::vec((any::<u64>(), any::<u8>()), 0..20);
    prop_oneof![
        3 => (any::<u64>(), some_bytes).prop_map(|(at, bytes)| Op::Write(at, bytes)),
        1 => (any::<u64>(), 0..40 * PAGE).prop_map(|(at, size)| Op::Zero(at, size)),
        2 => lengths().prop_map(Op::Resize),
        2 => (pokes.clone(), lengths(), any::<bool>()).prop_map(|(p, len, all)| Op::Rebase(p, len, all)),
        1 => Just(Op::Lend),
        1 => Just(Op::Map),
        1 => pokes.prop_map(Op::RebaseLent),
    ]
}

fn write(pages: &mut Pages, model: &mut [u8], at: u64, mut bytes: Vec<u8>) {
    let at = if model.is_empty() { 0 } else { at as usize % model.len() };
    bytes.truncate(model.len() - at);
    pages.write(at as u64, &bytes).unwrap();
    model[at..at + bytes.len()].copy_from_slice(&bytes);
}

fn poke(model: &mut [u8], pokes: &[(u64, u8)]) -> Vec<u64> {
    let mut dirty = Vec::new();
    for (at, byte) in pokes {
        let len = model.len().max(1);
        if let Some(to) = model.get_mut(*at as usize % len) {
            *to = *byte;
            dirty.push(*at % len as u64 / SIZE);
        }
    }
    dirty
}

fn apply(pages: &mut Pages, model: &mut Vec<u8>, op: Op) {
    match op {
        Op::Write(at, bytes) => write(pages, model, at, bytes),
        Op::Zero(at, size) => write(pages, model, at, vec![0; size]),
        Op::Resize(len) => {
            model.resize(len as usize, 0);
            pages.resize(len).unwrap();
        }
        Op::Rebase(pokes, len, all) => {
            let before = bytes_of(pages);
            model.resize(len as usize, 0);
            let mut dirty = poke(model, &pokes);
            dirty.extend([3, 3, 1 << 40]);
            let dirty = if all { DirtySet::unknown() } else { DirtySet::from_pages(dirty) };
            let new = pages.rebase(&SliceSource::new(model), &dirty).unwrap();
            assert_eq!(bytes_of(pages), before, "the old version stands");
            *pages = new;
        }
        Op::Lend => *pages = pages.lend(&Shelf::of(pages)),
        Op::Map => *pages = pages.mapped(&copied(pages)),
        Op::RebaseLent(pokes) => {
            let dirty = DirtySet::from_pages(poke(model, &pokes));
            let shelf = Shelf::of(&Pages::from_bytes(model));
            *pages = pages.rebase_lent(&SliceSource::new(model), &dirty, &shelf).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pages_are_bytes(len in lengths(), ops in prop::collection::vec(ops(), 1..24)) {
        let (mut pages, mut model) = (Pages::new(len), vec![0; len as usize]);
        for op in ops {
            let (old, before) = (pages.clone(), model.clone());
            apply(&mut pages, &mut model, op);
            check(&pages, &model);
            prop_assert_eq!(bytes_of(&old), before.clone(), "a clone never changes");
            let page = |bytes: &[u8], index: usize| {
                let end = bytes.len().min((index + 1) * PAGE);
                let mut page = bytes.get(index * PAGE..end).unwrap_or_default().to_vec();
                page.resize(PAGE, 0);
                page
            };
            let count = before.len().max(model.len()).div_ceil(PAGE);
            let differ: Vec<u64> =
                (0..count).filter(|i| page(&before, *i) != page(&model, *i)).map(|i| i as u64).collect();
            prop_assert_eq!(pages.diff(&old), differ.clone());
            prop_assert_eq!(old.diff(&pages), differ);
        }
    }

    #[test]
    fn reads_are_reads_of_the_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..5 * PAGE),
        at in 0..6 * SIZE,
        size in 0..6 * PAGE,
    ) {
        let pages = Pages::from_bytes(&bytes);
        let mut into = vec![7; size];
        let read = pages.read(at, &mut into);
        match bytes.get(at as usize..at as usize + size) {
            Some(expected) => {
                prop_assert!(read.is_ok());
                prop_assert_eq!(into, expected);
            }
            None => {
                let refused = matches!(read, Err(PageError::OutOfRange { .. }));
                prop_assert!(refused);
            }
        }
    }
}

#[test]
fn out_of_range_is_an_error_and_changes_nothing() {
    let mut pages = Pages::from_bytes(&[5; 10_000]);
    let root = pages.root();
    for (at, size) in [(10_000, 1), (9_999, 2), (u64::MAX, 1), (u64::MAX, 0), (0, 10_001)] {
        assert!(pages.write(at, &vec![1; size]).is_err(), "{at}+{size}");
        assert!(pages.read(at, &mut vec![1; size]).is_err(), "{at}+{size}");
    }
    assert!(pages.write(10_000, &[]).is_ok());
    assert!(pages.page(3).is_err());
    assert!(pages.page(u64::MAX).is_err());
    assert!(pages.to_vec(9_999).is_err());
    assert_eq!(pages.root(), root);
}

#[test]
fn the_root_covers_the_length_and_the_place() {
    let one = Pages::from_bytes(&[1; PAGE]);
    let mut longer = one.clone();
    longer.resize(SIZE + 1).unwrap();
    assert_ne!(one.root(), longer.root());
    let mut moved = Pages::new(2 * SIZE);
    moved.write(SIZE, &[1; PAGE]).unwrap();
    let mut first = Pages::new(2 * SIZE);
    first.write(0, &[1; PAGE]).unwrap();
    assert_ne!(moved.root(), first.root());
    assert_ne!(Pages::new(0).root(), Pages::new(1).root());
}

#[test]
fn the_largest_memory_is_no_problem_if_it_is_empty() {
    let mut pages = Pages::new(u64::MAX);
    pages.write(u64::MAX - 3, b"end").unwrap();
    assert_eq!(pages.diff(&Pages::new(u64::MAX)), [(1 << 52) - 1]);
    assert!(pages.runs().unwrap().into_iter().flatten().eq([(1 << 52) - 1]));
    let mut end = [0; 3];
    pages.read(u64::MAX - 3, &mut end).unwrap();
    assert_eq!(&end, b"end");
    pages.resize(1).unwrap();
    assert_eq!(pages.root(), Pages::new(1).root());
}

#[test]
fn rebase_looks_at_dirty_pages_only_and_keeps_what_is_equal() {
    let mut bytes: Vec<u8> = (0..40 * PAGE).map(|at| (at / PAGE) as u8 + 1).collect();
    let old = Pages::from_bytes(&bytes);
    bytes[20 * PAGE] ^= 1;
    let live = Watched(SliceSource::new(&bytes), RefCell::default());
    let new = old.rebase(&live, &DirtySet::from_pages([39, 20, 20, 7, 99])).unwrap();
    assert_eq!(*live.1.borrow(), [7, 20, 39]);
    for index in 0..40 {
        let (Cow::Borrowed(a), Cow::Borrowed(b)) =
            (old.page(index).unwrap(), new.page(index).unwrap())
        else {
            panic!("nothing is lent")
        };
        assert_eq!(std::ptr::eq(a, b), index != 20, "page {index}");
    }
    let same = new.rebase(&live, &DirtySet::unknown()).unwrap();
    assert!(same.diff(&new).is_empty());
}

#[test]
fn a_lent_page_is_fetched_only_to_be_read() {
    let bytes: Vec<u8> = (0..5 * PAGE).map(|at| (at % 251) as u8).collect();
    let whole = Pages::from_bytes(&bytes);
    let nothing: Arc<dyn PageStore> = Arc::new(Shelf::default());
    let mut lent = whole.lend(&nothing);
    assert_eq!(lent.root(), whole.root());
    assert!(lent.diff(&whole).is_empty());
    assert!(lent.rebase(&SliceSource::new(&bytes), &DirtySet::unknown()).is_ok());
    assert!(matches!(lent.read(0, &mut [0]), Err(PageError::Host(_))));
    assert!(lent.write(1, &[1]).is_err());
    assert!(lent.write(SIZE - 1, &[1; PAGE + 2]).is_err());
    assert!(lent.resize(SIZE + 1).is_err());
    assert!(lent.for_each_page(|_, _| Ok(())).is_err());
    assert_eq!(lent.root(), whole.root(), "no failure leaves a mark");
    lent.write(SIZE, &[9; PAGE]).unwrap();
    assert_eq!(lent.diff(&whole), [1]);
}

#[test]
fn a_store_that_gives_another_page_is_caught() {
    let whole = Pages::from_bytes(&[3; 2 * PAGE]);
    let shelf = Shelf { bent: true, ..Shelf::default() };
    shelf.add(&whole);
    let lent = whole.lend(&(Arc::new(shelf) as Arc<dyn PageStore>));
    assert!(matches!(lent.page(0), Err(PageError::Host(HostError::Bug { .. }))));
    assert!(lent.for_each_page(|_, _| Ok(())).is_err());
}

#[test]
fn set_lent_rebuilds_a_memory_from_its_hashes() {
    let mut whole = Pages::from_bytes(&[3; 5 * PAGE + 77]);
    whole.write(SIZE, &[0; PAGE]).unwrap();
    let shelf = Shelf::of(&whole);
    let mut again = Pages::new(whole.len_bytes());
    let set = |index, hash| {
        again.set_lent(index, Lent { hash, from: Arc::clone(&shelf) }).unwrap();
        Ok(())
    };
    whole.for_each_hash(set).unwrap();
    assert_eq!(again.root(), whole.root());
    assert_eq!(bytes_of(&again), bytes_of(&whole));
    let zero = Lent { hash: page_hash(&[0; PAGE]), from: Arc::clone(&shelf) };
    again.set_lent(0, zero.clone()).unwrap();
    assert_eq!(again.diff(&whole), [0]);
    whole.write(0, &[0; PAGE]).unwrap();
    assert_eq!(again.root(), whole.root());
    assert!(again.set_lent(6, zero).is_err());
}

#[test]
fn a_lent_page_past_the_end_is_cut() {
    let shelf = Shelf::of(&Pages::from_bytes(&[3; PAGE]));
    let mut pages = Pages::new(10);
    let lent = Lent { hash: page_hash(&[3; PAGE]), from: shelf };
    pages.set_lent(0, lent).unwrap();
    check(&pages, &[3; 10]);
}

/// What two histories share is taken over, what they do not stays, and no byte changes.
#[test]
fn a_tree_follows_another_one_where_they_share() {
    let first = Pages::from_bytes(&vec![7; 600 * PAGE]);
    let (mut later, mut lone) = (first.clone(), Pages::from_bytes(&vec![7; 600 * PAGE]));
    later.write(5 * SIZE, &[1; PAGE]).unwrap();
    later.write(300 * SIZE, &[0; PAGE]).unwrap();
    let map = copied(&first);
    let mapped = first.mapped(&map);
    assert_eq!(mapped.root(), first.root());
    let root = later.root();
    later.follow(&first, &mapped);
    lone.follow(&first, &mapped);
    let shared = later.diff(&mapped);
    assert_eq!(shared, [5, 300]);
    assert_eq!(later.root(), root);
    assert_eq!(lone.root(), first.root());
    drop((first, mapped, lone));
    // 598 leaves are in the map, and nobody else has them; what is written over leaves it.
    let lent = Arc::strong_count(&map);
    assert_eq!(lent, 1 + 598);
    later.write(7 * SIZE, &[2; PAGE]).unwrap();
    assert_eq!(Arc::strong_count(&map), 597 + 1);
}
