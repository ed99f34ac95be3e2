//! A Lua module at work.

use drivebay_disk::testing::NoHost;
use drivebay_disk::{
    Call, Disk, DiskReader, Drive, Frozen, Fuel, Limits, Module, NoArtifacts, Output, Ran,
};
use drivebay_lua::{FORMAT, LuaReader};
use std::sync::Arc;

/// More than any workload needs.
const LIMITS: Limits = Limits {
    fuel: Fuel(1 << 50),
    gas: None,
    memory_bytes: 2 << 30,
    output_bytes: 32 << 20,
    depth: 1_000_000,
};

pub(crate) struct Player {
    drive: Option<Box<dyn Drive>>,
    /// The last answer, or why there was none.
    pub(crate) last: String,
}

/// A module as a disk.
pub(crate) fn disk(module: &[u8]) -> Arc<dyn Disk> {
    let module = Module::new(module.to_vec(), FORMAT, Vec::new());
    LuaReader::default().read(&module, &NoArtifacts).unwrap_or_else(|error| panic!("{error}"))
}

impl Player {
    pub(crate) fn new(module: &[u8]) -> Self {
        let disk = disk(module);
        let drive = Arc::clone(&disk).mount(disk.blank()).unwrap_or_else(|error| panic!("{error}"));
        Self::on(drive)
    }

    pub(crate) fn on(drive: Box<dyn Drive>) -> Self {
        Self { drive: Some(drive), last: String::new() }
    }

    /// Evaluates one; bytes of its answer, roughly.
    pub(crate) fn play(&mut self, call: Arc<Call>) -> usize {
        let ran = self.drive.take().unwrap().run(call, &LIMITS, Arc::new(NoHost));
        let (drive, said) = match ran.unwrap_or_else(|failure| panic!("{}", failure.error)) {
            Ran::Done { drive, reply, .. } => (Some(drive), said(&reply.output)),
            Ran::Dry { drive, reply, .. } => (drive, said(&reply.output)),
            Ran::Faulted { drive, fault, .. } => {
                (drive, format!("{:?}: {}", fault.code, fault.note))
            }
        };
        self.drive = drive;
        self.last = said;
        self.last.len()
    }

    pub(crate) fn freeze(&mut self) -> Arc<dyn Frozen> {
        self.drive.as_mut().unwrap().freeze().unwrap()
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.drive.as_ref().unwrap().resident_bytes()
    }
}

fn said(output: &Output) -> String {
    match output {
        Output::Absent => String::new(),
        Output::Json(json) => json.as_str().to_owned(),
        Output::Text(text) => text.clone(),
        Output::Raw(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
