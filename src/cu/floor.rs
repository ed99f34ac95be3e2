//! Threads that work: named, of our own, with a bounded queue.
//!
//! A pool of workers has a watch: a run that has used [`SLOW_CPU`] goes on as *slow*. Its thread gets a
//! lower priority and a replacement joins the pool, so that one endless loop leaves the honest their
//! cores. What is known to be slow comes by a queue of its own, and at most [`SLOW_MAX`] threads work on that: so
//! slow ones wait for each other, and for nobody else. Only what turns out to be slow for the first time when
//! [`ASIDE_MAX`] threads are slow already holds the others up.

use super::{CuError, lock};
use crate::{
    clock,
    disk::{HostError, bug},
};
use std::{
    cell::RefCell,
    collections::VecDeque,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::oneshot;

/// Bytes of stack of a thread that runs guests: their depth is metered, and must fit.
const STACK_BYTES: usize = 16 << 20;
/// How much processor time a run may take before it counts as slow.
pub(crate) const SLOW_CPU: Duration = Duration::from_millis(50);
/// How often the watch looks.
const WATCH: Duration = Duration::from_millis(20);
/// How many threads work on what is known to be slow.
const SLOW_MAX: usize = 8;
/// How many threads may be slow at a time, with those that nobody could know to be.
const ASIDE_MAX: usize = 64;
/// The priority of a slow thread.
const SLOW_NICE: i32 = 10;

/// Something to do.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads.
pub(crate) struct Floor {
    shared: Arc<Shared>,
}

struct Shared {
    what: &'static str,
    capacity: usize,
    queue: Mutex<VecDeque<Job>>,
    ready: Condvar,
    stopped: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    started: AtomicUsize,
    beats: Mutex<Vec<Arc<Beat>>>,
    slow: Mutex<Slow>,
}

/// What is slow.
#[derive(Default)]
struct Slow {
    threads: usize,
    queue: VecDeque<Job>,
}

/// What a thread is doing, for the watch to see.
#[derive(Default)]
struct Beat {
    /// The system's number of the thread.
    tid: AtomicU64,
    /// Counts runs; odd while one is under way.
    runs: AtomicU64,
    is_slow: AtomicBool,
}

thread_local! {
    static BEAT: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

/// Runs a guest on a thread of a pool, under the pool's watch.
pub(crate) fn watched<T>(run: impl FnOnce() -> T) -> T {
    let beat = BEAT.with_borrow(Clone::clone);
    let Some(beat) = beat else { return run() };
    beat.runs.fetch_add(1, Ordering::SeqCst);
    let done = run();
    beat.runs.fetch_add(1, Ordering::SeqCst);
    done
}

/// Whether this thread has become slow, and should be done with its job.
pub(crate) fn is_slow() -> bool {
    BEAT.with_borrow(|beat| beat.as_ref().is_some_and(|beat| beat.is_slow.load(Ordering::SeqCst)))
}

impl Floor {
    /// `threads` threads called `name`, and room for `capacity` jobs that wait.
    pub(crate) fn start(
        name: &'static str,
        threads: usize,
        capacity: usize,
    ) -> Result<Self, HostError> {
        let shared = Arc::new(Shared {
            what: name,
            capacity,
            queue: Mutex::default(),
            ready: Condvar::new(),
            stopped: AtomicBool::new(false),
            threads: Mutex::default(),
            started: AtomicUsize::new(0),
            beats: Mutex::default(),
            slow: Mutex::default(),
        });
        for _ in 0..threads {
            shared.add(false)?;
        }
        Ok(Self { shared })
    }

    /// The same, under a watch.
    pub(crate) fn start_watched(
        name: &'static str,
        threads: usize,
        capacity: usize,
    ) -> Result<Self, HostError> {
        let floor = Self::start(name, threads, capacity)?;
        let shared = Arc::downgrade(&floor.shared);
        let watch = thread::Builder::new().name(format!("{name}-watch"));
        watch.spawn(move || watch_over(&shared)).map_err(no_thread)?;
        Ok(floor)
    }

    /// Queues a job, if there is room.
    pub(crate) fn submit(&self, job: Job) -> Result<(), CuError> {
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(CuError::Stopped);
        }
        let mut queue = lock(&self.shared.queue);
        if queue.len() >= self.shared.capacity {
            return Err(CuError::Busy(self.shared.what));
        }
        queue.push_back(job);
        drop(queue);
        self.shared.ready.notify_one();
        Ok(())
    }

    /// Queues a job that is known to be slow.
    pub(crate) fn submit_slow(&self, job: Job) -> Result<(), CuError> {
        if self.shared.stopped.load(Ordering::SeqCst) {
            return Err(CuError::Stopped);
        }
        let mut slow = lock(&self.shared.slow);
        if slow.queue.len() >= self.shared.capacity {
            return Err(CuError::Busy(self.shared.what));
        }
        slow.queue.push_back(job);
        if slow.threads < SLOW_MAX && self.shared.add(true).is_ok() {
            slow.threads += 1;
        }
        if slow.threads == 0 {
            slow.queue.clear();
            return Err(CuError::Busy(self.shared.what));
        }
        Ok(())
    }

    /// Queues a job, which may be known to be slow, and waits for what it comes to.
    pub(crate) async fn ask_at<T: Send + 'static>(
        &self,
        slow: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CuError> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Nobody may be waiting any more.
            let _ = answer.send(work());
        };
        let job: Job = Box::new(job);
        if slow { self.submit_slow(job) } else { self.submit(job) }?;
        answered.await.map_err(|_| match self.shared.stopped.load(Ordering::SeqCst) {
            true => CuError::Stopped,
            false => bug!("a {} gave up its job", self.shared.what).into(),
        })
    }

    /// Queues a job, and waits for what it comes to.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CuError> {
        self.ask_at(false, work).await
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.shared.queue).len() + lock(&self.shared.slow).queue.len()
    }

    /// How many threads are slow.
    pub(crate) fn slow(&self) -> usize {
        lock(&self.shared.slow).threads
    }

    /// Takes no more jobs, and drops those that wait.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let dropped = std::mem::take(&mut *lock(&self.shared.queue));
        let slow = std::mem::take(&mut lock(&self.shared.slow).queue);
        drop((dropped, slow));
        self.shared.ready.notify_all();
    }

    /// Waits for the threads to end. A thread of the floor itself does not wait for itself.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.shared.threads));
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    /// One more thread, for what is slow or for the rest.
    fn add(self: &Arc<Self>, slow: bool) -> Result<(), HostError> {
        let shared = Arc::clone(self);
        let beat = Arc::new(Beat { is_slow: AtomicBool::new(slow), ..Beat::default() });
        lock(&self.beats).push(Arc::clone(&beat));
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let thread = thread::Builder::new()
            .name(format!("{}-{number}", self.what))
            .stack_size(STACK_BYTES)
            .spawn(move || shared.work(&beat))
            .map_err(no_thread)?;
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn work(&self, beat: &Arc<Beat>) {
        beat.tid.store(tid(), Ordering::SeqCst);
        BEAT.with_borrow_mut(|place| *place = Some(Arc::clone(beat)));
        if beat.is_slow.load(Ordering::SeqCst) {
            beat.give_way();
        } else {
            while let Some(job) = self.next() {
                // A job that panics has told nobody, so whoever waits sees that it is gone.
                let _ = catch_unwind(AssertUnwindSafe(job));
                if beat.is_slow.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
        // A priority once lowered may not be raised again, so what has become slow stays with the slow.
        while let Some(job) =
            beat.is_slow.load(Ordering::SeqCst).then(|| self.next_slow()).flatten()
        {
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
        lock(&self.beats).retain(|other| !Arc::ptr_eq(other, beat));
    }

    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.pop_front() {
                return Some(job);
            }
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job for a thread that is slow; none ends it.
    fn next_slow(&self) -> Option<Job> {
        let mut slow = lock(&self.slow);
        let job = if slow.threads > SLOW_MAX { None } else { slow.queue.pop_front() };
        slow.threads -= usize::from(job.is_none());
        job
    }

    /// Has a slow thread go on beside the pool, and a new one take its place.
    fn move_aside(self: &Arc<Self>, beat: &Beat) {
        let mut slow = lock(&self.slow);
        if slow.threads >= ASIDE_MAX || self.add(false).is_err() {
            return;
        }
        slow.threads += 1;
        drop(slow);
        beat.is_slow.store(true, Ordering::SeqCst);
        beat.give_way();
    }
}

impl Beat {
    /// Gives its thread a lower priority.
    fn give_way(&self) {
        let tid = i32::try_from(self.tid.load(Ordering::SeqCst)).ok();
        if let Some(pid) = tid.and_then(rustix::process::Pid::from_raw) {
            // Where that is not allowed, the replacement alone has to do.
            let _ = rustix::process::setpriority_process(Some(pid), SLOW_NICE);
        }
    }
}

/// A run that the watch has seen before: its number, and the thread's processor time then.
type Seen = (u64, Duration);

fn watch_over(shared: &Weak<Shared>) {
    let mut seen: Vec<(Weak<Beat>, Seen)> = Vec::new();
    loop {
        thread::sleep(WATCH);
        let Some(shared) = shared.upgrade() else { return };
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let beats = lock(&shared.beats).clone();
        let mut now = Vec::with_capacity(beats.len());
        for beat in beats {
            let run = beat.runs.load(Ordering::SeqCst);
            if run % 2 == 0 || beat.is_slow.load(Ordering::SeqCst) {
                continue;
            }
            let is_it = |known: &&(Weak<Beat>, Seen)| known.0.ptr_eq(&Arc::downgrade(&beat));
            let first = seen.iter().find(is_it).map(|(_, seen)| *seen).filter(|seen| seen.0 == run);
            // Where the system does not tell, nothing counts as slow.
            let tid = beat.tid.load(Ordering::SeqCst);
            let Some(used) = clock::processor_time(Some(tid)) else { continue };
            let (_, before) = first.unwrap_or((run, used));
            if used.saturating_sub(before) >= SLOW_CPU {
                shared.move_aside(&beat);
            }
            now.push((Arc::downgrade(&beat), (run, before)));
        }
        seen = now;
    }
}

/// The system's number of this thread: the last part of where `thread-self` leads.
fn tid() -> u64 {
    let link = fs::read_link("/proc/thread-self").ok();
    let number = link.as_deref().and_then(|link| link.file_name()?.to_str()?.parse().ok());
    number.unwrap_or_default()
}

fn no_thread(error: std::io::Error) -> HostError {
    HostError::io("starting a thread", error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::{sync::mpsc, time::Instant};

    #[test]
    fn a_full_queue_is_busy_and_a_panic_costs_its_job_alone() {
        let floor = Floor::start("test", 1, 1).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        floor.submit(Box::new(move || wait.recv().unwrap())).unwrap();
        while floor.waiting() > 0 {
            thread::yield_now();
        }
        floor.submit(Box::new(|| panic!("a test's panic"))).unwrap();
        assert!(matches!(floor.submit(Box::new(|| ())), Err(CuError::Busy(_))));
        go.send(()).unwrap();
        let (done, ended) = mpsc::channel();
        while floor
            .submit(Box::new({
                let done = done.clone();
                move || done.send(7).unwrap()
            }))
            .is_err()
        {}
        assert_eq!(ended.recv().unwrap(), 7);
        floor.stop();
        assert!(matches!(floor.submit(Box::new(|| ())), Err(CuError::Stopped)));
        floor.join();
    }

    #[test]
    fn a_slow_run_is_moved_aside_and_its_thread_ends_afterwards() {
        let floor = Floor::start_watched("test", 1, 10).unwrap();
        let (stop, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (seen, told) = (Arc::clone(&stop), Arc::clone(&stopped));
        floor
            .submit(Box::new(move || {
                watched(|| while !seen.load(Ordering::Relaxed) {});
                told.store(true, Ordering::SeqCst);
            }))
            .unwrap();
        let (done, ended) = mpsc::channel();
        floor.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        // The only thread is in an endless loop, and the next job is done all the same.
        ended.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(floor.slow(), 1);
        stop.store(true, Ordering::SeqCst);
        let started = Instant::now();
        while floor.slow() > 0 && started.elapsed() < Duration::from_secs(60) {
            thread::yield_now();
        }
        assert!(stopped.load(Ordering::SeqCst));
        assert_eq!(lock(&floor.shared.beats).len(), 1);
        floor.stop();
        floor.join();
    }

    #[test]
    fn what_is_known_to_be_slow_waits_for_its_like_alone() {
        let floor = Floor::start_watched("test", 1, 100).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (ran, running) = mpsc::channel();
        for _ in 0..3 * SLOW_MAX {
            let (seen, ran) = (Arc::clone(&stop), ran.clone());
            let spin = move || {
                ran.send(is_slow()).unwrap();
                while !seen.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
            };
            floor.submit_slow(Box::new(spin)).unwrap();
        }
        let (done, ended) = mpsc::channel();
        floor.submit(Box::new(move || done.send(is_slow()).unwrap())).unwrap();
        assert!(!ended.recv_timeout(Duration::from_secs(60)).unwrap(), "a slow thread took it");
        while floor.waiting() > 2 * SLOW_MAX {
            thread::yield_now();
        }
        assert_eq!((floor.slow(), floor.waiting()), (SLOW_MAX, 2 * SLOW_MAX));
        stop.store(true, Ordering::SeqCst);
        let slow: Vec<bool> = (0..3 * SLOW_MAX)
            .map(|_| running.recv_timeout(Duration::from_secs(60)).unwrap())
            .collect();
        assert!(slow.iter().all(|slow| *slow));
        while floor.slow() > 0 {
            thread::yield_now();
        }
        floor.stop();
        floor.join();
    }
}
