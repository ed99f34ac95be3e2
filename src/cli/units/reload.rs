//! What a running unit reads again: who is admitted.

use super::Running;
use crate::{
    config::{Choices, Config, Lists, Units},
    cu::{Access, Parties},
};

impl Running {
    /// Reads the config again. What cannot change while units run stays as it was.
    pub(super) fn reload(&self) {
        let path = self.app.config.file.clone();
        match Config::resolve(Choices {
            config: path,
            set: self.app.config.set.clone(),
            ..Choices::default()
        }) {
            Ok(config) => {
                let posts = config.units.limits.posts_per_minute;
                [&self.su_rate, &self.mu_rate].into_iter().for_each(|rate| rate.set(posts));
                if let Some(face) = &self.face {
                    face.admission.replace(access(&config.units));
                }
                tracing::info!("read the config again: lists and rates are the new ones");
            }
            Err(error) => tracing::error!(%error, "the config was not read again"),
        }
    }
}

/// The lists and rates out of all choices.
pub(super) fn access(units: &Units) -> Access {
    Access {
        allow: parties(&units.allow),
        deny: parties(&units.deny),
        dry_runs_per_minute: units.limits.dry_runs_per_minute,
    }
}

fn parties(lists: &Lists) -> Parties {
    let set = |list: &[String]| list.iter().cloned().collect();
    Parties {
        processes: set(&lists.processes),
        owners: set(&lists.owners),
        modules: set(&lists.modules),
        schedulers: set(&lists.schedulers),
    }
}
