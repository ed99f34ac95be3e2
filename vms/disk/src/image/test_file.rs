#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::{Digest, FormatName, HostError, MountError, RefusalCode};
use proptest::prelude::*;
use std::io::{self, Read, Write};

const MEMORY: SectionName = SectionName::new("memory");
const ROWS: SectionName = SectionName::new("rows");

fn header() -> Header {
    Header { module: Digest::of(b"module"), state: FormatName::from("test-1") }
}

fn written(image: &Image) -> Vec<u8> {
    let mut file = Vec::new();
    image.write_to(&mut file).unwrap();
    file
}

fn read(file: &[u8]) -> Result<Image, ImageError> {
    Image::read_from(&mut &file[..], &ImageLimits::default())
}

/// The text of the refusal; anything else is a failure of the test.
fn refused(result: Result<Image, ImageError>) -> String {
    match result {
        Err(ImageError::Refused(refusal)) => refusal.to_string(),
        other => panic!("expected a refusal, not {other:?}"),
    }
}

/// One of everything, small.
fn small() -> Image {
    let mut memory = Pages::new(40 * PAGE as u64 + 5);
    memory.write(3 * PAGE as u64 - 2, b"drive").unwrap();
    memory.write(40 * PAGE as u64, b"end").unwrap();
    let mut rows = Table::nesting(2);
    for key in [b"a", b"b"] {
        rows.set(Digest::of(key), b"account");
        rows.table_mut(&Digest::of(key)).unwrap().set(Digest::of(key), b"");
    }
    Image::new(header()).with(MEMORY, memory).with(ROWS, rows)
}

/// Writes a file by hand, and ends it with the root that its content would have.
fn file(body: &[u8], root: &Root) -> Vec<u8> {
    let head: &[&[u8]] = &[b"DRIVEBAY\x01", &Digest::of(b"module").0, b"\x06test-1"];
    [&head.concat(), body, &root.0.0].concat()
}

/// A page section by hand.
fn memory_file(len: u64, runs: u64, body: &[u8], root: &Root) -> Vec<u8> {
    let head = [&b"\x01\x00\x06memory\x01"[..], &len.to_le_bytes(), &runs.to_le_bytes()].concat();
    file(&[&head, body].concat(), root)
}

fn run(first: u64, pages: &[Page]) -> Vec<u8> {
    let count = pages.len() as u64;
    [&first.to_le_bytes()[..], &count.to_le_bytes(), pages.as_flattened()].concat()
}

#[test]
fn the_layout_by_hand() {
    let mut memory = Pages::new(5 * PAGE as u64);
    memory.write(0, &[1; 2 * PAGE]).unwrap();
    memory.write(3 * PAGE as u64, &[2; PAGE]).unwrap();
    let image = Image::new(header()).with(MEMORY, memory);
    let runs = [run(0, &[[1; PAGE]; 2]), run(3, &[[2; PAGE]])].concat();
    let expected = memory_file(5 * PAGE as u64, 2, &runs, &image.root());
    assert_eq!(written(&image), expected);
    assert_eq!(read(&expected).unwrap().root(), image.root());
}

#[test]
fn what_is_not_canonical_is_refused_even_under_the_right_root() {
    let mut memory = Pages::new(2 * PAGE as u64 - 1);
    memory.write(0, &[1; 2 * PAGE - 1]).unwrap();
    let len = memory.len_bytes();
    let root = Image::new(header()).with(MEMORY, memory).root();
    let mut last = [1; PAGE];
    last[PAGE - 1] = 0;
    let good = run(0, &[[1; PAGE], last]);
    assert!(read(&memory_file(len, 1, &good, &root)).is_ok());
    let one_by_one = [run(0, &[[1; PAGE]]), run(1, &[last])].concat();
    let backwards = [run(1, &[last]), run(0, &[[1; PAGE]])].concat();
    for (what, runs, body) in [
        ("joins the last", 2, one_by_one),
        ("out of order", 2, backwards),
        ("is empty", 2, [good.clone(), run(9, &[])].concat()),
        ("passes the end", 2, [good, run(3, &[last])].concat()),
        ("passes the end", 1, run(u64::MAX, &[last])),
        ("past the end of memory", 1, run(0, &[[1; PAGE], [1; PAGE]])),
        ("all zero", 1, run(0, &[[0; PAGE], last])),
    ] {
        let text = refused(read(&memory_file(len, runs, &body, &root)));
        assert!(text.contains(what), "{text}");
    }
}

fn row(key: u8, value: &[u8]) -> Vec<u8> {
    [&[key; 32][..], &(value.len() as u32).to_le_bytes(), value].concat()
}

