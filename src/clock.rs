//! What time it is, for those who may know. Nothing here reaches a guest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
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
