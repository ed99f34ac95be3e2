//! ERC-20 transfers through a drive, against revm alone on the same state.
//!
//! `cargo bench -p drivebay-evm --bench evm`. Slices of both take turns on one thread, and the median of each is compared; time is that of
//! the thread's processor, so that a busy machine changes little. `benches/README.md` has figures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]
#![allow(clippy::print_stdout, reason = "a bench")]

#[path = "../vms/evm/tests/all/asm.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod asm;
mod clock;

use clock::cpu;
use drivebay_disk::{
    Call, DiskReader, Drive, Fuel, Limits, Module, NoArtifacts, Ran, Tag,
    testing::{NoHost, call},
};
use drivebay_evm::{
    EvmReader, address_of,
    revm::{
        Context, ExecuteCommitEvm, MainBuilder, MainContext,
        bytecode::Bytecode,
        context::TxEnv,
        database::InMemoryDB,
        primitives::{Address, Bytes, TxKind, U256, hardfork::SpecId, keccak256},
        state::AccountInfo,
    },
};
use std::sync::Arc;

const HOLDERS: u64 = 100;
const SLICE: usize = 2000;
const SLICES: usize = 31;

const TOKEN: &str = "PUSH0 CALLDATALOAD 224 SHR 0xa9059cbb EQ @transfer JUMPI PUSH0 PUSH0 REVERT
    transfer: CALLER PUSH0 MSTORE 64 PUSH0 KECCAK256 DUP1 SLOAD 36 CALLDATALOAD
    DUP1 DUP3 LT @poor JUMPI DUP1 DUP3 SUB DUP4 SSTORE
    4 CALLDATALOAD PUSH0 MSTORE 64 PUSH0 KECCAK256 DUP1 SLOAD DUP3 ADD SWAP1 SSTORE
    PUSH0 MSTORE 4 CALLDATALOAD CALLER
    0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef 32 PUSH0 LOG3
    1 PUSH0 MSTORE 32 PUSH0 RETURN poor: PUSH0 PUSH0 REVERT";

fn holder(n: u64) -> Address {
    Address::from_word(keccak256((n % HOLDERS).to_be_bytes()))
}

fn transfer(n: u64) -> Vec<u8> {
    let mut data = vec![0xa9, 0x05, 0x9c, 0xbb];
    data.extend(holder(n * 7 + 1).into_word());
    data.extend(U256::from(n % 9 + 1).to_be_bytes::<32>());
    data
}

fn balance_slot(who: Address) -> U256 {
    U256::from_be_bytes(keccak256([who.into_word().0, [0; 32]].concat()).0)
}

/// Init code that gives every holder a balance, and returns the token.
fn init() -> Vec<u8> {
    let code = asm::asm(TOKEN);
    let mut init = Vec::new();
    for n in 0..HOLDERS {
        init.extend(asm::asm(&format!("{} {} SSTORE", 1u64 << 60, balance_slot(holder(n)))));
    }
    let tail =
        |at: usize| asm::asm(&format!("{} DUP1 {at} PUSH0 CODECOPY PUSH0 RETURN", code.len()));
    let at = init.len() + tail(init.len() + 20).len();
    init.extend(tail(at));
    init.extend(code);
    init
}

const LIMITS: Limits = Limits {
    fuel: Fuel(30_000_000),
    gas: Some(30_000_000),
    memory_bytes: 64 << 20,
    output_bytes: 8 << 20,
    depth: 1024,
};

