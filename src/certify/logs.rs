//! The logs that a machine is certified with: its roles, and real modules where they are at hand.

use super::Tier;
use crate::cu::Readers;
use drivebay_conformance::{
    Proof, aos,
    golden::ModuleIndex,
    laws::{Broken, Log, Roles, Transcript, role_logs},
};
use std::sync::Arc;

use crate::disk::{ArtifactStore, Digest, DiskReader, FormatName, Module};

/// Which real modules are meant, by SHA-256 and file.
const AOS_SUMS: &str = include_str!("../../modules/aos.sha256");
/// Real modules: file, format, messages in the fast tier and in the full one, and the full transcript as it
/// was recorded on another machine.
const AOS: &[Real] = &[
    Real {
        file: "aos2_0_6.wasm",
        format: "wasm64-unknown-emscripten-draft_2024_02_15",
        messages: (40, 200),
        recorded: include_str!("../../conformance/golden/receipts/aos2_0_6.txt"),
    },
    Real {
        file: "aos2_0_4_32.wasm",
        format: "wasm32-unknown-emscripten4",
        messages: (20, 200),
        recorded: include_str!("../../conformance/golden/receipts/aos2_0_4_32.txt"),
    },
];

struct Real {
    file: &'static str,
    format: &'static str,
    messages: (u32, u32),
    recorded: &'static str,
}

/// A machine that brought its proof.
#[derive(Clone)]
pub struct Subject {
    /// What it brought.
    pub proof: Proof,
    /// The reader.
    pub reader: Arc<dyn DiskReader>,
    /// Its programs.
    pub roles: Arc<Roles>,
    /// Its roles as logs under the name `roles`, and real modules under theirs, or why one is not there.
    pub logs: Vec<Named>,
}

/// Logs under one name, which are compared as one transcript.
#[derive(Clone)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The logs, or why there are none.
    pub logs: Result<Vec<Log>, String>,
    /// What they should come to; of a shorter log, as much of it.
    pub recorded: Option<Transcript>,
}

/// Every machine of `readers` with a proof. Real modules are looked for in `modules`.
pub fn subjects(
    readers: &Readers,
    modules: &[ModuleIndex],
    artifacts: &Arc<dyn ArtifactStore>,
    tier: Tier,
) -> Vec<Subject> {
    let subject = |(reader, proof): (&Arc<dyn DiskReader>, Proof)| {
        let roles = Arc::new(Roles { golden: None, ..(proof.roles)() });
        let recorded = Some(Transcript::parse(proof.recorded)).filter(|lines| !lines.is_empty());
        let own = Named { name: "roles".into(), logs: Ok(role_logs(reader, &roles)), recorded };
        let real = AOS.iter().filter(|real| reads(reader, real.format));
        let real = real.map(|real| real.named(reader, (modules, artifacts), tier));
        let logs = std::iter::once(own).chain(real).collect();
        Subject { proof, reader: reader.clone(), roles, logs }
    };
    readers.certifiable().filter_map(|(reader, proof)| Some(subject((reader, proof?)))).collect()
}

fn reads(reader: &Arc<dyn DiskReader>, format: &str) -> bool {
    reader.formats().iter().any(|known| known.name == *format)
}

impl Real {
    fn named(
        &self,
        reader: &Arc<dyn DiskReader>,
        (modules, artifacts): (&[ModuleIndex], &Arc<dyn ArtifactStore>),
        tier: Tier,
    ) -> Named {
        let name = self.file.trim_end_matches(".wasm").to_owned();
        let count = if tier == Tier::Full { self.messages.1 } else { self.messages.0 };
        let log = self.module(modules).and_then(|module| {
            aos::log(&**reader, &name, module, count).map_err(|broken: Broken| broken.to_string())
        });
        let recorded = Some(Transcript::parse(self.recorded)).filter(|lines| !lines.is_empty());
        Named {
            name,
            logs: log.map(|log| vec![Log { artifacts: artifacts.clone(), ..log }]),
            recorded,
        }
    }

    fn module(&self, modules: &[ModuleIndex]) -> Result<Module, String> {
        let sum = AOS_SUMS.lines().find_map(|line| {
            let (sum, file) = line.split_once("  ")?;
            Digest::from_hex(sum).filter(|_| file.ends_with(self.file))
        });
        let sum = sum.ok_or_else(|| format!("no sum of {} is known", self.file))?;
        for index in modules {
            let found = index.load(&sum).map_err(|error| error.to_string())?;
            if let Some(bytes) = found {
                return Ok(Module::new(bytes, FormatName::from(self.format), Vec::new()));
            }
        }
        Err(format!("{} is not there; modules/fetch brings it", self.file))
    }
}
