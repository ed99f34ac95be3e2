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

/// The generators of BN254's groups (EIP-197).
const BN_G1: &str = concat!(
    "0000000000000000000000000000000000000000000000000000000000000001",
    "0000000000000000000000000000000000000000000000000000000000000002",
);
const BN_G2: &str = concat!(
    "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2",
    "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed",
    "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b",
    "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa",
);
/// The generators of BLS12-381's groups, each number in 64 bytes (EIP-2537).
const BLS_G1: [&str; 2] = [
    "0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
    "0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1",
];
const BLS_G2: [&str; 4] = [
    "00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8",
    "0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e",
    "000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801",
    "000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be",
];
/// A proof that holds (EIP-4844's tests): hash of the commitment, point, value, commitment, proof.
const KZG_HASH: &str = "01e798154708fe7789429634053cbf9f99b619f9f084048927333fce637f549b";
const KZG_Z: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";
const KZG_Y: &str = "1522a4a7f34e1ea350ae07c29c96c7e79655aa926122e95fe69fcbd932ca49e9";
const KZG_COMMITMENT: &str = "8f59a8d2a1a625a17f3fea0fe5eb8c896db3764f3185481bc22f91b4aaffcca25f26936857bc3a7c2539ea8ec3a952b7";
const KZG_PROOF: &str = "a62ad71d14c5719385c0686f1871430475bf3a00f0aa3f7b8dd99a9abc2160744faf0070725e00b60ad9a026a15b1a8c";

/// A call of a precompile with that many bytes of memory.
fn precompile(address: u32, size: u32) -> String {
    format!("PUSH0 PUSH0 {size} PUSH0 {address} GAS STATICCALL POP")
}

/// Bytes, written from the start of memory.
fn stored(bytes: &str) -> String {
    let words = bytes.as_bytes().chunks(64).enumerate();
    let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    words.map(|(at, bytes)| format!("0x{:0<64} {} MSTORE ", word(bytes), at * 32)).collect()
}

/// The same, so often that they stand there 2^`doublings` times.
fn repeated(bytes: &str, doublings: u32) -> String {
    let size = bytes.len() / 2;
    let copies =
        (0..doublings).map(|at| size << at).map(|size| format!("{size} PUSH0 {size} MCOPY "));
    std::iter::once(stored(bytes)).chain(copies).collect()
}

/// Precompiles of the curves that are paired, on the points that generate their groups: a result of its own is all
/// that anybody asks, whether it is one or not.
fn paired() -> Vec<(&'static str, String, String)> {
    let bn = [BN_G1, BN_G2].concat();
    let (g1, g2) = (BLS_G1.concat(), BLS_G2.concat());
    let scalar = "f".repeat(64);
    let kzg = [KZG_HASH, KZG_Z, KZG_Y, KZG_COMMITMENT, KZG_PROOF].concat();
    vec![
        ("kzg point evaluation", stored(&kzg), precompile(10, 192)),
        ("bn256 pairing of 1", stored(&bn), precompile(8, 192)),
        ("bn256 pairing of 16", repeated(&bn, 4), precompile(8, 192 * 16)),
        ("bls pairing of 1", stored(&[&*g1, &g2].concat()), precompile(15, 384)),
        ("bls pairing of 16", repeated(&[&*g1, &g2].concat(), 4), precompile(15, 384 * 16)),
        ("bls g1 sum of 1", stored(&[&*g1, &scalar].concat()), precompile(12, 160)),
        ("bls g1 sum of 128", repeated(&[&*g1, &scalar].concat(), 7), precompile(12, 160 * 128)),
        ("bls g2 sum of 1", stored(&[&*g2, &scalar].concat()), precompile(14, 288)),
        ("bls g2 sum of 128", repeated(&[&*g2, &scalar].concat(), 7), precompile(14, 288 * 128)),
    ]
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
        .map(|(name, before, body)| (name, before.to_owned(), body))
        .chain(paired())
        .map(|(name, before, body)| (name, before, format!("more: {body} @more JUMP")))
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