#[test]
fn rows_and_sections_out_of_order_are_refused() {
    let root = Root(Digest::default());
    let table = |rows: &[Vec<u8>]| {
        let count = rows.len() as u64;
        [&b"\x01\x00\x04rows\x02\x00"[..], &count.to_le_bytes(), &rows.concat()].concat()
    };
    for rows in [[row(2, b"x"), row(1, b"x")], [row(1, b"x"), row(1, b"x")]] {
        assert!(refused(read(&file(&table(&rows), &root))).contains("not after"));
    }
    let empty = |name: &str| [&[name.len() as u8], name.as_bytes(), &[1], &[0; 16]].concat();
    for names in [["b", "a"], ["a", "a"]] {
        let body = [&b"\x02\x00"[..], &empty(names[0]), &empty(names[1])].concat();
        assert!(refused(read(&file(&body, &root))).contains("comes after"));
    }
    let nest = [&[1, 0, 0][..], &1u64.to_le_bytes(), &row(1, b"")].concat();
    let body = [&b"\x01\x00\x04rows\x02"[..], &nest.repeat(50)].concat();
    assert!(refused(read(&file(&body, &root))).contains("nested deeper"));
}

#[test]
fn the_rest_of_the_refusals() {
    let good = written(&small());
    let text = refused(read(&[&good[..], b"x"].concat()));
    assert!(text.contains("bytes after its end"), "{text}");
    assert!(refused(read(b"GIF89a")).contains("ends early"));
    assert!(refused(read(&[b'x'; 100])).contains("DRIVEBAY"));
    let mut newer = good.clone();
    newer[8] = 2;
    assert!(refused(read(&newer)).contains("version 2 is not known"));
    let mut damaged = good;
    *damaged.last_mut().unwrap() ^= 1;
    assert!(refused(read(&damaged)).contains("get it again"));
}

#[test]
fn limits_hold() {
    let image = small();
    let file = written(&image);
    let with = |change: fn(&mut ImageLimits)| {
        let mut max = ImageLimits {
            memory_bytes: 40 * PAGE as u64 + 5,
            file_bytes: 0,
            value_bytes: 7,
            sections: 2,
        };
        max.file_bytes = written(&small()).len() as u64;
        change(&mut max);
        Image::read_from(&mut &written(&small())[..], &max)
    };
    assert!(with(|_| ()).is_ok());
    for (what, result) in [
        ("memory", with(|max| max.memory_bytes -= 1)),
        ("file", with(|max| max.file_bytes -= 1)),
        ("value", with(|max| max.value_bytes -= 1)),
        ("sections", with(|max| max.sections -= 1)),
    ] {
        let Err(ImageError::Refused(refusal)) = &result else { panic!("{what}: {result:?}") };
        assert_eq!(refusal.code, RefusalCode::TooBig);
        assert!(refusal.to_string().contains(what), "{refusal}");
    }
    assert!(!file.is_empty());
}

#[test]
fn a_claim_allocates_nothing() {
    let root = Root(Digest::default());
    let body = memory_file(1 << 34, u64::MAX, &[], &root);
    assert!(refused(read(&body[..body.len() - 32])).contains("ends early"));
    let value = [&b"\x01\x00\x04rows\x02\x00"[..], &[255; 8], &[1; 32], &[0, 0, 0, 4]].concat();
    assert!(refused(read(&file(&value, &root))).contains("ends early"));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let good = written(&small());
    let mut bent = good.clone();
    // Within pages, one bit in a hundred bytes will do.
    let sparse = |at: usize| at < 200 || at.is_multiple_of(97) || at + 700 > good.len();
    for at in (0..good.len()).filter(|at| sparse(*at)) {
        for bit in 0..8 {
            bent[at] ^= 1 << bit;
            refused(read(&bent));
            bent[at] ^= 1 << bit;
        }
        refused(read(&good[..at]));
    }
    assert_eq!(read(&good).unwrap().root(), small().root());
}

fn images() -> impl Strategy<Value = Image> {
    let writes =
        prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 1..99)), 0..9);
    let memory = (0..300 * PAGE, writes).prop_map(|(len, writes)| {
        let mut pages = Pages::new(len as u64);
        for (at, bytes) in writes {
            let _ = pages.write(u64::from(at) % (len as u64 + 1), &bytes);
        }
        Section::Pages(pages)
    });
    let rows =
        || prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..99)), 0..40);
    let nested = (rows(), prop::option::of((any::<u16>(), rows()))).prop_map(|(rows, nested)| {
        let mut table =
            nested.as_ref().map_or_else(Table::new, |(after, _)| Table::nesting(*after));
        for (key, bytes) in rows {
            table.set(Digest::of(&[key]), &bytes);
            if let (Some(inner), Some((_, rows))) = (table.table_mut(&Digest::of(&[key])), &nested)
            {
                rows.iter().for_each(|(key, bytes)| inner.set(Digest::of(&[*key]), bytes));
            }
        }
        Section::Table(table)
    });
    let names = prop::sample::select(vec!["a", "aa", "b", "memory", "sixteen-letters!"]);
    let section = (names, prop_oneof![memory, nested]);
    prop::collection::vec(section, 0..5).prop_map(|sections| {
        let image = Image::new(header());
        sections
            .into_iter()
            .fold(image, |image, (name, section)| image.with(SectionName::new(name), section))
    })
}

