//! What tells subscriptions that a process has gone on: one look-out a process, while somebody listens.

use super::process::Process;
use crate::{cu::lock, disk::Slot};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};
use tokio::sync::watch;

/// Between two looks at the schedule.
const BEAT: Duration = Duration::from_millis(200);
/// After a look that failed.
const PAUSE: Duration = Duration::from_secs(2);
/// Processes that are listened to at a time, by all clients.
const PROCESSES_MAX: usize = 4096;

/// The look-outs that there are.
#[derive(Default)]
pub(super) struct Pulses(Mutex<HashMap<String, Weak<watch::Sender<Slot>>>>);

impl Pulses {
    /// The newest evaluation of a process, from `now` on. `None` if too many are listened to.
    pub(super) fn listen(
        &self,
        process: &Arc<Process>,
        now: Slot,
    ) -> Option<watch::Receiver<Slot>> {
        let mut pulses = lock(&self.0);
        if let Some(pulse) = pulses.get(process.key()).and_then(Weak::upgrade) {
            return Some(pulse.subscribe());
        }
        pulses.retain(|_, pulse| pulse.strong_count() > 0);
        if pulses.len() >= PROCESSES_MAX {
            return None;
        }
        let (pulse, receiver) = watch::channel(now);
        let pulse = Arc::new(pulse);
        pulses.insert(process.key().to_owned(), Arc::downgrade(&pulse));
        tokio::spawn(beat(Arc::clone(process), pulse));
        Some(receiver)
    }
}

/// Looks until nobody listens. Whoever comes between that and the end of the look-out starts another.
async fn beat(process: Arc<Process>, pulse: Arc<watch::Sender<Slot>>) {
    while pulse.receiver_count() > 0 {
        let pause = match process.latest_slot().await {
            Ok(latest) => {
                pulse.send_if_modified(|known| {
                    // Only a private chain goes back.
                    std::mem::replace(known, latest) != latest
                });
                BEAT
            }
            Err(_) => PAUSE,
        };
        tokio::time::sleep(pause).await;
    }
}
