//! Workloads on roads that take turns: what the messages of each cost, alone and against the first.

use crate::workload::{Step, Workload};
use crate::{Road, clock::cpu, memory};
use std::sync::Barrier;

/// One workload on one road.
pub(crate) struct Lane<'a> {
    workload: &'a Workload,
    pub(crate) road: &'a str,
    /// By kind of step, in the order of the first of each.
    taken: Vec<Taken>,
}

#[derive(Default)]
struct Taken {
    label: String,
    /// CPU time of each message, in nanoseconds.
    times: Vec<u64>,
    answered: usize,
    /// Memory of the program after the last one, in MB.
    resident: u64,
}

/// Runs the messages of every lane on its road, in turn; or those of a turn at the same time, in threads.
pub(crate) fn run(lanes: &mut [Lane<'_>], roads: &mut [Box<dyn Road>], together: bool) {
    let turns = turns(lanes);
    if !together {
        for turn in turns {
            lanes.iter_mut().zip(&mut *roads).for_each(|(lane, road)| lane.turn(&mut **road, turn));
        }
        return;
    }
    let (barrier, turns) = (Barrier::new(lanes.len()), &turns);
    std::thread::scope(|scope| {
        for (lane, road) in lanes.iter_mut().zip(roads) {
            let barrier = &barrier;
            scope.spawn(move || {
                for turn in turns {
                    barrier.wait();
                    lane.turn(&mut **road, *turn);
                }
            });
        }
    });
}

/// Step and message in it. A lane whose step has fewer messages waits for the others.
fn turns(lanes: &[Lane<'_>]) -> Vec<(usize, usize)> {
    let steps = lanes.iter().map(|lane| lane.workload.steps.len()).max().unwrap_or(0);
    let len =
        |lane: &Lane<'_>, step: usize| lane.workload.steps.get(step).map_or(0, |it| it.range.len());
    let most = |step: usize| lanes.iter().map(|lane| len(lane, step)).max().unwrap_or(0);
    (0..steps).flat_map(|step| (0..most(step)).map(move |at| (step, at))).collect()
}

impl<'a> Lane<'a> {
    pub(crate) fn new(workload: &'a Workload, road: &'a str) -> Self {
        Self { workload, road, taken: Vec::new() }
    }

    fn turn(&mut self, road: &mut dyn Road, (step, at): (usize, usize)) {
        let Some(Step { label, dry, range }) = self.workload.steps.get(step) else { return };
        let Some(at) = range.clone().nth(at) else { return };
        let start = cpu();
        let answered = road.message(self.workload, at, *dry);
        if !dry {
            road.rest();
        }
        let time = cpu() - start;
        if self.taken(label).is_none() {
            self.taken.push(Taken { label: label.clone(), ..Taken::default() });
        }
        let taken = self.taken.iter_mut().find(|it| it.label == *label).unwrap();
        taken.times.push(time);
        taken.answered += answered;
        taken.resident = memory::resident_mb();
    }

    fn taken(&self, label: &str) -> Option<&Taken> {
        self.taken.iter().find(|it| it.label == label)
    }

    /// One line of JSON for every kind of step, against the same turns of the first lane if it is not that.
    pub(crate) fn print(&self, first: &Self, beside: bool) {
        let first = Some(first).filter(|first| !std::ptr::eq(*first, self));
        for taken in &self.taken {
            let Taken { label, times, answered, resident } = taken;
            let over = first.and_then(|first| Some((first, first.taken(label)?)));
            let over = over.map_or_else(String::new, |(lane, first)| {
                format!(",\"over\":\"{} {}\"{}", lane.workload.name, lane.road, first.ratios(times))
            });
            println!(
                "{{\"workload\":\"{}\",\"road\":\"{}\",\"step\":\"{label}\",\"n\":{},\"median_us\":{:.1},\"mean_us\":{:.1},\"answered\":{answered},\"rss_mb\":{resident},\"beside\":{beside}{over}}}",
                self.workload.name,
                self.road,
                times.len(),
                quarter(times.iter().map(|nanos| *nanos as f64 / 1e3), 2),
                times.iter().sum::<u64>() as f64 / 1e3 / times.len().max(1) as f64,
            );
        }
    }
}

impl Taken {
    /// Median and quartiles of the ratios of the same turns, and the ratio of all their time.
    fn ratios(&self, times: &[u64]) -> String {
        let pairs = || times.iter().zip(&self.times);
        let ratio = |at| quarter(pairs().map(|(time, first)| *time as f64 / *first as f64), at);
        let (all, first) = pairs().fold((0, 0), |(a, b), (time, first)| (a + time, b + first));
        let all = all as f64 / first as f64;
        let [low, median, high] = [1, 2, 3].map(ratio);
        format!(
            ",\"ratio\":{median:.4},\"ratio_quartiles\":[{low:.4},{high:.4}],\"ratio_of_all\":{all:.4}"
        )
    }
}

/// The value below which so many quarters of them are.
fn quarter(values: impl Iterator<Item = f64>, quarters: usize) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() * quarters / 4).copied().unwrap_or(0.0)
}
