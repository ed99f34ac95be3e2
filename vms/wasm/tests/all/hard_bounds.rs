//! Modules and images that ask for more than there is: memory, lines, copies, time to compile.

use crate::hard::{module, mount, root, step, verdicts};
use crate::hard_guests::{EMPTY_REPLY, clean, emscripten};
use crate::roles::LIMITS;
use drivebay_disk::testing::{NoHost, call};
use drivebay_disk::{
    Disk, FaultCode, Fuel, Image, ImageLimits, Limits, MountError, NoArtifacts, Pages, ReadError,
    Section, SectionName,
};
use drivebay_wasm::EngineKind;
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("hard: empty lines without end", empty_lines),
        Trial::test("hard: memory of 64 bits has an end", far_growth),
        Trial::test("hard: refused growth leaves nothing behind", refused_growth),
        Trial::test("hard: bulk operations are paid for first", bulk),
        Trial::test("hard: what the host copies is paid for", copies),
        Trial::test("hard: images that no process can have", images),
        Trial::test("hard: checkpoints larger than the heap", checkpoints),
        Trial::test("hard: modules that would be compiled for ever", compile_bombs),
        Trial::test("hard: an error longer than its limit", long_payload),
    ]
}

fn empty_lines() -> Result<(), Failed> {
    let limits = Limits { fuel: Fuel(100_000_000), memory_bytes: 256 << 20, ..LIMITS };
    let body = r#"(memory.fill (i32.const 65536) (i32.const 10) (i32.const 8388608))
        (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const 8388608))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"#;
    let reader = crate::reader(EngineKind::Speed);
    let disk = reader.read(&module("wasm32-drivebay-1", &clean(200, body)), &NoArtifacts)?;
    let ran = step(mount(&disk)?, call(0).build(), &limits, Arc::new(NoHost))?;
    let bytes: usize = ran.reply.printed.iter().map(|line| line.len() + 1).sum();
    if ran.fault.is_some() || bytes > 2 << 20 {
        return Err(format!("{:?}, {bytes} bytes printed", ran.fault).into());
    }
    Ok(())
}

/// A memory that declares no maximum must not make the host the maximum.
fn far_growth() -> Result<(), Failed> {
    for (delta, fits) in [("1", true), ("262144", false), ("0x10000000000", false), ("-1", false)] {
        let check = if fits { "i64.ne" } else { "i64.eq" };
        let text = format!(
            r#"(module (memory (export "memory") i64 2)
            (func (export "malloc") (param i64) (result i64) (i64.const 65536))
            (data (i64.const 16) "{{\"ok\":true,\"response\":{{\"Output\":1}}}}")
            (func (export "handle") (param i64 i64) (result i64)
                (if (i32.eqz ({check} (memory.grow (i64.const {delta})) (i64.const -1)))
                    (then unreachable))
                (i64.const 16)))"#
        );
        let seen = verdicts(&module("wasm64-hyperbeam-1", &text), &LIMITS)?.ok_or("refused")?;
        if seen[0].0.is_some() {
            return Err(format!("growth by {delta}: {:?}", seen[0]).into());
        }
    }
    Ok(())
}

fn refused_growth() -> Result<(), Failed> {
    let storm = r#"(local $n i32)
        (loop $next
            (drop (memory.grow (i32.const 65536)))
            (drop (memory.grow (i32.const 0)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $n) (i32.const 1000))))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))"#;
    let seen =
        verdicts(&module("wasm32-drivebay-1", &clean(2, storm)), &LIMITS)?.ok_or("refused")?;
    if seen.iter().any(|(fault, ..)| fault.is_some()) {
        return Err(format!("{seen:?}").into());
    }
    Ok(())
}

fn bulk() -> Result<(), Failed> {
    let limits = Limits { memory_bytes: 256 << 20, ..LIMITS };
    for body in [
        "(memory.fill (i32.const 0) (i32.const 7) (i32.const 134217728))",
        "(memory.copy (i32.const 0) (i32.const 7) (i32.const 100000000))",
        "(drop (call $random (i32.const 0) (i32.const 134217728)))",
        "(call $log (i32.const 0) (i32.const 134217728))",
    ] {
        let seen = verdicts(&module("wasm32-drivebay-1", &clean(2048, body)), &limits)?;
        let seen = seen.ok_or("refused")?;
        if seen[0].0 != Some(FaultCode::OutOfFuel) {
            return Err(format!("{body}: {:?}", seen[0]).into());
        }
    }
    // Out of bounds costs the same everywhere, whatever it costs.
    for body in [
        "(memory.fill (i32.const 65000) (i32.const 7) (i32.const 1000000))",
        "(memory.copy (i32.const 65000) (i32.const 7) (i32.const 1000000))",
    ] {
        verdicts(&module("wasm32-drivebay-1", &clean(2, body)), &limits)?;
    }
    Ok(())
}

