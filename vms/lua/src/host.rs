//! What a guest asks of its host, and what it says to it, while it runs.

use drivebay_disk::{Data, Host, HostError, Resource, bug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Most printed lines kept for the author.
const LINES: usize = 10_000;

/// One run's side of the conversation.
pub(crate) struct Asked {
    host: Arc<dyn Host>,
    /// Bytes that may still be said.
    pub(crate) room: u64,
    pub(crate) printed: Vec<String>,
    /// Why the host had no answer.
    pub(crate) error: Option<HostError>,
    /// The last answer, kept while the guest copies it.
    last: Option<Data>,
}

impl Asked {
    pub(crate) fn new(host: Arc<dyn Host>, room: u64) -> Self {
        Self { host, room, printed: Vec::new(), error: None, last: None }
    }

    /// False if there is no room for the line.
    pub(crate) fn print(&mut self, line: &[u8]) -> bool {
        let Some(room) = self.room.checked_sub(line.len() as u64 + 1) else { return false };
        self.room = room;
        if self.printed.len() < LINES {
            let line = String::from_utf8_lossy(line).into_owned();
            self.host.log(&line);
            self.printed.push(line);
        }
        true
    }

    /// The bytes of a range, and the length of the whole. An error is kept, and ends the run.
    pub(crate) fn read(&mut self, id: &[u8], from: u64, len: u64) -> Result<Option<&Data>, Failed> {
        let Ok(id) = std::str::from_utf8(id) else { return Ok(None) };
        let what = Resource::Data(id.to_owned());
        let range = from..from.saturating_add(len);
        let answer = catch_unwind(AssertUnwindSafe(|| self.host.read(&what, range)));
        match answer
            .unwrap_or_else(|_| Err(bug!("the host panicked while it was asked for {what}")))
        {
            Ok(Some(data)) if data.bytes.len() as u64 > len => {
                self.error = Some(bug!("the host gave more of {what} than it was asked for"));
                Err(Failed)
            }
            Ok(data) => {
                self.last = data;
                Ok(self.last.as_ref())
            }
            Err(error) => {
                self.error = Some(error);
                Err(Failed)
            }
        }
    }
}

/// The host had no answer; why is in [`Asked::error`].
pub(crate) struct Failed;
