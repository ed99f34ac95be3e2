//! Replays the tables of `traces/`: each line is a call and the reference's answer.

use super::super::errno::{Abort, Sys, negative, positive};
use super::super::{Answer, Flavor, Posix, Stat, Tm, Zone, gmtime, localtime, mktime, strftime};

struct Trace {
    posix: Posix,
    flavor: Flavor,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Seconds that the reference cannot hold as a number, and so has no date for.
fn past_numbers(seconds: i64) -> i64 {
    if seconds.abs() < 1 << 53 { seconds } else { i64::MAX }
}

fn tm(words: &str) -> Tm {
    let words: Vec<i32> = words.split(' ').map(|word| word.parse().unwrap()).collect();
    Tm::from_words(words.try_into().unwrap())
}

fn words(tm: Tm) -> String {
    tm.to_words().map(|word| word.to_string()).join(" ")
}

/// What a call with a value answers: the number alone if it failed.
fn with<T>(result: Sys<T>, negate: bool, show: impl Fn(T) -> String) -> Result<String, Abort> {
    let mut shown = None;
    let plain = result.map(|value| shown = Some(show(value)));
    let number = if negate { negative(plain.map(|()| 0)) } else { positive(plain) };
    number.map(|number| shown.unwrap_or_else(|| number.to_string()))
}

impl Trace {
    fn new(flavor: Flavor) -> Self {
        let mut posix = Posix::new(flavor);
        if matches!(flavor, Flavor::Fmt4 | Flavor::Wasm64) {
            posix.mkdir_data().unwrap();
        }
        Self { posix, flavor }
    }

    fn stat(&self, stat: Sys<Stat>) -> Result<String, Abort> {
        with(stat, true, |stat| {
            let mut bytes = vec![0xaa; Stat::size(self.flavor) as usize];
            stat.write_to(self.flavor, &mut bytes);
            format!("0 {}", hex(&bytes))
        })
    }

    fn answer(answer: Sys<Answer>, room: usize) -> Result<String, Abort> {
        let mut bytes = vec![0xaa; room];
        let mut value = |answer: Answer| {
            for (at, from) in answer.writes {
                bytes[at as usize..][..from.len()].copy_from_slice(&from);
            }
            answer.value
        };
        let number = negative(answer.map(&mut value))?;
        Ok(if room == 0 { number.to_string() } else { format!("{number} {}", hex(&bytes)) })
    }

    /// One line's call.
    fn call(&mut self, kind: &str, args: &[&str]) -> Result<String, Abort> {
        let int = |at: usize| args[at].parse::<i64>().unwrap();
        let word = |at: usize| int(at) as i32;
        let path = |at: usize| args[at].as_bytes();
        let posix = &mut self.posix;
        let plain = |result: Sys<i32>| negative(result).map(|number| number.to_string());
        let status = |result: Sys<()>| positive(result).map(|number| number.to_string());
        match kind {
            "open" => plain(posix.openat(word(0), path(1), word(2), word(3) as u32)),
            "write" => status(
                posix.fd_check(word(0)).and_then(|()| posix.fd_write(word(0), &unhex(args[1]))),
            ),
            "read" => {
                let mut into = vec![0; int(1) as usize];
                let count = posix.fd_read(word(0), &mut into);
                with(count, false, |count| format!("0 {}", hex(&into[..count])))
            }
            "seek" => with(posix.fd_seek(word(0), int(1), word(2)), false, |at| {
                format!("0 {}", at as i64)
            }),
            "close" => status(posix.fd_close(word(0))),
            "sync" => status(posix.fd_sync(word(0))),
            "type" => with(posix.fd_type(word(0)), false, |kind| format!("0 {kind:02x}")),
            "stat" => self.stat(self.posix.stat64(path(0))),
            "lstat" => self.stat(self.posix.lstat64(path(0))),
            "fstat" => self.stat(self.posix.fstat64(word(0))),
            "statat" => self.stat(self.posix.newfstatat(word(0), path(1), word(2))),
            "unlink" => plain(posix.unlinkat(word(0), path(1), word(2))),
            "rmdir" => plain(posix.rmdir(path(0))),
            "rename" => plain(posix.renameat((-100, path(0)), (-100, path(1)))),
            "mkdir" => plain(posix.mkdirat(word(0), path(1), word(2) as u32)),
            "readlink" => with(posix.readlinkat(-100, path(0), int(1) as u64), true, |link| {
                format!("{} {}", link.len(), hex(&link))
            }),
            "access" => plain(posix.faccessat(-100, path(0), word(1), 0)),
            "chmod" => plain(posix.chmod(path(0), word(1) as u32)),
            "fchmod" => plain(posix.fchmod(word(0), word(1) as u32)),
            "fchown" => plain(posix.fchown32(word(0))),
            "trunc" => plain(posix.ftruncate64(word(0), int(1))),
            "touch" => plain(posix.utimensat(-100, path(0), None, 0)),
            "utime" => {
                let times = [(int(1), word(2)), (int(3), word(4))];
                plain(posix.utimensat(-100, path(0), Some(times), 0))
            }
            "dup3" => plain(posix.dup3(word(0), word(1), 0)),
            "cwd" => with(posix.getcwd(int(0) as u64), true, |cwd| cwd.len().to_string()),
            _ => self.other_call(kind, args),
        }
    }