/// Fuel of a call of a format 4 guest.
fn fuel_of(body: &str) -> Result<u64, Failed> {
    let limits = Limits { fuel: Fuel(1_000_000_000), ..LIMITS };
    let reader = crate::reader(EngineKind::Speed);
    let module = module("wasm32-unknown-emscripten4", &emscripten(body));
    let disk = reader.read(&module, &NoArtifacts)?;
    let ran = step(mount(&disk)?, call(0).data("go").build(), &limits, Arc::new(NoHost))?;
    match ran.fault {
        None => Ok(ran.meter.fuel.0),
        Some(code) => Err(format!("{code:?}: {}", ran.note).into()),
    }
}

fn copies() -> Result<(), Failed> {
    // A file, opened for writing and made; its descriptor is 3.
    let open =
        "(drop (call $openat (i32.const -100) (i32.const 120) (i32.const 66) (i32.const 0)))";
    let seek = "(drop (call $seek (i32.const 3) (i32.const 100000000) (i32.const 0) (i32.const 0) (i32.const 128)))";
    let write = "(i32.store (i32.const 136) (i32.const 96)) (i32.store (i32.const 140) (i32.const 1))
        (if (call $fd_write (i32.const 3) (i32.const 136) (i32.const 1) (i32.const 144)) (then unreachable))";
    let map = "(drop (call $mmap (i32.const 100000000) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 0) (i32.const 144)))";
    let base = fuel_of(open)?;
    let gap = fuel_of(&format!("{open}{seek}{write}"))?;
    let mapped = fuel_of(&format!("{open}{seek}{write}{map}"))?;
    if gap - base < 20_000_000 || mapped - gap < 20_000_000 {
        return Err(format!("a gap costs {}, a map {}", gap - base, mapped - gap).into());
    }
    Ok(())
}

fn refused(disk: &Arc<dyn Disk>, image: &Image, what: &str) -> Result<(), Failed> {
    match Arc::clone(disk).mount(image) {
        Err(MountError::Refused(_)) => Ok(()),
        Err(MountError::Host(error)) => Err(format!("{what}: {error}").into()),
        Ok(_) => Err(format!("{what}: mounted").into()),
    }
}

fn host_section(image: &Image) -> Result<Vec<u8>, Failed> {
    let pages = image.pages(&SectionName::new("host")).ok_or("no host section")?;
    Ok(pages.to_vec(1 << 20)?)
}

fn with_host(image: &Image, bytes: &[u8]) -> Image {
    image.clone().with(SectionName::new("host"), Section::Pages(Pages::from_bytes(bytes)))
}

fn images() -> Result<(), Failed> {
    let reader = crate::reader(EngineKind::Speed);
    let memory = SectionName::new("memory");
    let clean_disk = reader.read(&module("wasm32-drivebay-1", &clean(2, "")), &NoArtifacts)?;
    let four = reader.read(&module("wasm32-unknown-emscripten4", &emscripten("")), &NoArtifacts)?;
    for disk in [&clean_disk, &four] {
        let blank = disk.blank();
        let mut drive = mount(disk)?;
        drive = step(drive, call(0).data("go").build(), &LIMITS, Arc::new(NoHost))?
            .drive
            .ok_or("lost")?;
        let ran = drive.freeze()?.image()?;
        let host = host_section(&ran)?;
        let stage = |byte: u8| [&[byte], &host[1..]].concat();
        refused(disk, &with_host(&ran, &stage(0)), "a used state that never ran")?;
        refused(disk, &with_host(&ran, &stage(2)), "a used state as a checkpoint")?;
        refused(disk, &with_host(&ran, &stage(3)), "an unknown stage")?;
        refused(disk, &with_host(&ran, &[]), "an empty host section")?;
        refused(disk, &with_host(&ran, &host[..host.len() - 1]), "a short host section")?;
        let far = |len| ran.clone().with(memory, Section::Pages(Pages::new(len)));
        refused(disk, &far((4 << 30) + 65_536), "a memory past 4 GiB")?;
        refused(disk, &far(65_536), "a memory below its minimum")?;
        refused(disk, &far((1 << 28) + 1), "a memory of half a page")?;
        let odd = Pages::new((1 << 30) + 1);
        let odd = ran.clone().with(SectionName::new("host"), Section::Pages(odd));
        refused(disk, &odd, "an endless host section")?;
        let mut other = Pages::new(blank.pages(&memory).ok_or("no memory")?.len_bytes());
        other.write(3, &[1])?;
        refused(disk, &blank.clone().with(memory, Section::Pages(other)), "another blank")?;
    }
    let host = host_section(clean_disk.blank())?;
    let adopted = with_host(clean_disk.blank(), &[&[2], &host[1..]].concat());
    refused(&clean_disk, &adopted, "a checkpoint where there are none")
}

