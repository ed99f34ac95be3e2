//! Composition only: the readers that this program is built with, handed to the command line.
#![forbid(unsafe_code)]

use drivebay::{cli, cu::Readers};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(Readers::stock)
}
