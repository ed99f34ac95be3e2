//! Reads Lua source as an ao process.
