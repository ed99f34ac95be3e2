//! What `drivebay` promises to authors of Lua.

use crate::kit::Bench;

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
