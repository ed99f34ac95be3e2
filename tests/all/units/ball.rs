//! A machine for games: `Tape` counts, and whatever message comes with balls `Left` is answered with one less.

use super::kit::sent;
use drivebay::disk::{
    ArtifactStore, Call, Disk, DiskId, DiskReader, Drive, Format, Frozen, Host, HostError,
    HostFailure, Image, Limits, Module, MountError, Outgoing, Process, Ran, ReadError, ReaderId,
    Reply, Tag,
    json::{Json, Value},
    testing::Tape,
};
use std::sync::Arc;

/// Adds one to its first cell, and says it.
pub(crate) const MODULE: &str = "+.";
pub(crate) const FORMAT: &str = "ball-1";

pub(crate) struct Ball {
    tape: Tape,
    format: Format,
}

impl Default for Ball {
    fn default() -> Self {
        let tape = Tape::default();
        let rules = tape.formats()[0].rules;
        Self { tape, format: Format { name: FORMAT.into(), rules } }
    }
}

impl DiskReader for Ball {
    fn id(&self) -> ReaderId {
        ReaderId { name: "ball", version: "1".into() }
    }
    fn formats(&self) -> &[Format] {
        std::slice::from_ref(&self.format)
    }
    fn read(
        &self,
        module: &Module,
        artifacts: &dyn ArtifactStore,
    ) -> Result<Arc<dyn Disk>, ReadError> {
        let module = Module { format: "tape-1".into(), ..module.clone() };
        let disk = self.tape.read(&module, artifacts)?;
        Ok(Arc::new(BallDisk { disk, format: self.format.clone() }))
    }
    fn limits(&self, module: &Module, process: &Process) -> Limits {
        self.tape.limits(module, process)
    }
}

struct BallDisk {
    disk: Arc<dyn Disk>,
    format: Format,
}

impl Disk for BallDisk {
    fn id(&self) -> DiskId {
        self.disk.id()
    }
    fn format(&self) -> &Format {
        &self.format
    }
    fn blank(&self) -> &Image {
        self.disk.blank()
    }
    fn mount(self: Arc<Self>, image: &Image) -> Result<Box<dyn Drive>, MountError> {
        Ok(Box::new(BallDrive(Arc::clone(&self.disk).mount(image)?)))
    }
}

struct BallDrive(Box<dyn Drive>);

impl Drive for BallDrive {
    fn run(
        self: Box<Self>,
        call: Arc<Call>,
        limits: &Limits,
        host: Arc<dyn Host>,
    ) -> Result<Ran, HostFailure> {
        let back = |drive: Box<dyn Drive>| Box::new(Self(drive)) as Box<dyn Drive>;
        let ran = self
            .0
            .run(Arc::clone(&call), limits, host)
            .map_err(|failure| HostFailure { drive: failure.drive.map(back), ..failure })?;
        Ok(match ran.map_drive(back) {
            Ran::Done { drive, reply, meter } => {
                Ran::Done { drive, reply: with_ball(reply, &call), meter }
            }
            ended => ended,
        })
    }
    fn freeze(&mut self) -> Result<Arc<dyn Frozen>, HostError> {
        Ok(Arc::new(BallFrozen(self.0.freeze()?)))
    }
    fn resident_bytes(&self) -> u64 {
        self.0.resident_bytes()
    }
}

struct BallFrozen(Arc<dyn Frozen>);

impl Frozen for BallFrozen {
    fn thaw(&self) -> Result<Box<dyn Drive>, HostError> {
        Ok(Box::new(BallDrive(self.0.thaw()?)))
    }
    fn image(&self) -> Result<Image, HostError> {
        self.0.image()
    }
    fn held_bytes(&self) -> u64 {
        self.0.held_bytes()
    }
}

/// The ball goes to whom the tag `To` names, else back.
fn with_ball(mut reply: Reply, call: &Call) -> Reply {
    let tag = |name| Tag::last(&call.message.tags, name);
    let left = tag("Left").and_then(|left| left.parse::<u64>().ok());
    if let Some(left) = left.and_then(|left| left.checked_sub(1)) {
        let to = tag("To").unwrap_or(&call.message.from);
        let left = left.to_string();
        let more = [("Left", left.as_str()), ("Chain", tag("Chain").unwrap_or(""))];
        let ball = sent(to, call.slot.nonce, &more).to_string();
        let json = Json::from(Value::parse(&ball).unwrap());
        reply.messages.push(Outgoing { json });
    }
    reply
}
