//! Laws: a state goes through its bytes unnoticed, and bytes from anyone are a state or refused.

use super::super::{Flavor, Posix};
use proptest::prelude::*;

/// One random call: a kind and numbers that each kind reads as it likes.
type Call = (u8, u8, u8, u8, i16);

const PATHS: [&str; 14] = [
    "/tmp/a",
    "/tmp/b",
    "/tmp/d",
    "/tmp/d/e",
    "/tmp/d/e/f",
    "x",
    "/proc/self/fd",
    "/proc/self",
    "/dev/tty",
    "/dev/stdout",
    "/dev/null",
    "/dev/urandom",
    "/proc/self/fd/3",
    "/data",
];
const FLAGS: [i32; 8] = [0, 1, 2, 66, 66, 578, 1090, 65536];
const FLAVORS: [Flavor; 4] = [Flavor::Fmt2, Flavor::Fmt3, Flavor::Fmt4, Flavor::Wasm64];

/// Makes a call and tells all that it answered.
fn make(posix: &mut Posix, (kind, a, b, c, n): Call) -> String {
    let path = |at: u8| PATHS[usize::from(at) % PATHS.len()].as_bytes();
    let fd = i32::from(a % 9);
    let flags = FLAGS[usize::from(c) % FLAGS.len()];
    match kind % 22 {
        0..=3 => format!("{:?}", posix.openat(-100, path(b), flags, u32::from(n.unsigned_abs()))),
        4 | 5 => format!(
            "{:?}",
            posix.fd_write(fd, &[b'0' + c % 10, c, b'\n', b].repeat(usize::from(b)))
        ),
        6 => {
            let mut into = vec![0; usize::from(b)];
            format!("{:?} {into:?}", posix.fd_read(fd, &mut into))
        }
        7 => format!("{:?}", posix.fd_seek(fd, i64::from(n), i32::from(c % 3))),
        8 => format!("{:?}", posix.fd_close(fd)),
        9 => format!("{:?}", posix.mkdirat(-100, path(b), 0o777)),
        10 => format!("{:?}", posix.rmdir(path(b))),
        11 => format!("{:?}", posix.unlinkat(-100, path(b), 0)),
        12..=14 => format!("{:?}", posix.renameat((-100, path(b)), (-100, path(c)))),
        15 => format!("{:?}", posix.dup3(fd, i32::from(b % 12) - 2, 0)),
        16 => format!("{:?}", posix.fcntl64(fd, i32::from(b % 16), i32::from(n))),
        17 => format!("{:?}", posix.ftruncate64(fd, i64::from(n))),
        18 => format!("{:?}", posix.utimensat(-100, path(b), Some([(i64::from(n), 5), (1, 1)]), 0)),
        19 => {
            format!("{:?} {:?}", posix.chmod(path(b), u32::from(c) | 0o300), posix.lstat64(path(b)))
        }
        20 => format!("{:?} {:?}", posix.fstat64(fd), posix.readlinkat(-100, path(b), 99)),
        _ => format!("{:?} {:?} {}", posix.fd_sync(fd), posix.ioctl(fd, 0x5413), posix.tzset()),
    }
}

fn calls(most: usize) -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec(any::<Call>(), 0..most)
}

/// What the tree counts as it goes must be what is there.
fn check_counts(posix: &Posix) {
    let again = Posix::decode(&posix.encode(), posix.flavor()).unwrap();
    assert_eq!(again.tree, posix.tree);
    assert_eq!(again.fds.open.len(), posix.fds.open.len());
    assert_eq!(again.fds.shared.len(), posix.fds.shared.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_state_goes_through_its_bytes_unnoticed(
        flavor in prop::sample::select(&FLAVORS[..]), before in calls(80), after in calls(40),
    ) {
        let mut posix = Posix::new(flavor);
        for call in before {
            make(&mut posix, call);
        }
        check_counts(&posix);
        let bytes = posix.encode();
        let mut again = Posix::decode(&bytes, flavor).unwrap();
        prop_assert_eq!(again.encode(), bytes);
        for call in after {
            prop_assert_eq!(make(&mut posix, call), make(&mut again, call));
        }
        prop_assert_eq!(posix.encode(), again.encode());
    }

    #[test]
    fn changed_bytes_are_refused_or_a_state(
        flavor in prop::sample::select(&FLAVORS[..]), before in calls(40), after in calls(40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut posix = Posix::new(flavor);
        for call in before {
            make(&mut posix, call);
        }
        let mut bytes = posix.encode();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(mut other) = Posix::decode(&bytes, flavor) {
            prop_assert_eq!(other.encode(), bytes);
            for call in after {
                make(&mut other, call);
            }
            check_counts(&other);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_a_state(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for flavor in FLAVORS {
            if let Ok(posix) = Posix::decode(&bytes, flavor) {
                prop_assert_eq!(posix.encode(), bytes.clone());
            }
        }
    }
}
