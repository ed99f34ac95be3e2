//! The program as its users meet it: each test runs the real binary in a folder of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod against;
mod aos;
mod call;
mod certify;
mod client;
mod config;
mod crash;
mod cu;
mod cu_store;
mod eth;
mod eth_private;
mod eth_shapes;
mod eth_simulate;
mod eth_socket;
mod evm;
mod image;
mod kit;
mod lua;
mod refusals;
mod replay;
mod run;
mod units;
mod up;
