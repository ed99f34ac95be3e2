//! The model against tables of what the reference answered, and its laws.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod laws;
mod replay;
mod unit;
mod weave;
