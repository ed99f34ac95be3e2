#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::testing::{MapHost, NoHost, call};

const ID: &str = "SomeData00000000000000000000000000000000001";

fn mounted(program: &str) -> Box<dyn Drive> {
    let disk = Tape::default().read(&module(program), &NoArtifacts).unwrap();
    disk.clone().mount(disk.blank()).unwrap()
}

fn module(program: &str) -> Module {
    Module::new(program.as_bytes().to_vec(), "tape-1", Vec::new())
}

const LIMITS: Limits =
    Limits { fuel: Fuel(10_000), gas: None, memory_bytes: 8192, output_bytes: 8, depth: 10 };

/// What it says and what it costs, or the code of its fault.
fn run(program: &str, data: &str) -> Result<(String, u64), FaultCode> {
    let host = MapHost::new().with(Resource::Data(ID.into()), "known");
    let call = call(1).data(data.to_owned()).build();
    match mounted(program).run(call, &LIMITS, Arc::new(host)).unwrap() {
        Ran::Done { reply: Reply { output: Output::Raw(said), .. }, meter, .. } => {
            Ok((said.escape_ascii().to_string(), meter.fuel.0))
        }
        Ran::Faulted { fault, .. } => Err(fault.code),
        _ => panic!("neither done nor faulted"),
    }
}

#[test]
fn each_instruction_does_what_the_table_says() {
    let said = |text: &str, fuel: u64| Ok((text.to_owned(), fuel));
    assert_eq!(run("", "ab"), said("", 0));
    assert_eq!(run(",.,.,.", "ab"), said("ab\\x00", 6));
    assert_eq!(run("'a.+.--.", ""), said("ab`", 7));
    assert_eq!(run("-.", ""), said("\\xff", 2));
    assert_eq!(run("'a>'b<.)'c(>.)<.", ""), said("abc", 13));
    assert_eq!(run(",=a['y.=x],=a['z.=x]", "ba"), said("z", 10));
    assert_eq!(run("? ,.,.", ID), said("kn", ASK_MAX + 4));
    assert_eq!(run("?=\x00['n.=x],.", "other"), said("n\\x00", ASK_MAX + 8));
    assert_eq!(run("'[.=[.", ""), said("[\\x01", 4));
}

#[test]
fn a_program_calls_itself_and_goes_on() {
    // Each level takes a byte; the last one finds none, and does not go deeper.
    assert_eq!(run(",[@=x]'a.", "xy"), Ok(("aaa".into(), 18)));
}

#[test]
fn each_limit_trips_where_it_is() {
    assert_eq!(run("+[]", ""), Err(FaultCode::OutOfFuel));
    assert_eq!(run("@", ""), Err(FaultCode::TooDeep));
    assert_eq!(run("........", "").unwrap().1, 8);
    assert_eq!(run(".........", ""), Err(FaultCode::TooLoud));
    assert_eq!(run(")+", "").unwrap().1, 2);
    assert_eq!(run("))+", ""), Err(FaultCode::OutOfMemory));
    assert_eq!(run("<", ""), Err(FaultCode::Trapped));
    assert_eq!(run("'x!", ""), Err(FaultCode::Raised));
}

#[test]
fn bad_programs_are_refused() {
    for bad in ["]", "[", "][", "'", "=", "a", "[[]", "['", "\u{e9}"] {
        let refused = Tape::default().read(&module(bad), &NoArtifacts).unwrap_err();
        assert!(
            matches!(&refused, ReadError::Refused(no) if no.code == RefusalCode::Malformed),
            "{bad}"
        );
    }
    let big = module(&"+".repeat(MODULE_MAX + 1));
    assert!(Tape::default().read(&big, &NoArtifacts).is_err());
}

#[test]
fn a_host_error_gives_the_drive_back_as_it_was() {
    let call = call(1).data(ID).build();
    let failure = mounted("+?").run(call, &LIMITS, Arc::new(NoHost)).err().unwrap();
    assert!(matches!(failure.error, HostError::Unavailable { .. }));
    let image = failure.drive.unwrap().freeze().unwrap().image().unwrap();
    assert_eq!(
        image.root(),
        Tape::default().read(&module("+?"), &NoArtifacts).unwrap().blank().root()
    );
}
