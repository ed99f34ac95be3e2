//! Any text as JSON: an error, or a value whose text reads back as itself.
#![no_main]

use drivebay_disk::json::Json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(json) = Json::parse(text) {
        assert_eq!(Json::parse(json.as_str()).as_ref(), Ok(&json));
    }
});
