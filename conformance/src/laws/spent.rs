//! Fuel is exact, and its end cannot be caught.

use super::{
    Broken, Held,
    broken::{At, must},
    player::{Player, play_all},
    receipt::{Entry, same, same_entry},
    rng::Rng,
    roles::{ASK, GO, SPIN},
    script::{Script, Step, Subject},
    state::unanswered,
};
use drivebay_disk::{Disk, FaultCode, Fuel, Image, testing::NoHost};
use std::sync::Arc;

/// Every call passes with exactly what it cost, and with any less is out of fuel after all it had.
pub(super) fn fuel(subject: &Subject) -> Held {
    for script in subject.scripts() {
        exact(subject, &script).at(script.role)?;
    }
    Ok(())
}

fn exact(subject: &Subject, script: &Script) -> Held {
    let disk = subject.disk(&script.module)?;
    let expected = play_all(&disk, &script.steps)?;
    let (mut player, mut rng) = (Player::new(&disk)?, Rng::new(2, script.role));
    for (step, expected) in script.steps.iter().zip(&expected) {
        let (image, cost) = (player.image().clone(), expected.receipt.meter.fuel);
        let mut at_exactly = Player::at(&disk, &image)?;
        let found = at_exactly.play(&step.with_fuel(cost)).at(step)?;
        same_entry(expected, &found).at(step).at("with exactly its fuel")?;
        let twin = player.freeze()?.thaw()?;
        let found = Player::on(&disk, twin, &image).play(&step.with_fuel(cost)).at(step)?;
        same_entry(expected, &found).at(step).at("with exactly its fuel, on a twin")?;
        let dry = Player::at(&disk, &image)?.play(&step.with_fuel(cost).dry()).at(step)?;
        same(&expected.receipt, &dry.receipt).at(step).at("with exactly its fuel, as a dry-run")?;
        if expected.receipt.fault() != Some(FaultCode::OutOfFuel) {
            for fuel in [cost.0 + 1, cost.0.saturating_mul(2), 1 << 40] {
                let found = Player::at(&disk, &image)?.play(&step.with_fuel(Fuel(fuel)))?;
                same_entry(expected, &found).at(step).at(format!("with {fuel} fuel"))?;
            }
        }
        let less =
            [cost.0.checked_sub(1), Some(0), Some(rng.below(cost.0)), Some(rng.below(cost.0))];
        for fuel in less.into_iter().flatten().filter(|fuel| *fuel < cost.0) {
            starved(&disk, &image, &step.with_fuel(Fuel(fuel)))?;
            starved(&disk, &image, &step.with_fuel(Fuel(fuel)).dry())?;
            // The same on a drive that never was an image.
            let (short, twin) = (step.with_fuel(Fuel(fuel)), player.freeze()?.thaw()?);
            let entry = Player::on(&disk, twin, &image).play(&short).at(&short)?;
            out_of_fuel(&short, &entry).at(&short).at("on a twin")?;
        }
        player.play(step)?;
    }
    Ok(())
}

fn starved(disk: &Arc<dyn Disk>, image: &Image, step: &Step) -> Held {
    let entry = Player::at(disk, image)?.play(step).at(step)?;
    out_of_fuel(step, &entry).at(step)?;
    must!(entry.root == image.root(), "{step}: root {} became {}", image.root(), entry.root);
    Ok(())
}

/// Out of fuel means that all of it was used, not more and not less.
fn out_of_fuel(step: &Step, entry: &Entry) -> Held {
    let receipt = &entry.receipt;
    let code = receipt.fault();
    must!(code == Some(FaultCode::OutOfFuel), "not out of fuel, but {:?}", receipt.verdict);
    let (used, limit) = (receipt.meter.fuel, step.limits.fuel);
    must!(used == limit, "out of fuel at {used} of {limit}");
    Ok(())
}

/// Handlers do not see the end of the fuel, nor what the host could not do.
pub(super) fn uncatchable(subject: &Subject) -> Held {
    for role in ["spin", "catcher"] {
        let Some(script) = subject.script(role) else { continue };
        uncaught(subject, &script).at(role)?;
    }
    let Some(script) = subject.script("catcher") else { return Ok(()) };
    let disk = subject.disk(&script.module)?;
    let mut player = Player::new(&disk)?;
    player.play(&subject.step(0, GO))?;
    let asking = subject.step(1, ASK).with_host(Arc::new(NoHost));
    let mut player = unanswered(&disk, player, &asking).at("catcher")?;
    let go = subject.step(2, GO);
    let fault = player.play(&go)?.receipt.fault();
    must!(fault.is_none(), "catcher: after a host error, {go} is {fault:?}");
    Ok(())
}

fn uncaught(subject: &Subject, script: &Script) -> Held {
    let disk = subject.disk(&script.module)?;
    let (start, go) = (subject.step(0, GO), subject.step(1, GO));
    let expected = play_all(&disk, &[start.clone(), go.clone()])?;
    let mut player = Player::new(&disk)?;
    player.play(&start)?;
    let mut rng = Rng::new(3, script.role);
    let whole = subject.roles.limits.fuel.0;
    for case in 0..12 {
        let fuel = Fuel(if case == 0 { whole } else { rng.below(whole) });
        let spin = subject.step(1, SPIN).with_fuel(fuel);
        for step in [spin.dry(), spin] {
            let entry = player.play(&step).at(&step)?;
            out_of_fuel(&step, &entry).at(&step)?;
        }
    }
    let found = player.play(&go)?;
    let expected = expected.last().ok_or_else(|| Broken::new("nothing was played"))?;
    same_entry(expected, &found).at("the call after")
}
