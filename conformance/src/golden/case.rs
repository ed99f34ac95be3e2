//! A case file, read.

use super::GoldenError;
use drivebay_disk::Digest;
use drivebay_disk::json::{Json, Value};
use std::{collections::BTreeMap, fs, path::Path};

/// The format under which modules of HyperBEAM's calling convention run here.
const HYPERBEAM: &str = "wasm64-hyperbeam-1";

/// One process: a module, its environment, messages, and what the reference answered to each.
#[derive(Clone, Debug)]
pub struct Case {
    /// Folder and file name without its ending: `wasm64/0_aos2_0_0`.
    pub name: String,
    /// Where the module comes from, for people.
    pub module_file: String,
    /// SHA-256 of the module's bytes.
    pub module_sha256: Digest,
    /// The `Module-Format` to run it under.
    pub format: String,
    /// The `Compute-Limit`, where the case has one.
    pub compute_limit: Option<u64>,
    /// Path of the program, as the guest's `argv[0]` shows it in some formats.
    pub this_program: Option<String>,
    /// Further arguments of the program.
    pub argv_rest: Vec<String>,
    /// Time zone that the reference ran in.
    pub time_zone: Option<String>,
    /// Second argument of `handle`.
    pub env: Json,
    /// First argument of `handle`, for each message.
    pub messages: Vec<Json>,
    /// What the reference answered to each message.
    pub results: Vec<Expected>,
    /// What a gateway serves, by path, where the case has one.
    pub weavedrive: Option<BTreeMap<String, String>>,
}

/// What the reference made of one message.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What it answered.
    pub answer: Answer,
    /// The memory that it handed to the next message, if it is this message's.
    pub memory: Option<Memory>,
}

/// What the reference answered. A field that JavaScript calls `undefined` is `None`.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The module's response.
    Reply {
        /// `Output`.
        output: Option<Json>,
        /// `Messages`.
        messages: Option<Json>,
        /// `Spawns`.
        spawns: Option<Json>,
        /// `Assignments`.
        assignments: Option<Json>,
        /// `Error`, if JavaScript takes it as true: the state did not advance.
        error: Option<Json>,
        /// `GasUsed`, where it was recorded.
        gas: Option<u64>,
    },
    /// The loader threw: the module's own value, or an `Error` of JavaScript, which has no JSON.
    Thrown(Option<Json>),
}

/// A memory, by its hashes.
#[derive(Clone, Debug)]
pub struct Memory {
    /// SHA-256 of all bytes.
    pub sha256: Digest,
    /// Number of bytes.
    pub len_bytes: u64,
    /// The first 8 hexadecimal digits of the SHA-256 of each MiB; may be empty.
    pub chunks: Vec<String>,
}

/// All cases in the folders of `dir`, by name.
pub fn cases_in(dir: &Path) -> Result<Vec<Case>, GoldenError> {
    let mut cases = Vec::new();
    for group in super::index::sorted(dir)?.into_iter().filter(|path| path.is_dir()) {
        for file in super::index::sorted(&group)? {
            if file.extension().is_some_and(|ending| ending == "json") {
                cases.push(Case::load(&file)?);
            }
        }
    }
    Ok(cases)
}

