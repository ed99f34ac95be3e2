//! Any bytes as an image: refused, or read and mounted, and then written back to the same bytes.
#![no_main]

use drivebay_disk::{
    Disk, DiskReader, Image, ImageError, ImageLimits, Module, MountError, NoArtifacts,
};
use drivebay_wasm::{EngineKind, WasmReader};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

/// The module whose states seed the corpus.
const LEDGER: &[u8] = include_bytes!("../../../modules/built/c.wasm");

/// The root that ends a file, in bytes.
const ROOT: usize = 32;

static DISK: LazyLock<Arc<dyn Disk>> = LazyLock::new(|| {
    let reader = WasmReader::new(EngineKind::Plain).expect("engine");
    let module = Module::new(LEDGER.to_vec(), "wasm32-drivebay-1", Vec::new());
    reader.read(&module, &NoArtifacts).expect("read")
});

fuzz_target!(|bytes: &[u8]| {
    let limits = ImageLimits { memory_bytes: 1 << 26, ..ImageLimits::default() };
    let mut file = bytes.to_vec();
    let mut read = Image::read_from(&mut &*file, &limits);
    // Chance never finds a root: the right one is put in, so that what it covers is tried too.
    if read.as_ref().is_err_and(|error| reseal(&mut file, error)) {
        read = Image::read_from(&mut &*file, &limits);
    }
    let Ok(image) = read else { return };
    let mut back = Vec::new();
    image.write_to(&mut back).expect("write");
    assert_eq!(back, file, "an image has one spelling");
    match Arc::clone(&DISK).mount(&image) {
        Ok(mut drive) => {
            let again = drive.freeze().and_then(|frozen| frozen.image()).expect("image");
            assert_eq!(again.root(), image.root(), "a mounted image is its image");
        }
        Err(MountError::Refused(_)) => {}
        Err(MountError::Host(error)) => panic!("{error}"),
    }
});

/// Ends the file with the root that the refusal names. False if it was refused for another reason.
fn reseal(file: &mut [u8], error: &ImageError) -> bool {
    let text = error.to_string();
    let Some((_, rest)) = text.split_once("its content has root ") else { return false };
    let root: Option<Vec<u8>> = (0..ROOT)
        .map(|byte| u8::from_str_radix(rest.get(2 * byte..2 * byte + 2)?, 16).ok())
        .collect();
    let (Some(root), Some(end)) = (root, file.len().checked_sub(ROOT)) else { return false };
    file[end..].copy_from_slice(&root);
    true
}
