//! Any bytes as a module of any format: refused or read, never a bug, a panic or a hang.
#![no_main]

use drivebay_disk::{DiskReader, HostError, Module, NoArtifacts, ReadError};
use drivebay_wasm::{EngineKind, WasmReader};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static READER: LazyLock<WasmReader> =
    LazyLock::new(|| WasmReader::new(EngineKind::Plain).expect("engine"));

fuzz_target!(|bytes: &[u8]| {
    for format in READER.formats() {
        let module = Module::new(bytes.to_vec(), format.name.as_str(), Vec::new());
        if let Err(ReadError::Host(error @ HostError::Bug { .. })) = READER.read(&module, &NoArtifacts) {
            panic!("{}: {error}", format.name);
        }
    }
});
