//! The same logs under other conditions: the matrix.
//!
//! Each cell is a process of its own, this program's `certify play`, so that a condition may be anything that
//! a process can meet: another engine, another time zone, no randomised addresses, a kill. Its transcript is
//! compared with that of the plain run, line by line.

use drivebay_conformance::laws::{Rng, Transcript};
use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The longest that one cell may take.
const CELL_TIME: Duration = Duration::from_secs(900);
/// How often a process is killed before it may finish.
const KILLS: u64 = 4;
/// The user that nobody is.
const NOBODY: u32 = 65534;

/// A condition under which a log may be played.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Its name.
    pub name: &'static str,
    /// What is other.
    pub says: &'static str,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// Nothing is other.
    Plain,
    /// The plain run against what another machine recorded.
    Recorded,
    /// More arguments for this program.
    Args(&'static [&'static str]),
    /// Other variables; a `~` is a folder that is there.
    Env(&'static [(&'static str, &'static str)]),
    /// No variables at all.
    NoEnv,
    /// Started by another program, and what package has it.
    Under(&'static [&'static str], &'static str),
    /// As another user.
    User,
    /// Killed, and started again.
    Killed,
}

const fn of(name: &'static str, says: &'static str, how: How) -> Condition {
    Condition { name, says, how }
}

