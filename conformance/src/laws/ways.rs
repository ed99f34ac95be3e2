//! The ways in which a host may play a log. All must come to the same.

use super::{
    Held, Log,
    broken::{At, must},
    player::{Player, elsewhere, join, spawn},
    receipt::{Entry, same, same_entry},
    repeat::unobserved,
    rng::Rng,
    script::Step,
    state::unmarked,
};
use drivebay_disk::{Disk, DiskReader};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Threads that play a log at the same time.
const THREADS: usize = 16;
/// Bytes that are taken and given back while a log is played under pressure.
const PRESSURE_BYTES: usize = 256 << 20;

/// A way to play a log.
#[derive(Clone, Copy)]
pub struct Way {
    /// Its name.
    pub name: &'static str,
    /// What is done.
    pub says: &'static str,
    /// Takes many times as long as playing once.
    pub heavy: bool,
    play: fn(&Played) -> Held,
}

impl Way {
    /// The way of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        WAYS.iter().find(|way| way.name == name)
    }

    pub(super) fn hold(&self, played: &Played) -> Held {
        (self.play)(played)
    }
}

/// All ways.
pub const WAYS: &[Way] = &[
    Way {
        name: "again",
        says: "read again, on another thread",
        heavy: false,
        play: |log| log.elsewhere(),
    },
    Way {
        name: "unseen",
        says: "never frozen between calls",
        heavy: false,
        play: |log| log.unseen(),
    },
    Way {
        name: "faults",
        says: "the state after each fault is the one before",
        heavy: false,
        play: |log| log.faults(),
    },
    Way {
        name: "imaged",
        says: "evicted after every call: written, read, mounted",
        heavy: false,
        play: |log| log.imaged(),
    },
    Way {
        name: "evicted",
        says: "evicted now and then, the module read again",
        heavy: false,
        play: |log| log.evicted(),
    },
    Way {
        name: "reads",
        says: "dry-runs and twins between calls",
        heavy: false,
        play: |log| log.with_reads(),
    },
    Way {
        name: "threads",
        says: "on sixteen threads at a time, each call on any of them",
        heavy: true,
        play: |log| log.threads(),
    },
    Way {
        name: "traffic",
        says: "dry-runs on other threads while calls run",
        heavy: true,
        play: |log| log.with_traffic(),
    },
    Way {
        name: "pressure",
        says: "while memory is taken and given back, and drives are dropped",
        heavy: true,
        play: |log| log.pressed(),
    },
];

/// A log that was played once, and what it came to.
pub(super) struct Played<'a> {
    pub(super) reader: &'a dyn DiskReader,
    pub(super) log: &'a Log,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) steps: Vec<Step>,
    pub(super) expected: Vec<Entry>,
    pub(super) seed: u64,
}

