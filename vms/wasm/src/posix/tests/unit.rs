//! Facts that no table of random calls shows.

use super::super::errno::{Fail, code};
use super::super::fds::Position;
use super::super::limits::{
    NODES, OPEN_FDS, PATH_BYTES, POSITION_DIGITS, PRINTED_BYTES, TREE_BYTES, TTY_LINE,
};
use super::super::{Flavor, Posix, TimeZone, Zone, environment, path, strftime, time_zone};

const ALL: [Flavor; 5] = [Flavor::Fmt1, Flavor::Fmt2, Flavor::Fmt3, Flavor::Fmt4, Flavor::Wasm64];

fn fail<T>(number: i32) -> Result<T, Fail> {
    Err(Fail::Errno(number))
}

#[test]
fn first_clock_values() {
    let first = |flavor| Posix::new(flavor).date_now();
    assert_eq!(ALL.map(first), [0.0, 0.0, 10_003.0, 10_003.0, 10_003.0]);
    for flavor in [Flavor::Fmt4, Flavor::Wasm64] {
        let mut posix = Posix::new(flavor);
        posix.mkdir_data().unwrap();
        assert_eq!(posix.stat64(b"/data").unwrap().ino, 20);
        assert_eq!(posix.date_now(), 10_004.0);
    }
    let mut old = Posix::new(Flavor::Fmt2);
    assert!(old.get_now().is_nan());
    assert_eq!(old.tick(), 10_004);
}

#[test]
fn default_inodes() {
    let posix = Posix::new(Flavor::Fmt3);
    for (ino, path) in [
        (1, "/"),
        (5, "/dev"),
        (10, "/dev/urandom"),
        (12, "/dev/shm/tmp"),
        (14, "/proc/self"),
        (17, "/dev/stdin"),
        (19, "/dev/stderr"),
    ] {
        assert_eq!(posix.lstat64(path.as_bytes()).unwrap().ino, ino, "{path}");
    }
    let mut posix = posix;
    assert_eq!(posix.openat(-100, b"/tmp/new", 66, 0o666), Ok(3));
    assert_eq!(posix.fstat64(3).unwrap().ino, 20);
}

#[test]
fn a_covered_file_shows_again() {
    let mut posix = Posix::new(Flavor::Fmt4);
    for (fd, path) in [(3, b"/tmp/a"), (4, b"/tmp/b")] {
        assert_eq!(posix.openat(-100, path, 66, 0o666), Ok(fd));
    }
    assert_eq!(posix.renameat((-100, b"/tmp/a"), (-100, b"/tmp/b")), Ok(0));
    assert_eq!(posix.stat64(b"/tmp/b").unwrap().ino, 20);
    assert_eq!(posix.unlinkat(-100, b"/tmp/b", 0), Ok(0));
    assert_eq!(posix.stat64(b"/tmp/b").unwrap().ino, 21);
    // The directory's own contents know nothing of it.
    assert_eq!(posix.rmdir(b"/tmp"), Ok(0));
}

#[test]
fn removed_files_live_while_open() {
    let mut posix = Posix::new(Flavor::Wasm64);
    let fd = posix.openat(-100, b"/tmp/a", 66, 0o666).unwrap();
    posix.fd_write(fd, b"kept").unwrap();
    posix.unlinkat(-100, b"/tmp/a", 0).unwrap();
    assert_eq!(posix.fstat64(fd), fail(code::ENOENT));
    let mut posix = Posix::decode(&posix.encode(), Flavor::Wasm64).unwrap();
    posix.fd_seek(fd, 0, 0).unwrap();
    let mut into = [0; 8];
    assert_eq!(posix.fd_read(fd, &mut into), Ok(4));
    let before = posix.tree.nodes.len();
    posix.fd_close(fd).unwrap();
    assert_eq!(posix.tree.nodes.len(), before - 1);
    assert_eq!(posix.tree.bytes, Posix::new(Flavor::Wasm64).tree.bytes);
}

