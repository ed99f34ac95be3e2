//! What time it is on a private chain.

/// The clock's time, moved on as a developer wishes. All of it in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Time {
    /// How far it is ahead of the clock.
    ahead: i64,
    /// What the next block has.
    next: Option<u64>,
    /// From block to block, whatever the clock says.
    step: Option<u64>,
}

impl Time {
    /// The time of the block after one of `last`. Times always grow.
    pub(super) fn next(&mut self, now: u64, last: u64) -> u64 {
        let chosen = self.next.take();
        let stepped = self.step.map(|step| last.saturating_add(step));
        let time = chosen.or(stepped).unwrap_or_else(|| now.saturating_add_signed(self.ahead));
        let time = time.max(last.saturating_add(1));
        if chosen.is_some() {
            self.ahead = difference(time, now);
        }
        time
    }

    /// Moves it on, and says how far ahead of the clock it is.
    pub(super) fn increase(&mut self, seconds: u64) -> i64 {
        self.ahead = self.ahead.saturating_add_unsigned(seconds);
        self.ahead
    }

    /// From now on it is `time`; says how far that is from what it was.
    pub(super) fn set(&mut self, now: u64, time: u64) -> i64 {
        let before = self.ahead;
        self.ahead = difference(time, now);
        self.ahead.saturating_sub(before)
    }

    pub(super) fn choose(&mut self, next: u64) {
        self.next = Some(next);
    }

    pub(super) fn step(&mut self, step: Option<u64>) {
        self.step = step;
    }
}

fn difference(time: u64, now: u64) -> i64 {
    let seconds = i128::from(time) - i128::from(now);
    seconds.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_where_it_was_put() {
        let mut time = Time::default();
        assert_eq!(time.next(100, 50), 100);
        assert_eq!(time.next(100, 100), 101, "two blocks in a second");
        assert_eq!(time.increase(3600), 3600);
        assert_eq!(time.next(102, 101), 3702);
        time.choose(9000);
        assert_eq!(time.next(103, 3702), 9000);
        assert_eq!(time.next(105, 9000), 9002, "the clock goes on from there");
        time.step(Some(12));
        assert_eq!(time.next(999_999, 9002), 9014);
        time.step(None);
        time.choose(u64::MAX);
        assert_eq!(time.next(1, 9014), u64::MAX);
        assert_eq!(time.increase(u64::MAX), i64::MAX);
    }
}
