//! The dearest messages for their gas: how long each holds a thread, and what memory it takes at most.

use crate::{asm, memory::resident_mb, stage::limits};
use drivebay_disk::{
    DiskReader, Module, NoArtifacts, Ran, Tag,
    testing::{NoHost, call},
};
use drivebay_evm::EvmReader;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A call of a precompile with that many bytes of memory.
fn precompile(address: u32, size: u32) -> String {
    format!("PUSH0 PUSH0 {size} PUSH0 {address} GAS STATICCALL POP")
}

/// What is done over and over, by name: memory is prepared once. Of the curves, only what works in full on the input
/// that it is given here: a point that is not on its curve, or at infinity, would cost gas for no work.
fn all() -> Vec<(&'static str, String, String)> {
    let sig = "0x456e9aea5e197a1f1af7a3e85a3212fa4049a3ba34c2289b4c860fc0b0c64ef3 PUSH0 MSTORE 28 32 MSTORE \
               0x9242685bf161793cc25603c231bc2f568eb630ea16aa137d2664ac8038825608 64 MSTORE \
               0x4f8ae3bd7535248d0bd448298cc2e2071e56992d0774dc340c368ae950852ada 96 MSTORE";
    let bn = "1 PUSH0 MSTORE 2 32 MSTORE PUSH0 NOT 64 MSTORE";
    // P-256: a signature that does not hold is checked in full too.
    let p256 = "1 PUSH0 MSTORE 2 32 MSTORE 3 64 MSTORE \
        0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296 96 MSTORE \
        0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5 128 MSTORE";
    // Base, exponent and modulus of 32 bytes; the exponent all ones.
    let modexp = "32 PUSH0 MSTORE 32 32 MSTORE 32 64 MSTORE 3 96 MSTORE PUSH0 NOT 128 MSTORE PUSH0 NOT 160 MSTORE";
    let none = "";
    let plain = [
        ("ecrecover", sig, precompile(1, 128)),
        ("sha256, 32 KiB", none, precompile(2, 32 << 10)),
        ("ripemd160, 32 KiB", none, precompile(3, 32 << 10)),
        ("identity, 32 KiB", none, precompile(4, 32 << 10)),
        ("modexp", modexp, precompile(5, 192)),
        ("bn256 mul", bn, precompile(7, 96)),
        ("bls map of fp2", none, precompile(17, 128)),
        ("p256", p256, precompile(256, 160)),
        ("keccak256, 32 KiB", none, "0x8000 PUSH0 KECCAK256 POP".into()),
        ("TSTORE of new keys", none, "GAS GAS TSTORE".into()),
        ("SSTORE of new keys", none, "GAS GAS SSTORE".into()),
        ("SLOAD of new keys", none, "GAS SLOAD POP".into()),
        ("BALANCE of new accounts", none, "GAS BALANCE POP".into()),
        ("LOG0, 4 KiB", none, "0x1000 PUSH0 LOG0".into()),
        ("CREATE of nothing", none, "PUSH0 PUSH0 PUSH0 CREATE POP".into()),
        ("a plain loop", none, "1 2 ADD POP".into()),
    ];
    let mut all: Vec<_> = plain
        .into_iter()
        .map(|(name, before, body)| (name, before.to_owned(), format!("more: {body} @more JUMP")))
        .collect();
    let deep = "PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 ADDRESS GAS CALL";
    let memory = "1 0x7ffe0 MSTORE";
    all.push(("calls of itself, 1,024 deep", String::new(), deep.into()));
    all.push(("the same, 512 KiB in each", memory.into(), deep.into()));
    all
}

/// The most memory while it looked, in MB.
struct Watch {
    done: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    fn start() -> Self {
        let (done, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, seen) = (done.clone(), most.clone());
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                seen.fetch_max(resident_mb(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { done, most, thread }
    }

    fn end(self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

/// Each of them with `gas`; only those whose name has `only` in it.
pub(crate) fn run(gas: u64, only: &str) {
    println!("messages of {gas} gas: seconds, Mgas/s, most memory and what is left of it in MB");
    for (name, before, body) in all().into_iter().filter(|(name, ..)| name.contains(only)) {
        let code = asm::asm(&format!("{before} {body}"));
        let module =
            Module::new(code, "evm-bytecode-osaka-1", vec![Tag::new("Code-Kind", "runtime")]);
        let disk = EvmReader::default().read(&module, &NoArtifacts).unwrap();
        let drive = disk.clone().mount(disk.blank()).unwrap();
        let base = resident_mb();
        let watch = Watch::start();
        let start = Instant::now();
        let ran = drive.run(call(1).data("").build(), &limits(gas), Arc::new(NoHost)).unwrap();
        let took = start.elapsed().as_secs_f64();
        let most = watch.end();
        let (word, used) = match &ran {
            Ran::Done { meter, .. } => ("done".into(), meter.fuel.0),
            Ran::Faulted { meter, fault, .. } => (format!("{:?}", fault.code), meter.fuel.0),
            Ran::Dry { meter, .. } => ("dry".into(), meter.fuel.0),
        };
        drop(ran);
        println!(
            "  {name:<28} {took:8.2} s {:8.0} Mgas/s {:6} MB {:6} MB  {word}",
            used as f64 / 1e6 / took,
            most.saturating_sub(base),
            resident_mb().saturating_sub(base),
        );
    }
}
