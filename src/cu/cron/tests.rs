//! The measured fixture of the reference, and the walk of the reference as an oracle.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

const T0: u64 = 1_700_000_000_500;
const H0: u64 = 1_500_000;

fn crons(tags: &[(&str, &str)]) -> Result<Crons, Refusal> {
    let tags: Vec<Tag> = tags.iter().map(|(name, value)| Tag::new(*name, *value)).collect();
    Crons::parse(&tags)
}

fn point(timestamp_ms: u64, block_height: u64) -> Point {
    Point { timestamp_ms, block_height }
}

fn shown(ticks: Ticks<'_>) -> Vec<(u64, u64, &str)> {
    ticks.map(|tick| (tick.at.timestamp_ms, tick.at.block_height, tick.cron)).collect()
}

/// A process at T0 with 10-seconds and 2-blocks, a block every 7 s, a message at T0 + 24 s; then up to 45 s.
#[test]
fn the_measured_fixture() {
    let crons = crons(&[
        ("Cron-Interval", "10-seconds"),
        ("Cron-Tag-Action", "Tick"),
        ("Cron-Interval", "2-blocks"),
        ("Cron-Tag-Action", "Block"),
    ])
    .unwrap();
    let origin = point(T0, H0);
    let blocks: Vec<Point> = (1..7).map(|n| point(1_700_000_000_000 + 7000 * n, H0 + n)).collect();
    let first = shown(crons.ticks(origin, origin, T0 + 24_000, &blocks));
    assert_eq!(
        first,
        [
            (T0 + 10_000, H0 + 1, "0-10-seconds"),
            (1_700_000_014_000, H0 + 2, "0-2-blocks"),
            (T0 + 20_000, H0 + 2, "0-10-seconds"),
        ]
    );
    let left = point(T0 + 24_000, H0 + 3);
    let second = shown(crons.ticks(origin, left, T0 + 45_000, &blocks));
    let time: Vec<_> = second.iter().filter(|tick| tick.2 == "0-10-seconds").collect();
    assert_eq!(
        time,
        [&(T0 + 30_000, H0 + 4, "0-10-seconds"), &(T0 + 40_000, H0 + 5, "0-10-seconds")]
    );
    let tick = crons.ticks(origin, origin, T0 + 24_000, &blocks).next().unwrap();
    assert_eq!(tick.tags, [Tag::new("Action", "Tick")]);
}

#[test]
fn a_message_in_the_second_of_a_tick_makes_it_tick_again() {
    let crons = crons(&[("Cron-Interval", "10-seconds")]).unwrap();
    let left = point(T0 + 10_200, H0);
    let again = shown(crons.ticks(point(T0, H0), left, T0 + 15_000, &[]));
    assert_eq!(again, [(T0 + 10_200, H0, "0-10-seconds")]);
}

#[test]
fn ids_count_within_a_kind_and_the_shortest_interval_is_first() {
    let crons = crons(&[
        ("Cron-Interval", "1-minute"),
        ("Cron-Interval", "3-blocks"),
        ("Cron-Interval", "30-seconds"),
        ("Cron-Interval", "1-block"),
    ])
    .unwrap();
    let ids = |list: &[Cron]| list.iter().map(|cron| cron.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&crons.time), ["0-30-seconds", "1-1-minute"]);
    assert_eq!(ids(&crons.block), ["0-3-blocks", "1-1-block"]);
}

#[test]
fn what_is_no_interval_is_refused_with_the_text_in_it() {
    for text in ["10", "x-seconds", "10-parsecs", "0-seconds", "500-ms", "0-blocks", "-1-seconds"] {
        let refusal = crons(&[("Cron-Interval", text)]).unwrap_err().to_string();
        assert!(refusal.contains(text), "{refusal}");
    }
    let refusal = crons(&[("Cron-Tag-Action", "Tick")]).unwrap_err().to_string();
    assert!(refusal.contains("before any Cron-Interval"), "{refusal}");
    assert!(crons(&[("Cron-Interval", "18446744073709551615-years")]).is_err());
}

#[test]
fn a_year_of_silence_is_not_walked() {
    let crons = crons(&[("Cron-Interval", "1-year")]).unwrap();
    let far = T0 + 3 * 31_557_600_000;
    assert_eq!(crons.ticks(point(T0, H0), point(T0, H0), far, &[]).count(), 2);
    let endless = crons.ticks(point(T0, H0), point(T0, H0), u64::MAX, &[]);
    assert_eq!(endless.take(1000).count(), 1000);
}

/// As the reference does it: a step a second, everything looked at in each.
fn walk(
    crons: &Crons,
    origin: Point,
    left: Point,
    right_ms: u64,
    blocks: &[Point],
) -> Vec<(u64, u64, String)> {
    let counts = |b: &&Point| b.timestamp_ms > left.timestamp_ms && b.timestamp_ms < right_ms;
    let mut blocks = blocks.iter().filter(counts).peekable();
    let (mut found, mut height, mut t) = (Vec::new(), left.block_height, left.timestamp_ms);
    let second = |ms: u64| (ms / 1000) as i64;
    while t < right_ms {
        if let Some(block) = blocks.next_if(|block| second(block.timestamp_ms) <= second(t)) {
            height = block.block_height;
            for cron in &crons.block {
                let grown = block.block_height as i64 - origin.block_height as i64;
                if grown != 0 && grown % cron.every as i64 == 0 {
                    found.push((block.timestamp_ms, block.block_height, cron.id.clone()));
                }
            }
        }
        for cron in &crons.time {
            let age = second(t) - second(origin.timestamp_ms);
            if age != 0 && age % cron.every as i64 == 0 {
                found.push((t, height, cron.id.clone()));
            }
        }
        t += 1000;
    }
    found
}

/// splitmix64: a case is its seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

#[test]
fn the_same_as_the_walk_and_a_look_that_ends_with_a_second_is_a_prefix() {
    for seed in 0..2000 {
        let mut chance = Chance(seed);
        let tags: Vec<Tag> = (0..=chance.below(4))
            .map(|_| match chance.below(2) {
                0 => Tag::new("Cron-Interval", format!("{}-seconds", 1 + chance.below(40))),
                _ => Tag::new("Cron-Interval", format!("{}-blocks", 1 + chance.below(4))),
            })
            .collect();
        let crons = Crons::parse(&tags).unwrap();
        let origin = point(T0 + chance.below(1000), H0 + chance.below(3));
        let left = point(origin.timestamp_ms + chance.below(100_000), H0 + 3 + chance.below(3));
        let mut at = left.timestamp_ms - chance.below(50_000);
        let blocks: Vec<Point> = (0..chance.below(30))
            .map(|n| {
                at += chance.below(9000);
                point(at, H0 + n)
            })
            .collect();
        let right = left.timestamp_ms + chance.below(120_000);
        let all: Vec<_> = shown(crons.ticks(origin, left, right, &blocks))
            .into_iter()
            .map(|(at, height, cron)| (at, height, cron.to_owned()))
            .collect();
        assert_eq!(all, walk(&crons, origin, left, right, &blocks), "seed {seed}");
        // Within a second, a block may still come that ticks in it.
        let nearer = left.timestamp_ms + chance.below(right - left.timestamp_ms + 1);
        let nearer = nearer / 1000 * 1000;
        let part = walk(&crons, origin, left, nearer, &blocks);
        assert!(all.starts_with(&part), "seed {seed}");
    }
}
