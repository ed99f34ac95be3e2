//! The small programs that a machine's author supplies.
//!
//! A role is a module of the machine, and does what its row says, by whatever means. It is told what to do
//! by the data of the message, and answers by its output. Only the data of its row is ever sent to it.
//! Every process is first sent [`GO`] once, as a start: what it answers to that is its own affair.
//!
//! *Counts* means: keeps a number in its state, adds one, and outputs the number, in any form that differs
//! for the first hundred calls.
//!
//! | role | data | what it does |
//! |---|---|---|
//! | `counter` | [`GO`] | counts |
//! | `echo` | any text, 0 to 1,000 bytes of UTF-8 | outputs the data, and nothing that depends on earlier calls. The output grows with the data, and is not shorter |
//! | `spin` | [`GO`] | counts |
//! | | [`SPIN`] | loops for ever |
//! | `late` | [`GO`] | counts |
//! | | [`FAULT`] | outputs the number it finds, adds one and keeps it, and only then fails by its own doing: traps, aborts or raises |
//! | `hog` | [`GO`] | counts |
//! | | [`HOG`] | takes memory, a little at a time (at most 64 KiB), and writes to each piece, until it gets no more. Then it fails, or ends and outputs how much it got |
//! | `deep` | [`GO`] | counts |
//! | | [`DEEP`] | calls itself without end |
//! | `catcher` | [`GO`] | counts |
//! | | [`SPIN`] | loops for ever under whatever handlers the language has, each of which would output `caught` and end the call well |
//! | | [`ASK`] | the same, but instead of looping reads the data of that id from the host |
//! | `peek` | [`GO`] | counts |
//! | | an id of 43 characters | adds one to its number first, then reads the data of that id (all of it, or its first 4,096 bytes at least), and outputs the number, whether there is such data, and what it read |
//! | `walk` | [`GO`] | has a container without order, such as a table with keys that are texts, objects and functions. Adds one key, takes another away, and outputs the rest in the order that iteration gives |
//! | `float` | [`GO`] | makes NaNs: 0/0, ∞−∞, √−1, NaN+1, −NaN, one of its own bits through an operation, and those of 32 bits. Outputs the bits of each, and some numbers as text: 0.1+0.2, 1e21, 5e-324, −0 |
//! | `start_loops` | any | what runs first of it (start function, constructor, first line) loops for ever |
//! | `start_traps` | any | what runs first fails |
//! | `start_writes` | any | what runs first changes the state, and the call ends well |
//!
//! The network says what a message looks like; a machine whose programs want more than data (a tag, calldata
//! in some coding) adds it in [`Roles::dress`].

use drivebay_disk::{Limits, Message, Module};
use std::path::PathBuf;

/// Do the plain thing.
pub const GO: &str = "go";
/// Loop for ever.
pub const SPIN: &str = "spin";
/// Take memory without end.
pub const HOG: &str = "hog";
/// Call yourself without end.
pub const DEEP: &str = "deep";
/// Write, then fail.
pub const FAULT: &str = "fault";
/// Id of data for which the host has an error instead of an answer.
pub const ASK: &str = "AskNobody0000000000000000000000000000000001";
/// Id of data that the host has: a short text.
pub const KNOWN: &str = "KnownData0000000000000000000000000000000001";
/// Id of data that the host has, and that is empty.
pub const EMPTY: &str = "EmptyData0000000000000000000000000000000001";
/// Id of data that is not admitted.
pub const ABSENT: &str = "AbsentData000000000000000000000000000000001";

/// A program, or why there can be none.
#[derive(Clone, Debug)]
pub enum Role {
    /// The program.
    Program(Module),
    /// This machine has nothing for which the role could be written, and why.
    Without(&'static str),
}

impl Role {
    /// The program, if there is one.
    pub fn program(&self) -> Option<&Module> {
        match self {
            Self::Program(module) => Some(module),
            Self::Without(_) => None,
        }
    }
}

impl From<Module> for Role {
    fn from(module: Module) -> Self {
        Self::Program(module)
    }
}

/// Limits to be tried, one after the other.
#[derive(Clone, Debug)]
pub enum Ladder {
    /// At least two, increasing, at each of which the role is stopped, later at each than at the one before.
    Rungs(Vec<u64>),
    /// The format does not take this limit from the process, and why.
    Fixed(&'static str),
}

/// What an author of a machine supplies.
#[derive(Clone, Debug)]
pub struct Roles {
    /// See the table.
    pub counter: Module,
    /// See the table.
    pub echo: Module,
    /// See the table.
    pub spin: Module,
    /// See the table.
    pub late: Module,
    /// See the table.
    pub hog: Role,
    /// See the table.
    pub deep: Role,
    /// See the table.
    pub catcher: Role,
    /// See the table.
    pub peek: Role,
    /// See the table.
    pub walk: Role,
    /// See the table.
    pub float: Role,
    /// See the table.
    pub start_loops: Role,
    /// See the table.
    pub start_traps: Role,
    /// See the table.
    pub start_writes: Role,
    /// Enough for each role to do all that its row says, and little enough for `spin` to be stopped in a
    /// fraction of a second: it is, some hundred times. At least 4 KiB of output.
    pub limits: Limits,
    /// Limits of memory in bytes at which `hog` is stopped.
    pub memory: Ladder,
    /// Limits of depth at which `deep` is stopped.
    pub depth: Ladder,
    /// Adds to a message what this machine needs besides its data. [`as_it_is`] adds nothing.
    pub dress: fn(&mut Message),
    /// The file of recorded receipts, or none: then that law is skipped.
    pub golden: Option<PathBuf>,
}

/// Leaves the message as it is.
pub fn as_it_is(_: &mut Message) {}

impl Roles {
    /// All roles by name.
    pub fn all(&self) -> Vec<(&'static str, Role)> {
        let given = [("counter", &self.counter), ("echo", &self.echo)];
        let given = given.into_iter().chain([("spin", &self.spin), ("late", &self.late)]);
        let optional = [
            ("hog", &self.hog),
            ("deep", &self.deep),
            ("catcher", &self.catcher),
            ("peek", &self.peek),
            ("walk", &self.walk),
            ("float", &self.float),
            ("start_loops", &self.start_loops),
            ("start_traps", &self.start_traps),
            ("start_writes", &self.start_writes),
        ];
        let given = given.map(|(name, module)| (name, Role::Program(module.clone())));
        given.chain(optional.map(|(name, role)| (name, role.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_long_as_ids_are() {
        assert!([ABSENT, ASK, EMPTY, KNOWN].iter().all(|id| id.len() == 43));
    }
}
