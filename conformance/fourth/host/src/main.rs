//! Drivebay with one more machine: nothing of its tree was touched for it.

use drivebay::{cli, cu::Readers};
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    cli::main(|engine| {
        let readers = Readers::stock(engine)?.with(Arc::new(drivebay_riscv::Riscv::default()))?;
        // With this line, `certify`, its matrix and its fuzzer cover the machine too.
        Ok(readers.proved(drivebay_riscv::PROOF))
    })
}
