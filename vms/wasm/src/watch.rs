//! Which pages of a live memory were written since somebody last asked: what the kernel lists, used well.
//!
//! Seeing a first write costs a fault for each page. Pages that are written every time (a stack, what a collector
//! marks) are *hot*: they are no longer protected, and count as written. So watching switches itself off page by
//! page, for all of a memory if a process writes all of it each time. A hot page that turns out to be as before is
//! protected again; and now and then all are.

use crate::linear::{Kernel, Wires};
use crate::swath::Swath;
use drivebay_disk::DirtySet;
use std::ops::Range;

/// Times in a row that a page was written, after which it is hot.
const HOT: u8 = 2;
/// Times that hot pages are believed, before all are protected again.
const BELIEVED: u32 = 128;
/// The most pages that are made ready for whoever runs next in this state.
const HOT_MAX: usize = 4096;
/// Runs of pages that are protected one by one. More are protected with all others, in one go.
const RUNS: usize = 96;

/// Watches one memory, which may grow, and may move when it does.
pub(crate) struct Watch {
    kernel: Option<Kernel>,
    heat: Heat,
    swath: Swath,
}

impl Watch {
    /// Watches by the kernel, if it lets us.
    pub(crate) fn new() -> Self {
        Self { kernel: Kernel::open_if_supported(), heat: Heat::default(), swath: Swath::default() }
    }

    /// Compares everything: what `new` falls back to, and the double that tests compare it with.
    #[cfg(test)]
    pub(crate) fn comparing() -> Self {
        Self { kernel: None, heat: Heat::default(), swath: Swath::default() }
    }

    /// From now on everything is compared: a list that was taken and not used is lost.
    pub(crate) fn distrust(&mut self) {
        self.kernel = None;
    }

    /// Another memory lies there now: the next answer is everything.
    pub(crate) fn forget(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            kernel.forget();
        }
    }

    /// Whether the next answer can be less than everything.
    pub(crate) fn knows(&self) -> bool {
        self.kernel.as_ref().is_some_and(Kernel::is_watching)
    }

    /// Pages that are written nearly every time, in order; no more than is worth preparing for.
    pub(crate) fn hot(&self) -> Vec<u64> {
        let hot = self.heat.last.iter().copied().filter(|page| self.heat.is_hot(*page));
        hot.take(HOT_MAX).collect()
    }

    /// Those of the pages last listed that were as before: what is hot only by name need not be looked at each time.
    pub(crate) fn cool(&mut self, equal: &[u64]) {
        self.heat.cool(equal);
        self.swath.cool(equal.len());
    }

    /// What a message runs over that may write much, if the process did of late.
    pub(crate) fn wires(&self) -> Option<Wires> {
        let (wires, runs) = self.swath.wires()?;
        self.kernel.as_ref()?.wires(wires, runs)
    }

    /// Whether a message that ran over them hit enough.
    pub(crate) fn was_hit(&mut self, enough: bool) {
        self.swath.was_hit(enough);
    }

    /// The pages of `memory` that may have been written since this was last called, or that are new; from
    /// now on they count as not written. The memory is the same one every time: it may only have grown, or
    /// have moved while growing.
    pub(crate) fn written(&mut self, memory: &mut [u8]) -> DirtySet {
        let Some(kernel) = &mut self.kernel else { return DirtySet::unknown() };
        let listed = list(kernel, (&mut self.heat, &mut self.swath), memory);
        if listed.is_none() {
            // The kernel had second thoughts: it is not asked again.
            self.kernel = None;
        }
        listed.flatten().map_or_else(DirtySet::unknown, DirtySet::from_pages)
    }
}

/// The pages written; within, `None` if they may be any. Without, `None` if the kernel refuses.
fn list(
    kernel: &mut Kernel,
    (heat, swath): (&mut Heat, &mut Swath),
    memory: &mut [u8],
) -> Option<Option<Vec<u64>>> {
    let reach = kernel.reach(memory)?;
    if reach.moved {
        (*heat, *swath) = (Heat::default(), Swath::default());
    }
    // All are protected again by the listing itself, unless some are to stay as they are.
    let all = heat.protects_all();
    let mut pages = kernel.list(memory, reach.old.clone(), all)?;
    let runs = if all { Vec::new() } else { heat.cold(&pages) };
    if runs.len() > RUNS {
        kernel.list(memory, reach.old, true)?;
    } else {
        for run in runs {
            kernel.list(memory, run, true)?;
        }
    }
    heat.note(&pages);
    // Pages that are new say nothing about heat.
    pages.extend(reach.new);
    if !reach.moved {
        swath.note(&pages, || heat.cold(&pages));
    }
    Some((!reach.moved).then_some(pages))
}

