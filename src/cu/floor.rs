//! Threads that work: named, of our own, with a bounded queue.

use super::{CuError, lock};
use crate::disk::HostError;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};
use tokio::sync::oneshot;

/// Bytes of stack of a thread that runs guests: their depth is metered, and must fit.
const STACK_BYTES: usize = 16 << 20;

/// Something to do.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads.
pub(crate) struct Floor {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    what: &'static str,
    capacity: usize,
    queue: Mutex<VecDeque<Job>>,
    ready: Condvar,
    stopped: AtomicBool,
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
        });
        let floor = Self { shared, threads: Mutex::default() };
        for number in 0..threads {
            floor.add(number)?;
        }
        Ok(floor)
    }

    fn add(&self, number: usize) -> Result<(), HostError> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name(format!("{}-{number}", self.shared.what))
            .stack_size(STACK_BYTES)
            .spawn(move || shared.work())
            .map_err(|error| HostError::io("starting a thread", error))?;
        lock(&self.threads).push(thread);
        Ok(())
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

    /// Queues a job, and waits for what it comes to.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CuError> {
        let (answer, answered) = oneshot::channel();
        let job = move || {
            // Nobody may be waiting any more.
            let _ = answer.send(work());
        };
        self.submit(Box::new(job))?;
        answered.await.map_err(|_| CuError::Stopped)
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.shared.queue).len()
    }

    /// Takes no more jobs, and drops those that wait.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let dropped = std::mem::take(&mut *lock(&self.shared.queue));
        drop(dropped);
        self.shared.ready.notify_all();
    }

    /// Waits for the threads to end. A thread of the floor itself does not wait for itself.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            // A job that panics has told nobody, so whoever waits sees that it is gone.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
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
            queue = self.ready.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}
