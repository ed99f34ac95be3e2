//! What a state costs by its size: a small message, one that fails, the image, the mount.

use crate::clock::cpu;
use crate::play::{Player, disk};
use drivebay_disk::testing::call;
use drivebay_disk::{Call, Frozen};
use std::sync::Arc;

/// Records as a token or a registry has them; a message changes one of them, and some of its own.
const MODULE: &str = r#"
Records, Count, Log = {}, 0, {}
function handle(msg)
  local what, n = msg.Data:match("^(%a+) ?(%d*)$")
  if what == "grow" then
    for i = #Records + 1, #Records + tonumber(n) do
      Records[i] = { id = i, name = "user-" .. i, balance = tostring(i * 1000), tags = { "a", "b", "c" } }
    end
    return tostring(#Records)
  end
  Count = Count + 1
  local record = Records[Count * 7919 % #Records + 1]
  record.balance = tostring(tonumber(record.balance) + 1)
  record.tags = { "a", "b", tostring(Count) }
  Log[Count % 100 + 1] = { from = msg.From, at = msg.Timestamp, what = "moved " .. record.name }
  if what == "fail" then error("as it was told") end
  return record.name
end
"#;
/// Records that a message adds at most.
const STEP: u64 = 20_000;
/// Messages of one figure.
const BATCH: u64 = 25;

/// A state of so many megabytes, and as many that stay at hand for mounts.
pub(crate) fn run(megabytes: u64, spare: u64) {
    let disk = disk(MODULE.as_bytes());
    let mut player = Player::new(MODULE.as_bytes());
    let mut next = 0;
    // The clock costs as much as a message: each figure is of a batch.
    let mut say = |player: &mut Player, text: &str, times: u64| {
        let mut made: Vec<Arc<Call>> = Vec::new();
        for _ in 0..times {
            next += 1;
            made.push(call(next).data(text.to_owned()).build());
        }
        let start = cpu();
        for call in made {
            player.play(call);
        }
        (cpu() - start) / times
    };
    // Records are counted with their copy: half of what is resident.
    let step = if megabytes < 10 { STEP / 10 } else { STEP };
    say(&mut player, "grow 100", 1);
    while player.resident_bytes() / 2 < megabytes << 20 {
        say(&mut player, &format!("grow {step}"), 1);
    }
    let heap = player.resident_bytes() / 2;
    // The collector is in the middle of a round after growing: let it come to rest.
    say(&mut player, "move", 200);
    let report = |what: &str, times: Vec<u64>| print((heap, spare), what, times);
    report("message", (0..40).map(|_| say(&mut player, "move", BATCH)).collect());
    report("message that fails", (0..40).map(|_| say(&mut player, "fail", BATCH)).collect());
    let mut held: Option<Arc<dyn Frozen>> = None;
    let frozen = |player: &mut Player, held: &mut Option<Arc<dyn Frozen>>| {
        let start = cpu();
        *held = Some(player.freeze());
        cpu() - start
    };
    report(
        "message, each state held until the next",
        (0..500).map(|_| say(&mut player, "move", 1) + frozen(&mut player, &mut held)).collect(),
    );
    let old = held.take();
    report(
        "message, an old state held",
        (0..40).map(|_| say(&mut player, "move", BATCH)).collect(),
    );
    let rounds = if megabytes > 100 { 3 } else { 9 };
    report(
        "image of a state that was left",
        (0..1).map(|_| timed(|| old.as_ref().unwrap().image().unwrap())).collect(),
    );
    drop(old);
    let mut images = Vec::new();
    for _ in 0..rounds {
        say(&mut player, "move", 1);
        let frozen = player.freeze();
        images.push(timed(|| frozen.image().unwrap()));
    }
    report("image", images);
    let image = player.freeze().image().unwrap();
    report(
        "mount",
        (0..rounds).map(|_| timed(|| Arc::clone(&disk).mount(&image).unwrap())).collect(),
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> u64 {
    let start = cpu();
    let made = work();
    let spent = cpu() - start;
    drop(made);
    spent
}

fn print((heap, spare): (u64, u64), what: &str, mut times: Vec<u64>) {
    times.sort_unstable();
    let at = |n: usize| times.get(n).copied().unwrap_or(0) as f64 / 1e3;
    let megabytes = heap as f64 / (1 << 20) as f64;
    println!(
        "{{\"heap_mb\":{megabytes:.1},\"spare_mb\":{spare},\"what\":\"{what}\",\"n\":{},\"median_us\":{:.1},\"most_us\":{:.1},\"ms_per_mb\":{:.3}}}",
        times.len(),
        at(times.len() / 2),
        at(times.len() - 1),
        at(times.len() / 2) / 1e3 / megabytes,
    );
}
