//! Reads Lua source as an ao process, natively, on a Lua 5.3 whose whole state is data.
//!
//! [`LuaReader`] is the reader. A module is one file of Lua, or a `bundle` of named files; it is mounted as a
//! `drive` on a world (`raw`), which is booted by the first call, on its fuel. `decode` makes replies of what
//! `handle(msg, env)` returns, `limits` are the rules, `source` finds the line that an error speaks of.

mod bundle;
mod decode;
mod disk;
mod drive;
mod host;
mod limits;
#[cfg(test)]
mod playing;
mod raw;
mod reader;
mod source;
mod spare;
#[cfg(test)]
mod steps;

pub use reader::{FORMAT, HYPERBEAM_FORMAT, LuaReader};
pub use spare::spare_bytes;

/// The module that some named files of Lua are; one is called `main.lua` or `process.lua`.
pub fn bundle(files: Vec<(String, String)>) -> String {
    bundle::write(files)
}
