//! Progress on stderr, where somebody watches.

use crate::config::Config;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long something lasts before a spinner says so.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(150);

/// A line that turns while something takes long; removed when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    late: Option<Late>,
}

/// What shows a spinner once it has lasted, so that what is quick is never seen.
struct Late {
    /// Dropped when there is nothing to show any more.
    waits: Sender<()>,
    thread: JoinHandle<()>,
}

impl Late {
    fn show(bar: ProgressBar) -> Option<Self> {
        let (waits, ended) = mpsc::channel();
        let show = move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(TICK);
            }
        };
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(show).ok()?;
        Some(Self { waits, thread })
    }

    fn end(self) {
        drop(self.waits);
        // It draws and does nothing else, so how it ended is of no interest.
        let _ = self.thread.join();
    }
}

impl Progress {
    /// A line that says what is being done.
    pub(crate) fn spinner(config: &Config, doing: impl Into<String>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
            .with_message(doing.into());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        let late = is_watched(config).then(|| Late::show(bar.clone())).flatten();
        Self { bar, late }
    }

    /// A bar of `len` steps.
    pub(crate) fn bar(config: &Config, len: usize, doing: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(len as u64), target(config));
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(doing.to_owned());
        Self { bar, late: None }
    }

    /// A bar of `len` steps that tells the rate, and how long the rest will take.
    pub(crate) fn meter(config: &Config, len: u64, doing: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(len), target(config));
        let template = "{msg} {bar:30} {pos}/{len} {per_sec} {elapsed}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(doing.to_owned());
        Self { bar, late: None }
    }

    /// So many steps are done.
    pub(crate) fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// One step done.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// Lets `write` print without a torn bar.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

/// Shows that an evaluation takes long, where it does.
pub(crate) fn watched<T>(config: &Config, evaluate: impl FnOnce() -> T) -> T {
    let doing = "evaluating (Ctrl-C stops it, the state stays as it was)";
    let _progress = Progress::spinner(config, doing);
    evaluate()
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(late) = self.late.take() {
            late.end();
        }
        self.bar.finish_and_clear();
    }
}

fn is_watched(config: &Config) -> bool {
    config.progress.holds(io::stderr().is_terminal())
}

fn target(config: &Config) -> ProgressDrawTarget {
    if is_watched(config) { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}
