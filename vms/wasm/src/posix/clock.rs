//! The clock that the reference gives its guests: a counter that each look moves on.

use super::{Flavor, Posix};

/// First value of the counter.
pub(crate) const START: u64 = 10_000;

impl Posix {
    /// One look at the counter, in milliseconds.
    pub(crate) fn tick(&mut self) -> i64 {
        let now = self.clock;
        self.clock = self.clock.saturating_add(1);
        i64::try_from(now).unwrap_or(i64::MAX)
    }

    /// `emscripten_date_now`, in milliseconds. Formats 1 and 2 answer 0 and do not look.
    pub(crate) fn date_now(&mut self) -> f64 {
        match self.flavor {
            Flavor::Fmt1 | Flavor::Fmt2 => 0.0,
            Flavor::Fmt3 | Flavor::Fmt4 | Flavor::Wasm64 => self.tick() as f64,
        }
    }

    /// `emscripten_get_now`, in milliseconds. Format 2 looks at the counter and makes NaN of it.
    pub(crate) fn get_now(&mut self) -> f64 {
        match self.flavor {
            Flavor::Fmt1 => 0.0,
            Flavor::Fmt2 => {
                self.tick();
                f64::NAN
            }
            Flavor::Fmt3 | Flavor::Fmt4 | Flavor::Wasm64 => self.tick() as f64,
        }
    }
}
