//! How long a message waits for the collector: counted in its steps, against the message's fuel.

use crate::playing::play;
use crate::raw::{End, World};

/// Steps that a message may take whatever its fuel: what `c/` allows, and the last step over it.
const BASE: u64 = 16_384 + 4_096;
/// Steps for each unit of fuel.
const PER_FUEL: u64 = 4;
/// Messages that make the world grow, and most that two rounds of the collector may take.
const GROWING: u64 = 20;
const MESSAGES: u64 = 60_000;

/// Worlds that are dear to collect: how they grow, message by message, and what then happens in each small one.
const SHAPES: [(&str, &str, &str); 13] = [
    (
        "one array of half a million",
        "Kept = Kept or {} if n == 1 then for i = 1, 500000 do Kept[i] = i end end",
        "local t = {} for i = 1, 1000 do t[i] = { i } end",
    ),
    (
        "arrays that double and are dropped",
        "Kept = {}",
        "Kept = {} for i = 1, 33000 do Kept[i] = false end",
    ),
    (
        "thirty thousand coroutines at rest",
        "Kept = Kept or {} for i = 1, 1500 do local c = coroutine.wrap(coroutine.yield) c() Kept[#Kept + 1] = c end",
        "local t = {} for i = 1, 1000 do t[i] = { i } end",
    ),
    (
        "coroutines that are resumed all the time",
        "Kept = Kept or {} for i = 1, 1000 do
          local c = coroutine.wrap(function() local x while true do x = { x and 1 } coroutine.yield() end end)
          c() Kept[#Kept + 1] = c
        end",
        "for i = 1, 300 do At = (At or 0) % #Kept + 1 Kept[At]() end",
    ),
    (
        "coroutines that die",
        "Kept = {}",
        "for i = 1, 100 do
          local c = coroutine.create(function() local a = {} coroutine.yield(function() return a end) end)
          local _, f = coroutine.resume(c) Kept[i] = f
        end",
    ),
    (
        "a coroutine that waits far down",
        "Kept = Kept or {} if n <= 4 then
          local function down(i) if i == 0 then coroutine.yield() else down(i - 1) end return i end
          local c = coroutine.wrap(down) c(100000) Kept[#Kept + 1] = c
        end",
        "local t = {} for i = 1, 1000 do t[i] = { i } end",
    ),
    (
        "a coroutine that goes on far down",
        "local function down(i)
          if i > 0 then down(i - 1) else while true do coroutine.yield() end end
          return i
        end
        Kept = coroutine.wrap(down) Kept(50000)",
        "Kept() local t = {} for i = 1, 1000 do t[i] = { i } end",
    ),
    (
        "coroutines far down that are dropped",
        "Kept = {}",
        "if n % 100 == 0 then
          local function down(i) local x = i local f = function() return x end if i == 0 then coroutine.yield() else down(i - 1) end return f end
          Kept = coroutine.wrap(down) Kept(20000)
        end
        local t = {} for i = 1, 1000 do t[i] = { i } end",
    ),
    (
        "many texts",
        "Kept = Kept or {} for i = 1, 20000 do Kept[#Kept + 1] = 'text' .. #Kept end",
        "local t = {} for i = 1, 1000 do t[i] = n .. ':' .. i end",
    ),
    (
        "tables of weak keys and values",
        "Kept = Kept or {} for i = 1, 3000 do Kept[#Kept + 1] = setmetatable({ [{}] = {} }, { __mode = 'kv' }) end",
        "for i = 1, 300 do Kept[i * 100] = setmetatable({ [{}] = {} }, { __mode = 'kv' }) end",
    ),
    (
        "finalizers",
        "Kept = Kept or {} for i = 1, 3000 do Kept[#Kept + 1] = setmetatable({}, { __gc = function() Ran = true end }) end",
        "for i = 1, 300 do Kept[i * 50] = setmetatable({}, { __gc = function() Ran = true end }) end",
    ),
    (
        "functions that share many variables",
        "Kept = Kept or {} for i = 1, 1000 do
          local a, b, c, d, e, f = {}, {}, {}, {}, {}, {}
          Kept[#Kept + 1] = function() a, b, c, d, e, f = f, a, b, c, d, e return a end
        end",
        "for i = 1, 50 do Kept[(n * 50 + i) % #Kept + 1]() end local t = {} for i = 1, 1000 do t[i] = { i } end",
    ),
    (
        "one function of many constants, and its text",
        "if n == 1 then local t = {} for i = 1, 60000 do t[i] = 'x=\"constant' .. i .. '\"' end Kept = load(table.concat(t, ' ')) end",
        "local t = {} for i = 1, 1000 do t[i] = { i } end",
    ),
];

#[test]
fn a_message_waits_for_the_collector_as_its_fuel_says() {
    for (name, grow, small) in SHAPES {
        let source = format!(
            "function handle(msg, env)\n  n = (n or 0) + 1\n  if n <= 20 then {grow}\n  else {small}\n  end\nend"
        );
        let mut grown = 0;
        let mut world = World::new().unwrap_or_else(|_| panic!("no memory"));
        let mut n = 0_u64;
        // Rounds of the collector after the world has grown: in the second it meets all that is there.
        while n < GROWING || world.steps().1 < grown + 2 {
            assert!(n < MESSAGES, "{name}: the collector does not come to an end");
            let (before, rounds) = world.steps();
            if n <= GROWING {
                grown = rounds;
            }
            let played = play(&mut world, (n == 0).then_some(&*source), "{}");
            assert_eq!(played.end, End::Done, "{name}");
            let fuel = played.fuel;
            let work = world.steps().0 - before;
            assert!(
                work <= BASE + PER_FUEL * fuel,
                "{name}: message {n} waited for {work} steps with {fuel} fuel"
            );
            n += 1;
        }
    }
}
