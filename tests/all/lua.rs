//! What `drivebay` promises to authors of Lua.

use crate::kit::{Bench, Ended, ended};
use crate::up::{Ao, bench as units};
use std::io::Write;
use std::process::Stdio;

const COUNTER: &str = r#"
count = 0
function handle(msg)
  if msg.Data == "fail" then
    local nothing = nil
    return nothing.field
  end
  count = count + 1
  return { Output = tostring(count), Messages = { { Target = msg.From, Tags = { { name = "At", value = tostring(os.time()) } } } } }
end
"#;

const TESTS: &str = r#"
local alice, bob = from("alice"), from("bob")

test("a process of its own, and senders", function()
  equal(alice { Data = "x" }.Messages[1].Target, "alice")
  equal(bob { Data = "x" }.Output, "3")
end)

test("again from the start", function()
  equal(alice { Data = "x" }.Output, "2")
  equal(dryrun { Data = "x" }.Output, "3")
  equal(alice { Data = "x" }.Output, "3")
end)

test("time passes when it is told to", function()
  local before = tag(alice { Data = "x" }.Messages[1], "At")
  wait(60000)
  equal(tag(alice { Data = "x" }.Messages[1], "At") - before, 60)
end)

test("a fault leaves no mark", function()
  assert(alice { Data = "fail" }.Error)
  equal(alice { Data = "x" }.Output, "2")
end)
"#;

fn bench(tests: &str) -> Bench {
    let bench = Bench::new();
    bench.write("counter.lua", COUNTER);
    bench.write("counter_test.lua", tests);
    bench
}

#[test]
fn tests_of_a_module_have_their_own_time_and_senders() {
    let bench = bench(TESTS);
    let ended = bench.drivebay(&["test", "counter.lua", "counter_test.lua"]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    assert!(ended.out.ends_with("4 passed, 0 failed\n"), "{}", ended.out);
    assert!(!bench.path(".drivebay").exists(), "a test leaves nothing behind");
    let ended =
        bench.drivebay(&["test", "counter.lua", "counter_test.lua", "--only", "fault", "--json"]);
    assert_eq!(ended.out, "{\"name\":\"a fault leaves no mark\",\"ok\":true}\n");
}

#[test]
fn a_test_that_fails_shows_its_line() {
    let bench = bench("test('sums', function()\n  equal(1 + 1, 3)\nend)");
    let ended = bench.drivebay(&["test", "counter.lua", "counter_test.lua"]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.out.contains("FAIL sums: ./counter_test.lua:2: found 2, expected 3"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("2 |   equal(1 + 1, 3)"), "{}", ended.out);
}

#[test]
fn tests_that_cannot_run_are_refused() {
    for (tests, says) in [("test(", "counter_test.lua:1"), ("x = 1", "no test was run")] {
        let ended = bench(tests).drivebay(&["test", "counter.lua", "counter_test.lua"]);
        assert_eq!(ended.code, 2, "{}", ended.out);
        assert!(ended.err.contains(says), "{}", ended.err);
    }
}

#[test]
fn an_error_shows_the_line_of_source() {
    let bench = bench("");
    let ended = bench.drivebay(&["run", "counter.lua", "--message", r#"{"Data":"fail"}"#]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("main.lua:6: attempt to index a nil value"), "{}", ended.out);
    assert!(ended.out.contains("6 |     return nothing.field"), "{}", ended.out);
}

#[test]
fn hyperbeams_convention_is_a_format() {
    let bench = Bench::new();
    let source = "function compute(base, req) base.n = (base.n or 0) + 1 \
                  base.results = { output = 'n ' .. base.n, outbox = {} } return base end";
    bench.write("hyper.lua", source);
    let args = ["run", "hyper.lua", "--format", "application/lua", "--json", "--message", "{}"];
    let ended = bench.drivebay(&args);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("\"n 2\""), "{}", ended.out);
    let ended = bench.drivebay(&args);
    assert!(ended.out.contains("\"n 3\""), "{}", ended.out);
}

/// What is typed into a console on a process.
fn console(bench: &Bench, gateway: &str, process: &str, typed: &str) -> Ended {
    let mut command = bench.command(&["console", process, "--gateway", gateway]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    ended(&child.wait_with_output().unwrap())
}

#[test]
fn a_console_changes_what_a_process_does_while_it_runs() {
    let bench = units();
    let ao = Ao::up(&bench, &[]);
    let gateway = ao.text("/gateway");
    let stock = concat!(env!("CARGO_MANIFEST_DIR"), "/modules/lua");
    let last = |ended: Ended| ended.out.lines().last().unwrap().trim().to_owned();
    let published = bench.drivebay(&["publish", stock, "--gateway", &gateway]).expect(0, "");
    let module = last(published);
    let spawned = bench.drivebay(&["spawn", &module, "--gateway", &gateway]).expect(0, "");
    let process = last(spawned);
    // Over several lines, with a state that stays, printed and returned.
    let typed = "Greetings = (Greetings or 0) + 1\nfunction greet(who)\n  return 'hello ' .. who\nend\n\
                 Handlers.add('hi', 'Hi', function(msg) msg.reply({ Data = greet(msg.Data) }) end)\n\
                 print('printed ' .. Greetings)\n.dry Greetings = 40\nreturn 'counted ' .. Greetings\n";
    let ended = console(&bench, &gateway, &process, typed).expect(0, "");
    assert!(ended.out.contains("printed 1") && ended.out.contains("counted 1"), "{}", ended.out);
    // The handler was made of what was typed, and answers others.
    let args = ["message", &process, "--gateway", &gateway, "--action", "Hi", "--body", "you"];
    let answered = bench.drivebay(&[&args[..], &["--wait", "--json"]].concat()).expect(0, "");
    assert!(answered.out.contains("hello you"), "{}", answered.out);
    // What fails is said with its line, leaves no mark, and is how the console ends.
    let typed = "Greetings = 7 error('on purpose')\n";
    let failed = console(&bench, &gateway, &process, typed).expect(1, "");
    let said = format!("{}{}", failed.out, failed.err);
    assert!(said.contains("on purpose"), "{said}");
    let again = console(&bench, &gateway, &process, "return 'still ' .. Greetings\n.exit\n");
    assert!(again.expect(0, "").out.contains("still 1"));
    // The wallet of another folder is another owner, whose code is not evaluated.
    let stranger = Bench::new();
    console(&stranger, &gateway, &process, "Greetings = 99\n");
    let again = console(&bench, &gateway, &process, "return 'still ' .. Greetings\n");
    assert!(again.expect(0, "").out.contains("still 1"));
    assert_eq!(ao.end(), Some(0));
}
