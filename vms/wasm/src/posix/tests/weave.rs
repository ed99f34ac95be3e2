//! WeaveDrive's files, against what was observed of the reference.

use super::super::weave::{WeaveFail, WeaveRead, WeaveSource};
use super::super::{Flavor, Posix};
use std::ops::Range;

/// Notes each request.
#[derive(Default)]
struct Gateway(Vec<String>);

const ITEM: &[u8] = b"WeaveDrive-data-0123456789";

impl WeaveSource for Gateway {
    type Error = String;

    fn tx(&mut self, id: &str) -> Result<Option<Vec<u8>>, String> {
        self.0.push(format!("tx {id}"));
        if id == "down" { Err("down".to_owned()) } else { Ok(Some(br#"{"id":"TX1"}"#.to_vec())) }
    }

    fn block(&mut self, height: &str) -> Result<Option<Vec<u8>>, String> {
        self.0.push(format!("block {height}"));
        Ok(Some(b"{}".to_vec()))
    }

    fn data_size(&mut self, id: &str) -> Result<Option<u64>, String> {
        self.0.push(format!("size {id}"));
        Ok(match id {
            "DATA1" => Some(ITEM.len() as u64),
            "BIG" => Some(100_000),
            _ => None,
        })
    }

    fn data(&mut self, id: &str, part: Range<u64>) -> Result<Vec<u8>, String> {
        self.0.push(format!("data {id} {part:?}"));
        let big: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
        let whole = if id == "BIG" { &big } else { ITEM };
        Ok(whole[part.start as usize..part.end as usize].to_vec())
    }
}

fn ready() -> (Posix, Gateway) {
    let mut posix = Posix::new(Flavor::Wasm64);
    posix.mkdir_data().unwrap();
    (posix, Gateway::default())
}

fn read(posix: &mut Posix, fd: i32, len: u64, from: &mut Gateway) -> Vec<u8> {
    let WeaveRead { bytes, count } = posix.weave_read(fd, len, from).unwrap();
    assert_eq!(count, bytes.len() as u64);
    let again = Posix::decode(&posix.encode(), Flavor::Wasm64).unwrap();
    assert_eq!(again.encode(), posix.encode());
    bytes
}

#[test]
fn after_a_seek_to_the_end_a_read_starts_at_the_start() {
    let (mut posix, mut from) = ready();
    let fd = posix.weave_open(b"/data/DATA1", &mut from).unwrap();
    assert_eq!(fd, 3);
    assert_eq!(posix.fd_seek(fd, 0, 2), Ok(26));
    assert_eq!(posix.fd_seek(fd, 0, 1), Ok(26));
    assert_eq!(read(&mut posix, fd, 26, &mut from), ITEM);
    assert_eq!(posix.weave_close(fd), Ok(0));
    assert_eq!(from.0, ["size DATA1", "data DATA1 0..26"]);
}

#[test]
fn one_request_serves_reads_that_go_on() {
    let (mut posix, mut from) = ready();
    let fd = posix.weave_open(b"/data/DATA1", &mut from).unwrap();
    assert_eq!(read(&mut posix, fd, 5, &mut from), b"Weave");
    assert_eq!(read(&mut posix, fd, 5, &mut from), b"Drive");
    assert_eq!(from.0.len(), 2);
    assert_eq!(posix.fd_seek(fd, 0, 1), Ok(10));
    posix.fd_seek(fd, 1, 0).unwrap();
    assert_eq!(read(&mut posix, fd, 4, &mut from), b"eave");
    assert_eq!(read(&mut posix, fd, 100, &mut from), &ITEM[5..]);
    assert_eq!(from.0[2..], ["data DATA1 1..26".to_owned()]);
}

#[test]
fn read_ahead_ends_after_32_kib() {
    let (mut posix, mut from) = ready();
    let fd = posix.weave_open(b"/data/BIG", &mut from).unwrap();
    assert_eq!(read(&mut posix, fd, 10, &mut from).len(), 10);
    assert_eq!(read(&mut posix, fd, 40_000, &mut from).len(), 40_000);
    // The reference's ranges are inclusive: a byte more than was asked for comes and is kept.
    assert_eq!(from.0[1..], ["data BIG 0..32769".to_owned(), "data BIG 32769..65538".to_owned()]);
    assert_eq!(posix.fd_seek(fd, 0, 1), Ok(40_010));
}

#[test]
fn headers_are_read_from_their_start_and_answer_what_was_asked() {
    let (mut posix, mut from) = ready();
    let fd = posix.weave_open(b"/tx/TX1", &mut from).unwrap();
    for _ in 0..2 {
        let read = posix.weave_read(fd, 5, &mut from).unwrap();
        assert_eq!((read.bytes.as_slice(), read.count), (&b"{\"id\""[..], 5));
    }
    let read = posix.weave_read(fd, 500, &mut from).unwrap();
    assert_eq!((read.bytes.len(), read.count), (12, 500));
    assert_eq!(posix.weave_open(b"/block/7", &mut from), Ok(4));
    assert_eq!(posix.weave_open(b"/tx/TX1", &mut from), Ok(5));
    assert_eq!(from.0, ["tx TX1", "block 7"]);
    // Two directories, two files of five looks each: made, mode, cut, written, mode.
    assert_eq!(posix.date_now(), f64::from(10_004 + 2 + 2 * 5));
}

#[test]
fn what_cannot_be_opened() {
    let (mut posix, mut from) = ready();
    assert_eq!(posix.weave_open(b"/etc/passwd", &mut from), Ok(0));
    assert_eq!(posix.weave_open(b"tx", &mut from), Ok(0));
    assert_eq!(posix.weave_open(b"", &mut from), Ok(0));
    let before = posix.encode();
    assert_eq!(posix.weave_open(b"/data/none", &mut from), Ok(0));
    assert_eq!(posix.encode(), before, "what is not there leaves no mark");
    let down = posix.weave_open(b"/tx/down", &mut from);
    assert_eq!(down, Err(WeaveFail::Source("down".to_owned())));
    assert!(matches!(posix.weave_read(9, 1, &mut from), Err(WeaveFail::Halt(_))));
    assert!(posix.weave_close(9).is_err());
}
