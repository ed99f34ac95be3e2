//! What an operator of units may choose.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The tables of a config file that are about units.
pub(super) const TABLES: &[&str] =
    &["units", "readers", "cu", "su", "mu", "gateway", "limits", "allow", "deny"];

/// The tables that take any key.
pub(super) const OPEN: &[&str] = &["readers"];

/// All choices about units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Units {
    /// All units together.
    pub units: Common,
    /// Which virtual machines are used.
    pub readers: BTreeMap<String, bool>,
    /// The compute unit.
    pub cu: Cu,
    /// The scheduler unit.
    pub su: Su,
    /// The messenger unit.
    pub mu: Mu,
    /// The gateway.
    pub gateway: Gateway,
    /// Bounds of what is taken from anyone.
    pub limits: Limits,
    /// If a list is not empty, nothing else is evaluated.
    pub allow: Lists,
    /// What is not evaluated.
    pub deny: Lists,
}

/// Choices of all units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// The address to listen on.
    pub host: String,
    /// The gateway's port; the MU has this plus 2, the SU plus 3, the CU plus 4.
    pub port: u16,
    /// The kind of wallets that are made on the first start: `ethereum` or `arweave`.
    pub key: KeyKind,
    /// How the log is written: `text` or `json`.
    pub log: LogKind,
    /// What is logged, as `RUST_LOG` has it.
    pub log_filter: String,
    /// Seconds that requests get to end when the program is told to stop.
    pub grace_s: u64,
    /// Addresses and networks of the operator's own machines: their `x-forwarded-for` is believed, and they
    /// are not counted themselves.
    pub trusted: Vec<String>,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// secp256k1: signs thousands of times a second.
    Ethereum,
    /// RSA of 4096 bits: signs a hundred times a second.
    Arweave,
}

/// A form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Choices of a compute unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cu {
    /// Its port, if not the usual one.
    pub port: Option<u16>,
    /// The file of its wallet, if not the one in the data folder.
    pub wallet: Option<PathBuf>,
    /// The scheduler of all processes, if it is not to be looked up in the gateway.
    pub su: Option<String>,
    /// The HyperBEAM node of which this unit is the delegated compute, by URL: slots come from there.
    pub hyperbeam: Option<String>,
    /// Addresses whose published checkpoints are believed.
    pub trusted_checkpoints: Vec<String>,
    /// Threads that evaluate; 0 for one a core.
    pub workers: u16,
    /// Megabytes of memory for live processes, of which a sixteenth is kept at hand for those that are mounted next; 0
    /// for half of the machine's.
    pub memory_mb: u64,
    /// Whether developers have private chains that fork EVM processes: `on`, `off`, or `auto`, which is on in
    /// `drivebay up` and off in a unit alone.
    pub eth_dev: Switch,
}

/// A choice that may be left to the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// As the command has it.
    #[default]
    Auto,
    /// Yes.
    On,
    /// No.
    Off,
}

impl Switch {
    /// The choice, given what the command would choose.
    pub fn holds(self, auto: bool) -> bool {
        self == Self::On || (self == Self::Auto && auto)
    }
}

/// Choices of a scheduler unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Su {
    /// Its port, if not the usual one.
    pub port: Option<u16>,
    /// The file of its wallet, if not the one in the data folder.
    pub wallet: Option<PathBuf>,
    /// Its URL as others reach it, if not by host and port.
    pub url: Option<String>,
}

/// Choices of a messenger unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mu {
    /// Its port, if not the usual one.
    pub port: Option<u16>,
    /// The file of its wallet, if not the one in the data folder.
    pub wallet: Option<PathBuf>,
    /// The CU that it asks for results, if not the local one.
    pub cu: Option<String>,
}

/// Choices of a gateway, or of the way to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Its port, if not the usual one.
    pub port: Option<u16>,
    /// Milliseconds from block to block of a chain that begins here.
    pub block_interval_ms: u64,
    /// Gateways to ask, in order, where a unit runs without one of its own.
    pub urls: Vec<String>,
}

/// Bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Dry-runs a minute and caller; 0 for no bound.
    pub dry_runs_per_minute: u64,
    /// Items and assignments a minute and caller, at the SU and at the MU each; 0 for no bound.
    pub posts_per_minute: u64,
    /// The greatest `Memory-Limit` of a process that is evaluated, in megabytes; 0 for no bound.
    pub memory_limit_mb: u64,
    /// The greatest `Compute-Limit`; 0 for no bound.
    pub compute_limit: u64,
}

/// Ids and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lists {
    /// Process ids.
    pub processes: Vec<String>,
    /// Addresses of the owners of processes.
    pub owners: Vec<String>,
    /// Module ids.
    pub modules: Vec<String>,
    /// Addresses of schedulers.
    pub schedulers: Vec<String>,
}

impl Default for Units {
    fn default() -> Self {
        let readers = ["wasm", "evm", "lua"].map(|name| (name.to_owned(), true));
        Self {
            units: Common::default(),
            readers: readers.into(),
            cu: Cu::default(),
            su: Su::default(),
            mu: Mu::default(),
            gateway: Gateway::default(),
            limits: Limits::default(),
            allow: Lists::default(),
            deny: Lists::default(),
        }
    }
}

impl Default for Common {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 4000,
            key: KeyKind::Ethereum,
            log: LogKind::Text,
            log_filter: "info".to_owned(),
            grace_s: 10,
            trusted: vec!["127.0.0.1".to_owned(), "::1".to_owned()],
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        // Ticks carry the height of the newest block, and so wait for it.
        Self { port: None, block_interval_ms: 5000, urls: Vec::new() }
    }
}

impl Units {
    /// The port of a unit: its own, or the common one plus `offset`.
    pub fn port(&self, own: Option<u16>, offset: u16) -> u16 {
        match (own, self.units.port) {
            (Some(port), _) => port,
            // Zero asks the system for any port.
            (None, 0) => 0,
            (None, port) => port.saturating_add(offset),
        }
    }
}
