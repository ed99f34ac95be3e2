//! Reads EVM bytecode as an ao process, on revm.
//!
//! A process is a small Ethereum of its own: accounts, contracts and storage, with the module's contract at
//! the address that the process has elsewhere. A slot is a block. What a contract sends goes through a
//! precompile ([`OUTBOX`]). The state is two tables, and the root of the first is Ethereum's state root.
//!
//! `README.md` has the world that a contract sees, and how a message becomes a transaction.
#![forbid(unsafe_code)]

mod abi;
mod account;
mod address;
mod db;
mod disk;
mod drive;
mod facts;
mod formats;
mod known;
pub mod lab;
mod log;
mod machine;
mod message;
mod meter;
mod outbox;
mod precompiles;
mod reader;
mod recent;
mod reply;
mod rows;
mod run;
mod signed;
mod state;
pub mod statetest;
mod version;
pub mod view;
mod watch;
mod world;

pub use abi::{Abi, AbiError, NamedFunction};
pub use address::{address_of, chain_id_of};
pub use formats::{COINBASE, OUTBOX};
pub use reader::EvmReader;
pub use revm;
pub use world::World;