/// Gives a few bytes at a time, and is interrupted.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let size = into.len().min(self.1 % 700 + 1);
        self.0.read(&mut into[..size])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_is_read_back(image in images()) {
        let file = written(&image);
        let again = Image::read_from(&mut Dribble(&file, 0), &ImageLimits::default()).unwrap();
        prop_assert_eq!(again.root(), image.root());
        prop_assert_eq!(written(&again), file);
        prop_assert_eq!(again.header(), image.header());
        prop_assert_eq!(again.changes_since(&image).count(), 0);
        prop_assert_eq!(image.changes_since(&again).count(), 0);
    }

    #[test]
    fn a_bent_file_is_refused(image in images(), at in any::<u32>(), bit in 0..8u32) {
        let mut file = written(&image);
        let at = at as usize % file.len();
        prop_assert!(read(&file[..at]).is_err());
        file[at] ^= 1u8 << bit;
        prop_assert!(read(&file).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..4u8) {
        let head: &[u8] = match kind {
            0 => b"",
            1 => b"DRIVEBAY\x01",
            2 => &memory_file(1 << 20, 3, &[], &Root::default())[..71],
            _ => &file(b"\x01\x00\x04rows\x02\x01\x00\x00", &Root::default())[..58],
        };
        prop_assert!(read(&[head, &bytes].concat()).is_err());
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl Write for Broken {
    fn write(&mut self, _from: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn i_o_errors_are_the_hosts() {
    let read = Image::read_from(&mut Broken, &ImageLimits::default()).unwrap_err();
    assert!(matches!(MountError::from(read), MountError::Host(HostError::Io { .. })));
    assert!(matches!(small().write_to(&mut Broken), Err(HostError::Io { .. })));
}

#[test]
fn the_root_covers_header_names_and_kinds() {
    let image = |module: &[u8], state: &str| {
        Image::new(Header { module: Digest::of(module), state: FormatName::from(state) })
    };
    let empty = Section::Pages(Pages::new(0));
    let all = [
        image(b"m", "s").root(),
        image(b"n", "s").root(),
        image(b"m", "t").root(),
        image(b"m", "s").with(MEMORY, empty.clone()).root(),
        image(b"m", "s").with(ROWS, empty).root(),
        image(b"m", "s").with(MEMORY, Table::new()).root(),
        image(b"m", "s").with(MEMORY, Table::nesting(0)).root(),
    ];
    let mut apart = all.to_vec();
    apart.sort_unstable();
    apart.dedup();
    assert_eq!(apart.len(), all.len());
}

#[test]
fn changes_are_listed_by_section() {
    let base = small();
    let mut memory = base.pages(&MEMORY).unwrap().clone();
    memory.write(0, b"x").unwrap();
    let mut rows = base.table(&ROWS).unwrap().clone();
    rows.table_mut(&Digest::of(b"a")).unwrap().remove(&Digest::of(b"a"));
    rows.remove(&Digest::of(b"b"));
    let other = SectionName::new("other");
    let now = base.clone().with(MEMORY, memory.clone()).with(ROWS, rows).with(other, memory);
    let changes: Vec<String> = now.changes_since(&base).map(|change| name_of(&change)).collect();
    let mut keys = [(Digest::of(b"a"), "old new"), (Digest::of(b"b"), "old")];
    keys.sort_unstable();
    let rows = keys.map(|(key, what)| format!("rows {key} {what}"));
    let pages =
        ["memory 0", "other", "other 0", "other 2", "other 3", "other 40"].map(String::from);
    let expected: Vec<_> = pages.into_iter().chain(rows).collect();
    assert_eq!(changes, expected);
    let back: Vec<_> = base.changes_since(&now).map(|change| name_of(&change)).collect();
    assert_eq!(back.last().unwrap(), "other gone");
}

fn name_of(change: &Change<'_>) -> String {
    match change {
        Change::Section { section, now: Some(_) } => section.to_string(),
        Change::Section { section, now: None } => format!("{section} gone"),
        Change::Page { section, index, .. } => format!("{section} {index}"),
        Change::Row { section, key, old, new } => {
            let old = old.map_or("", |_| " old");
            format!("{section} {key}{old}{}", new.map_or("", |_| " new"))
        }
    }
}
