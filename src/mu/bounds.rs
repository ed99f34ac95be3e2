//! How much a messenger does, and how often it tries.

/// All bounds. None of them changes what a message says.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Tries of one task, after which it is shelved.
    pub tries: u32,
    /// Pause after the first try in milliseconds, doubled with each.
    pub pause_ms: u64,
    /// The longest pause in milliseconds.
    pub pause_ms_max: u64,
    /// How long a task may wait for a unit that only says that it is busy, in milliseconds.
    pub wait_ms_max: u64,
    /// Hops from a user's item; a result further away sends nothing.
    pub depth: u32,
    /// Items that one user's item may cause in all.
    pub chain: u64,
    /// Messages, spawns and assignments of one result.
    pub fan_out: usize,
    /// Tasks that are tried at a time.
    pub workers: usize,
    /// Items of clients that are worked on at a time.
    pub posts_under_way: usize,
    /// How often monitored processes are looked at, in milliseconds.
    pub monitor_ms: u64,
    /// Processes that may be monitored at a time.
    pub monitors: u32,
    /// How long a task that is done is remembered, in milliseconds.
    pub keep_ms: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            tries: 20,
            pause_ms: 250,
            pause_ms_max: 60_000,
            wait_ms_max: 24 * 3_600_000,
            depth: 10_000,
            chain: 100_000,
            fan_out: 10_000,
            workers: 64,
            posts_under_way: 1024,
            monitor_ms: 10_000,
            monitors: 10_000,
            keep_ms: 7 * 24 * 3_600_000,
        }
    }
}

impl Bounds {
    /// The pause after `tries` of them.
    pub(super) fn pause_ms(&self, tries: u32) -> u64 {
        let doublings = tries.saturating_sub(1).min(20);
        self.pause_ms.saturating_mul(1 << doublings).min(self.pause_ms_max)
    }
}
