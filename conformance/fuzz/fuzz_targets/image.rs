//! Any bytes as an image: refused, or read and mounted, and then written back to the same bytes.
#![no_main]

use drivebay_disk::{Disk, DiskReader, Image, ImageLimits, Module, MountError, NoArtifacts};
use drivebay_wasm::{EngineKind, WasmReader};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

const GUEST: &str = r#"(module
    (memory (export "memory") 1 16)
    (global (mut i32) (i32.const 7))
    (func (export "alloc") (param i32) (result i32) i32.const 64)
    (func (export "handle") (param i32 i32 i32 i32) (result i64) i64.const 0))"#;

static DISK: LazyLock<Arc<dyn Disk>> = LazyLock::new(|| {
    let reader = WasmReader::new(EngineKind::Plain).expect("engine");
    let bytes = wat::parse_str(GUEST).expect("wat");
    reader.read(&Module::new(bytes, "wasm32-drivebay-1", Vec::new()), &NoArtifacts).expect("read")
});

fuzz_target!(|bytes: &[u8]| {
    let limits = ImageLimits { memory_bytes: 1 << 24, ..ImageLimits::default() };
    let Ok(image) = Image::read_from(&mut &*bytes, &limits) else { return };
    let mut back = Vec::new();
    image.write_to(&mut back).expect("write");
    assert_eq!(back, bytes, "an image has one spelling");
    match Arc::clone(&DISK).mount(&image) {
        Ok(mut drive) => {
            let again = drive.freeze().and_then(|frozen| frozen.image()).expect("image");
            assert_eq!(again.root(), image.root(), "a mounted image is its image");
        }
        Err(MountError::Refused(_)) => {}
        Err(MountError::Host(error)) => panic!("{error}"),
    }
});
