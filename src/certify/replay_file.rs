//! A finding in one file: a state, the calls on it, and all that they were told. Whoever has the file runs it
//! again; nothing else is needed, neither a unit nor a module.

use crate::{
    disk::{
        Call, Data, Digest, DiskReader, Fault, Fuel, Host, HostError, Image, ImageLimits, Limits,
        Message, Mode, Module, NoArtifacts, Process, Resource, Slot, Tag, WireJson,
        json::{Json, Value},
    },
    wire::result_pairs,
};
use data_encoding::BASE64;
use drivebay_conformance::laws::{Broken, Entry, Log, Verdict, Way};
use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// What the first key of such a file says, and what it says of this layout.
const MARK: &str = "Drivebay-Replay";
const VERSION: &str = "1";

/// See the module.
#[derive(Clone)]
pub struct ReplayFile {
    /// What was seen, for people.
    pub seen: String,
    /// The module.
    pub module: Module,
    /// The limits of every call.
    pub limits: Limits,
    /// The state before the first call; without it, the blank one.
    pub image: Option<Image>,
    /// The calls, in order.
    pub calls: Vec<Arc<Call>>,
    /// What they asked, and what they were told.
    pub reads: Vec<Told>,
    /// A line for each call, as in transcripts: what came of it where the file was written.
    pub lines: Vec<String>,
    /// What somebody else's unit says of the last call, if the file is about that.
    pub theirs: Option<String>,
    /// Engine and way of each of two conditions that did not agree, if the file is about that.
    pub sides: Vec<(String, String)>,
}

/// A question to a host, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    what: Resource,
    range: Range<u64>,
    answer: Option<Data>,
}

/// A call that was made again.
pub struct Again {
    /// Its line, as in transcripts.
    pub line: String,
    /// Its result, as a client is answered.
    pub result: Json,
}

impl ReplayFile {
    /// Is this text such a file? A log of a process is not.
    pub fn is_one(text: &str) -> bool {
        text.get(..text.len().min(64)).is_some_and(|start| start.contains(MARK))
    }

    /// Runs the calls, the state frozen and imaged after each.
    pub fn play(&self, reader: &dyn DiskReader) -> Result<Vec<Again>, Broken> {
        self.play_on(reader, Arc::new(Answers(self.reads.clone())))
    }

    /// The same, and what they read comes from `host`.
    pub(super) fn play_on(
        &self,
        reader: &dyn DiskReader,
        host: Arc<dyn Host>,
    ) -> Result<Vec<Again>, Broken> {
        let mut done = Vec::new();
        let log = Log { host, ..self.log() };
        log.play_from(reader, self.image.as_ref(), 0, |_, entry, _| {
            done.push(again(entry));
            Ok(())
        })?;
        Ok(done)
    }

    /// Runs the calls from the blank state in a way that must come to the same as running them once.
    pub fn play_in(
        &self,
        reader: &dyn DiskReader,
        way: &str,
        seed: u64,
    ) -> Result<Vec<Again>, Broken> {
        let way = Way::named(way).ok_or_else(|| Broken::new(format!("there is no way {way}")))?;
        Ok(self.log().check_way(reader, way, seed)?.iter().map(again).collect())
    }

    pub(super) fn log(&self) -> Log {
        Log {
            name: "replay".into(),
            module: self.module.clone(),
            limits: self.limits,
            calls: self.calls.clone(),
            host: Arc::new(Answers(self.reads.clone())),
            artifacts: Arc::new(NoArtifacts),
        }
    }
}

fn again(entry: &Entry) -> Again {
    let receipt = &entry.receipt;
    let fault = match &receipt.verdict {
        Verdict::Done => None,
        Verdict::Faulted(code, payload) => {
            Some(Fault { payload: payload.clone(), ..Fault::new(*code, "") })
        }
    };
    let pairs = result_pairs(&receipt.reply, fault.as_ref(), &receipt.meter);
    Again { line: entry.to_string(), result: Json::from(Value::object(pairs)) }
}

/// A host that writes down what it is asked.
pub struct Recorder {
    host: Arc<dyn Host>,
    told: Mutex<Vec<Told>>,
}

impl Recorder {
    /// Around `host`.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host, told: Mutex::default() }
    }

    /// What it was asked, each question once.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Host for Recorder {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        let answer = self.host.read(what, range.clone())?;
        let told = Told { what: what.clone(), range, answer: answer.clone() };
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&told) {
            all.push(told);
        }
        Ok(answer)
    }
    fn log(&self, line: &str) {
        self.host.log(line);
    }
}