/// How often in a row pages were written.
#[derive(Default)]
struct Heat {
    /// By page. Those beyond were never listed.
    streaks: Vec<u8>,
    last: Vec<u64>,
    hot: usize,
    age: u32,
}

impl Heat {
    /// Nothing is hot, or it is time to look again what is.
    fn protects_all(&mut self) -> bool {
        if self.age >= BELIEVED {
            *self = Self::default();
        }
        self.hot == 0
    }

    fn is_hot(&self, page: u64) -> bool {
        usize::try_from(page)
            .ok()
            .and_then(|at| self.streaks.get(at))
            .is_some_and(|streak| *streak >= HOT)
    }

    /// The runs of pages among those listed that are to be protected.
    fn cold(&self, listed: &[u64]) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for page in listed.iter().copied().filter(|page| !self.is_hot(*page)) {
            match runs.last_mut() {
                Some(run) if run.end == page => run.end += 1,
                _ => runs.push(page..page + 1),
            }
        }
        runs
    }

    /// These were listed, and nothing was written that one could tell.
    fn cool(&mut self, equal: &[u64]) {
        for page in equal {
            set(&mut self.streaks, *page, |_| 0);
        }
    }

    /// Takes note of what was written this time.
    fn note(&mut self, listed: &[u64]) {
        let Self { streaks, last, hot, age } = self;
        *age += 1;
        let len = listed.last().and_then(|page| usize::try_from(*page + 1).ok()).unwrap_or(0);
        streaks.resize(len.max(streaks.len()), 0);
        // Both lists are in order: what is in the old one alone was not written again.
        let mut now = listed.iter().copied().peekable();
        for page in last.iter().copied() {
            while now.next_if(|listed| *listed < page).is_some() {}
            if now.peek() != Some(&page) {
                set(streaks, page, |_| 0);
            }
        }
        *hot = 0;
        for page in listed {
            set(streaks, *page, |streak| {
                let streak = streak.saturating_add(1);
                *hot += usize::from(streak >= HOT);
                streak
            });
        }
        last.clear();
        last.extend_from_slice(listed);
    }
}