impl Played<'_> {
    fn both(&self) -> impl Iterator<Item = (&Step, &Entry)> {
        self.steps.iter().zip(&self.expected)
    }

    fn again(&self) -> Held {
        let disk = self.log.disk(self.reader)?;
        Player::new(&disk)?.follow(&self.steps, &self.expected)
    }

    fn imaged(&self) -> Held {
        let there = self.log.disk(self.reader)?;
        let mut player = Player::new(&self.disk)?;
        for (step, expected) in self.both() {
            player = player.moved(&there).at(step)?;
            same_entry(expected, &player.play(step).at(step)?).at(step)?;
        }
        Ok(())
    }

    fn evicted(&self) -> Held {
        let mut rng = Rng::new(self.seed, "evict");
        let mut player = Player::new(&self.disk)?;
        for (step, expected) in self.both() {
            if rng.once_in(5) {
                player = player.moved(&self.disk).at(step)?;
            } else if rng.once_in(10) {
                player = player.moved(&self.log.disk(self.reader)?).at(step)?;
            }
            same_entry(expected, &player.play(step).at(step)?).at(step)?;
        }
        Ok(())
    }

    /// Dry-runs of any call, on the process itself and on twins, some of which live on for a while.
    fn with_reads(&self) -> Held {
        let mut rng = Rng::new(self.seed, "reads");
        let mut player = Player::new(&self.disk)?;
        let mut twins = Vec::new();
        for (step, expected) in self.both() {
            let root = player.root();
            let any = self.steps.get(rng.place(self.steps.len())).unwrap_or(step).dry();
            let here = player.play(&any).at(&any)?;
            must!(here.root == root, "{any}: root {root} became {}", here.root);
            let mut twin = Player::on(&self.disk, player.freeze()?.thaw()?, player.image());
            let there = twin.play(&any).at(&any)?;
            same_entry(&here, &there).at(&any).at("a dry-run on a twin")?;
            let ahead = player.play(&step.dry()).at(step)?;
            same(&expected.receipt, &ahead.receipt).at(step).at("as a dry-run")?;
            twins.push((twin, step, expected));
            let found = player.play(step).at(step)?;
            same_entry(expected, &found).at(step)?;
            if rng.once_in(3) {
                let (mut twin, step, expected) = twins.swap_remove(rng.place(twins.len()));
                same_entry(expected, &twin.play(step).at(step)?).at(step).at("a twin, later")?;
            }
            twins.truncate(4);
        }
        Ok(())
    }

    fn elsewhere(&self) -> Held {
        elsewhere(|| self.again())
    }

    fn unseen(&self) -> Held {
        unobserved(&self.disk, &self.steps, &self.expected)
    }

    fn faults(&self) -> Held {
        unmarked(&self.disk, &self.steps, &self.expected)
    }

    /// Sixteen processes of one disk at a time; each of them goes from thread to thread.
    fn threads(&self) -> Held {
        thread::scope(|scope| {
            let play = || {
                let mut player = Player::new(&self.disk)?;
                for (at, (step, expected)) in self.both().enumerate() {
                    let found = match at % 8 {
                        0 => elsewhere(|| player.play(step)),
                        _ => player.play(step),
                    };
                    same_entry(expected, &found.at(step)?).at(step)?;
                }
                Ok(())
            };
            let threads: Vec<_> = (0..THREADS).map(|_| spawn(scope, play)).collect();
            threads.into_iter().try_for_each(|thread| join(thread?))
        })
    }

    /// While each call runs, the state before it is read on another thread.
    fn with_traffic(&self) -> Held {
        let mut rng = Rng::new(self.seed, "traffic");
        let mut player = Player::new(&self.disk)?;
        for (step, expected) in self.both() {
            let (frozen, image) = (player.freeze()?, player.image().clone());
            let reads: Vec<Step> = (0..2)
                .filter_map(|_| self.steps.get(rng.place(self.steps.len())))
                .map(Step::dry)
                .collect();
            let read = || {
                for read in reads.iter().chain([&step.dry()]) {
                    let mut twin = Player::on(&self.disk, frozen.thaw()?, &image);
                    let found = twin.play(read).at(read)?;
                    must!(found.root == image.root(), "{read}: a dry-run left a mark");
                    if read.call.slot == step.call.slot {
                        same(&expected.receipt, &found.receipt).at(read).at("a read beside")?;
                    }
                }
                Ok(())
            };
            thread::scope(|scope| {
                let reader = spawn(scope, read)?;
                let found = player.play(step).at(step)?;
                join(reader)?;
                same_entry(expected, &found).at(step)
            })?;
        }
        Ok(())
    }

    /// Addresses move and pages are taken away, and nothing shows it.
    fn pressed(&self) -> Held {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let presses = spawn(scope, || {
                while !done.load(Ordering::Relaxed) {
                    // A byte in each page, so that the pages are really taken.
                    let mut taken = vec![0_u8; PRESSURE_BYTES];
                    taken.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
                    std::hint::black_box(&taken);
                }
                Ok(())
            });
            let held = self.evicted();
            done.store(true, Ordering::Relaxed);
            join(presses?)?;
            held
        })
    }
}
