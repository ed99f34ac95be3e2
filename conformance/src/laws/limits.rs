//! Limits trip where they are.

use super::{
    Broken, Held, Ladder,
    broken::{At, must},
    player::{Player, elsewhere},
    receipt::{Entry, Receipt, same, same_entry},
    roles::{DEEP, GO, HOG},
    script::{Step, Subject},
};
use drivebay_disk::{Disk, FaultCode, Image, Limits, Module};
use std::sync::Arc;

/// Output, memory and depth.
pub(super) fn limits(subject: &Subject) -> Held {
    output(subject).at("output")?;
    let depth = |limits: &Limits, rung: u64| {
        let depth = u32::try_from(rung).map_err(|_| Broken::new("a rung of depth is over 2^32"))?;
        Ok(Limits { depth, ..*limits })
    };
    let memory = |limits: &Limits, memory_bytes| Ok(Limits { memory_bytes, ..*limits });
    let roles = &subject.roles;
    if let Some(module) = roles.hog.program() {
        let climb = Climb { ladder: &roles.memory, set: &memory, code: FaultCode::OutOfMemory };
        climb.of(subject, module, HOG).at("memory")?;
    }
    if let Some(module) = roles.deep.program() {
        let climb = Climb { ladder: &roles.depth, set: &depth, code: FaultCode::TooDeep };
        climb.of(subject, module, DEEP).at("depth")?;
    }
    Ok(())
}

/// For each length of data there is one number of bytes from which on the output fits. It is found by
/// halving, is never less than the data, and grows with it.
fn output(subject: &Subject) -> Held {
    let disk = subject.disk(&subject.roles.echo)?;
    let mut player = Player::new(&disk)?;
    player.play(&subject.step(0, GO))?;
    let image = player.image().clone();
    let mut last = 0;
    for len in [1, 40, 41, 200, 1000] {
        let echo = subject.step(1, &"e".repeat(len));
        let least = threshold(&disk, &image, &echo).at(format!("{len} bytes of data"))?;
        must!(least >= len as u64, "{len} bytes of data fit in {least} bytes of output");
        must!(least >= last, "{len} bytes of data need {least} bytes, fewer took {last}");
        must!(len < 200 || least > last, "{len} bytes of data need no more than fewer did");
        last = least;
        around(&disk, (&mut player, &image), &echo, least).at(format!("{len} bytes of data"))?;
    }
    Ok(())
}

fn allowing(step: &Step, output_bytes: u64) -> Step {
    // The threshold lies within the roles' own limit, which is a u32.
    let output_bytes = u32::try_from(output_bytes).unwrap_or(u32::MAX);
    step.with_limits(Limits { output_bytes, ..step.limits })
}

fn threshold(disk: &Arc<dyn Disk>, image: &Image, echo: &Step) -> Result<u64, Broken> {
    let (mut below, mut enough) = (0, u64::from(echo.limits.output_bytes));
    while below < enough {
        let middle = (below + enough) / 2;
        let fault = Player::at(disk, image)?.play(&allowing(echo, middle))?.receipt.fault();
        match fault {
            None => enough = middle,
            Some(FaultCode::TooLoud) => below = middle + 1,
            Some(other) => {
                return Err(Broken::new(format!(
                    "at {middle} bytes it is {other:?}, not too loud"
                )));
            }
        }
    }
    Ok(enough)
}

/// Just below the threshold it is too loud and leaves no mark; at it and above, nothing shows the limit.
fn around(
    disk: &Arc<dyn Disk>,
    (live, image): (&mut Player, &Image),
    echo: &Step,
    least: u64,
) -> Held {
    let expected = Player::at(disk, image)?.play(echo)?;
    let mut warm = Player::at(disk, image)?;
    for bytes in (least.saturating_sub(3)..least).rev() {
        let step = allowing(echo, bytes);
        let cold = Player::at(disk, image)?.play(&step)?;
        must!(
            cold.receipt.fault() == Some(FaultCode::TooLoud),
            "{bytes} bytes are enough, {least} also"
        );
        must!(cold.root == image.root(), "at {bytes} bytes it left a mark");
        same_entry(&cold, &warm.play(&step)?).at("on a drive that met the limit before")?;
    }
    for bytes in [least, least + 1, least + 2] {
        let found = Player::at(disk, image)?.play(&allowing(echo, bytes))?;
        same_entry(&expected, &found).at(format!("with {bytes} bytes of output"))?;
    }
    for bytes in [least.saturating_sub(1), least] {
        let step = allowing(echo, bytes);
        let cold = Player::at(disk, image)?.play(&step)?;
        // One of those was never an image.
        for twins in [&mut *live, &mut warm] {
            let twin = twins.freeze()?.thaw()?;
            same_entry(&cold, &Player::on(disk, twin, image).play(&step)?).at("on a twin")?;
        }
        let dry = Player::at(disk, image)?.play(&step.dry())?;
        same(&cold.receipt, &dry.receipt).at("as a dry-run")?;
    }
    same_entry(&expected, &warm.play(echo)?).at("after faults")
}

