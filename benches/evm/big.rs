//! A process of many slots: what a slot takes, and what does not grow with their number.

use crate::{
    clock::cpu,
    memory::resident_mb,
    stage::{After, Stage},
    token::Crowd,
};
use drivebay_disk::{Change, Image, ImageLimits, Row};
use std::{fs::File, hint::black_box, time::Instant};

const MILLION: u64 = 1_000_000;
const SENDERS: u64 = 50_000;

/// Grows a process to `millions` of slots, and measures it on the way at one million.
pub(crate) fn run(millions: u64) {
    let before = resident_mb();
    let mut stage = Stage::new(MILLION);
    let small = measure(&mut stage, MILLION, before);
    let start = Instant::now();
    stage.mint(MILLION, millions * MILLION);
    println!("  {} M more slots made by messages in {:.1?}", millions - 1, start.elapsed());
    let big = measure(&mut stage, millions * MILLION, before);
    println!("  a transfer with root, {millions} M to 1 M: {:.2}", big / small);
    delta(&mut stage, millions * MILLION);
    whole(&mut stage);
}

/// What a slot takes and a freeze; a transfer with a root after it, which it returns.
fn measure(stage: &mut Stage, slots: u64, before: u64) -> f64 {
    let bytes = (resident_mb() - before) as f64 * 1e6 / slots as f64;
    // The first root hashes everything.
    let start = Instant::now();
    stage.image().root();
    let first = start.elapsed();
    let rooted = (resident_mb() - before) as f64 * 1e6 / slots as f64;
    let start = cpu();
    for _ in 0..100_000 {
        black_box(stage.freeze());
    }
    let freeze = (cpu() - start) as f64 / 100_000.0;
    let crowd = Crowd { holders: slots, senders: SENDERS };
    let mut median = |after, first: u64| {
        let mut times: Vec<f64> = (0..15)
            .map(|slice| {
                let calls = stage.transfers(crowd, first + slice * 1000, 1000);
                stage.play(&calls, after)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (plain, kept) = (median(After::Nothing, 0), median(After::Freeze, 15_000));
    let (state, root) = (median(After::StateRoot, 30_000), median(After::Root, 45_000));
    println!(
        "{} M slots: {bytes:.0} bytes a slot, {rooted:.0} once its root was asked for",
        slots / MILLION
    );
    println!("  the first root                   {first:7.1?}");
    println!("  freeze, and drop of it           {freeze:7.0} ns");
    println!("  a transfer                       {plain:7.0} ns");
    println!("  the same, a frozen state kept    {kept:7.0} ns");
    println!("  the same, and the state root     {state:7.0} ns");
    println!("  the same, and the image's root   {root:7.0} ns");
    root
}

/// What 1,000 transfers change in the image.
fn delta(stage: &mut Stage, holders: u64) {
    let base = stage.image();
    base.root();
    let calls = stage.transfers(Crowd { holders, senders: SENDERS }, 60_000, 1000);
    stage.play(&calls, After::Nothing);
    let now = stage.image();
    let (mut rows, mut bytes) = (0, 0);
    let row = |row: Option<Row<'_>>| 36 + row.map_or(0, |row| row.bytes.len() as u64);
    let start = Instant::now();
    for change in now.changes_since(&base) {
        match change {
            Change::Page { .. } => bytes += 4096 + 8,
            Change::Section { .. } => panic!("a section changed"),
            Change::Row { new, old, .. } => {
                (rows, bytes) = (rows + 1, bytes + row(new));
                let (old, new) = (old.and_then(|row| row.table), new.and_then(|row| row.table));
                if let (Some(old), Some(new)) = (old, new) {
                    new.diff(old, |change| (rows, bytes) = (rows + 1, bytes + row(change.new)));
                }
            }
        }
    }
    let took = start.elapsed();
    println!(
        "  image delta of 1,000 transfers: {rows} rows, {:.2} MB, found in {took:.1?}",
        bytes as f64 / 1e6
    );
}

/// The image as a file: written, read, verified.
fn whole(stage: &mut Stage) {
    let path = std::env::temp_dir().join(format!("drivebay-bench-{}.image", std::process::id()));
    let image = stage.image();
    let start = Instant::now();
    image.write_to(&mut File::create(&path).unwrap()).unwrap();
    let (wrote, len) = (start.elapsed(), std::fs::metadata(&path).unwrap().len() as f64);
    let start = Instant::now();
    let read = Image::read_from(&mut File::open(&path).unwrap(), &ImageLimits::default()).unwrap();
    let took = start.elapsed();
    std::fs::remove_file(&path).unwrap();
    assert!(read.root() == image.root());
    let start = Instant::now();
    drop(Stage::mounted(&read));
    let mounted = start.elapsed();
    println!(
        "  image of {:.0} MB: written in {wrote:.1?}, read and its root verified in {took:.1?}, mounted in {mounted:.1?}",
        len / 1e6
    );
}