/// Format 1's loader grows to 500 MiB and no further, whatever the module's own maximum is.
fn checkpoints() -> Result<(), Failed> {
    let reader = crate::reader(EngineKind::Speed);
    let limits = ImageLimits { memory_bytes: 1 << 30, ..ImageLimits::default() };
    for (min, pages) in [(16u64, 8_001u64), (8_100, 8_101), (16, 17)] {
        let text = format!(
            r#"(module (memory (export "E") {min} 12000)
            (data (i32.const 16) "{{\"ok\":true,\"response\":{{\"Output\":1}}}}\00")
            (func (export "F"))
            (func (export "H") (param i32 i32) (result i32) (i32.const 0))
            (func (export "M") (result i32) (i32.const 60000))
            (func (export "N") (param i32))
            (func (export "O") (param i32) (result i32) (i32.const 4096))
            (func (export "G") (param i32 i32) (result i32) (i32.const 16)))"#
        );
        let disk = reader.read(&module("wasm32-unknown-emscripten", &text), &NoArtifacts)?;
        let bytes = pages * 65_536;
        let mut zeros = std::io::Read::take(std::io::repeat(0), bytes);
        let image = disk.adopt(&mut zeros, &limits)?;
        let drive = Arc::clone(&disk).mount(&image)?;
        let ran = step(drive, call(0).data("go").build(), &LIMITS, Arc::new(NoHost))?;
        let mut drive = ran.drive.ok_or("lost")?;
        // Zeros cover the answer, so even the one that fits is no reply.
        if ran.fault.is_none() || root(&mut drive)? != image.root() {
            return Err(format!("{min} pages under {pages}: {:?} {}", ran.fault, ran.note).into());
        }
    }
    Ok(())
}

/// Small to send, and slow to compile: refused before the compiler sees them.
fn compile_bombs() -> Result<(), Failed> {
    let function = |locals: usize, body: &str, times: usize| {
        let declare = "i32 ".repeat(locals);
        clean(2, "").replacen(
            "(func $work",
            &format!("(func (local {declare}) {}) (func $work", body.repeat(times)),
            1,
        )
    };
    let branch = "(if (local.get 0) (then (local.set 1 (local.get 2))))";
    let cases = [
        ("joins of many locals", function(20_000, branch, 5_000)),
        ("a long function", function(2, branch, 200_000)),
        ("a function that rewriting makes long", {
            let add = "(local.set 0 (i32.reinterpret_f32 (f32.sqrt (f32.reinterpret_i32 (local.get 0)))))";
            function(2, add, 100_000)
        }),
    ];
    let reader = crate::reader(EngineKind::Speed);
    for (name, text) in cases {
        match reader.read(&module("wasm32-drivebay-1", &text), &NoArtifacts) {
            Err(ReadError::Refused(_)) => {}
            Err(ReadError::Host(error)) => return Err(format!("{name}: {error}").into()),
            Ok(_) if name.contains("rewriting") => {}
            Ok(_) => return Err(format!("{name}: compiled").into()),
        }
    }
    Ok(())
}

/// JSON that is longer in its one form than as the guest wrote it.
fn long_payload() -> Result<(), Failed> {
    let text = emscripten("").replace(
        EMPTY_REPLY,
        r#"{\"ok\":false,\"response\":[1e20,1e20,1e20,1e20,1e20,1e20,1e20,1e20,1e20,1e20]}\00"#,
    );
    let limits = Limits { output_bytes: 100, ..LIMITS };
    let seen = verdicts(&module("wasm32-unknown-emscripten4", &text), &limits)?.ok_or("refused")?;
    if seen[0].0 != Some(FaultCode::TooLoud) {
        return Err(format!("{:?}", seen[0]).into());
    }
    Ok(())
}