/// A host that knows what was told before, and can say nothing else.
struct Answers(Vec<Told>);

impl Host for Answers {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        let known = self.0.iter().find(|told| told.what == *what && told.range == range);
        let known = known.ok_or_else(|| HostError::Unavailable { what: what.clone() })?;
        Ok(known.answer.clone())
    }
    fn log(&self, _line: &str) {}
}

// Writing. Numbers are texts: JSON's are doubles.

impl ReplayFile {
    /// The file's text.
    pub fn json(&self) -> Result<Json, HostError> {
        let image = self.image.as_ref().map(|image| {
            let mut bytes = Vec::new();
            image.write_to(&mut bytes).map(|()| Value::from(BASE64.encode(&bytes)))
        });
        let image = image.transpose()?;
        let side = |(engine, way): &(String, String)| {
            Value::from(vec![Value::from(engine.as_str()), Value::from(way.as_str())])
        };
        Ok(Json::from(Value::object([
            (MARK, Value::from(VERSION)),
            ("Seen", Value::from(self.seen.as_str())),
            ("Module", of_module(&self.module)),
            ("Limits", of_limits(&self.limits)),
            ("Image", image.unwrap_or(Value::Null)),
            ("Calls", self.calls.iter().map(|call| of_call(call)).collect::<Vec<_>>().into()),
            ("Reads", self.reads.iter().map(of_told).collect::<Vec<_>>().into()),
            ("Lines", texts(&self.lines)),
            ("Theirs", self.theirs.as_deref().map_or(Value::Null, Value::from)),
            ("Sides", self.sides.iter().map(side).collect::<Vec<_>>().into()),
        ])))
    }
}

fn texts(lines: &[String]) -> Value {
    lines.iter().map(|line| Value::from(line.as_str())).collect::<Vec<_>>().into()
}

fn text(value: impl ToString) -> Value {
    Value::from(value.to_string())
}

fn of_tags(tags: &[Tag]) -> Value {
    let tag = |tag: &Tag| Value::object([("name", text(&tag.name)), ("value", text(&tag.value))]);
    tags.iter().map(tag).collect::<Vec<_>>().into()
}

fn of_module(module: &Module) -> Value {
    Value::object([
        ("Format", text(&module.format)),
        ("Tags", of_tags(&module.tags)),
        ("Bytes", Value::from(BASE64.encode(&module.bytes))),
    ])
}

fn of_limits(limits: &Limits) -> Value {
    Value::object([
        ("Fuel", text(limits.fuel)),
        ("Gas", limits.gas.map_or(Value::Null, text)),
        ("Memory", text(limits.memory_bytes)),
        ("Output", text(limits.output_bytes)),
        ("Depth", text(limits.depth)),
    ])
}

fn of_call(call: &Call) -> Value {
    let (process, message) = (&call.process, &call.message);
    let mode = match call.mode {
        Mode::Scheduled => "scheduled",
        Mode::Cron => "cron",
        Mode::DryRun => "dry-run",
    };
    Value::object([
        ("Process-Id", text(&process.id)),
        ("Process-Owner", text(&process.owner)),
        ("Process-Module", text(&process.module)),
        ("Process-Tags", of_tags(&process.tags)),
        ("Id", text(&message.id)),
        ("From", text(&message.from)),
        ("Owner", text(&message.owner)),
        ("Target", text(&message.target)),
        ("Anchor", message.anchor.as_ref().map_or(Value::Null, text)),
        ("Tags", of_tags(&message.tags)),
        ("Data", message.data.as_ref().map_or(Value::Null, |data| text(BASE64.encode(data)))),
        ("Message", text(&call.json.message)),
        ("Environment", text(&call.json.env)),
        ("Epoch", text(call.slot.epoch)),
        ("Nonce", text(call.slot.nonce)),
        ("Tick", text(call.slot.tick)),
        ("Timestamp", text(call.timestamp_ms)),
        ("Block-Height", text(call.block_height)),
        ("Seed", text(Digest(call.seed))),
        ("Mode", text(mode)),
    ])
}

