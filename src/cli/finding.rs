//! A finding of `certify`, run again.

use super::{
    App,
    error::{Exit, refused, usage},
    tame::tame,
};
use crate::{
    certify::{Again, ReplayFile, SEED},
    cu::Engine,
    disk::{
        DiskReader, Refusal, RefusalCode,
        json::{Json, Value},
    },
};
use clap::ValueEnum;
use std::{
    io::{self, Write},
    sync::Arc,
    thread,
};

/// Bytes of stack for whatever runs a guest.
const STACK_BYTES: usize = 64 << 20;

/// Runs it, prints what comes of it beside what the file says, and ends with 1 if the finding still stands.
pub(super) fn run(app: &App, text: &str, json: bool) -> anyhow::Result<Exit> {
    let file = ReplayFile::parse(text).map_err(|why| {
        refused(Refusal::new(RefusalCode::Malformed, format!("the finding: {why}")))
    })?;
    let mut out = io::stdout().lock();
    if !json {
        writeln!(out, "{}", tame(&file.seen, false))?;
    }
    if file.sides.is_empty() {
        let reader = reader(app, app.config.engine, &file)?;
        let done = apart(|| file.play(&*reader))?;
        let same = print(&mut out, &done, &file.lines, json)?;
        if let (Some(theirs), false) = (&file.theirs, json) {
            writeln!(out, "the other unit says: {}", tame(theirs, false))?;
        }
        let stands = file.theirs.is_some() || !same;
        return Ok(if stands { Exit::Guest } else { Exit::Done });
    }
    let mut same = true;
    for (engine, way) in &file.sides {
        if !json {
            writeln!(out, "on {engine}, {way}:")?;
        }
        let engine = Engine::from_str(engine, false)
            .map_err(|_| usage(format!("the finding: there is no engine {engine}")))?;
        let reader = reader(app, engine, &file)?;
        match apart(|| file.play_in(&*reader, way, SEED)) {
            Ok(done) => same &= print(&mut out, &done, &file.lines, json)?,
            Err(broken) => {
                same = false;
                writeln!(out, "{}", tame(&broken.to_string(), false))?;
            }
        }
    }
    Ok(if same { Exit::Done } else { Exit::Guest })
}

fn reader(app: &App, engine: Engine, file: &ReplayFile) -> anyhow::Result<Arc<dyn DiskReader>> {
    let readers = (app.make)(engine)?;
    let reader = readers.get(&file.module.format).cloned();
    reader.ok_or_else(|| usage(format!("no reader here knows the format {}", file.module.format)))
}

/// Guests need more stack than the program's own thread has.
fn apart<T: Send, E: std::fmt::Display + Send>(
    play: impl FnOnce() -> Result<T, E> + Send,
) -> anyhow::Result<T> {
    let done = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, play)?;
        Ok::<_, io::Error>(thread.join())
    })?;
    let done = done.map_err(|_| anyhow::anyhow!("the machine panicked"))?;
    done.map_err(|error| anyhow::anyhow!("{error}"))
}

/// Prints each call; false if any is not what the file says.
fn print(out: &mut dyn Write, done: &[Again], recorded: &[String], json: bool) -> io::Result<bool> {
    let mut same = done.len() == recorded.len();
    for (at, done) in done.iter().enumerate() {
        let recorded = recorded.get(at).map(String::as_str);
        let is_same = recorded == Some(&done.line);
        same &= is_same;
        if json {
            let line = Value::object([
                ("Result", done.result.value()),
                ("Line", Value::from(done.line.as_str())),
                ("Recorded", recorded.map_or(Value::Null, Value::from)),
            ]);
            writeln!(out, "{}", Json::from(line))?;
            continue;
        }
        writeln!(out, "{}", tame(done.result.as_str(), false))?;
        writeln!(out, "  {}{}", done.line, if is_same { ", as recorded" } else { "" })?;
        if let (Some(recorded), false) = (recorded, is_same) {
            writeln!(out, "  {recorded} is recorded")?;
        }
    }
    Ok(same)
}
