//! Messages that write much which the one before did not: what of it is protected costs a fault for each page.
//!
//! What a process wrote at its largest message of late is its *swath*. Wires are strung across it while a message runs
//! that may be such a one: single pages of it that stop whoever writes there. Once two of them were hit, the rest of the
//! swath is probably next, and its protection is lifted at once. The lifted pages are then listed as written, and
//! compared, which costs a third of a fault. So the list can name more pages for it, and never fewer; and whether they
//! are lifted follows from what messages write, and nothing else.

use std::ops::Range;

/// Pages from which on it is worth it.
pub(crate) const LEAST: usize = 4096;
/// The shortest run of pages that counts.
const RUN: u64 = 16;
/// The most runs.
const RUNS: usize = 512;
/// Wires across a swath: each costs a message 14 µs. When the second of six is hit that a message writes to one by one,
/// in whatever order, a quarter of the swath was written.
const WIRES: usize = 6;
/// Messages in a row that hit too few wires, after which the swath is forgotten.
const QUIET: u32 = 6;

/// The most that was written of late by one message.
#[derive(Default)]
pub(crate) struct Swath {
    runs: Vec<Range<u64>>,
    pages: u64,
    wires: Vec<u64>,
    quiet: u32,
}

impl Swath {
    /// These are listed, in order; those that are not hot, in runs.
    pub(crate) fn note(&mut self, listed: &[u64], cold: impl FnOnce() -> Vec<Range<u64>>) {
        if listed.len() < LEAST {
            // What small messages write tells nothing.
            self.wires.retain(|wire| listed.binary_search(wire).is_err());
            if self.wires.len() < WIRES / 2 {
                *self = Self::default();
            }
            return;
        }
        let mut runs = cold();
        runs.retain(|run| run.end - run.start >= RUN);
        let pages: u64 = runs.iter().map(|run| run.end - run.start).sum();
        if pages < LEAST as u64 || runs.len() > RUNS {
            // It is hot by now, or too scattered.
            *self = Self::default();
        } else if pages >= self.pages {
            let wires = wires(&runs, pages);
            *self = Self { runs, pages, wires, quiet: 0 };
        }
    }

    /// So many of those listed were as before. If that is nearly all of it, lifting its protection was in vain; a half
    /// may have been written, with the same.
    pub(crate) fn cool(&mut self, equal: usize) {
        if equal as u64 > self.pages / 4 * 3 {
            *self = Self::default();
        }
    }

    /// Whether enough wires were hit by a message that ran over them.
    pub(crate) fn was_hit(&mut self, enough: bool) {
        self.quiet = if enough { 0 } else { self.quiet + 1 };
        if self.quiet > QUIET {
            *self = Self::default();
        }
    }

    /// The pages that are wires, and the runs of the swath, if there is one.
    pub(crate) fn wires(&self) -> Option<(&[u64], &[Range<u64>])> {
        Some((self.wires.as_slice(), self.runs.as_slice())).filter(|_| !self.wires.is_empty())
    }
}

/// Pages in even distances over so many in runs.
fn wires(runs: &[Range<u64>], pages: u64) -> Vec<u64> {
    let mut passed = 0;
    let mut wires = Vec::new();
    let mut places =
        (0..WIRES as u64).map(|wire| (2 * wire + 1) * pages / (2 * WIRES as u64)).peekable();
    for run in runs {
        let len = run.end - run.start;
        while let Some(place) = places.next_if(|place| *place < passed + len) {
            wires.push(run.start + place - passed);
        }
        passed += len;
    }
    wires
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::single_range_in_vec_init,
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "runs of pages; tests"
    )]
    use super::*;

    fn note(swath: &mut Swath, runs: &[Range<u64>]) -> Vec<Range<u64>> {
        let listed: Vec<u64> = runs.iter().cloned().flatten().collect();
        swath.note(&listed, || runs.to_vec());
        swath.wires().map_or_else(Vec::new, |(_, runs)| runs.to_vec())
    }

    #[test]
    fn the_largest_is_kept_until_it_is_of_no_use() {
        let mut swath = Swath::default();
        assert!(note(&mut swath, &[0..4095]).is_empty(), "too little");
        let scattered: Vec<_> = (0..3000).map(|at| at * 3..at * 3 + 2).collect();
        assert!(note(&mut swath, &scattered).is_empty());
        assert_eq!(note(&mut swath, &[0..9000, 9010..9011]), [0..9000]);
        assert_eq!(note(&mut swath, &[0..5000]), [0..9000]);
        assert_eq!(note(&mut swath, &[7..9007]), [7..9007], "the latest of the same size");
        (0..QUIET).for_each(|_| swath.was_hit(false));
        swath.was_hit(true);
        (0..QUIET).for_each(|_| swath.was_hit(false));
        swath.cool(6750);
        assert_eq!(swath.wires().unwrap().1, [7..9007]);
        swath.was_hit(false);
        assert!(swath.wires().is_none(), "nothing came near to it in a while");
        note(&mut swath, &[7..9007]);
        swath.cool(6751);
        assert!(swath.wires().is_none(), "most of it was lifted in vain");
        note(&mut swath, &[7..9007]);
        swath.note(&(0..9000).collect::<Vec<_>>(), || vec![0..20]);
        assert!(swath.wires().is_none(), "it is hot");
    }

    #[test]
    fn wires_lie_evenly_where_small_messages_do_not_write() {
        let mut swath = Swath::default();
        note(&mut swath, &[100..4300, 9000..13200]);
        let wires =
            |swath: &Swath| swath.wires().map_or_else(Vec::new, |(wires, _)| wires.to_vec());
        assert_eq!(wires(&swath), [800, 2200, 3600, 9700, 11_100, 12_500]);
        note(&mut swath, &[2195..2205, 12_500..12_501]);
        assert_eq!(wires(&swath), [800, 3600, 9700, 11_100]);
        note(&mut swath, &[100..4000]);
        assert!(wires(&swath).is_empty(), "small messages write all over it");
    }
}
