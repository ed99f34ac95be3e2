//! ERC-20 transfers through a drive, against revm alone on the same state; what many slots and hostile messages cost.
//!
//! `cargo bench -p drivebay-evm --bench evm [-- WHAT]`. Slices of all roads take turns on one thread, and what is
//! compared is the median of ten slices together, so that what a drive puts off for some hundred messages is in it;
//! time is that of the thread's processor, so that a busy machine changes little.
//!
//! | WHAT | |
//! |---|---|
//! | (nothing) | 100 holders, who send in turn |
//! | `drive` | the first two lines of that alone, for a profile |
//! | `random [ROADS]` | 50,000 senders in no order, a million slots; the first so many lines of that alone, for a profile |
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
/// Slices whose mean is one measure: more messages than a drive gathers.
const GROUP: usize = 10;
const SLICES: u64 = 31 * GROUP as u64;

const ROADS: [(&str, After); 4] = [
    ("Drive::run", After::Nothing),
    ("the same, a frozen state kept", After::Freeze),
    ("the same, and the state root", After::StateRoot),
    ("the same, and the image's root", After::Root),
];

/// All roads of a crowd take turns.
fn compare(crowd: Crowd, roads: &[(&str, After)]) {
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
    for slice in 0..SLICES {
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
            let first = first + road * SLICES * SLICE as u64;
            let calls = stage.transfers(crowd, first, SLICE);
            times.push(stage.play(&calls, *after));
        }
    }
    let median = |times: &[f64]| {
        let means = times.chunks_exact(GROUP).map(|group| group.iter().sum::<f64>());
        let mut means: Vec<f64> = means.map(|sum| sum / GROUP as f64).collect();
        means.sort_by(f64::total_cmp);
        means[means.len() / 2]
    };
    let alone = median(&times);
    let Crowd { holders, senders } = crowd;
    println!(
        "ERC-20 transfers of {senders} among {holders}, median of {SLICES} slices of {SLICE}, by {GROUP}"
    );
    println!("  revm alone, in memory            {alone:7.0} ns  1.00");
    for ((name, _), (_, _, times)) in roads.iter().zip(&ours) {
        let took = median(times);
        println!("  {name:<32} {took:7.0} ns  {:.2}", took / alone);
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let small = Crowd { holders: 100, senders: 100 };
    match words.first().map(String::as_str) {
        Some("drive") => compare(small, &ROADS[..1]),
        Some("random") => {
            let roads = number(1).map_or(ROADS.len(), |roads| ROADS.len().min(roads as usize));
            compare(Crowd { holders: 1_000_000, senders: 50_000 }, &ROADS[..roads]);
        }
        Some("big") => big::run(number(1).unwrap_or(10)),
        Some("worst") => {
            let only = words.get(2).map_or("", String::as_str);
            worst::run(number(1).unwrap_or(30_000_000), only);
        }
        Some("token") => println!("{}", hex::encode(token::code())),
        _ => compare(small, &ROADS),
    }
}
