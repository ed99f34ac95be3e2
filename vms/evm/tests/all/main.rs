//! The EVM reader, held to the laws, to Ethereum's rules, and to what others got wrong.
//!
//! `DRIVEBAY_LONG=1` runs the full numbers of everything that is sampled otherwise.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod asm;
mod hostile;
mod oracle;
mod roles;
mod signed;
mod stage;
mod world;

use drivebay_conformance::laws;
use drivebay_evm::EvmReader;
use libtest_mimic::Arguments;
use std::sync::Arc;

fn main() {
    let mut trials = laws::trials(Arc::new(EvmReader::default()), Arc::new(roles::roles()));
    trials.extend(world::trials());
    trials.extend(signed::trials());
    trials.extend(oracle::trials());
    trials.extend(hostile::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
