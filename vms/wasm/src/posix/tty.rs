//! The two terminals: text goes out in lines, and a line not yet ended waits across calls.

use super::limits::{PRINTED_BYTES, TTY_LINE};

/// Which terminal: `/dev/tty` (stdin and stdout) or `/dev/tty1` (stderr).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tty {
    Out,
    Err,
}

/// Lines printed during a call, for the author. No part of the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed {
    lines: Vec<String>,
    bytes: usize,
    full: bool,
}

impl Printed {
    /// Keeps a line, unless it or one before it was too much. The guest never learns.
    pub(crate) fn line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        self.full |= self.bytes + text.len() + 1 > PRINTED_BYTES;
        if !self.full {
            self.bytes += text.len() + 1;
            self.lines.push(text.into_owned());
        }
    }

    /// The lines so far; counting starts anew.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(self).lines
    }
}

/// Unfinished lines of both terminals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

impl Lines {
    pub(crate) fn of(&mut self, tty: Tty) -> &mut Vec<u8> {
        match tty {
            Tty::Out => &mut self.out,
            Tty::Err => &mut self.err,
        }
    }

    /// Writes to a terminal: NUL is dropped, or ends a line as format 1 has it.
    pub(crate) fn write(&mut self, tty: Tty, bytes: &[u8], nul_ends: bool, to: &mut Printed) {
        let half = self.of(tty);
        for byte in bytes {
            match byte {
                b'\n' => to.line(&std::mem::take(half)),
                0 if nul_ends => to.line(&std::mem::take(half)),
                0 => {}
                byte => half.push(*byte),
            }
            if half.len() >= TTY_LINE {
                to.line(&std::mem::take(half));
            }
        }
    }

    /// Prints an unfinished line as it is.
    pub(crate) fn flush(&mut self, tty: Tty, to: &mut Printed) {
        let half = self.of(tty);
        if !half.is_empty() {
            to.line(&std::mem::take(half));
        }
    }
}
