//! ERC-20 transfers through a drive, against revm alone on the same state; what many slots and hostile messages cost.
//!
//! `cargo bench -p drivebay-evm --bench evm [-- WHAT]`. Slices of all roads take turns on one thread, and what is
//! compared is the mean of all, so that what a drive puts off for thousands of messages is in it; time is that of the
//! thread's processor, so that a busy machine changes little.
//!
//! | WHAT | |
//! |---|---|
//! | (nothing) | 100 holders, who send in turn |
//! | `drive` | the first two lines of that alone, for a profile |
//! | `random [ROADS] [SLICES]` | 50,000 senders in no order, a million slots; the first so many lines of that alone, and so many slices, for a profile |
//! | `big [MILLIONS]` | a process of ten million slots |
//! | `worst [GAS] [NAME]` | the dearest messages for their gas |
//! | `token` | the token's code, for `peers` |
//!
//! `benches/README.md` has figures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]
#![allow(clippy::print_stdout, reason = "a bench")]

#[path = "../../vms/evm/tests/all/asm.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod asm;
mod big;
#[path = "../clock.rs"]
mod clock;
#[path = "../memory.rs"]
mod memory;
mod stage;
mod token;
mod worst;

use clock::cpu;
use drivebay_evm::{
    address_of,
    revm::{
        Context, ExecuteCommitEvm, MainBuilder, MainContext,
        context::TxEnv,
        primitives::{Bytes, TxKind, hardfork::SpecId, hex},
    },
};
use stage::{After, Stage};
use token::Crowd;

/// Few, so that messages are in the cache, as they are where a unit makes each just before it runs.
const SLICE: usize = 100;
/// Enough for a drive to put what it gathered into its tables some times.
const SLICES: u64 = 600;

/// Messages whose states nobody looks at; then somebody does.
const UNREAD: usize = 5000;

const ROADS: [(&str, After); 4] = [
    ("Drive::run", After::Nothing),
    ("the same, a frozen state kept", After::Freeze),
    ("the same, and the state root", After::StateRoot),
    ("the same, and the image's root", After::Root),
];

/// All roads of a crowd take turns.
fn compare(crowd: Crowd, roads: &[(&str, After)], slices: u64) {
    let home = address_of(&drivebay_disk::testing::process().id);
    let mut bare = Context::mainnet()
        .with_db(crowd.in_memory(home))
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
            cfg.disable_nonce_check = true;
            cfg.tx_gas_limit_cap = Some(u64::MAX);
        })
        .build_mainnet();
    let mut ours: Vec<_> =
        roads.iter().map(|(_, after)| (Stage::new(crowd.holders), *after, Vec::new())).collect();
    let mut times = Vec::new();
    for slice in 0..slices {
        let first = 1 + slice * SLICE as u64;
        let txs: Vec<_> = (first..first + SLICE as u64)
            .map(|n| (crowd.sender(n), Bytes::from(crowd.transfer(n))))
            .collect();
        let start = cpu();
        for (caller, data) in txs {
            let tx = TxEnv {
                caller,
                gas_limit: 30_000_000,
                kind: TxKind::Call(home),
                data,
                chain_id: None,
                ..TxEnv::default()
            };
            let result = bare.transact_commit(tx).unwrap();
            assert!(result.is_success(), "{result:?}");
        }
        times.push((cpu() - start) as f64 / SLICE as f64);
        for ((stage, after, times), road) in ours.iter_mut().zip(1..) {
            // Other transfers, for what one drive hashed the next one on this thread would remember.
            let first = first + road * slices * SLICE as u64;
            let calls = stage.transfers(crowd, first, SLICE);
            times.push(stage.play(&calls, *after));
        }
    }
    // Of a message, all slices together; and of the slice in the middle, where nothing that was put off is done.
    let both = |times: &mut [f64]| {
        times.sort_by(f64::total_cmp);
        (times.iter().sum::<f64>() / times.len() as f64, times[times.len() / 2])
    };
    let alone = both(&mut times);
    let Crowd { holders, senders } = crowd;
    println!("ERC-20 transfers of {senders} among {holders}, mean of {slices} slices of {SLICE}");
    println!("{:34} {:>10} {:>14}", "", "mean", "median slice");
    let line = |name: &str, times: &mut [f64]| {
        let (mean, median) = both(times);
        let (of_mean, of_median) = (mean / alone.0, median / alone.1);
        println!("  {name:<32} {mean:7.0} ns {of_mean:5.2} {median:7.0} ns {of_median:5.2}");
    };
    line("revm alone, in memory", &mut times);
    for ((name, _), (_, _, times)) in roads.iter().zip(&mut ours) {
        line(name, times);
    }
    let Some((stage, ..)) = ours.first_mut() else { return };
    let calls = stage.transfers(crowd, 10 * slices * SLICE as u64, UNREAD);
    stage.play(&calls, After::Nothing);
    let (first, next) = (stage.thaw() / 1e6, stage.thaw() / 1e6);
    println!(
        "  a drive to read from after {UNREAD} messages: {first:.1} ms, the next {next:.1} ms"
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let small = Crowd { holders: 100, senders: 100 };
    match words.first().map(String::as_str) {
        Some("drive") => compare(small, &ROADS[..1], SLICES),
        Some("random") => {
            let roads = number(1).map_or(ROADS.len(), |roads| ROADS.len().min(roads as usize));
            let slices = number(2).unwrap_or(SLICES);
            compare(Crowd { holders: 1_000_000, senders: 50_000 }, &ROADS[..roads], slices);
        }
        Some("big") => big::run(number(1).unwrap_or(10)),
        Some("worst") => {
            let only = words.get(2).map_or("", String::as_str);
            worst::run(number(1).unwrap_or(30_000_000), only);
        }
        Some("token") => println!("{}", hex::encode(token::code())),
        _ => compare(small, &ROADS, SLICES),
    }
}