impl Case {
    /// Reads a case file. Its folder and its name are the case's name.
    pub fn load(path: &Path) -> Result<Self, GoldenError> {
        let io = |source| GoldenError::Io { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(io)?;
        let part = |name: Option<&std::ffi::OsStr>| {
            name.unwrap_or_default().to_string_lossy().into_owned()
        };
        let group = part(path.parent().and_then(Path::file_name));
        Self::parse(format!("{group}/{}", part(path.file_stem())), &text).map_err(|error| {
            match error {
                Bad::Json(source) => GoldenError::Json { path: path.to_owned(), source },
                Bad::Shape(what) => GoldenError::Shape { path: path.to_owned(), what },
            }
        })
    }

    pub(super) fn parse(name: String, text: &str) -> Result<Self, Bad> {
        let file = Value::parse(text).map_err(Bad::Json)?;
        let list = |key: &str| file.get(key).and_then(Value::as_array).unwrap_or_default();
        let json = |value: &Value| Json::from(value.clone());
        let case = Self {
            name,
            module_file: required(&file, "module_file")?,
            module_sha256: digest(&file, "module_sha256")?,
            format: format(required(&file, "format")?),
            compute_limit: compute_limit(&file)?,
            this_program: optional(&file, "this_program"),
            argv_rest: list("argv_rest")
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            time_zone: optional(&file, "tz"),
            env: file.get("env").map(json).ok_or(shape("no `env`"))?,
            messages: list("messages").iter().map(json).collect(),
            results: list("results").iter().map(expected).collect::<Result<_, _>>()?,
            weavedrive: file.get("weavedrive").map(content).transpose()?,
        };
        if case.messages.is_empty() || case.messages.len() != case.results.len() {
            return Err(shape("expected `messages`, and as many `results`"));
        }
        Ok(case)
    }
}

/// Why a text is not a case.
#[derive(Debug)]
pub(super) enum Bad {
    Json(drivebay_disk::json::JsonError),
    Shape(String),
}

fn shape(what: impl Into<String>) -> Bad {
    Bad::Shape(what.into())
}

fn optional(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn required(value: &Value, key: &str) -> Result<String, Bad> {
    optional(value, key).ok_or_else(|| shape(format!("no text `{key}`")))
}

fn digest(value: &Value, key: &str) -> Result<Digest, Bad> {
    Digest::from_hex(&required(value, key)?)
        .ok_or_else(|| shape(format!("`{key}` is not 64 hexadecimal digits")))
}

/// The recorded name of an emulated format says how it was emulated; the rules are the same.
fn format(recorded: String) -> String {
    if recorded.starts_with("hyperbeam") { HYPERBEAM.to_owned() } else { recorded }
}

fn compute_limit(file: &Value) -> Result<Option<u64>, Bad> {
    let options = file.get("options").and_then(Value::as_object).unwrap_or_default();
    let mut limit = None;
    for (key, value) in options {
        if key != "computeLimit" {
            return Err(shape(format!("option {key:?} is not known")));
        }
        limit = Some(value.as_u64().ok_or(shape("`computeLimit` is not a whole number"))?);
    }
    Ok(limit)
}

fn content(weavedrive: &Value) -> Result<BTreeMap<String, String>, Bad> {
    let pairs = weavedrive.get("content").and_then(Value::as_object);
    let text = |(path, body): &(_, Value)| match (
        drivebay_disk::json::Text::as_str(path),
        body.as_str(),
    ) {
        (Some(path), Some(body)) => Ok((path.to_owned(), body.to_owned())),
        _ => Err(shape("content of the gateway that is not text")),
    };
    pairs.ok_or(shape("`weavedrive` has no `content`"))?.iter().map(text).collect()
}

fn expected(result: &Value) -> Result<Expected, Bad> {
    let raw = match result.get("raw_json") {
        None => None,
        Some(text) => Some(text.as_str().ok_or(shape("`raw_json` is not text"))?),
    };
    let answer = match (result.get("thrown"), raw) {
        (Some(thrown), _) => thrown_answer(thrown)?,
        (None, Some(text)) => raw_answer(text),
        (None, None) => reply(result),
    };
    // Where the reference was not asked what comes next, the memory simply stayed.
    let stays = result.get("next_memory").is_none_or(|next| next.as_str() == Some("returned"));
    let advanced = matches!(answer, Answer::Reply { error: None, .. });
    let memory = if stays && advanced { memory(result)? } else { None };
    Ok(Expected { answer, memory })
}

fn thrown_answer(thrown: &Value) -> Result<Answer, Bad> {
    let value = thrown.get("value").map(|value| Json::from(value.clone()));
    match (thrown.get("kind").and_then(Value::as_str), value) {
        (Some("value"), Some(value)) => Ok(Answer::Thrown(Some(value))),
        // A module that raises nothing at all throws `undefined`, which JSON leaves out.
        (Some("value"), None) | (Some("Error"), _) => Ok(Answer::Thrown(None)),
        _ => Err(shape("`thrown` is neither a `value` nor an `Error`")),
    }
}

/// What the loader would make of the text that `handle` returned.
fn raw_answer(text: &str) -> Answer {
    // A text that is no answer makes the loader throw an Error.
    let value = Value::parse(text).unwrap_or_default();
    let response = value.get("response");
    match (value.get("ok").is_some_and(Value::truthy), response) {
        (true, Some(response)) if !response.is_null() => reply(response),
        (false, Some(response)) => Answer::Thrown(Some(Json::from(response.clone()))),
        _ => Answer::Thrown(None),
    }
}

fn reply(fields: &Value) -> Answer {
    let json = |key: &str| fields.get(key).map(|value| Json::from(value.clone()));
    let error = fields.get("Error").filter(|error| error.truthy());
    Answer::Reply {
        output: json("Output"),
        messages: json("Messages"),
        spawns: json("Spawns"),
        assignments: json("Assignments"),
        error: error.map(|error| Json::from(error.clone())),
        gas: fields.get("GasUsed").and_then(Value::as_u64),
    }
}

fn memory(result: &Value) -> Result<Option<Memory>, Bad> {
    if result.get("memory_sha256").is_none() {
        return Ok(None);
    }
    let len = result.get("memory_len").and_then(Value::as_u64);
    let chunks = optional(result, "memory_chunks_1mib").unwrap_or_default();
    Ok(Some(Memory {
        sha256: digest(result, "memory_sha256")?,
        len_bytes: len.ok_or(shape("no number `memory_len`"))?,
        chunks: chunks.split_whitespace().map(str::to_owned).collect(),
    }))
}