#[test]
fn devices() {
    let mut posix = Posix::new(Flavor::Fmt3);
    let random = posix.openat(-100, b"/dev/urandom", 0, 0).unwrap();
    let mut bytes = [1; 40];
    assert_eq!(posix.fd_read(random, &mut bytes), Ok(40));
    assert_eq!(bytes, [0; 40]);
    let mut pieces = [0; 40];
    posix.set_seed([7; 32]);
    posix.fd_read(random, &mut bytes).unwrap();
    posix.set_seed([7; 32]);
    for piece in pieces.chunks_mut(7) {
        posix.fd_read(random, piece).unwrap();
    }
    assert_eq!(bytes, pieces);
    assert_ne!(bytes, [0; 40]);
    assert_eq!(posix.openat(-100, b"/dev/urandom", 1, 0), fail(code::EACCES));
    let null = posix.openat(-100, b"/dev/null", 0o2002, 0).unwrap();
    assert_eq!(posix.fd_write(null, b"x"), fail(code::ESPIPE));
}

#[test]
fn format_1_prints_and_does_no_more() {
    let mut posix = Posix::new(Flavor::Fmt1);
    posix.fd_write(1, b"a\0b\n").unwrap();
    posix.fd_write(2, b"half").unwrap();
    assert_eq!(posix.take_printed(), ["a", "b"]);
    let mut posix = Posix::decode(&posix.encode(), Flavor::Fmt1).unwrap();
    posix.fd_write(2, b"\n").unwrap();
    assert_eq!(posix.take_printed(), ["half"]);
    assert!(matches!(posix.fd_write(3, b"x"), Err(Fail::Abort(_))));
    assert_eq!(posix.fd_read(0, &mut [0]), fail(code::ENOSYS));
    assert_eq!(posix.fd_close(0), fail(code::ENOSYS));
    assert_eq!(posix.fd_seek(0, 0, 0), fail(code::ESPIPE));
    assert_eq!(posix.openat(-100, b"/tmp/x", 66, 0), fail(code::ENOENT));
}

#[test]
fn bounds_of_text() {
    let mut posix = Posix::new(Flavor::Fmt4);
    posix.fd_write(1, &vec![b'x'; TTY_LINE + 1]).unwrap();
    assert_eq!(posix.take_printed(), ["x".repeat(TTY_LINE)]);
    for _ in 0..2 * PRINTED_BYTES / 1000 {
        posix.fd_write(1, &[vec![b'y'; 999], vec![b'\n']].concat()).unwrap();
    }
    let held: usize = posix.take_printed().iter().map(|line| line.len() + 1).sum();
    assert!(held <= PRINTED_BYTES && held > PRINTED_BYTES - 2001, "{held}");
    posix.fd_write(1, b"on\n").unwrap();
    assert_eq!(posix.take_printed(), ["on"]);
}

#[test]
fn bounds_of_files() {
    let mut posix = Posix::new(Flavor::Fmt4);
    assert_eq!(posix.stat64(&vec![b'a'; PATH_BYTES + 1]), fail(code::ENAMETOOLONG));
    let fd = posix.openat(-100, b"/tmp/a", 66, 0o666).unwrap();
    let clock = posix.clock;
    assert_eq!(posix.ftruncate64(fd, TREE_BYTES as i64), fail(code::ENOSPC));
    posix.fd_seek(fd, TREE_BYTES as i64, 0).unwrap();
    assert_eq!(posix.fd_write(fd, b"x"), fail(code::ENOSPC));
    assert_eq!(posix.clock, clock);
    for _ in posix.fds.open.len()..OPEN_FDS {
        posix.openat(-100, b"/tmp/a", 0, 0).unwrap();
    }
    assert_eq!(posix.openat(-100, b"/tmp/a", 0, 0), fail(code::EMFILE));
    assert_eq!(posix.fcntl64(fd, 0, 9000), fail(code::EMFILE));
    Posix::decode(&posix.encode(), Flavor::Fmt4).unwrap();
    for n in posix.tree.nodes.len()..NODES {
        posix.mkdirat(-100, format!("/tmp/{n}").as_bytes(), 0o777).unwrap();
    }
    assert_eq!(posix.mkdirat(-100, b"/tmp/one-more", 0o777), fail(code::ENOSPC));
}

