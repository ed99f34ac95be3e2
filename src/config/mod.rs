//! What an operator may choose. Nothing here changes a result: rules live in formats.
//!
//! A flag goes before the environment, the environment before the file, the file before the default.

mod layers;
mod units;

pub use layers::{ENV_PREFIX, Layers, Origin};
pub use units::{Common, Cu, Gateway, KeyKind, Limits, Lists, LogKind, Mu, Su, Switch, Units};

use crate::cu::Engine;
use serde::Deserialize;
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The file that is read if no other is named, where it is there.
pub const DEFAULT_FILE: &str = "drivebay.toml";
const FILE_BYTES_MAX: u64 = 1 << 20;

/// All choices, made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where processes are kept.
    pub data: PathBuf,
    /// Where compiled modules are kept; `None` if nobody has a home here.
    pub cache: Option<PathBuf>,
    /// How wasm is made to run.
    pub engine: Engine,
    /// Whether to print in colours.
    pub color: When,
    /// Whether to show progress.
    pub progress: When,
    /// What is chosen for units.
    pub units: Units,
    /// All choices with where they are from.
    pub layers: Layers,
    /// The file that was named, if one was.
    pub file: Option<PathBuf>,
    /// What was set by `--set`.
    pub set: Vec<(String, String)>,
}

/// A choice that a terminal can make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Where the output is a terminal.
    #[default]
    Auto,
    /// Even where it is none.
    Always,
    /// Not at all.
    Never,
}

impl When {
    /// The choice, given whether the output is a terminal.
    pub fn holds(self, terminal: bool) -> bool {
        self == Self::Always || (self == Self::Auto && terminal)
    }
}

/// Choices as flags or the environment make them: each may be missing.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(
    next_help_heading = "Choices that never change a result (flag, else environment, else file)"
)]
pub struct Choices {
    /// Read choices from this file [default: drivebay.toml, if there is one]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DRIVEBAY_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Keep processes in this folder [default: .drivebay]
    #[arg(long, global = true, value_name = "DIR", env = "DRIVEBAY_DATA", hide_env_values = true)]
    pub data: Option<PathBuf>,
    /// Keep compiled modules in this folder [default: ~/.cache/drivebay]
    #[arg(long, global = true, value_name = "DIR", env = "DRIVEBAY_CACHE", hide_env_values = true)]
    pub cache: Option<PathBuf>,
    /// How wasm is made to run: speed (optimised), plain or pulley (interpreted) [default: speed]
    #[arg(long, global = true, value_enum, env = "DRIVEBAY_ENGINE")]
    #[arg(hide_env_values = true, hide_possible_values = true)]
    pub engine: Option<Engine>,
    /// When to use colours: auto, always or never [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", env = "DRIVEBAY_COLOR")]
    #[arg(hide_env_values = true, hide_possible_values = true)]
    pub color: Option<When>,
    /// When to show progress: auto, always or never [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", env = "DRIVEBAY_PROGRESS")]
    #[arg(hide_env_values = true, hide_possible_values = true)]
    pub progress: Option<When>,
    /// Any choice that `drivebay config` lists, such as readers.evm=false (repeatable)
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = parse_set)]
    pub set: Vec<(String, String)>,
}

/// The same choices as a file makes them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileChoices {
    data: Option<PathBuf>,
    cache: Option<PathBuf>,
    engine: Option<Engine>,
    color: Option<When>,
    progress: Option<When>,
}

/// Why the choices cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the config file {path}: {why}")]
pub struct ConfigError {
    path: String,
    why: String,
}

/// `KEY=VALUE` of `--set`.
fn parse_set(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as readers.evm=false".to_owned()),
    }
}

