//! Proof, for anyone, that the machines of this program are deterministic: what is run, and what comes of it.
//!
//! A [`Job`] is one suite on one machine, as steps. [`jobs`] says which there are; whoever runs them shows
//! progress, and gets a [`Report`], which [`table()`], [`junit()`] and [`json()`] write.

mod against;
pub mod fuzz;
mod jobs;
mod json;
mod json_suite;
mod junit;
mod logs;
mod lua_suite;
mod matrix;
mod proofs;
mod replay_file;
mod report;
mod suites;
mod table;

pub use against::{Against, AgainstError, Compared, Divergence};
pub use jobs::{Cases, Job, Options, SEED, Step, jobs};
pub use json::json;
pub use junit::junit;
pub use logs::{Named, Subject, subjects};
pub use lua_suite::{LuaDifferences, lua_files, run_lua_file};
pub use matrix::{CONDITIONS, Cell, Condition, Matrix, Row, matrix_table, resume};
pub use proofs::{EVM, LUA, WASM};
pub use replay_file::{Again, Recorder, ReplayFile, Told};
pub use report::{
    About, Counts, Found, Outcome, ReaderLine, Report, SuiteReport, Tier, TranscriptRoot, Trial,
};
pub use suites::{run_state_tests, state_test_files};
pub use table::table;
