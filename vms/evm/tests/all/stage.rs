//! A process on a stage: what the tests play with.

use crate::roles::FORMAT;
use drivebay_disk::{
    Call, Disk, DiskReader, Drive, FaultCode, Fuel, Host, Limits, Meter, Mode, Module, NoArtifacts,
    Process, Ran, Reply, Tag,
    json::Value,
    testing::{CallBuilder, MapHost, call, process},
};
use drivebay_evm::EvmReader;
use std::sync::Arc;

/// What a process gets that asks for nothing.
pub(crate) const LIMITS: Limits = Limits {
    fuel: Fuel(30_000_000),
    gas: Some(30_000_000),
    memory_bytes: 64 << 20,
    output_bytes: 8 << 20,
    depth: 1024,
};

/// How a call ended.
pub(crate) struct Shown {
    pub(crate) fault: Option<FaultCode>,
    pub(crate) said: String,
    pub(crate) reply: Reply,
    pub(crate) meter: Meter,
}

impl Shown {
    /// A field of the output.
    pub(crate) fn field(&self, key: &str) -> Value {
        let drivebay_disk::Output::Json(json) = &self.reply.output else {
            panic!("no output: {:?} {}", self.fault, self.said)
        };
        json.value().get(key).cloned().unwrap_or_else(|| panic!("no {key} in {json:?}"))
    }

    /// The raw answer, as hexadecimal digits.
    pub(crate) fn returned(&self) -> String {
        self.field("return").as_str().expect("a text").to_owned()
    }

    /// The raw answer as a number.
    pub(crate) fn number(&self) -> u64 {
        u64::from_str_radix(&self.returned()[50..66], 16).expect("a word")
    }

    pub(crate) fn error(&self) -> String {
        match &self.reply.error {
            Some(error) => error.value().as_str().expect("a text").to_owned(),
            None => self.said.clone(),
        }
    }
}

/// A process, its drive and its next slot.
pub(crate) struct Stage {
    pub(crate) disk: Arc<dyn Disk>,
    drive: Option<Box<dyn Drive>>,
    pub(crate) process: Process,
    pub(crate) limits: Limits,
    pub(crate) next: u64,
}

impl Stage {
    pub(crate) fn new(module: &Module, tags: &[(&str, &str)]) -> Self {
        let disk = EvmReader::default().read(module, &NoArtifacts).expect("a module");
        let drive = disk.clone().mount(disk.blank()).expect("its blank state");
        let mut process = process();
        process.tags.extend(tags.iter().map(|(name, value)| Tag::new(*name, *value)));
        Self { disk, drive: Some(drive), process, limits: LIMITS, next: 0 }
    }

    /// Of runtime code.
    pub(crate) fn of(code: Vec<u8>) -> Self {
        Self::new(&crate::roles::runtime(code), &[])
    }

    /// Of init code and an ABI in lines.
    pub(crate) fn with_abi(init: Vec<u8>, abi: &str, tags: &[(&str, &str)]) -> Self {
        Self::new(&Module::new(init, FORMAT, vec![Tag::new("ABI", abi)]), tags)
    }

    pub(crate) fn builder(&self) -> CallBuilder {
        call(self.next).process(self.process.clone())
    }

    /// Sends data with tags.
    pub(crate) fn send(&mut self, data: impl Into<bytes::Bytes>, tags: &[(&str, &str)]) -> Shown {
        let builder = self.builder().data(data);
        let builder = tags.iter().fold(builder, |all, (name, value)| all.tag(name, value));
        self.play(&builder.build())
    }

    pub(crate) fn dry(&mut self, data: impl Into<bytes::Bytes>, tags: &[(&str, &str)]) -> Shown {
        let builder = self.builder().data(data).mode(Mode::DryRun);
        let builder = tags.iter().fold(builder, |all, (name, value)| all.tag(name, value));
        self.play(&builder.build())
    }

    pub(crate) fn play(&mut self, call: &Arc<Call>) -> Shown {
        self.play_with(call, Arc::new(MapHost::new()))
    }

    pub(crate) fn play_with(&mut self, call: &Arc<Call>, host: Arc<dyn Host>) -> Shown {
        let drive = self.drive.take().expect("a drive");
        let ran = drive.run(call.clone(), &self.limits, host).expect("no host error");
        if call.mode != Mode::DryRun {
            self.next += 1;
        }
        let (drive, fault, reply, meter) = match ran {
            Ran::Done { drive, reply, meter } => (Some(drive), None, reply, meter),
            Ran::Faulted { drive, fault, reply, meter } => (drive, Some(fault), reply, meter),
            Ran::Dry { drive, fault, reply, meter } => (drive, fault, reply, meter),
        };
        self.drive = drive;
        let said = fault
            .as_ref()
            .map_or_else(String::new, |fault| String::from_utf8_lossy(&fault.payload).into_owned());
        Shown { fault: fault.map(|fault| fault.code), said, reply, meter }
    }

    pub(crate) fn root(&mut self) -> drivebay_disk::Root {
        self.image().root()
    }

    pub(crate) fn image(&mut self) -> drivebay_disk::Image {
        let drive = self.drive.as_mut().expect("a drive");
        drive.freeze().and_then(|frozen| frozen.image()).expect("an image")
    }
}

/// A trial of that name.
pub(crate) fn trial(name: &str, test: fn()) -> libtest_mimic::Trial {
    libtest_mimic::Trial::test(name, move || {
        test();
        Ok(())
    })
}
