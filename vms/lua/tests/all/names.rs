//! What is native under aos's names, and HyperBEAM's convention.

use crate::{reader, roles};
use drivebay_disk::testing::{MapHost, call};
use drivebay_disk::{FaultCode, Module, NoArtifacts, Output, Ran, Reply};
use drivebay_lua::HYPERBEAM_FORMAT;
use libtest_mimic::{Failed, Trial};
use std::sync::Arc;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("names: digests, of their published texts", digests),
        Trial::test("names: base64 of any alphabet", base64),
        Trial::test("hyperbeam: compute makes the next base", compute),
        Trial::test("hyperbeam: what fails", failing),
    ]
}

/// Program that says what it finds wrong, line by line.
fn holds(program: &str) -> Result<(), Failed> {
    let disk = reader().read(&roles::module(program), &NoArtifacts)?;
    let drive = disk.clone().mount(disk.blank())?;
    match drive.run(call(0).build(), &roles::LIMITS, Arc::new(MapHost::new())).unwrap() {
        Ran::Done { reply, .. } if reply.output == Output::Text(String::new()) => Ok(()),
        Ran::Done { reply, .. } => Err(format!("{:?}", reply.output).into()),
        Ran::Faulted { fault, .. } => Err(fault.note.to_string().into()),
        Ran::Dry { .. } => Err("nobody asked for a dry-run".into()),
    }
}

/// The texts and digests are those of FIPS 180-4, FIPS 202, RFC 1321, RFC 7693 and Keccak's authors.
fn digests() -> Result<(), Failed> {
    holds(
        r#"
local crypto, wrong = require(".crypto.init"), {}
local d, stream = crypto.digest, crypto.utils.stream
local function is(name, found, expected)
  if found ~= expected then wrong[#wrong + 1] = name .. ": " .. tostring(found) end
end
function handle()
  is("md5", d.md5().update(stream.fromString("abc")).finish().asHex(), "900150983cd24fb0d6963f7d28e17f72")
  is("sha1", d.sha1(stream.fromString("abc")).asHex(), "a9993e364706816aba3e25717850c26c9cd0d89d")
  is("sha256", d.sha2_256(stream.fromString("abc")).asHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  is("sha256 of nothing", d.sha2_256(stream.fromString("")).asHex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  is("the same", drivebay.sha256("abc"), d.sha2_256(stream.fromString("abc")).asHex())
  is("sha512", d.sha2_512("abc").asHex():sub(1, 32), "ddaf35a193617abacc417349ae204131")
  is("sha512 words", d.sha2_512("abc").asBytes()[1], 0xddaf35a193617aba)
  is("sha3", d.sha3_256("abc").asHex(), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532")
  is("sha3 512", d.sha3_512("abc").asHex():sub(1, 32), "b751850b1a57168a5693cd924b6b096e")
  is("keccak", d.keccak256("").asHex(), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
  is("keccak 512", d.keccak512("").asHex():sub(1, 32), "0eab42de4c3ceb9235fc91acffe746b2")
  is("blake2b", d.blake2b("abc").asHex():sub(1, 64), "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1")
  is("blake2b, short", #d.blake2b("abc", 20).asString(), 20)
  is("blake2b of blocks", d.blake2b(("x"):rep(256)).asHex() ~= d.blake2b(("x"):rep(257)).asHex(), true)
  is("bytes", table.concat(d.sha1(stream.fromString("abc")).asBytes(), " "):sub(1, 15), "169 153 62 54 7")
  is("a million", d.sha2_256(stream.fromString(("a"):rep(10000))).asHex(), drivebay.sha256(("a"):rep(10000)))
  return table.concat(wrong, "\n")
end
"#,
    )
}

fn base64() -> Result<(), Failed> {
    holds(
        r#"
local base64 = require(".base64")
function handle()
  local url = base64.makeencoder("-", "_", "~")
  local back = base64.makedecoder("-", "_", "~")
  for n = 0, 200 do
    local t = {}
    for i = 1, n do t[i] = string.char((i * i * 37 + n * 11) % 256) end
    local text = table.concat(t)
    if base64.decode(base64.encode(text)) ~= text then return "plain " .. n end
    local written = base64.encode(text, url)
    if written:find("[+/=]") then return "alphabet " .. n end
    if base64.decode((written:gsub("~", "=")), back) ~= text then return "url " .. n end
  end
  return base64.encode("any carnal pleas") == "YW55IGNhcm5hbCBwbGVhcw==" and "" or "padding"
end
"#,
    )
}

const COUNTER: &str = r#"
function compute(base, req, opts)
  if req.body.action == "fail" then error("as it was told") end
  if req.body.action == "refuse" then return "error", { body = "not here" } end
  base.count = (base.count or 0) + 1
  base.results = {
    output = { data = base.process.id .. " " .. base.count .. " at " .. req.slot },
    outbox = {
      ["2"] = { target = "second", data = "b" },
      ["10"] = { target = "third" },
      ["1"] = { target = select(2, next(req.body.commitments)).committer, data = "a",
                action = "Counted", number = base.count },
    },
  }
  return base
end
"#;

fn hyperbeam(image: Option<drivebay_disk::Image>, nonce: u64, action: &str) -> Result<Ran, Failed> {
    let module = Module::new(COUNTER.as_bytes().to_vec(), HYPERBEAM_FORMAT, Vec::new());
    let disk = reader().read(&module, &NoArtifacts)?;
    let drive = disk.clone().mount(image.as_ref().unwrap_or(disk.blank()))?;
    let call = call(nonce)
        .tag("Action", action)
        .message(|message| "OWNER".clone_into(&mut message.owner))
        .build();
    Ok(drive.run(call, &roles::LIMITS, Arc::new(MapHost::new())).unwrap())
}

fn done(ran: Ran) -> Result<(drivebay_disk::Image, Reply), Failed> {
    match ran {
        Ran::Done { mut drive, reply, .. } => Ok((drive.freeze()?.image()?, reply)),
        Ran::Faulted { fault, .. } => Err(format!("{:?}: {}", fault.code, fault.note).into()),
        Ran::Dry { .. } => Err("nobody asked for a dry-run".into()),
    }
}

fn compute() -> Result<(), Failed> {
    let (image, _) = done(hyperbeam(None, 0, "count")?)?;
    let (_, reply) = done(hyperbeam(Some(image), 1, "count")?)?;
    let Output::Json(output) = &reply.output else { return Err("no output".into()) };
    if !output.as_str().contains(" 2 at 1") {
        return Err(output.as_str().to_owned().into());
    }
    let said: Vec<&str> = reply.messages.iter().map(|message| message.json.as_str()).collect();
    let holds = said.len() == 3
        && said[0].contains(r#""Target":"OWNER""#)
        && said[0].contains(r#"[{"#)
        && said[0].contains("Counted")
        && said[1].contains("second")
        && said[2].contains("third");
    if holds { Ok(()) } else { Err(said.join("\n").into()) }
}

fn failing() -> Result<(), Failed> {
    for (action, expected) in [("fail", "as it was told"), ("refuse", "not here")] {
        match hyperbeam(None, 0, action)? {
            Ran::Faulted { fault, .. }
                if fault.code == FaultCode::Raised && fault.note.to_string().contains(expected) => {
            }
            _ => return Err(format!("{action} did not fail as it must").into()),
        }
    }
    Ok(())
}
