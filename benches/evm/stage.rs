//! A process of the token, and messages to it as a unit makes them.

use crate::{
    clock::cpu,
    token::{self, Crowd},
};
use drivebay_disk::{
    Call, Digest, DiskReader, Drive, Frozen, Fuel, Image, Limits, Message, Mode, Module,
    NoArtifacts, Process, Ran, Slot, Tag, WireJson,
    testing::{NoHost, process},
};
use drivebay_evm::{EvmReader, view};
use std::sync::Arc;

/// Slots that one message makes.
const MINTED: u64 = 40_000;

pub(crate) const fn limits(gas: u64) -> Limits {
    Limits {
        fuel: Fuel(gas),
        gas: Some(gas),
        memory_bytes: 64 << 20,
        output_bytes: 8 << 20,
        depth: 1024,
    }
}

/// What is done after every message.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum After {
    Nothing,
    /// A frozen state is kept until the next one is there.
    Freeze,
    /// Its image too, and the root of the accounts alone: Ethereum's.
    StateRoot,
    /// The root of the image.
    Root,
}

pub(crate) struct Stage {
    process: Arc<Process>,
    drive: Option<Box<dyn Drive>>,
    next: u64,
}

impl Stage {
    /// A process with that many holders.
    pub(crate) fn new(holders: u64) -> Self {
        let runtime = vec![Tag::new("Code-Kind", "runtime")];
        let module = Module::new(token::code(), "evm-bytecode-osaka-1", runtime);
        let disk = EvmReader::default().read(&module, &NoArtifacts).unwrap();
        let drive = disk.clone().mount(disk.blank()).unwrap();
        let mut stage = Self { process: Arc::new(process()), drive: Some(drive), next: 0 };
        stage.mint(0, holders);
        stage
    }

    /// Endows the holders of a range.
    pub(crate) fn mint(&mut self, first: u64, end: u64) {
        for first in (first..end).step_by(MINTED as usize) {
            let data = token::mint(first, end.min(first + MINTED));
            let call = self.call("0x00000000000000000000000000000000000000aa".into(), data);
            self.run(&call, 1_000_000_000);
        }
    }

    /// A scheduled call, as a unit gives it: the process is shared, and no machine but those that ask for JSON reads it.
    fn call(&mut self, from: String, data: Vec<u8>) -> Arc<Call> {
        let nonce = self.next;
        self.next += 1;
        let tags = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message")];
        let message = Message {
            id: format!("TestMessage{nonce:032}"),
            from: from.clone(),
            owner: from,
            target: self.process.id.clone(),
            anchor: None,
            tags: tags.map(|(name, value)| Tag::new(name, value)).into(),
            data: Some(data.into()),
        };
        Arc::new(Call {
            process: self.process.clone(),
            message: Arc::new(message),
            json: WireJson::default(),
            slot: Slot { epoch: 0, nonce, tick: 0 },
            timestamp_ms: 1_700_000_000_000 + nonce * 1000,
            block_height: 1_500_000 + nonce / 100,
            seed: Digest::of(&nonce.to_le_bytes()).0,
            mode: Mode::Scheduled,
        })
    }

    /// So many transfers, of which the first is the crowd's `first`.
    pub(crate) fn transfers(&mut self, crowd: Crowd, first: u64, count: usize) -> Vec<Arc<Call>> {
        (first..first + count as u64)
            .map(|n| self.call(crowd.sender(n).to_string(), crowd.transfer(n)))
            .collect()
    }

    fn run(&mut self, call: &Arc<Call>, gas: u64) {
        let drive = self.drive.take().unwrap();
        self.drive = match drive.run(call.clone(), &limits(gas), Arc::new(NoHost)).unwrap() {
            Ran::Done { drive, .. } => Some(drive),
            Ran::Faulted { fault, .. } => panic!("{fault:?}"),
            Ran::Dry { .. } => panic!("dry"),
        };
    }

    /// Nanoseconds that each of these calls takes.
    pub(crate) fn play(&mut self, calls: &[Arc<Call>], after: After) -> f64 {
        let (host, limits) = (Arc::new(NoHost), limits(30_000_000));
        let mut drive = self.drive.take().unwrap();
        let start = cpu();
        let mut window = None;
        for call in calls {
            drive = match drive.run(call.clone(), &limits, host.clone()).unwrap() {
                Ran::Done { drive, .. } => drive,
                _ => panic!("a transfer failed"),
            };
            if after != After::Nothing {
                let frozen = drive.freeze().unwrap();
                match after {
                    After::StateRoot => drop(view::world(&frozen.image().unwrap()).unwrap().root()),
                    After::Root => drop(frozen.image().unwrap().root()),
                    After::Nothing | After::Freeze => {}
                }
                window = Some(frozen);
            }
        }
        let took = (cpu() - start) as f64 / calls.len() as f64;
        drop(window);
        self.drive = Some(drive);
        took
    }

    /// Nanoseconds until a drive of the state as it is can be read.
    pub(crate) fn thaw(&mut self) -> f64 {
        let frozen = self.freeze();
        let start = cpu();
        let drive = frozen.thaw().unwrap();
        let took = cpu() - start;
        drop(drive);
        took as f64
    }

    pub(crate) fn freeze(&mut self) -> Arc<dyn Frozen> {
        self.drive.as_mut().unwrap().freeze().unwrap()
    }

    pub(crate) fn image(&mut self) -> Image {
        self.freeze().image().unwrap()
    }

    /// The process's state as another reads it from an image.
    pub(crate) fn mounted(image: &Image) -> Box<dyn Drive> {
        let runtime = vec![Tag::new("Code-Kind", "runtime")];
        let module = Module::new(token::code(), "evm-bytecode-osaka-1", runtime);
        let disk = EvmReader::default().read(&module, &NoArtifacts).unwrap();
        disk.mount(image).unwrap()
    }
}
