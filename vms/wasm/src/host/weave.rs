//! WeaveDrive: files that come from the network, by imports that wait.

use super::cx::{Action, Args, Cx, Out, World};
use super::files;
use crate::abi;
use crate::posix::{WeaveFail, WeaveSource};
use crate::trap::Stop;
use data_encoding::BASE64URL_NOPAD;
use drivebay_disk::json::{Json, Value};
use drivebay_disk::{Host, HostError, Resource, bug};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::sync::Arc;
use wasmtime::{Memory, StoreContextMut};

/// One more than the longest path that is looked at.
const PATH_BYTES: usize = 4097;
/// Bytes of a header (transaction or block) that are read at most.
const HEADER_BYTES: u64 = 64 << 20;

pub(super) fn open(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let path = super::text::path(cx, args.ptr(0), PATH_BYTES)?;
    files::charge_path(cx, path.len() as u64)?;
    files::charge_open_files(cx)?;
    abi::wait(cx, Action::Open(path))
}

pub(super) fn read(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    let (fd, at, len) = (args.i32(0), args.ptr(1), args.ptr(2));
    abi::wait(cx, Action::Read { fd, at, len })
}

pub(super) fn close(cx: &mut Cx<'_>, args: Args<'_>) -> Result<Out, Stop> {
    files::charge_open_files(cx)?;
    abi::wait(cx, Action::Close(args.i32(0)))
}

/// Does what a guest waits for.
pub(crate) fn act(
    store: &mut StoreContextMut<'_, World>,
    memory: Memory,
    action: &Action,
) -> Result<i32, Stop> {
    let world = store.data_mut();
    let run = world.run.as_ref().ok_or_else(|| Stop::Host(bug!("guest waits outside a call")))?;
    let mut source = Source { host: Arc::clone(&run.host), header_bytes: 0 };
    match action {
        Action::Open(path) => {
            let fd = world.posix.weave_open(path, &mut source).map_err(stop)?;
            // Its size is known only now; a header is parsed, kept and seldom large.
            super::charge(store, source.header_bytes)?;
            Ok(fd)
        }
        Action::Close(fd) => Ok(world.posix.weave_close(*fd)?),
        Action::Read { fd, at, len } => {
            let room = memory.data_size(&*store) as u64;
            let len = (*len).min(room.saturating_sub(*at));
            let fuel = crate::limits::fuel_for_bytes(len);
            super::charge(store, fuel)?;
            let read = store.data_mut().posix.weave_read(*fd, len, &mut source).map_err(stop)?;
            let memory = memory.data_mut(store);
            let target = usize::try_from(*at).ok().and_then(|at| memory.get_mut(at..));
            match target.and_then(|target| target.get_mut(..read.bytes.len())) {
                Some(target) => target.copy_from_slice(&read.bytes),
                None => return Err(Stop::trapped("memory access out of bounds")),
            }
            Ok(i32::try_from(read.count).unwrap_or(i32::MAX))
        }
    }
}

fn stop(fail: WeaveFail<HostError>) -> Stop {
    match fail {
        WeaveFail::Source(error) => Stop::Host(error),
        // The reference's promise never settles; a verdict is the best that can be made of it.
        WeaveFail::Halt(abort) => abort.into(),
    }
}

/// The host's reads as WeaveDrive's files.
struct Source {
    host: Arc<dyn Host>,
    /// Bytes of headers that were read.
    header_bytes: u64,
}

impl Source {
    fn header(&mut self, what: &Resource) -> Result<Option<Vec<u8>>, HostError> {
        let bytes = self.host.read(what, 0..HEADER_BYTES)?.map(|data| data.bytes.to_vec());
        self.header_bytes += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(bytes)
    }
}

impl WeaveSource for Source {
    type Error = HostError;

    fn tx(&mut self, id: &str) -> Result<Option<Vec<u8>>, HostError> {
        let bytes = self.header(&Resource::Transaction(id.to_owned()))?;
        // What has no owner makes the reference fail in a promise that nobody awaits.
        Ok(bytes.map(|bytes| with_owner_address(&bytes).unwrap_or(bytes)))
    }

    fn block(&mut self, height: &str) -> Result<Option<Vec<u8>>, HostError> {
        match height.parse() {
            Ok(height) => self.header(&Resource::Block(height)),
            Err(_) => Ok(None),
        }
    }

    fn data_size(&mut self, id: &str) -> Result<Option<u64>, HostError> {
        let data = self.host.read(&Resource::Data(id.to_owned()), 0..0)?;
        Ok(data.map(|data| data.total))
    }

    fn data(&mut self, id: &str, part: Range<u64>) -> Result<Vec<u8>, HostError> {
        let what = Resource::Data(id.to_owned());
        let data = self.host.read(&what, part)?;
        data.map(|data| data.bytes.to_vec()).ok_or(HostError::Unavailable { what })
    }
}

/// A transaction's JSON with `ownerAddress` after all else: the SHA-256 of its owner's key, as WeaveDrive
/// adds it.
fn with_owner_address(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut value = Value::parse(&String::from_utf8_lossy(bytes)).ok()?;
    let owner = value.get("owner")?.as_str()?.trim_end_matches('=').to_owned();
    let key = BASE64URL_NOPAD.decode(owner.as_bytes()).ok()?;
    let address = BASE64URL_NOPAD.encode(&Sha256::digest(key));
    value.take("ownerAddress");
    let mut pairs = value.into_object()?;
    pairs.push(("ownerAddress".into(), Value::from(address)));
    Some(Json::from(Value::object(pairs)).as_str().as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_transaction_gains_its_owners_address() {
        let bytes = with_owner_address(br#"{"id":"T","owner":"AQAB","tags":[]}"#).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            text.starts_with(r#"{"id":"T","owner":"AQAB","tags":[],"ownerAddress":""#),
            "{text}"
        );
        assert!(with_owner_address(b"not json").is_none());
    }
}
