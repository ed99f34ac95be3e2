//! States from elsewhere: a process goes on from somebody's checkpoint, and gives one of itself.
//!
//! The slot of an adopted state has a receipt without a result, so that the ledger goes on from there. What
//! lies before it is not known here.

use super::{
    At, Bay, Checkpoint, Cu, CuError, Entry, Position, StoredResult,
    core::Core,
    lane::{Lane, Loaded, Turn},
    lock,
};
use crate::disk::{
    Disk, HostError, Image, ImageError, ImageLimits, Message, MountError, Refusal, RefusalCode,
};
use bytes::Bytes;
use flate2::bufread::GzDecoder;
use std::{
    io::{BufRead, BufReader, Read},
    sync::Arc,
    thread,
    time::Duration,
};

/// How long a process at work is waited for: so often, with so long a pause.
const TURN_TRIES: u32 = 300;
const TURN_PAUSE: Duration = Duration::from_millis(10);
/// What a gzip begins with, and an image's file.
const GZIP: &[u8] = &[0x1f, 0x8b];
const IMAGE: &[u8] = b"DRIVEBAY";

/// A checkpoint as the network has them: the memory after a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// Where it stands.
    pub at: Position,
    /// Id of the message after which it was taken; may be empty.
    pub message: String,
    /// Id of that message's assignment; may be empty.
    pub assignment: String,
    /// The memory, or an image; gzipped or plain.
    pub memory: Bytes,
}

impl Foreign {
    fn entry(&self) -> Entry {
        Entry {
            at: self.at.clone(),
            id: self.message.clone(),
            assignment: self.assignment.clone(),
            deep_hash: None,
            cron: None,
            is_skipped: false,
            message: Arc::new(Message::default()),
            json: "".into(),
        }
    }

    fn reader(&self) -> BufReader<Box<dyn Read + '_>> {
        BufReader::new(match self.memory.starts_with(GZIP) {
            true => Box::new(GzDecoder::new(&self.memory[..])),
            false => Box::new(&self.memory[..]),
        })
    }

    /// The state: an image, or the memory of a format whose state is one.
    fn image(&self, disk: &dyn Disk) -> Result<Image, CuError> {
        let (mut input, max) = (self.reader(), ImageLimits::default());
        let is_image = input.fill_buf().is_ok_and(|start| start.starts_with(IMAGE));
        let image = match is_image {
            true => Image::read_from(&mut input, &max).map_err(|error| match error {
                ImageError::Refused(refusal) => CuError::Refused(refusal),
                ImageError::Host(error) => CuError::Host(error),
            }),
            false => disk.adopt(&mut input, &max).map_err(CuError::from),
        };
        image.map_err(|error| match error {
            // The bytes are the sender's.
            CuError::Host(HostError::Io { source, .. }) => CuError::Refused(Refusal::new(
                RefusalCode::Malformed,
                format!("the checkpoint is cut or damaged: {source}"),
            )),
            error => error,
        })
    }
}

impl Cu {
    /// Takes over a state, of whose origin the caller is sure. False if this process is as far already.
    pub async fn adopt(&self, process: &str, foreign: Foreign) -> Result<bool, CuError> {
        let core = Arc::clone(self.core());
        let lane = core.lane(process);
        let fetchers = Arc::clone(&core);
        fetchers.fetchers.ask(move || core.adopt_into(&lane, &foreign)).await?
    }

    /// The state at `at` as a checkpoint for others: the memory as the network has it; for formats whose state
    /// is more than a memory, the image.
    pub async fn disown(&self, process: &str, at: At) -> Result<(Checkpoint, Vec<u8>), CuError> {
        let window = self.window(process, &at).await?;
        let work = move || {
            let image = window.image()?;
            let memory = match window.loaded.shelved.disk.disown(&image) {
                Err(MountError::Refused(_)) => {
                    let mut bytes = Vec::new();
                    image.write_to(&mut bytes)?;
                    bytes
                }
                memory => memory?,
            };
            Ok((Checkpoint { at: window.at.clone(), image }, memory))
        };
        self.core().desk.ask(work).await?
    }
}

/// Waits for a lane to rest, and holds it.
fn take_turn(lane: &Lane) -> Result<(), CuError> {
    for _ in 0..TURN_TRIES {
        let mut state = lock(&lane.state);
        if state.turn == Turn::Idle && !state.is_loading {
            state.turn = Turn::Running;
            return Ok(());
        }
        drop(state);
        thread::sleep(TURN_PAUSE);
    }
    Err(CuError::Busy("this process is at work; send its state again"))
}

impl Core {
    /// Keeps a foreign state as if the process had come to it. The lane is not at work.
    pub(crate) fn keep_foreign(
        &self,
        loaded: &Loaded,
        foreign: &Foreign,
    ) -> Result<StoredResult, CuError> {
        let disk = &loaded.shelved.disk;
        let image = foreign.image(&**disk)?;
        // What cannot be mounted is of no use, and is refused before anything is kept.
        Bay::open(Arc::clone(disk), loaded.limits, image.clone())?;
        self.checkpoints.save(loaded.id(), &foreign.at, &image, None)?;
        let entry = foreign.entry();
        let stored = StoredResult::adopted(&entry, loaded.rules);
        self.ledger.append(loaded.id(), &entry, &stored)?;
        self.ledger.settle()?;
        Ok(stored)
    }

    fn adopt_into(self: &Arc<Self>, lane: &Arc<Lane>, foreign: &Foreign) -> Result<bool, CuError> {
        let known = lock(&lane.state).loaded.clone();
        let loaded = match known {
            Some(loaded) => loaded,
            None => Arc::new(self.try_load(&lane.id)?.0),
        };
        take_turn(lane)?;
        let done = self.adopt_idle(&loaded, foreign);
        let mut state = lock(&lane.state);
        let held = match &done {
            Ok(Some(stored)) => {
                state.head = Some(stored.at.clone());
                state.loaded = Some(loaded);
                state.restart();
                state.seat = None;
                std::mem::take(&mut state.bytes)
            }
            _ => 0,
        };
        state.turn = Turn::Idle;
        drop(state);
        if held > 0 {
            *lock(&lane.window) = None;
            self.account(held, 0);
        }
        self.wake(lane)?;
        done.map(|stored| stored.is_some())
    }

    fn adopt_idle(
        &self,
        loaded: &Loaded,
        foreign: &Foreign,
    ) -> Result<Option<StoredResult>, CuError> {
        let head = self.ledger.head(loaded.id())?;
        if head.is_some_and(|head| head.at.slot >= foreign.at.slot) {
            return Ok(None);
        }
        self.keep_foreign(loaded, foreign).map(Some)
    }
}
