//! Compiled code between runs of the program: sealed when it is kept, and never run unless the seal holds.
//!
//! This file and no other loads code that was not compiled a moment ago.
#![allow(unsafe_code, reason = "loading compiled code is unsafe by nature; the seal makes it ours")]

use crate::engine::EngineKind;
use drivebay_disk::{ArtifactStore, Digest, HostError, bug};
use std::hash::{Hash, Hasher};
use wasmtime::{Engine, Module};

const SEAL_BYTES: usize = 32;

/// The module compiled from `bytes`: from the store if it is there, whole and ours; else compiled, and
/// kept.
pub(crate) fn compile(
    engine: &Engine,
    kind: EngineKind,
    bytes: &[u8],
    artifacts: &dyn ArtifactStore,
) -> Result<Module, HostError> {
    let key = key(engine, kind, bytes);
    let seal = Seal::new(artifacts, &key);
    if let Some(module) = artifacts.get(&key).and_then(|sealed| load(engine, seal.open(&sealed)?)) {
        return Ok(module);
    }
    let module = Module::new(engine, bytes)
        .map_err(|error| bug!("rewritten module not compiled: {error}"))?;
    if let Ok(code) = module.serialize() {
        artifacts.put(&key, &seal.close(&code));
    }
    Ok(module)
}

/// Covers all that shaped the code: the rewritten module (and so the original and the rules), the engine's
/// version and settings, and the compiler.
fn key(engine: &Engine, kind: EngineKind, bytes: &[u8]) -> Digest {
    let mut settings = Collected(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut settings);
    let settings = *settings.0.finalize().as_bytes();
    let version = crate::ENGINE_VERSION.as_bytes();
    let parts: [&[u8]; 4] = [version, kind.name().as_bytes(), &settings, bytes];
    Digest::of_parts("drivebay-wasm artifact key", &parts)
}

/// Takes what is hashed into BLAKE3: the standard hasher's 64 bits may collide.
struct Collected(blake3::Hasher);

impl Hasher for Collected {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// A keyed hash over key and code, under the store's secret.
struct Seal([u8; 32]);

impl Seal {
    fn new(artifacts: &dyn ArtifactStore, key: &Digest) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&artifacts.seal_key());
        hasher.update(b"drivebay-wasm artifact seal");
        hasher.update(&key.0);
        Self(*hasher.finalize().as_bytes())
    }

    fn of(&self, code: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, code)
    }

    fn close(&self, code: &[u8]) -> Vec<u8> {
        [self.of(code).as_bytes(), code].concat()
    }

    fn open<'a>(&self, sealed: &'a [u8]) -> Option<&'a [u8]> {
        let (seal, code) = sealed.split_at_checked(SEAL_BYTES)?;
        let seal = blake3::Hash::from_slice(seal).ok()?;
        (self.of(code) == seal).then_some(code)
    }
}

fn load(engine: &Engine, code: &[u8]) -> Option<Module> {
    // SAFETY: `deserialize` asks that the bytes came from `Module::serialize` of this version and were not
    // modified. Only `compile` seals bytes, right after `serialize`, under a secret that never leaves this
    // machine's store and a key that names version, settings and module; `Seal::open` checked all of it.
    unsafe { Module::deserialize(engine, code) }.ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Shelf(Mutex<BTreeMap<Digest, Vec<u8>>>, [u8; 32]);

    impl ArtifactStore for Shelf {
        fn get(&self, key: &Digest) -> Option<bytes::Bytes> {
            self.0.lock().unwrap().get(key).cloned().map(Into::into)
        }
        fn put(&self, key: &Digest, sealed: &[u8]) {
            self.0.lock().unwrap().insert(*key, sealed.to_vec());
        }
        fn seal_key(&self) -> [u8; 32] {
            self.1
        }
    }

    fn kept(shelf: &Shelf) -> Vec<u8> {
        shelf.0.lock().unwrap().values().next().unwrap().clone()
    }

    #[test]
    fn a_bent_or_foreign_entry_is_compiled_again_and_replaced() {
        let engine = crate::engine::engine(EngineKind::Plain, false).unwrap();
        let bytes =
            wat::parse_str("(module (func (export \"f\") (result i32) i32.const 7))").unwrap();
        let shelf = Shelf::default();
        compile(&engine, EngineKind::Plain, &bytes, &shelf).unwrap();
        let good = kept(&shelf);
        for bend in [0, 40, good.len() - 1] {
            shelf.0.lock().unwrap().values_mut().for_each(|entry| entry[bend] ^= 1);
            compile(&engine, EngineKind::Plain, &bytes, &shelf).unwrap();
            assert_eq!(kept(&shelf)[..32], good[..32], "entry bent at {bend} was not replaced");
        }
        // Another machine's store has another secret: its entries open nowhere else.
        let foreign = Shelf(Mutex::new(shelf.0.into_inner().unwrap()), [9; 32]);
        compile(&engine, EngineKind::Plain, &bytes, &foreign).unwrap();
        assert_ne!(kept(&foreign)[..32], good[..32]);
    }

    #[test]
    fn the_key_tells_compilers_and_modules_apart() {
        let plain = crate::engine::engine(EngineKind::Plain, false).unwrap();
        let speed = crate::engine::engine(EngineKind::Speed, false).unwrap();
        let one = key(&plain, EngineKind::Plain, b"one");
        assert_ne!(one, key(&plain, EngineKind::Plain, b"two"));
        assert_ne!(one, key(&speed, EngineKind::Speed, b"one"));
    }
}