#[test]
fn mappings() {
    let mut posix = Posix::new(Flavor::Fmt2);
    let fd = posix.openat(-100, b"/tmp/a", 66, 0o666).unwrap();
    assert!(matches!(posix.mmap(fd, (0, 10), 1, 1), Err(Fail::Abort(_))));
    posix.fd_write(fd, b"0123456789").unwrap();
    assert_eq!(posix.mmap(fd, (0, 4), 3, 1), Ok(b"0123".to_vec()));
    assert_eq!(posix.mmap(fd, (8, 65536), 3, 1), Ok(b"89".to_vec()));
    assert_eq!(posix.munmap(fd, 3, 1), Ok(true));
    assert_eq!(posix.munmap(fd, 3, 2), Ok(false));
    assert_eq!(posix.munmap(fd, 1, 1), Ok(false));
    assert_eq!(posix.munmap(99, 3, 1), Ok(false));
    posix.write_back(fd, 8, b"xyz").unwrap();
    assert_eq!(posix.stat64(b"/tmp/a").unwrap().size, 11);
    assert_eq!(posix.mmap(1, (0, 1), 1, 1), fail(code::EACCES));
    assert_eq!(posix.mmap(0, (0, 1), 1, 1), fail(code::ENODEV));
}

#[test]
fn environment_and_zone() {
    let strings = environment(Flavor::Fmt2, "/x.js");
    assert_eq!(strings.len(), 7);
    assert_eq!(strings.last().unwrap(), b"_=/x.js");
    assert!(environment(Flavor::Fmt4, "/x.js").is_empty());
    assert_eq!(time_zone(Flavor::Fmt3), TimeZone::Given(b"Coordi\0"));
    let mut posix = Posix::new(Flavor::Fmt2);
    assert_eq!([posix.tzset(), posix.tzset()], [true, false]);
    let mut posix = Posix::new(Flavor::Fmt3);
    assert_eq!([posix.tzset(), posix.tzset()], [true, true]);
}

#[test]
fn strftime_has_bounds() {
    let tm = Default::default();
    let text = |format: &[u8], max| strftime(format, &tm, Zone::default(), max).unwrap();
    assert_eq!(text(b"%H", 3), Some(b"00\0".to_vec()));
    assert_eq!(text(b"%H", 2), None);
    assert_eq!(text(&[b'x'; 5000], 10_000), None);
    let bad = super::super::Tm { wday: 7, mon: -1, ..tm };
    assert!(matches!(strftime(b"%a", &bad, Zone::default(), 99), Err(Fail::Abort(_))));
    let text = strftime(b"%A%B", &bad, Zone::default(), 99).unwrap().unwrap();
    assert_eq!(text, b"undefinedundefined\0");
}

#[test]
fn long_digits_keep_their_value_and_their_size() {
    let whole = format!("{}{}", "9".repeat(40), "12345".repeat(20));
    let kept = Position::digits(whole.clone());
    assert_eq!(kept.value(), Position::Digits(whole).value());
    let Position::Digits(digits) = kept else { panic!("no digits") };
    assert!(digits.len() == POSITION_DIGITS && digits.starts_with('1'));
    let zeros = Position::digits("0".repeat(100) + "26");
    assert_eq!(zeros.value(), 26);
}

#[test]
fn paths_as_text() {
    for (path, normal, dir, base) in [
        ("/", "/", "/", "/"),
        ("", ".", ".", "."),
        ("a", "a", ".", "a"),
        ("/a/", "/a/", "/", "a"),
        ("//a//b/../c", "/a/c", "//a//b/..", "c"),
        ("../x", "../x", "..", "x"),
        ("/a/..", "/", "/a", ""),
        ("/..//.", "/", "/../", ""),
    ] {
        assert_eq!(path::normalize(path), normal, "{path}");
        assert_eq!(path::dirname(path), dir, "{path}");
        assert_eq!(path::basename(path), base, "{path}");
    }
    assert_eq!(path::relative("/a/b", "/a/c/d"), "../c/d");
    assert_eq!(path::relative("/a", "/a"), "");
}