/// All conditions, the plain one first.
pub const CONDITIONS: &[Condition] = &[
    of("plain", "this machine, one thread", How::Plain),
    of("recorded", "as another machine recorded it", How::Recorded),
    of("engine-plain", "compiled without optimiser", How::Args(&["--engine", "plain"])),
    of("engine-pulley", "interpreted", How::Args(&["--engine", "pulley"])),
    of("threads", "16 threads at a time", How::Args(&["--way", "threads"])),
    of("imaged", "evicted after every message", How::Args(&["--way", "imaged"])),
    of("evicted", "evicted now and then, module read again", How::Args(&["--way", "evicted"])),
    of("killed", "kill -9 and restart, four times", How::Killed),
    of("traffic", "dry-runs on other threads beside", How::Args(&["--way", "traffic"])),
    of("pressure", "memory taken and given back beside", How::Args(&["--way", "pressure"])),
    of("zone", "TZ=Pacific/Kiritimati", How::Env(&[("TZ", "Pacific/Kiritimati")])),
    of(
        "language",
        "LANG, LC_ALL: Turkish",
        How::Env(&[("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("LANGUAGE", "tr")]),
    ),
    of(
        "home",
        "HOME, USER, TMPDIR, PWD of somebody else",
        How::Env(&[("HOME", "~"), ("USER", "x"), ("LOGNAME", "x"), ("TMPDIR", "~"), ("PWD", "~")]),
    ),
    of("bare", "no environment at all", How::NoEnv),
    of("user", "user 65534, where we may", How::User),
    of("addresses", "no address randomisation", How::Under(&["setarch", "-R"], "util-linux")),
    of("one-core", "one processor", How::Under(&["taskset", "-c", "0"], "util-linux")),
    of(
        "clock",
        "400 days later, ten times as fast",
        How::Under(&["faketime", "-f", "+400d x10"], "faketime"),
    ),
];

/// What a cell came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The same transcript.
    Equal,
    /// Another one, and the first line that differs; or none at all, and why.
    Differs(String),
    /// It could not be tried here, and why.
    Skipped(String),
}

/// What to play: a machine and the name of its logs.
#[derive(Clone, Debug)]
pub struct Row {
    /// The machine.
    pub machine: String,
    /// Its logs.
    pub logs: String,
    /// What another machine recorded, if anything.
    pub recorded: Option<Transcript>,
}

/// How to start this program again.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// This program.
    pub program: PathBuf,
    /// Arguments that every cell is given: where modules and compiled code are.
    pub shared: Vec<OsString>,
    /// A folder that cells may fill.
    pub scratch: PathBuf,
}

impl Matrix {
    /// The plain run, to which all others are compared.
    pub fn plain(&self, row: &Row) -> Result<Transcript, String> {
        let command = self.command(row, &How::Plain)?;
        Ok(Transcript::parse(&finished(command)?))
    }

    /// Plays a row under a condition, and compares.
    pub fn cell(&self, row: &Row, condition: &Condition, plain: &Transcript) -> Cell {
        let played = match condition.how {
            How::Killed => self.killed(row),
            How::Recorded => return recorded(row, plain),
            how => match self.command(row, &how) {
                Ok(command) => finished(command),
                Err(why) => return Cell::Skipped(why),
            },
        };
        match played.map(|text| Transcript::parse(&text)) {
            Err(why) => Cell::Differs(why),
            Ok(found) => match found.same_as(plain) {
                Ok(()) => Cell::Equal,
                Err(broken) => Cell::Differs(broken.to_string()),
            },
        }
    }

    /// The command for a cell, or why there can be none here.
    fn command(&self, row: &Row, how: &How) -> Result<Command, String> {
        let mut command = match how {
            How::Under(words, package) => self.under(words, package)?,
            _ => Command::new(&self.program),
        };
        command.args(["certify", "play", &row.machine, &row.logs]).args(&self.shared);
        match how {
            How::Args(args) => drop(command.args(*args)),
            How::Env(pairs) => {
                let scratch = self.scratch.as_os_str().to_owned();
                let value = |value: &str| match value {
                    "~" => scratch.clone(),
                    other => other.into(),
                };
                command.envs(pairs.iter().map(|(name, text)| (name, value(text))));
            }
            How::NoEnv => drop(command.env_clear()),
            How::User => {
                if !is_root() {
                    return Err("only root can become another user".into());
                }
                command.uid(NOBODY).gid(NOBODY);
            }
            How::Plain | How::Recorded | How::Under(..) | How::Killed => {}
        }
        Ok(command)
    }

    fn under(&self, words: &[&str], package: &str) -> Result<Command, String> {
        let missing = || Err(format!("{} is not here (Debian: {package})", words.join(" ")));
        let Some((first, rest)) = words.split_first() else { return missing() };
        let works = Command::new(first).args(rest).arg("true").stderr(Stdio::null()).status();
        if !works.is_ok_and(|status| status.success()) {
            return missing();
        }
        let mut command = Command::new(first);
        command.args(rest).arg(&self.program);
        Ok(command)
    }

    /// Kills the process a few times at places of chance; each time it goes on from what is durable.
    fn killed(&self, row: &Row) -> Result<String, String> {
        let folder = self.scratch.join(format!("killed-{}-{}", row.machine, row.logs));
        // Left by a run that was itself killed.
        let _ = std::fs::remove_dir_all(&folder);
        let mut rng = Rng::new(super::SEED, "kill");
        let mut lines = 0;
        for _ in 0..KILLS {
            lines += 2 + rng.below(6);
            let mut command = self.command(row, &How::Killed)?;
            command.arg("--resume").arg(&folder).stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().map_err(|error| error.to_string())?;
            wait_for_lines(&mut child, lines);
            thread::sleep(Duration::from_micros(rng.below(3000)));
            // It may have ended by itself.
            let _ = child.kill();
            child.wait().map_err(|error| error.to_string())?;
        }
        let mut command = self.command(row, &How::Killed)?;
        command.arg("--resume").arg(&folder);
        finished(command)
    }
}

/// A shorter log is compared with as much of the recording.
fn recorded(row: &Row, plain: &Transcript) -> Cell {
    let Some(recorded) = row.recorded.as_ref().and_then(|all| all.cut_to(plain)) else {
        return Cell::Skipped("nothing was recorded".into());
    };
    plain
        .same_as(&recorded)
        .map_or_else(|broken| Cell::Differs(broken.to_string()), |()| Cell::Equal)
}

/// The effective user, as the kernel shows it.
fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}

fn wait_for_lines(child: &mut Child, lines: u64) {
    let Some(out) = child.stdout.take() else { return };
    let mut seen = BufReader::new(out).lines();
    for _ in 0..lines {
        if seen.next().is_none() {
            return;
        }
    }
}

/// What a process prints, if it ends well and in time.
fn finished(mut command: Command) -> Result<String, String> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(|error| format!("cannot be started: {error}"))?;
    let out = child.stdout.take().map(|out| thread::spawn(move || whole(out)));
    let err = child.stderr.take().map(|err| thread::spawn(move || whole(err)));
    let status = waited(&mut child)?;
    let text = |thread: Option<thread::JoinHandle<String>>| {
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    };
    let (out, err) = (text(out), text(err));
    if status.success() { Ok(out) } else { Err(format!("ended with {status}: {}", err.trim())) }
}