fn of_told(told: &Told) -> Value {
    let (kind, id) = match &told.what {
        Resource::Data(id) => ("data", id.clone()),
        Resource::Transaction(id) => ("transaction", id.clone()),
        Resource::Block(height) => ("block", height.to_string()),
    };
    let answer = told.answer.as_ref().map_or(Value::Null, |data| {
        Value::object([("Bytes", text(BASE64.encode(&data.bytes))), ("Total", text(data.total))])
    });
    Value::object([
        ("Kind", text(kind)),
        ("Id", text(id)),
        ("From", text(told.range.start)),
        ("To", text(told.range.end)),
        ("Answer", answer),
    ])
}

// Reading. What is wrong is said by the key.

impl ReplayFile {
    /// The file that `text` is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = Value::parse(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let at = At(&value);
        if at.text(MARK)? != VERSION {
            return Err(format!("its {MARK} is not {VERSION}"));
        }
        let image = match at.maybe("Image") {
            None => None,
            Some(_) => {
                let bytes = at.bytes("Image")?;
                let image = Image::read_from(&mut bytes.as_slice(), &ImageLimits::default());
                Some(image.map_err(|error| format!("Image: {error}"))?)
            }
        };
        let side = |side: &Value| {
            let words = side.as_array().unwrap_or_default();
            let word = |at: usize| words.get(at)?.as_str().map(str::to_owned);
            word(0).zip(word(1)).ok_or_else(|| "Sides: a side is an engine and a way".to_owned())
        };
        let line = |line: &Value| line.as_str().map(str::to_owned).ok_or("Lines: no text");
        Ok(Self {
            seen: at.text("Seen")?,
            module: module(&at.within("Module")?)?,
            limits: limits(&at.within("Limits")?)?,
            image,
            calls: at.list("Calls")?.iter().map(|one| call(&At(one))).collect::<Result<_, _>>()?,
            reads: at.list("Reads")?.iter().map(|one| told(&At(one))).collect::<Result<_, _>>()?,
            lines: at.list("Lines")?.iter().map(line).collect::<Result<_, _>>()?,
            theirs: at.maybe("Theirs").map(|_| at.text("Theirs")).transpose()?,
            sides: at.list("Sides")?.iter().map(side).collect::<Result<_, _>>()?,
        })
    }
}

/// A place in the file.
struct At<'a>(&'a Value);

impl<'a> At<'a> {
    fn maybe(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn within(&self, key: &str) -> Result<At<'a>, String> {
        self.maybe(key).map(At).ok_or_else(|| format!("it has no {key}"))
    }

    fn list(&self, key: &str) -> Result<&'a [Value], String> {
        self.within(key)?.0.as_array().ok_or_else(|| format!("{key} is no list"))
    }

    fn text(&self, key: &str) -> Result<String, String> {
        let text = self.within(key)?.0.as_str().map(str::to_owned);
        text.ok_or_else(|| format!("{key} is no text"))
    }

    fn bytes(&self, key: &str) -> Result<Vec<u8>, String> {
        let text = self.text(key)?;
        BASE64.decode(text.as_bytes()).map_err(|error| format!("{key} is no base64: {error}"))
    }

    fn number<N: std::str::FromStr>(&self, key: &str) -> Result<N, String> {
        self.text(key)?.parse().map_err(|_| format!("{key} is no number, or too large"))
    }

    fn tags(&self, key: &str) -> Result<Vec<Tag>, String> {
        let tag = |tag: &Value| Ok(Tag::new(At(tag).text("name")?, At(tag).text("value")?));
        self.list(key)?.iter().map(tag).collect()
    }
}

fn module(at: &At) -> Result<Module, String> {
    Ok(Module::new(at.bytes("Bytes")?, at.text("Format")?.as_str(), at.tags("Tags")?))
}

fn limits(at: &At) -> Result<Limits, String> {
    Ok(Limits {
        fuel: Fuel(at.number("Fuel")?),
        gas: at.maybe("Gas").map(|_| at.number("Gas")).transpose()?,
        memory_bytes: at.number("Memory")?,
        output_bytes: at.number("Output")?,
        depth: at.number("Depth")?,
    })
}

