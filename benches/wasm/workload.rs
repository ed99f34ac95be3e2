//! A workload file: an environment, messages, and steps over them. `benches/README.md` says where they come from.

use drivebay_disk::json::{Json, Value};
use drivebay_disk::testing::call;
use drivebay_disk::{Call, Mode, WireJson};
use std::ops::Range;
use std::sync::Arc;

/// A run of messages of one kind.
pub(crate) struct Step {
    pub(crate) label: String,
    pub(crate) dry: bool,
    pub(crate) range: Range<usize>,
}

pub(crate) struct Workload {
    pub(crate) name: String,
    env: Arc<str>,
    messages: Vec<Arc<str>>,
    pub(crate) steps: Vec<Step>,
}

impl Workload {
    /// Reads a file; steps get at most `limit` messages. Messages between steps belong to the step before.
    pub(crate) fn load(path: &str, limit: Option<u64>) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let value = Value::parse(&text).unwrap();
        let list = |key| value.get(key).and_then(Value::as_array).unwrap_or_default();
        let json = |value: &Value| -> Arc<str> { Json::from(value.clone()).as_str().into() };
        let mut steps: Vec<Step> = Vec::new();
        let mut next = 0;
        for step in list("steps") {
            let number = |key| step.get(key).and_then(Value::as_u64).unwrap() as usize;
            let (from, to) = (number("from"), number("to"));
            let text = |key| step.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            if from > next {
                steps.push(Step { label: "between".into(), dry: false, range: next..from });
            }
            let most = limit.map_or(to, |limit| to.min(from + limit as usize));
            let dry = text("kind") == "dryrun";
            steps.push(Step { label: text("label"), dry, range: from..most });
            next = to;
        }
        Self {
            name: value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            env: json(value.get("env").unwrap()),
            messages: list("messages").iter().map(json).collect(),
            steps,
        }
    }

    /// One of the messages as a call.
    pub(crate) fn call(&self, at: usize, mode: Mode) -> Arc<Call> {
        let message = self.messages.get(at).cloned().unwrap_or_default();
        let json = WireJson { message, env: Arc::clone(&self.env) };
        let base = call(at as u64).mode(mode).build();
        Arc::new(Call { json, ..(*base).clone() })
    }
}