fn set(streaks: &mut [u8], page: u64, change: impl FnOnce(u8) -> u8) {
    if let Some(streak) = usize::try_from(page).ok().and_then(|at| streaks.get_mut(at)) {
        *streak = change(*streak);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use drivebay_disk::{PAGE, Pages, SliceSource};

    /// Page-aligned memory of our own that can grow in place.
    struct Arena(Vec<u8>, usize, usize);

    impl Arena {
        fn new(pages: usize, reserve: usize) -> Self {
            let bytes = vec![0u8; (reserve + 1) * PAGE];
            let from = (bytes.as_ptr() as usize).next_multiple_of(PAGE) - bytes.as_ptr() as usize;
            Self(bytes, from, pages)
        }

        fn live(&mut self) -> &mut [u8] {
            let (from, len) = (self.1, self.2 * PAGE);
            &mut self.0[from..from + len]
        }
    }

    fn next(seed: &mut u64) -> usize {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as usize
    }

    /// Random writes, reads and growth, some pages every time and some never: the tree that follows the kernel's
    /// list and the one that compares everything have the same root after each round, and both equal the bytes.
    #[test]
    fn the_kernels_list_misses_nothing() {
        for case in 0..20u64 {
            let mut seed = case;
            let mut arena = Arena::new(64, 600);
            let mut watches = [Watch::new(), Watch::comparing()];
            let mut trees = [Pages::new(64 * PAGE as u64), Pages::new(64 * PAGE as u64)];
            for round in 0..40 + 10 * BELIEVED as usize * usize::from(case == 0) {
                let warm = next(&mut seed) % 20;
                for page in 0..warm {
                    arena.live()[page * 2 * PAGE + round % PAGE] ^= 1;
                }
                for _ in 0..next(&mut seed) % 30 {
                    let live = arena.live();
                    let at = next(&mut seed) % live.len();
                    match next(&mut seed) % 3 {
                        0 => live[at] = live[at].wrapping_add(1),
                        1 => live[at / PAGE * PAGE] = 0,
                        _ => assert!(std::hint::black_box(live[at]) < 255),
                    }
                }
                if next(&mut seed).is_multiple_of(5) {
                    arena.2 = (arena.2 + next(&mut seed) % 40).min(600);
                }
                if let Some(kernel) = watches[0].kernel.as_ref().filter(|_| round % 3 == 0) {
                    let from = next(&mut seed) as u64 % 50;
                    kernel
                        .wires(&[], &[from..from + 9, 60..61])
                        .into_iter()
                        .for_each(|it| it.lift());
                }
                for (watch, tree) in watches.iter_mut().zip(&mut trees) {
                    let dirty = watch.written(arena.live());
                    *tree = tree.rebase(&SliceSource::new(arena.live()), &dirty).unwrap();
                }
                assert_eq!(trees[0].root(), trees[1].root());
                assert_eq!(trees[0].root(), Pages::from_bytes(arena.live()).root());
            }
        }
    }

    /// On a kernel that can, a write to one page of many is listed as that one; growth is listed, and says
    /// nothing about the pages that were there.
    #[test]
    fn only_what_was_written_is_listed() {
        let mut watch = Watch::new();
        if watch.kernel.is_none() {
            // A kernel that does not list written pages: the other test holds the fallback.
            return;
        }
        let mut arena = Arena::new(512, 900);
        arena.live().fill(1);
        assert!(watch.written(arena.live()).pages().is_none());
        arena.live()[7 * PAGE + 5] = 9;
        arena.live()[300 * PAGE] = 9;
        assert_eq!(watch.written(arena.live()).pages(), Some(&[7, 300][..]));
        assert_eq!(watch.written(arena.live()).pages(), Some(&[][..]));
        arena.2 = 900;
        arena.live()[3 * PAGE] = 9;
        arena.live()[700 * PAGE] = 9;
        // The allocator may have touched some of the new ones before.
        let listed = watch.written(arena.live());
        let listed = listed.pages().unwrap();
        assert!(listed.starts_with(&[3]) && listed.contains(&700), "{listed:?}");
        assert!(listed.iter().skip(1).all(|page| *page >= 512), "{listed:?}");
        assert_eq!(watch.written(arena.live()).pages(), Some(&[][..]));
    }

    /// Pages that nobody touched before it was watched are listed once they are written.
    #[test]
    fn what_comes_later_is_listed_when_it_is_written() {
        let mut watch = Watch::new();
        if watch.kernel.is_none() {
            return;
        }
        let mut arena = Arena::new(600, 600);
        assert!(watch.written(arena.live()).pages().is_none());
        assert_eq!(watch.written(arena.live()).pages(), Some(&[][..]));
        arena.live()[9 * PAGE] = 1;
        assert!(std::hint::black_box(arena.live()[500 * PAGE]) == 0);
        // What was only read may be listed too, once.
        let listed = watch.written(arena.live());
        let listed = listed.pages().unwrap();
        assert!(listed.contains(&9) && listed.iter().all(|page| [9, 500].contains(page)));
        arena.live()[500 * PAGE] = 1;
        assert_eq!(watch.written(arena.live()).pages(), Some(&[500][..]));
    }

    /// What is written every time is listed without being protected, and comes to rest again.
    #[test]
    fn hot_pages_are_listed_until_they_are_looked_at_again() {
        let mut watch = Watch::new();
        if watch.kernel.is_none() {
            return;
        }
        let mut arena = Arena::new(64, 64);
        watch.written(arena.live());
        for _ in 0..4 {
            arena.live()[9 * PAGE] ^= 1;
            assert_eq!(watch.written(arena.live()).pages(), Some(&[9][..]));
        }
        assert_eq!(watch.written(arena.live()).pages(), Some(&[9][..]), "hot");
        let mut kept = |watch: &mut Watch| {
            (0..=BELIEVED)
                .take_while(|_| watch.written(arena.live()).pages() == Some(&[9][..]))
                .count()
        };
        assert!((1..=BELIEVED as usize).contains(&kept(&mut watch)), "hot for ever, or never");
        for _ in 0..4 {
            arena.live()[9 * PAGE] ^= 1;
            watch.written(arena.live());
        }
        watch.cool(&[9]);
        assert_eq!(watch.written(arena.live()).pages(), Some(&[9][..]), "not protected yet");
        assert_eq!(
            watch.written(arena.live()).pages(),
            Some(&[][..]),
            "it was looked at, and rests"
        );
    }

    #[test]
    fn streaks_break_and_cold_pages_come_in_runs() {
        let mut heat = Heat::default();
        heat.note(&[1, 2, 3, 9]);
        assert!(heat.protects_all());
        heat.note(&[2, 3, 8]);
        assert!(!heat.protects_all());
        assert_eq!(heat.cold(&[1, 2, 3, 4, 5, 8, 9]), [1..2, 4..6, 8..10]);
        heat.note(&[3]);
        heat.note(&[2, 3]);
        assert_eq!(heat.cold(&[2, 3, 7]), [2..3, 7..8]);
    }
}
