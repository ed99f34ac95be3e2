//! Guest code runs in `run`, and nowhere else; and the host is let go of after it.

use super::{
    Broken, Held, Role,
    broken::{At, must},
    in_time_of,
    player::Player,
    roles::{ASK, KNOWN},
    script::{Step, Subject, host},
};
use drivebay_disk::{
    Drive, FaultCode, Frozen, Host, Image, Module, Ran, Root,
    testing::{MapHost, NoHost},
};
use std::{sync::Arc, time::Duration};

/// The longest that it may take to read, mount, freeze and image a small program.
const AT_ONCE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) fn silence(subject: &Subject) -> Held {
    let roles = &subject.roles;
    let starts: [(&str, &Role, Check); 3] = [
        ("start_loops", &roles.start_loops, |found, _| found == Some(FaultCode::OutOfFuel)),
        ("start_traps", &roles.start_traps, |found, _| {
            found.is_some_and(|code| code != FaultCode::OutOfFuel)
        }),
        ("start_writes", &roles.start_writes, |found, changed| found.is_none() && changed),
    ];
    for (role, program, as_told) in starts {
        let Some(module) = program.program() else { continue };
        started(subject, module, as_told).at(role)?;
    }
    for script in subject.scripts() {
        quiet(subject, &script.module).at(script.role)?;
        let disk = subject.disk(&script.module)?;
        let mut player = Player::new(&disk)?;
        for step in &script.steps {
            let frozen = player.freeze()?;
            let asking = [KNOWN, ASK].map(|data| subject.step(step.call.slot.nonce, data));
            for step in asking.iter().chain([step]) {
                let all: [(Arc<MapHost>, Step); 2] =
                    [step.clone(), step.dry()].map(|step| (Arc::new(host()), step));
                for (host, step) in all {
                    let_go(frozen.thaw()?, &step, host).at(&step).at(script.role)?;
                    let_go(frozen.thaw()?, &step, Arc::new(NoHost)).at(&step).at(script.role)?;
                }
            }
            player.play(step).at(step).at(script.role)?;
        }
    }
    Ok(())
}

/// Is this how the first run should end, and did it change the state?
type Check = fn(Option<FaultCode>, bool) -> bool;

fn started(subject: &Subject, module: &Module, as_told: Check) -> Held {
    quiet(subject, module)?;
    let disk = subject.disk(module)?;
    let mut player = Player::new(&disk)?;
    let blank = player.root();
    let entry = player.play(&subject.step(0, "go"))?;
    let fault = entry.receipt.fault();
    must!(
        as_told(fault, entry.root != blank),
        "its first run ended with {:?}",
        entry.receipt.verdict
    );
    Ok(())
}

/// Reads, mounts, freezes and images, all at once and with one root.
fn quiet(subject: &Subject, module: &Module) -> Held {
    let (subject, module) = (subject.clone(), module.clone());
    in_time_of(AT_ONCE, move || {
        let roots = [roots(&subject, &module)?, roots(&subject, &module)?];
        let [[blank, ..], _] = roots;
        must!(
            roots.as_flattened().iter().all(|root| *root == blank),
            "before any run, its roots are {roots:?}"
        );
        Ok(())
    })
}

fn roots(subject: &Subject, module: &Module) -> Result<[Root; 4], Broken> {
    let disk = subject.disk(module)?;
    let mut drive: Box<dyn Drive> = disk.clone().mount(disk.blank())?;
    let frozen: Arc<dyn Frozen> = drive.freeze()?;
    let image: Image = frozen.image()?;
    let again = frozen.thaw()?.freeze()?.image()?.root();
    Ok([disk.blank().root(), image.root(), again, disk.blank().root()])
}

/// After the run nobody but us holds the host, however the run ended, and while the drive lives on.
fn let_go<H: Host + 'static>(drive: Box<dyn Drive>, step: &Step, host: Arc<H>) -> Held {
    let ran = drive.run(step.call.clone(), &step.limits, host.clone());
    let (strong, weak) = (Arc::strong_count(&host) - 1, Arc::weak_count(&host));
    let drive = match ran {
        Ok(Ran::Done { drive, .. }) => Some(drive),
        Ok(Ran::Faulted { drive, .. } | Ran::Dry { drive, .. }) => drive,
        Err(failure) => failure.drive,
    };
    must!(strong + weak == 0, "after the run {strong} others hold the host, and {weak} weakly");
    drop(drive);
    Ok(())
}
