//! Lua 5.3.6 with our patch, raw.