fn calls(first: u64) -> Vec<Arc<Call>> {
    (first..first + SLICE as u64)
        .map(|n| {
            let from = holder(n).to_string();
            let builder = call(n).data(transfer(n)).message(|message| {
                message.from.clone_from(&from);
                message.owner = from;
            });
            builder.build()
        })
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum After {
    Nothing,
    Freeze,
    Root,
}

/// Runs a slice of calls; the time of all of it, a call.
fn ours(mut drive: Box<dyn Drive>, calls: &[Arc<Call>], after: After) -> (Box<dyn Drive>, f64) {
    let host = Arc::new(NoHost);
    let start = cpu();
    let mut window = None;
    for call in calls {
        drive = match drive.run(call.clone(), &LIMITS, host.clone()).unwrap() {
            Ran::Done { drive, .. } => drive,
            _ => panic!("a transfer failed"),
        };
        if after != After::Nothing {
            let frozen = drive.freeze().unwrap();
            if after == After::Root {
                frozen.image().unwrap().root();
            }
            window = Some(frozen);
        }
    }
    let took = (cpu() - start) as f64 / calls.len() as f64;
    drop(window);
    (drive, took)
}

/// The token at `home`, and its holders' balances.
fn state(home: Address) -> InMemoryDB {
    let mut db = InMemoryDB::default();
    let code = Bytecode::new_legacy(asm::asm(TOKEN).into());
    db.insert_account_info(home, AccountInfo::from_bytecode(code));
    for n in 0..HOLDERS {
        let slot = balance_slot(holder(n));
        db.insert_account_storage(home, slot, U256::from(1u64 << 60)).unwrap();
    }
    db
}

fn main() {
    let module = Module::new(init(), "evm-bytecode-osaka-1", Vec::<Tag>::new());
    let disk = EvmReader::default().read(&module, &NoArtifacts).unwrap();
    let drive = || {
        let drive = disk.clone().mount(disk.blank()).unwrap();
        let process = drivebay_disk::testing::process().id;
        let spawn = call(0).message(|message| message.id = process).build();
        match drive.run(spawn, &LIMITS, Arc::new(NoHost)).unwrap() {
            Ran::Done { drive, .. } => drive,
            Ran::Faulted { fault, .. } => panic!("{fault:?}"),
            Ran::Dry { .. } => panic!("dry"),
        }
    };
    let home = address_of(&drivebay_disk::testing::process().id);
    let mut bare = Context::mainnet()
        .with_db(state(home))
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
            cfg.disable_nonce_check = true;
            cfg.tx_gas_limit_cap = Some(u64::MAX);
        })
        .build_mainnet();
    // `drive` leaves the others out, for a profile of it alone.
    let alone = std::env::args().any(|word| word == "drive");
    let roads = [After::Nothing, After::Freeze, After::Root];
    let mut drives: Vec<_> = roads
        .into_iter()
        .take(if alone { 1 } else { roads.len() })
        .map(|after| (Some(drive()), after, Vec::new()))
        .collect();
    let mut times = Vec::new();
    for slice in 0..SLICES as u64 {
        let first = 1 + slice * SLICE as u64;
        let calls = calls(first);
        let start = cpu();
        for n in first..first + SLICE as u64 {
            let tx = TxEnv {
                caller: holder(n),
                gas_limit: 30_000_000,
                kind: TxKind::Call(home),
                data: Bytes::from(transfer(n)),
                chain_id: None,
                ..TxEnv::default()
            };
            let result = bare.transact_commit(tx).unwrap();
            assert!(result.is_success(), "{result:?}");
        }
        times.push((cpu() - start) as f64 / SLICE as f64);
        for (kept, after, times) in &mut drives {
            let (drive, took) = ours(kept.take().unwrap(), &calls, *after);
            *kept = Some(drive);
            times.push(took);
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let alone = median(&mut times);
    println!("ERC-20 transfer among {HOLDERS} holders, median of {SLICES} slices of {SLICE}");
    println!("  revm alone, in memory            {alone:7.0} ns  1.00");
    let names = ["Drive::run", "the same, a frozen state kept", "the same, and the image's root"];
    for (name, (_, _, times)) in names.iter().zip(&mut drives) {
        let took = median(times);
        println!("  {name:<32} {took:7.0} ns  {:.2}", took / alone);
    }
}
