//! The same programs here and in the stock interpreter: equal output.
//!
//! The stock interpreter is `lua5.3` (Debian's package), or what `DRIVEBAY_LUA53` names; without one the
//! trial is ignored. What is meant to differ is not generated: the order of `pairs`, addresses, the sign of a
//! NaN, the last digits of transcendental functions.

use crate::{long, maker, reader, roles};
use drivebay_disk::testing::{MapHost, call};
use drivebay_disk::{NoArtifacts, Output, Ran};
use libtest_mimic::{Completion, Failed, Trial};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

const PROGRAMS: u64 = 60;
const PROGRAMS_LONG: u64 = 2000;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::ignorable_test("differential: the stock interpreter", || {
        let name = std::env::var("DRIVEBAY_LUA53").unwrap_or_else(|_| "lua5.3".into());
        if Command::new(&name).arg("-v").output().is_err() {
            return Ok(Completion::ignored_with("there is no lua5.3 here"));
        }
        for seed in 0..if long() { PROGRAMS_LONG } else { PROGRAMS } {
            let program = maker::program(seed);
            let (ours, theirs) = (ours(&program)?, theirs(&name, &program)?);
            if ours != theirs {
                return Err(first_difference(seed, &program, &ours, &theirs).into());
            }
        }
        Ok(Completion::Completed)
    })]
}

fn first_difference(seed: u64, program: &str, ours: &str, theirs: &str) -> String {
    let lines = ours.lines().zip(theirs.lines()).enumerate();
    let found = lines.into_iter().find(|(_, (ours, theirs))| ours != theirs);
    format!("program {seed}: {found:?}\n{program}\nours:\n{ours}\ntheirs:\n{theirs}")
}

fn ours(program: &str) -> Result<String, Failed> {
    let source = format!("function handle()\n{program}\nreturn table.concat(out, '\\n')\nend");
    let disk = reader().read(&roles::module(source), &NoArtifacts)?;
    let drive = disk.clone().mount(disk.blank())?;
    match drive.run(call(0).build(), &roles::LIMITS, Arc::new(MapHost::new())).unwrap() {
        Ran::Done { reply, .. } => match reply.output {
            Output::Text(text) => Ok(text),
            Output::Raw(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            other => Err(format!("{other:?}").into()),
        },
        Ran::Faulted { fault, .. } => {
            Err(format!("{:?}: {}\n{program}", fault.code, fault.note).into())
        }
        Ran::Dry { .. } => Err("nobody asked for a dry-run".into()),
    }
}

fn theirs(name: &str, program: &str) -> Result<String, Failed> {
    let mut child =
        Command::new(name).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let source = format!("{program}\nio.write(table.concat(out, '\\n'))\n");
    child.stdin.take().unwrap().write_all(source.as_bytes())?;
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}