fn whole(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read until then is shown.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn waited(child: &mut Child) -> Result<std::process::ExitStatus, String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Err(error) => return Err(error.to_string()),
            Ok(None) if start.elapsed() > CELL_TIME => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no end within {} s", CELL_TIME.as_secs()));
            }
            Ok(None) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// The table: a line for each condition, a column for each row.
pub fn matrix_table(rows: &[(Row, Vec<Cell>)]) -> String {
    let name = |row: &Row| format!("{} {}", row.machine, row.logs);
    let mut text = format!("{:<14} {:<42}", "condition", "what is other");
    rows.iter().for_each(|(row, _)| text.push_str(&format!(" {:>18}", name(row))));
    for (at, condition) in CONDITIONS.iter().enumerate() {
        text.push_str(&format!("\n{:<14} {:<42}", condition.name, condition.says));
        for (_, cells) in rows {
            let word = match cells.get(at) {
                Some(Cell::Equal) => "equal",
                Some(Cell::Differs(_)) => "DIFFERS",
                Some(Cell::Skipped(_)) | None => "skipped",
            };
            text.push_str(&format!(" {word:>18}"));
        }
    }
    text.push('\n');
    for (row, cells) in rows {
        for (condition, cell) in CONDITIONS.iter().zip(cells) {
            let (word, why) = match cell {
                Cell::Equal => continue,
                Cell::Differs(why) => ("DIFFERS", why),
                Cell::Skipped(why) => ("skipped", why),
            };
            text.push_str(&format!("{word} {}, {}: {why}\n", name(row), condition.name));
        }
    }
    text
}

/// A process that can be killed: every receipt is durable with the state after it, before it is told.
pub mod resume {
    use super::Path;
    use crate::disk::{DiskReader, Image, ImageLimits};
    use drivebay_conformance::laws::{Broken, Entry, Log, Transcript};
    use std::{fs, io};

    /// Plays a log from where `folder` says it stands, and tells each line once it is durable.
    pub fn play(
        log: &Log,
        reader: &dyn DiskReader,
        folder: &Path,
        mut tell: impl FnMut(&str) -> io::Result<()>,
    ) -> Result<(), Broken> {
        let broken = |error: io::Error| Broken::new(error.to_string());
        fs::create_dir_all(folder).map_err(broken)?;
        let place = folder.join(&log.name);
        let (mut lines, state) = match fs::read(&place) {
            Ok(bytes) => read(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
            Err(error) => return Err(broken(error)),
        };
        let mut transcript = Transcript::default();
        transcript.add(reader, log, &[]);
        for line in transcript.lines().iter().chain(&lines) {
            tell(line).map_err(broken)?;
        }
        log.play_from(reader, state.as_ref(), lines.len(), |call, entry: &Entry, image| {
            let line = format!("{} {} {entry}", log.name, call.slot.nonce);
            lines.push(line.clone());
            write(&place, &lines, image).map_err(broken)?;
            tell(&line).map_err(broken)
        })
    }

    /// Number of lines, the lines, and the image.
    fn write(place: &Path, lines: &[String], image: &Image) -> io::Result<()> {
        let mut bytes = format!("{}\n", lines.len()).into_bytes();
        lines.iter().for_each(|line| bytes.extend(format!("{line}\n").bytes()));
        image.write_to(&mut bytes).map_err(io::Error::other)?;
        let beside = place.with_extension("next");
        fs::write(&beside, bytes)?;
        fs::rename(beside, place)
    }

    fn read(bytes: &[u8]) -> Result<(Vec<String>, Option<Image>), Broken> {
        let bent = || Broken::new("what was kept cannot be read");
        let mut rest = bytes;
        let mut line = || {
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(bent)?;
            let (line, after) = rest.split_at_checked(end).ok_or_else(bent)?;
            rest = after.get(1..).unwrap_or_default();
            String::from_utf8(line.to_vec()).map_err(|_| bent())
        };
        let count: usize = line()?.parse().map_err(|_| bent())?;
        let lines = (0..count).map(|_| line()).collect::<Result<_, _>>()?;
        let image = Image::read_from(&mut rest, &ImageLimits::default())?;
        Ok((lines, Some(image)))
    }
}
