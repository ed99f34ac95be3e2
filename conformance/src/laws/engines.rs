//! One format on several engines.

use super::{
    Broken, Held, Roles,
    broken::At,
    player::{Player, play_all},
    script::Subject,
};
use drivebay_disk::DiskReader;
use std::sync::Arc;

/// All roles on all readers: equal receipts, fuel and roots, and an image of one mounts on the others.
pub fn engines(readers: &[(&str, Arc<dyn DiskReader>)], roles: &Arc<Roles>) -> Held {
    let subject =
        |reader: &Arc<dyn DiskReader>| Subject { reader: reader.clone(), roles: roles.clone() };
    let Some(((first, reader), others)) = readers.split_first() else {
        return Err(Broken::new("no reader was given"));
    };
    let first_subject = subject(reader);
    for script in first_subject.scripts() {
        let disk = first_subject.disk(&script.module).at(first)?;
        let expected = play_all(&disk, &script.steps).at(script.role).at(first)?;
        for (name, reader) in others {
            let other = subject(reader).disk(&script.module).at(name)?;
            let place = format!("{} on {name}, expected as on {first}", script.role);
            Player::new(&other)?.follow(&script.steps, &expected).at(&place)?;
            // From one engine to the other and back, between any two calls.
            let mut player = Player::new(&disk)?;
            for (at, (step, entry)) in script.steps.iter().zip(&expected).enumerate() {
                player = player.moved(if at % 2 == 0 { &other } else { &disk }).at(&place)?;
                player
                    .follow(std::slice::from_ref(step), std::slice::from_ref(entry))
                    .at(&place)?;
            }
        }
    }
    Ok(())
}
