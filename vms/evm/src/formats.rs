//! The formats, each one rule set for ever, and their constants.

use drivebay_disk::{Digest, Format, Fuel, Limits, Module, Process, Tag};
use revm::primitives::{Address, address, hardfork::SpecId};

/// The precompile through which a contract reaches ao: `ao.outbox`, then zeros, then 0xa0.
pub const OUTBOX: Address = address!("616f2e6f7574626f7800000000000000000000a0");
/// Who gets the fees of transactions that offer some: `ao.coinbase`, then zeros.
pub const COINBASE: Address = address!("616f2e636f696e62617365000000000000000000");

/// Default gas of a message.
pub(crate) const GAS_DEFAULT: u64 = 30_000_000;
/// Most gas of a message.
pub(crate) const GAS_MAX: u64 = 1_000_000_000;
/// Bytes of memory of all frames of a call together.
pub(crate) const MEMORY_BYTES: u64 = 64 << 20;
/// Bytes of a reply.
pub(crate) const OUTPUT_BYTES: u32 = 8 << 20;
/// Depth of calls, as Ethereum has it. A lower limit ends the whole call.
pub(crate) const DEPTH: u32 = 1024;
/// Blocks whose hash a contract may ask for.
pub(crate) const HASHES: u64 = 256;

/// Gas of a call of the outbox, before its data.
pub(crate) const OUTBOX_GAS: u64 = 1_000;
/// Gas of each byte that is sent.
pub(crate) const SEND_BYTE_GAS: u64 = 16;
/// Gas of each byte that is read of the current message, or of the network.
pub(crate) const READ_BYTE_GAS: u64 = 3;
/// Gas of a read of the network, before its bytes.
pub(crate) const READ_GAS: u64 = 20_000;
/// Most bytes of one read of the network.
pub(crate) const READ_MAX: u64 = 1 << 20;

/// The rules of one format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) name: &'static str,
    pub(crate) spec: SpecId,
}

pub(crate) const RULES: [Rules; 2] = [
    Rules { name: "evm-bytecode-prague-1", spec: SpecId::PRAGUE },
    Rules { name: "evm-bytecode-osaka-1", spec: SpecId::OSAKA },
];

/// Bumped with any change that may change a result under unchanged names; before a release only.
const RULES_VERSION: &[u8] = b"1";

impl Rules {
    pub(crate) fn format(&self) -> Format {
        let numbers = [
            GAS_DEFAULT,
            GAS_MAX,
            MEMORY_BYTES,
            OUTPUT_BYTES.into(),
            DEPTH.into(),
            HASHES,
            OUTBOX_GAS,
            SEND_BYTE_GAS,
            READ_BYTE_GAS,
            READ_GAS,
            READ_MAX,
        ];
        let numbers = numbers.map(u64::to_le_bytes).concat();
        let parts: [&[u8]; 5] =
            [RULES_VERSION, self.name.as_bytes(), &numbers, &OUTBOX.0.0, &COINBASE.0.0];
        Format { name: self.name.into(), rules: Digest::of_parts("drivebay evm rules v1", &parts) }
    }
}

/// `Compute-Limit` is gas, and as much fuel.
pub(crate) fn limits(module: &Module, process: &Process) -> Limits {
    let tag = Tag::last(&process.tags, "Compute-Limit").or_else(|| module.tag("Compute-Limit"));
    let gas = tag.and_then(|text| text.trim().parse().ok()).unwrap_or(GAS_DEFAULT).min(GAS_MAX);
    Limits {
        fuel: Fuel(gas),
        gas: Some(gas),
        memory_bytes: MEMORY_BYTES,
        output_bytes: OUTPUT_BYTES,
        depth: DEPTH,
    }
}
