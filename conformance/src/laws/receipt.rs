//! What two runs are compared by.

use super::{Broken, broken::must};
use drivebay_disk::{
    Assign, Data, Digest, FaultCode, Host, HostError, Meter, Outgoing, Output, Patch, Reply,
    Resource, Root,
};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

/// Everything about a run that every host must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// How it ended.
    pub verdict: Verdict,
    /// What it answered. `printed` is empty: that is no part of a result.
    pub reply: Reply,
    /// What it cost.
    pub meter: Meter,
    /// Covers what it asked its host, in order, and the answers.
    pub reads: Digest,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Evaluated.
    Done,
    /// Not: code and payload.
    Faulted(FaultCode, Vec<u8>),
}

impl Receipt {
    /// The code of the fault, if it faulted.
    pub fn fault(&self) -> Option<FaultCode> {
        match self.verdict {
            Verdict::Done => None,
            Verdict::Faulted(code, _) => Some(code),
        }
    }

    /// Covers the verdict and the reply.
    pub fn digest(&self) -> Digest {
        let mut parts: Vec<&[u8]> = Vec::new();
        let code = self.fault().map(|code| [code as u8]);
        parts.push(code.as_ref().map_or(&[], |code| code));
        if let Verdict::Faulted(_, payload) = &self.verdict {
            parts.push(payload);
        }
        let Reply { output, messages, spawns, assignments, patches, error, printed: _ } =
            &self.reply;
        let output: [&[u8]; 2] = match output {
            Output::Absent => [b"absent", b""],
            Output::Json(json) => [b"json", json.as_str().as_bytes()],
            Output::Text(text) => [b"text", text.as_bytes()],
            Output::Raw(bytes) => [b"raw", bytes],
        };
        parts.extend(output);
        for (name, list) in [("messages", messages), ("spawns", spawns)] {
            parts.push(name.as_bytes());
            parts.extend(list.iter().map(|Outgoing { json }| json.as_str().as_bytes()));
        }
        parts.push(b"assignments");
        parts.extend(assignments.iter().map(|Assign { json }| json.as_str().as_bytes()));
        parts.push(b"patches");
        parts.extend(patches.iter().map(|Patch { json }| json.as_str().as_bytes()));
        parts.push(b"error");
        parts.extend(error.iter().map(|json| json.as_str().as_bytes()));
        Digest::of_parts("drivebay conformance receipt v1", &parts)
    }
}

/// A receipt, and the root of the state after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How the run ended.
    pub receipt: Receipt,
    /// The state after it.
    pub root: Root,
}

impl fmt::Display for Entry {
    /// One line: verdict, fuel, gas, digest of the reply, digest of the reads, root.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Receipt { meter, reads, .. } = &self.receipt;
        match self.receipt.fault() {
            None => f.write_str("done")?,
            Some(code) => write!(f, "fault-{}", code as u8)?,
        }
        write!(f, " fuel {} gas ", meter.fuel)?;
        match meter.gas {
            None => f.write_str("-")?,
            Some(gas) => write!(f, "{gas}")?,
        }
        write!(f, " reply {} reads {} root {}", self.receipt.digest(), reads, self.root)
    }
}

/// Are these the same receipts? If not, says which is the first that differs, and in what.
pub(super) fn same(expected: &Receipt, found: &Receipt) -> Result<(), Broken> {
    must!(
        expected.verdict == found.verdict,
        "verdict {:?} became {:?}",
        expected.verdict,
        found.verdict
    );
    must!(expected.reply == found.reply, "reply {:?} became {:?}", expected.reply, found.reply);
    must!(expected.meter == found.meter, "cost {:?} became {:?}", expected.meter, found.meter);
    must!(expected.reads == found.reads, "it asked its host other things, or in another order");
    Ok(())
}

/// The same for entries: receipt and root.
pub(super) fn same_entry(expected: &Entry, found: &Entry) -> Result<(), Broken> {
    same(&expected.receipt, &found.receipt)?;
    must!(expected.root == found.root, "root {} became {}", expected.root, found.root);
    Ok(())
}

/// A host that remembers what it was asked, and what it answered.
pub(super) struct Witness {
    host: Arc<dyn Host>,
    seen: Mutex<Vec<Digest>>,
}

impl Witness {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        Self { host, seen: Mutex::default() }
    }

    pub(super) fn reads(&self) -> Digest {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let parts: Vec<&[u8]> = seen.iter().map(|digest| digest.0.as_slice()).collect();
        Digest::of_parts("drivebay conformance reads v1", &parts)
    }
}

impl Host for Witness {
    fn read(&self, what: &Resource, range: Range<u64>) -> Result<Option<Data>, HostError> {
        let answer = self.host.read(what, range.clone())?;
        let (what, start, end) =
            (what.to_string(), range.start.to_le_bytes(), range.end.to_le_bytes());
        let mut parts: Vec<&[u8]> = vec![what.as_bytes(), &start, &end];
        let total = answer.as_ref().map(|data| data.total.to_le_bytes());
        if let (Some(data), Some(total)) = (&answer, &total) {
            parts.extend([data.bytes.as_ref(), total.as_slice()]);
        }
        let digest = Digest::of_parts("drivebay conformance read v1", &parts);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(digest);
        Ok(answer)
    }
    fn log(&self, line: &str) {
        self.host.log(line);
    }
}
