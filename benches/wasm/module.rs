//! A module with a larger memory: published aos modules stop at 512 MiB.

use wasm_encoder::{MemorySection, MemoryType, Module, RawSection};
use wasmparser::{Parser, Payload};

/// The module with that maximum in its memory section, and all else as it was.
pub(crate) fn with_memory_maximum(bytes: &[u8], pages: u64) -> Vec<u8> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.unwrap();
        if let Payload::MemorySection(section) = &payload {
            let mut memories = MemorySection::new();
            for memory in section.clone() {
                let memory = memory.unwrap();
                memories.memory(MemoryType {
                    minimum: memory.initial,
                    maximum: Some(pages),
                    memory64: memory.memory64,
                    shared: false,
                    page_size_log2: None,
                });
            }
            module.section(&memories);
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: bytes.get(range).unwrap_or_default() });
        }
    }
    module.finish()
}