fn call(at: &At) -> Result<Arc<Call>, String> {
    let mode = match at.text("Mode")?.as_str() {
        "scheduled" => Mode::Scheduled,
        "cron" => Mode::Cron,
        "dry-run" => Mode::DryRun,
        other => return Err(format!("Mode is {other}")),
    };
    let process = Process {
        id: at.text("Process-Id")?,
        owner: at.text("Process-Owner")?,
        module: at.text("Process-Module")?,
        tags: at.tags("Process-Tags")?,
    };
    let message = Message {
        id: at.text("Id")?,
        from: at.text("From")?,
        owner: at.text("Owner")?,
        target: at.text("Target")?,
        anchor: at.maybe("Anchor").map(|_| at.text("Anchor")).transpose()?,
        tags: at.tags("Tags")?,
        data: at.maybe("Data").map(|_| at.bytes("Data").map(Into::into)).transpose()?,
    };
    let seed = Digest::from_hex(&at.text("Seed")?).ok_or("Seed is no digest")?;
    Ok(Arc::new(Call {
        process: Arc::new(process),
        message: Arc::new(message),
        json: WireJson { message: at.text("Message")?.into(), env: at.text("Environment")?.into() },
        slot: Slot {
            epoch: at.number("Epoch")?,
            nonce: at.number("Nonce")?,
            tick: at.number("Tick")?,
        },
        timestamp_ms: at.number("Timestamp")?,
        block_height: at.number("Block-Height")?,
        seed: seed.0,
        mode,
    }))
}

fn told(at: &At) -> Result<Told, String> {
    let id = at.text("Id")?;
    let what = match at.text("Kind")?.as_str() {
        "data" => Resource::Data(id),
        "transaction" => Resource::Transaction(id),
        "block" => Resource::Block(at.number("Id")?),
        other => return Err(format!("Kind is {other}")),
    };
    let answer = at.maybe("Answer").map(|answer| {
        let answer = At(answer);
        Ok::<_, String>(Data {
            bytes: answer.bytes("Bytes")?.into(),
            total: answer.number("Total")?,
        })
    });
    Ok(Told { what, range: at.number("From")?..at.number("To")?, answer: answer.transpose()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::disk::testing::{MapHost, Tape, call};

    /// Counts, reads the data of the id that it is sent, and says what it read.
    fn case() -> (ReplayFile, Tape) {
        let tape = Tape::default();
        let module = Module::new(b">+.<  ?.  >>,[.,]".to_vec(), "tape-1", Vec::new());
        let limits = tape.limits(&module, &Process::default());
        let id = "KnownData0000000000000000000000000000000001";
        let known = MapHost::new().with(Resource::Data(id.into()), "what is known");
        let recorder = Arc::new(Recorder::new(Arc::new(known)));
        let file = ReplayFile {
            seen: "a \"test\"".into(),
            module,
            limits,
            image: None,
            calls: (0..2).map(|nonce| call(nonce).data(id).build()).collect(),
            reads: Vec::new(),
            lines: Vec::new(),
            theirs: None,
            sides: Vec::new(),
        };
        let log = Log { host: recorder.clone(), ..file.log() };
        let lines = log.play(&tape).unwrap().iter().map(ToString::to_string).collect();
        (ReplayFile { reads: recorder.told(), lines, ..file }, tape)
    }

    #[test]
    fn what_was_written_is_read_and_comes_to_the_same() {
        let (file, tape) = case();
        let text = file.json().unwrap();
        assert!(ReplayFile::is_one(text.as_str()));
        let read = ReplayFile::parse(text.as_str()).unwrap();
        assert_eq!(read.json().unwrap(), text);
        let lines: Vec<_> = read.play(&tape).unwrap().into_iter().map(|done| done.line).collect();
        assert_eq!(lines, file.lines);
        assert_eq!(read.play_in(&tape, "imaged", 1).unwrap().len(), 2);
    }

    #[test]
    fn it_goes_on_from_its_image() {
        let (file, tape) = case();
        let mut image = None;
        let keep = |call: &Call, _: &Entry, after: &Image| {
            if call.slot.nonce == 0 {
                image = Some(after.clone());
            }
            Ok(())
        };
        file.log().play_from(&tape, None, 0, keep).unwrap();
        let last = ReplayFile { image, calls: file.calls[1..].to_vec(), ..file.clone() };
        let read = ReplayFile::parse(last.json().unwrap().as_str()).unwrap();
        assert_eq!(read.play(&tape).unwrap()[0].line, file.lines[1]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = case().0.json().unwrap();
        for (was, is, why) in [
            ("\"Nonce\":\"0\"", "\"Nonce\":\"x\"", "Nonce"),
            ("\"Seed\"", "\"Sead\"", "it has no Seed"),
            ("\"Drivebay-Replay\":\"1\"", "\"Drivebay-Replay\":\"2\"", "is not 1"),
        ] {
            let bent = text.as_str().replacen(was, is, 1);
            assert!(ReplayFile::parse(&bent).err().unwrap().contains(why));
        }
    }
}
