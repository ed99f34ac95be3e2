//! Cron ticks as a pure function of a process's schedule.
//!
//! The ticks after a message are counted from that message, whatever was evaluated before and wherever an
//! evaluation stopped: a look that ends with a second is a prefix of a longer one. The rules are the reference's, quirks
//! included (it walks from the message in steps of a second, keeps the message's milliseconds, tests the
//! message's own second, and lets at most one block pass a step); they are worked out here without the walk.

use crate::disk::{Refusal, RefusalCode, Tag};

const SECOND_MS: u64 = 1000;
const INTERVAL: &str = "Cron-Interval";
const TAG_PREFIX: &str = "Cron-Tag-";

/// The crons that a process declares in its tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crons {
    /// By interval, shortest first.
    time: Vec<Cron>,
    /// As declared.
    block: Vec<Cron>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cron {
    /// `<index>-<interval text>`; the index counts within its kind.
    id: String,
    /// Seconds, or blocks; 1 or more.
    every: u64,
    tags: Vec<Tag>,
}

/// A point in a process's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Unix time in milliseconds.
    pub timestamp_ms: u64,
    /// Height of the newest block then.
    pub block_height: u64,
}

/// One tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick<'a> {
    /// Where it stands.
    pub at: Point,
    /// Which cron: `0-10-seconds`.
    pub cron: &'a str,
    /// What its message carries.
    pub tags: &'a [Tag],
}

/// How often, in the unit of its kind; the interval's text; its tags.
type Declared = (u64, String, Vec<Tag>);

enum Every {
    Seconds(u64),
    Blocks(u64),
}

impl Crons {
    /// Reads `Cron-Interval` tags, each followed by its `Cron-Tag-…` tags.
    pub fn parse(tags: &[Tag]) -> Result<Self, Refusal> {
        let (mut time, mut block): (Vec<Declared>, Vec<_>) = (Vec::new(), Vec::new());
        let mut in_blocks = None;
        for tag in tags {
            if tag.name == INTERVAL {
                let every = interval(&tag.value)?;
                let (list, every, blocks) = match every {
                    Every::Seconds(every) => (&mut time, every, false),
                    Every::Blocks(every) => (&mut block, every, true),
                };
                list.push((every, tag.value.clone(), Vec::new()));
                in_blocks = Some(blocks);
            } else if let Some(name) = tag.name.strip_prefix(TAG_PREFIX) {
                let list = match in_blocks {
                    Some(true) => &mut block,
                    Some(false) => &mut time,
                    None => return Err(stray(&tag.name)),
                };
                if let Some((_, _, tags)) = list.last_mut() {
                    tags.push(Tag::new(name, tag.value.as_str()));
                }
            }
        }
        time.sort_by_key(|(every, _, _)| *every);
        Ok(Self { time: numbered(time), block: numbered(block) })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.time.is_empty() && self.block.is_empty()
    }

    /// Whether blocks must be known to say what ticks.
    pub fn needs_blocks(&self) -> bool {
        // Time crons carry the height of the newest block too.
        !self.is_empty()
    }

    /// The ticks from the message at `left` up to, and without, `right_ms`. `origin` is where the process
    /// was made. `blocks` are in order of height; of those, only the ones between both times count.
    pub fn ticks<'a>(
        &'a self,
        origin: Point,
        left: Point,
        right_ms: u64,
        blocks: &'a [Point],
    ) -> Ticks<'a> {
        let between =
            |block: &Point| block.timestamp_ms > left.timestamp_ms && block.timestamp_ms < right_ms;
        let from = blocks.iter().position(between).unwrap_or(blocks.len());
        Ticks {
            crons: self,
            origin,
            left,
            right_ms,
            blocks: blocks.get(from..).unwrap_or_default(),
            height: left.block_height,
            step: 0,
            queue: Vec::new(),
        }
    }
}

/// See [`Crons::ticks`].
#[derive(Clone, Debug)]
pub struct Ticks<'a> {
    crons: &'a Crons,
    origin: Point,
    left: Point,
    right_ms: u64,
    /// Those that have not passed yet.
    blocks: &'a [Point],
    /// Of the last block that passed.
    height: u64,
    /// The next step to look at: a second each, from `left`.
    step: u64,
    /// Found at the last step looked at, last first.
    queue: Vec<Tick<'a>>,
}

impl<'a> Iterator for Ticks<'a> {
    type Item = Tick<'a>;

    fn next(&mut self) -> Option<Tick<'a>> {
        loop {
            if let Some(tick) = self.queue.pop() {
                return Some(tick);
            }
            self.step = self.next_step()?;
            self.look();
            self.step += 1;
        }
    }
}

