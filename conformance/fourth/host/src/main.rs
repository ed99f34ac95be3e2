//! Drivebay with one more machine: nothing of its tree was touched for it.

use drivebay::{cli, cu::Readers};
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    cli::main(|engine| Readers::stock(engine)?.with(Arc::new(drivebay_riscv::Riscv::default())))
}
