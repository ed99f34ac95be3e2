//! Progress on stderr, where somebody watches.

use crate::config::Config;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    time::Duration,
};

/// A line that turns while something takes long; removed when dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A line that says what is being done.
    pub(crate) fn spinner(config: &Config, doing: impl Into<String>) -> Self {
        // Drawn by the clock alone: what is done before the first tick is never seen.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
            .with_style(ProgressStyle::default_spinner())
            .with_message(doing.into());
        bar.set_draw_target(target(config));
        bar.enable_steady_tick(Duration::from_millis(150));
        Self(bar)
    }

    /// A bar of `len` steps.
    pub(crate) fn bar(config: &Config, len: usize, doing: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(len as u64), target(config));
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(doing.to_owned());
        Self(bar)
    }

    /// One step done.
    pub(crate) fn step(&self) {
        self.0.inc(1);
    }

    /// Lets `write` print without a torn bar.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn target(config: &Config) -> ProgressDrawTarget {
    if config.progress.holds(io::stderr().is_terminal()) {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}
