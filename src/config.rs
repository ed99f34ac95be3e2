//! What an operator may choose. Nothing here changes a result: rules live in formats.
//!
//! A flag goes before the environment, the environment before the file, the file before the default.

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

impl Config {
    /// All choices: flags and environment from `choices`, the rest from the file and the defaults.
    pub fn resolve(choices: Choices) -> Result<Self, ConfigError> {
        let file = match &choices.config {
            Some(path) => read_file(path)?.ok_or_else(|| error(path, "there is no such file"))?,
            None => read_file(Path::new(DEFAULT_FILE))?.unwrap_or_default(),
        };
        Ok(Self {
            data: choices.data.or(file.data).unwrap_or_else(|| PathBuf::from(".drivebay")),
            cache: choices.cache.or(file.cache).or_else(default_cache),
            engine: choices.engine.or(file.engine).unwrap_or_default(),
            color: choices.color.or(file.color).unwrap_or_default(),
            progress: choices.progress.or(file.progress).unwrap_or_default(),
        })
    }
}

fn read_file(path: &Path) -> Result<Option<FileChoices>, ConfigError> {
    match fs::metadata(path) {
        Err(failure) if failure.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(error(path, "it is over 1 MiB")),
        _ => {}
    }
    let text = fs::read_to_string(path).map_err(|failure| error(path, failure))?;
    toml::from_str(&text).map(Some).map_err(|failure| error(path, failure))
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
