//! Memory that stays at hand when worlds are gone: fresh memory costs more than to read a world into it. Nothing that
//! a world left can be seen from the next.

use crate::raw::Idle;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that stay in all, in how many arenas at most, and the least of an arena that is worth it.
static WARM: AtomicUsize = AtomicUsize::new(64 << 20);
const WARM_ARENAS: usize = 16;
const WARM_LEAST: usize = 256 << 10;

/// Arenas without a world, by the bytes of each half that are in memory, and the sum of those; the sum counts
/// also what is being made ready.
struct Spare {
    arenas: Vec<(usize, Idle)>,
    bytes: usize,
}

static SPARE: Mutex<Spare> = Mutex::new(Spare { arenas: Vec::new(), bytes: 0 });

impl Spare {
    fn open() -> MutexGuard<'static, Self> {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for an arena of that size, as far as there is some: it counts as taken.
    fn room(wanted: usize) -> usize {
        let mut spare = Spare::open();
        let warm = WARM.load(Ordering::Relaxed);
        let room = wanted.min((warm / 2).saturating_sub(spare.bytes));
        if room < WARM_LEAST || spare.arenas.len() >= WARM_ARENAS {
            return 0;
        }
        spare.bytes += room;
        room
    }
}

/// So many bytes of what worlds leave stay in memory for those that are mounted next, in all of this program: 64 MiB
/// if nobody says. A world takes half of its memory for its copy, so that twice its size is needed to mount another
/// one on it. Nothing but the time that a mount takes hangs on it.
pub fn spare_bytes(bytes: u64) {
    WARM.store(usize::try_from(bytes).unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// An arena with at least so many bytes at hand if there is one, else the one with most.
pub(crate) fn take(need: usize) -> Option<Idle> {
    let mut spare = Spare::open();
    let at = spare.arenas.partition_point(|(warm, _)| *warm < need);
    let at = at.min(spare.arenas.len().checked_sub(1)?);
    let (warm, arena) = spare.arenas.remove(at);
    spare.bytes -= warm;
    Some(arena)
}

/// Takes an arena that nobody uses any more.
pub(crate) fn put(mut arena: Idle) {
    let room = Spare::room(arena.extent());
    // Other threads need not wait until it is clean, nor until it is given back.
    let kept = if room > 0 { arena.clear(room) } else { 0 };
    let mut spare = Spare::open();
    spare.bytes -= room - kept;
    if kept > 0 {
        let at = spare.arenas.partition_point(|(warm, _)| *warm < kept);
        spare.arenas.insert(at, (kept, arena));
    } else {
        drop(spare);
        drop(arena);
    }
}

#[cfg(test)]
mod tests {
    use crate::playing;
    use crate::raw::{End, World};

    /// It makes a secret as often as it is asked to, and fails if that is told.
    const PROGRAM: &str = r#"
    Kept = {}
    function handle(msg)
      for i = 1, #msg do Kept[#Kept + 1] = ("s" .. "e" .. "cret"):rep(20) .. i end
      if msg:find("!") then error("as it was told") end
    end"#;
    const SECRET: &[u8] = b"secretsecretsecret";
    const BYTES: usize = 4 << 20;

    fn play(world: &mut World, message: &str, boots: bool) -> End {
        playing::play(world, boots.then_some(PROGRAM), &format!("{message:?}")).end
    }

    fn booted() -> World {
        let mut world = World::new().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(play(&mut world, "", true), End::Done);
        world.commit();
        world
    }

    fn leaks(world: &World) -> bool {
        let found = |half: &[u8]| half.windows(SECRET.len()).any(|found| found == SECRET);
        world.halves(BYTES).into_iter().any(found)
    }

    fn read(image: &[u8]) -> World {
        let fill = |bytes: &mut [u8]| {
            bytes.copy_from_slice(image);
            Ok(())
        };
        World::decode(image.len(), fill).unwrap_or_else(|_| panic!("no world"))
    }

    fn image(world: &World) -> Vec<u8> {
        let held = world.hold().unwrap_or_else(|error| panic!("{error}"));
        held.encode().unwrap_or_else(|error| panic!("{error}")).as_ref().to_vec()
    }

    #[test]
    fn nothing_of_a_world_is_found_in_the_next() {
        let small = image(&booted());
        for _ in 0..8 {
            let mut world = booted();
            assert_eq!(play(&mut world, &"x".repeat(10_000), false), End::Done);
            world.commit();
            assert!(leaks(&world), "it keeps its secret too well to be tested");
            drop(world);
            let read = read(&small);
            assert!(!leaks(&read), "a world that was read");
            drop(read);
            assert!(!leaks(&booted()), "a world that was booted");
        }
    }

    #[test]
    fn a_world_goes_back_to_what_was_read() {
        // Into memory that others used, and more than that, which may come in large pieces.
        for (size, fails) in [(2_000, [10, 3_000, 20_000]), (120_000, [10, 20_000, 60_000])] {
            let mut world = booted();
            assert_eq!(play(&mut world, &"x".repeat(size), false), End::Done);
            world.commit();
            let kept = image(&world);
            for length in fails {
                drop(world);
                world = read(&kept);
                same_halves(&world, "read");
                assert_eq!(play(&mut world, &"!".repeat(length), false), End::Raised);
                world.roll_back();
                same_halves(&world, "taken back");
                assert!(image(&world) == kept, "{size}, {length}: another state is kept");
                assert_eq!(play(&mut world, "x", false), End::Done);
                world.commit();
                same_halves(&world, "committed");
            }
        }
    }

    fn same_halves(world: &World, what: &str) {
        let [live, copy] = world.halves(world.resident_bytes() as usize / 2);
        assert!(live == copy, "the copy is another world than was {what}");
    }
}
