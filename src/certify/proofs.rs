//! What the machines that Drivebay ships bring to be certified. One line each in `cu::Readers::stock`.

use drivebay_conformance::Proof;

#[path = "../../modules/roles/wasm/roles.rs"]
mod wasm;

/// Of the WebAssembly reader.
pub const WASM: Proof = Proof {
    name: "wasm",
    roles: wasm::roles,
    recorded: include_str!("../../conformance/golden/receipts/wasm.txt"),
};