    /// Control, time and text.
    fn other_call(&mut self, kind: &str, args: &[&str]) -> Result<String, Abort> {
        let int = |at: usize| args[at].parse::<i64>().unwrap();
        let word = |at: usize| int(at) as i32;
        let posix = &mut self.posix;
        match kind {
            "now" => {
                let now = posix.get_now();
                Ok(if now.is_nan() { "0".to_owned() } else { now.to_string() })
            }
            "fcntl" => Self::answer(posix.fcntl64(word(0), word(1), word(2)), 0),
            "getlk" => {
                let command = if posix.fcntl_has_argument(5) { 5 } else { 12 };
                Self::answer(posix.fcntl64(word(0), command, 0), 4)
            }
            "ioctl" => Self::answer(posix.ioctl(word(0), word(1)), 52),
            "gmtime" | "localtime" => {
                let old = matches!(self.flavor, Flavor::Fmt2);
                let seconds = if old { i64::from(int(0) as i32) } else { past_numbers(int(0)) };
                match kind {
                    "localtime" => with(localtime(self.flavor, seconds), true, words),
                    _ => Ok(words(gmtime(seconds))),
                }
            }
            "mktime" => {
                let (tm, seconds) = mktime(self.flavor, tm(args[0]));
                Ok(format!("{} {seconds}", words(tm)))
            }
            "strftime" => {
                let zone = Zone { offset: int(1), name: args[2].as_bytes() };
                let text = strftime(args[3].as_bytes(), &tm(args[0]), zone, 200);
                with(text, true, |text| {
                    hex(text.unwrap_or_default().strip_suffix(b"\0").unwrap_or_default())
                })
            }
            "printed" => {
                let lines = posix.take_printed().join("\n");
                Ok(hex(lines.as_bytes()))
            }
            other => panic!("no such call: {other}"),
        }
    }
}

/// Replays a table; the state goes through its bytes after every call.
fn replay(flavor: Flavor, table: &str) {
    let mut trace = Trace::new(flavor);
    let mut done: Vec<&str> = Vec::new();
    for line in table.lines() {
        if line == "new" {
            trace = Trace::new(flavor);
            done.clear();
            continue;
        }
        done.push(line);
        let (call, want) = line.split_once("|= ").unwrap();
        let mut args = call.split('|');
        let kind = args.next().unwrap();
        let got = trace.call(kind, &args.collect::<Vec<_>>());
        let got = got.unwrap_or_else(|_| "abort".to_owned());
        assert_eq!(got, want, "{flavor:?} after {done:#?}");
        if got != "abort" {
            let bytes = trace.posix.encode();
            let again =
                Posix::decode(&bytes, flavor).unwrap_or_else(|why| panic!("{why} after {done:#?}"));
            let printed = std::mem::take(&mut trace.posix.printed);
            trace.posix = again;
            trace.posix.printed = printed;
        }
    }
}

#[test]
fn format_2_answers_as_the_reference() {
    replay(Flavor::Fmt2, include_str!("../traces/fmt2.txt"));
}

#[test]
fn format_3_answers_as_the_reference() {
    replay(Flavor::Fmt3, include_str!("../traces/fmt3.txt"));
}

#[test]
fn format_4_answers_as_the_reference() {
    replay(Flavor::Fmt4, include_str!("../traces/fmt4.txt"));
}

#[test]
fn wasm64_answers_as_the_reference() {
    replay(Flavor::Wasm64, include_str!("../traces/wasm64.txt"));
}
