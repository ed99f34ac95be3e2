//! JSON shapes, in and out. What a module is shown, and what a client is answered, is made here and
//! nowhere else: for legacy modules the very length of these texts is an input.

pub mod aos2;
mod cursor;
mod dry;
mod message;
mod owner;
mod result;
pub mod schedule;
pub mod scheduler;

pub use cursor::{Cursor, Sort};
pub use dry::{dry_fields, place_dry};
pub(crate) use message::tags_value;
pub use message::{Fields, KEYS, ModuleInfo, env_json};
pub use owner::owner;
pub(crate) use result::number;
pub use result::{error_value, result_pairs};