impl<'a> Ticks<'a> {
    /// Seconds since the origin at a step, if the origin is not later.
    fn age(&self, step: u64) -> Option<u64> {
        let second = self.left.timestamp_ms / SECOND_MS + step;
        second.checked_sub(self.origin.timestamp_ms / SECOND_MS)
    }

    /// The first step from `self.step` on at which anything may happen, if it is before the end.
    fn next_step(&self) -> Option<u64> {
        let left_second = self.left.timestamp_ms / SECOND_MS;
        let block = self.next_block().map(|block| {
            (block.timestamp_ms / SECOND_MS).saturating_sub(left_second).max(self.step)
        });
        let time = self.crons.time.iter().filter_map(|cron| self.next_time(cron.every));
        let step = time.chain(block).min()?;
        let at = self.left.timestamp_ms.checked_add(step.checked_mul(SECOND_MS)?)?;
        (at < self.right_ms).then_some(step)
    }

    fn next_time(&self, every: u64) -> Option<u64> {
        let age = match self.age(self.step) {
            Some(0) | None => return Some(self.step + self.until_first(every)),
            Some(age) => age,
        };
        Some(self.step + (every - age % every) % every)
    }

    /// Steps until the first tick of a cron, counted from a step at or before the origin's second.
    fn until_first(&self, every: u64) -> u64 {
        let second = self.left.timestamp_ms / SECOND_MS + self.step;
        (self.origin.timestamp_ms / SECOND_MS).saturating_sub(second).saturating_add(every)
    }

    fn next_block(&self) -> Option<&'a Point> {
        self.blocks.first().filter(|block| block.timestamp_ms < self.right_ms)
    }

    /// Puts into the queue what ticks at this step: blocks first, then time, shortest interval first.
    fn look(&mut self) {
        let at = self.left.timestamp_ms + self.step * SECOND_MS;
        let due = |block: &&Point| block.timestamp_ms / SECOND_MS <= at / SECOND_MS;
        if let Some(block) = self.next_block().filter(due) {
            self.blocks = self.blocks.get(1..).unwrap_or_default();
            self.height = block.block_height;
            let grown = block.block_height.abs_diff(self.origin.block_height);
            let ticks = |cron: &&Cron| grown > 0 && grown % cron.every == 0;
            let found = self.crons.block.iter().filter(ticks);
            self.queue.extend(found.map(|cron| tick(cron, *block)));
        }
        if let Some(age) = self.age(self.step).filter(|age| *age > 0) {
            let at = Point { timestamp_ms: at, block_height: self.height };
            let found = self.crons.time.iter().filter(|cron| age % cron.every == 0);
            self.queue.extend(found.map(|cron| tick(cron, at)));
        }
        self.queue.reverse();
    }
}

fn tick(cron: &Cron, at: Point) -> Tick<'_> {
    Tick { at, cron: &cron.id, tags: &cron.tags }
}

fn numbered(list: Vec<Declared>) -> Vec<Cron> {
    let cron = |(index, (every, text, tags)): (usize, Declared)| Cron {
        id: format!("{index}-{text}"),
        every,
        tags,
    };
    list.into_iter().enumerate().map(cron).collect()
}

/// `<n>-<unit>`, with the units of the reference, which are those of npm's `ms`.
fn interval(text: &str) -> Result<Every, Refusal> {
    let (count, unit) = text.split_once('-').ok_or_else(|| bad(text))?;
    let count: u64 = count.trim().parse().map_err(|_| bad(text))?;
    let unit = unit.trim().to_ascii_lowercase();
    let unit_ms: u64 = match unit.as_str() {
        "block" | "blocks" if count > 0 => return Ok(Every::Blocks(count)),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND_MS,
        "m" | "min" | "mins" | "minute" | "minutes" => 60 * SECOND_MS,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600 * SECOND_MS,
        "d" | "day" | "days" => 86_400 * SECOND_MS,
        "w" | "week" | "weeks" => 604_800 * SECOND_MS,
        // A year has 365.25 days there.
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600 * SECOND_MS,
        _ => return Err(bad(text)),
    };
    match count.checked_mul(unit_ms).map(|ms| ms / SECOND_MS) {
        Some(seconds) if seconds > 0 => Ok(Every::Seconds(seconds)),
        _ => Err(bad(text)),
    }
}

fn bad(text: &str) -> Refusal {
    let note = format!(
        "Cron-Interval is {text:?}; write a number, a dash and a unit, such as 10-seconds (one second \
         at least), 5-minutes or 3-blocks"
    );
    Refusal::new(RefusalCode::Malformed, note)
}

fn stray(name: &str) -> Refusal {
    let note =
        format!("tag {name} stands before any Cron-Interval; put it after the one it belongs to");
    Refusal::new(RefusalCode::Malformed, note)
}

#[cfg(test)]
mod tests;
