//! What time it is, for those who may know. Nothing here reaches a guest.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Unix time in milliseconds: the system's, or one that a test turns by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    by_hand: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self::default()
    }

    /// One that shows what `ms` holds.
    pub fn by_hand(ms: Arc<AtomicU64>) -> Self {
        Self { by_hand: Some(ms) }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        match &self.by_hand {
            Some(ms) => ms.load(Ordering::SeqCst),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Processor time of a thread of this program, by its number; of this one without. `None` where the system does
/// not tell.
pub fn processor_time(thread: Option<u64>) -> Option<Duration> {
    let file = match thread {
        None => "/proc/thread-self/schedstat".to_owned(),
        Some(tid) => format!("/proc/self/task/{tid}/schedstat"),
    };
    let text = fs::read_to_string(file).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