/// Does `work` with some more of the stack in use: 16 KiB for each of `frames`.
fn below<T>(frames: u32, work: &mut dyn FnMut() -> T) -> T {
    let used = std::hint::black_box([0_u8; 16 << 10]);
    let done = if frames == 0 { work() } else { below(frames - 1, work) };
    std::hint::black_box(used);
    done
}

/// A limit, and what trips it.
struct Climb<'a> {
    ladder: &'a Ladder,
    set: &'a dyn Fn(&Limits, u64) -> Result<Limits, Broken>,
    code: FaultCode,
}

impl Climb<'_> {
    /// At each rung the role is stopped at the same place whenever it is tried, and at a higher rung later:
    /// what it did until then shows in its fuel.
    fn of(&self, subject: &Subject, module: &Module, data: &str) -> Held {
        let disk = subject.disk(module)?;
        let mut warm = Player::new(&disk)?;
        warm.play(&subject.step(0, GO))?;
        let image = warm.image().clone();
        let go = subject.step(2, GO);
        let expected = Player::at(&disk, &image)?.play(&go)?;
        let step = subject.step(1, data);
        let rungs = match self.ladder {
            Ladder::Fixed(_) => vec![None],
            Ladder::Rungs(rungs) => rungs.iter().copied().map(Some).collect(),
        };
        must!(rungs.len() > 1 || rungs == [None], "a ladder has two rungs at least");
        let mut last: Option<Receipt> = None;
        for rung in rungs {
            let found =
                self.rung(&disk, (&image, &mut warm), &step, rung).at(format!("limit {rung:?}"))?;
            self.went_on(
                &disk,
                &image,
                (&go, &expected),
                rung.map_or(Ok(step.limits), |rung| (self.set)(&step.limits, rung))?,
            )?;
            if let Some(last) = &last {
                let (lower, higher) = (last.meter.fuel, found.receipt.meter.fuel);
                must!(
                    lower < higher,
                    "limit {rung:?} stops it at {higher} fuel, a lower one at {lower}"
                );
                must!(
                    last.fault() == found.receipt.fault(),
                    "it ends otherwise than at lower limits"
                );
            }
            last = Some(found.receipt);
        }
        Ok(())
    }

    /// The same on a fresh drive, on another thread, on a drive that was stopped before, and a little higher.
    fn rung(
        &self,
        disk: &Arc<dyn Disk>,
        (image, warm): (&Image, &mut Player),
        step: &Step,
        rung: Option<u64>,
    ) -> Result<Entry, Broken> {
        let at = |more: u64| match rung {
            None => Ok(step.limits),
            Some(rung) => (self.set)(&step.limits, rung.saturating_add(more)),
        };
        let stopped = step.with_limits(at(0)?);
        let first = Player::at(disk, image)?.play(&stopped)?;
        let fault = first.receipt.fault();
        let may_end = self.code == FaultCode::OutOfMemory;
        must!(
            fault == Some(self.code) || (fault.is_none() && may_end),
            "it ends with {:?}, not {:?}",
            first.receipt.verdict,
            self.code
        );
        let again = elsewhere(|| Player::at(disk, image)?.play(&stopped))?;
        same_entry(&first, &again).at("on another thread")?;
        let lower = elsewhere(|| below(64, &mut || Player::at(disk, image)?.play(&stopped)))?;
        same_entry(&first, &lower).at("further down on the host's stack")?;
        let twin = warm.freeze()?.thaw()?;
        same_entry(&first, &Player::on(disk, twin, image).play(&stopped)?).at("on a twin")?;
        let dry = Player::at(disk, image)?.play(&stopped.dry())?;
        same(&first.receipt, &dry.receipt).at("as a dry-run")?;
        if fault.is_some() {
            must!(first.root == image.root(), "it left a mark");
            for _ in 0..3 {
                same_entry(&first, &warm.play(&stopped)?)
                    .at("on a drive that met the limit before")?;
            }
        }
        let mut fuel = first.receipt.meter.fuel;
        for more in [1, 2, 3, 8].into_iter().filter(|_| rung.is_some()) {
            let higher = Player::at(disk, image)?.play(&step.with_limits(at(more)?))?.receipt;
            must!(
                higher.meter.fuel >= fuel,
                "{more} more stop it earlier, at {} fuel",
                higher.meter.fuel
            );
            fuel = higher.meter.fuel;
        }
        Ok(first)
    }

    /// Whoever stays below the limit does not notice it.
    fn went_on(
        &self,
        disk: &Arc<dyn Disk>,
        image: &Image,
        (go, expected): (&Step, &Entry),
        limits: Limits,
    ) -> Held {
        let found = Player::at(disk, image)?.play(&go.with_limits(limits))?;
        same(&expected.receipt, &found.receipt).at("a call that stays below the limit")
    }
}