impl Config {
    /// All choices: flags and environment from `choices`, the rest from the file and the defaults.
    pub fn resolve(choices: Choices) -> Result<Self, ConfigError> {
        let path = choices.config.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let (file, tables) = match read_file(&path)? {
            Some(read) => read,
            None if choices.config.is_some() => return Err(error(&path, "there is no such file")),
            None => Default::default(),
        };
        let mut layers = Layers::defaults(&Units::default(), units::OPEN)?;
        layers.file(tables, &path)?;
        layers.env(env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))?;
        for (key, value) in &choices.set {
            layers.flag(key, value, "--set")?;
        }
        let units = layers.build()?;
        let mut note = |key: &str, chosen: bool, filed: bool, value: String| {
            layers.note(key, value, origin(key, chosen, filed, &path));
        };
        let shown = |path: &Option<PathBuf>| match path {
            Some(path) => path.display().to_string(),
            None => "(none)".to_owned(),
        };
        let data = choices.data.is_some();
        let cache = choices.cache.is_some();
        let config = Self {
            units,
            layers: Layers::default(),
            file: choices.config.clone(),
            set: choices.set.clone(),
            data: choices.data.or(file.data.clone()).unwrap_or_else(|| PathBuf::from(".drivebay")),
            cache: choices.cache.or(file.cache.clone()).or_else(default_cache),
            engine: choices.engine.or(file.engine).unwrap_or_default(),
            color: choices.color.or(file.color).unwrap_or_default(),
            progress: choices.progress.or(file.progress).unwrap_or_default(),
        };
        let word = |debug: &dyn std::fmt::Debug| format!("{debug:?}").to_lowercase();
        note("data", data, file.data.is_some(), shown(&Some(config.data.clone())));
        note("cache", cache, file.cache.is_some(), shown(&config.cache));
        note("engine", choices.engine.is_some(), file.engine.is_some(), word(&config.engine));
        note("color", choices.color.is_some(), file.color.is_some(), word(&config.color));
        note(
            "progress",
            choices.progress.is_some(),
            file.progress.is_some(),
            word(&config.progress),
        );
        Ok(Self { layers, ..config })
    }
}

/// Where the value of a choice is from that has a flag and a variable of its own.
fn origin(key: &str, chosen: bool, filed: bool, path: &Path) -> Origin {
    let name = format!("{ENV_PREFIX}{}", key.to_uppercase());
    match (chosen, filed) {
        (true, _) if env::args_os().any(|arg| is_flag(&arg, key)) => {
            Origin::Flag(format!("--{key}"))
        }
        (true, _) => Origin::Env(name),
        (false, true) => Origin::File(path.display().to_string()),
        (false, false) => Origin::Default,
    }
}

fn is_flag(arg: &std::ffi::OsStr, key: &str) -> bool {
    let name = arg.to_str().and_then(|arg| arg.strip_prefix("--"));
    name.is_some_and(|name| name.split('=').next() == Some(key))
}

/// The file's choices for every command, and its tables for units.
fn read_file(path: &Path) -> Result<Option<(FileChoices, serde_json::Value)>, ConfigError> {
    match fs::metadata(path) {
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(error(path, "it is over 1 MiB")),
        _ => {}
    }
    let text = fs::read_to_string(path).map_err(|failure| error(path, failure))?;
    let mut all: toml::Table = toml::from_str(&text).map_err(|failure| error(path, failure))?;
    let tables =
        units::TABLES.iter().filter_map(|name| Some(((*name).to_owned(), all.remove(*name)?)));
    let tables: toml::Table = tables.collect();
    let tables = tables.try_into().map_err(|failure| error(path, failure))?;
    all.try_into().map(|file| Some((file, tables))).map_err(|failure| error(path, failure))
}

fn error(path: &Path, why: impl ToString) -> ConfigError {
    ConfigError { path: path.display().to_string(), why: why.to_string().trim_end().to_owned() }
}

fn default_cache() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").map(|home| home.join(".cache"));
    absolute("XDG_CACHE_HOME").or_else(home).map(|cache| cache.join("drivebay"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with_file(text: &str, choices: Choices) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        fs::write(&path, text).unwrap();
        Config::resolve(Choices { config: Some(path), ..choices })
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let file = "data = \"from-file\"\nengine = \"pulley\"\n";
        let flag = Choices { data: Some("from-flag".into()), ..Choices::default() };
        let config = with_file(file, flag).unwrap();
        assert_eq!(config.data, PathBuf::from("from-flag"));
        assert_eq!(config.engine, Engine::Pulley);
        assert_eq!(config.color, When::Auto);
    }

    #[test]
    fn without_a_file_all_is_as_it_is_by_default() {
        let mut layers = Layers::defaults(&Units::default(), units::OPEN).unwrap();
        layers.file(serde_json::Value::default(), Path::new("none")).unwrap();
        assert_eq!(layers.build::<Units>().unwrap(), Units::default());
    }

    #[test]
    fn a_mistake_in_the_file_is_named() {
        let error = with_file("motor = \"speed\"", Choices::default()).unwrap_err().to_string();
        assert!(error.contains("motor") && error.contains("engine"), "{error}");
    }

    #[test]
    fn a_named_file_must_be_there() {
        let choices = Choices { config: Some("no-such-file.toml".into()), ..Choices::default() };
        assert!(Config::resolve(choices).unwrap_err().to_string().contains("no such file"));
    }
}
