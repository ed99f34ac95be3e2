//! What the machines that Drivebay ships bring to be certified. One line each in `cu::Readers::stock`.

use drivebay_conformance::Proof;

#[path = "../../modules/roles/evm/roles.rs"]
mod evm;
#[path = "../../modules/roles/lua/roles.rs"]
mod lua;
#[path = "../../modules/roles/wasm/roles.rs"]
mod wasm;

/// Of the WebAssembly reader.
pub const WASM: Proof = Proof {
    name: "wasm",
    roles: wasm::roles,
    recorded: include_str!("../../conformance/golden/receipts/wasm.txt"),
};

/// Of the EVM reader.
pub const EVM: Proof = Proof {
    name: "evm",
    roles: evm::roles,
    recorded: include_str!("../../conformance/golden/receipts/evm.txt"),
};

/// Of the Lua reader.
pub const LUA: Proof = Proof {
    name: "lua",
    roles: lua::roles,
    recorded: include_str!("../../conformance/golden/receipts/lua.txt"),
};
