//! Messages as the tests of this crate play them: nothing but fuel bounds them.

use crate::bundle::File;
use crate::host::Asked;
use crate::raw::{Convention, Input, Played, World};
use drivebay_disk::testing::NoHost;
use std::sync::Arc;

/// Plays a message, which is JSON; the first one brings the module's only file.
pub(crate) fn play(world: &mut World, program: Option<&str>, message: &str) -> Played {
    let files = program.map(|text| [File { name: "main.lua".into(), text: text.into() }]);
    let input = Input {
        fuel: 1_000_000_000,
        memory_bytes: 1 << 30,
        depth: 1_000_000,
        seed: 1,
        time_ms: 1,
        files: files.as_ref().map(|files| files.as_slice()),
        convention: Convention::Handle,
        message,
        env: "{}",
        data: None,
        from: "",
    };
    let mut asked = Asked::new(Arc::new(NoHost), 1 << 20);
    world.play(&input, &mut asked).unwrap_or_else(|error| panic!("{error}"))
}
