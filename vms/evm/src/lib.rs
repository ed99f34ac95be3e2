//! Reads EVM bytecode as an ao process, on revm.
#![forbid(unsafe_code)]
