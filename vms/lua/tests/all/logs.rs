//! A long log of everything that Lua can keep: played warm, cold, and mounted anew after every call.

use crate::{long, reader, roles};
use drivebay_conformance::laws::{Log, log_trial};
use drivebay_disk::{
    NoArtifacts,
    testing::{MapHost, call},
};
use libtest_mimic::Trial;
use std::sync::Arc;

/// Handlers, closures with shared upvalues, metatables, tables keyed by tables and functions, coroutines
/// parked inside of protected calls and loops, searches half done, source loaded on the way.
const WORLD: &str = include_str!("world.lua");

pub(crate) fn trials() -> Vec<Trial> {
    let calls = if long() { 1000 } else { 120 };
    let log = Log {
        name: format!("of a whole world, {calls} calls"),
        module: roles::module(WORLD),
        limits: roles::LIMITS,
        calls: (0..calls).map(|nonce| call(nonce).data(format!("{nonce}")).build()).collect(),
        host: Arc::new(MapHost::new()),
        artifacts: Arc::new(NoArtifacts),
    };
    vec![log_trial(reader(), log, 13)]
}
