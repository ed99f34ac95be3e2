//! Choices in layers: a default under the file, the file under the environment, that under flags. Each
//! value remembers where it is from.

use super::{ConfigError, error};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt, path::Path};

/// Begins the name of each variable that makes a choice.
pub const ENV_PREFIX: &str = "DRIVEBAY_";

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody chose.
    Default,
    /// The config file.
    File(String),
    /// A variable of the environment.
    Env(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Values by dotted key (`cu.workers`), each with its origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
    /// Tables that take any key, such as `readers`.
    open: Vec<&'static str>,
}

impl Layers {
    /// The defaults of all choices; tables in `open` take keys that have no default.
    pub fn defaults(defaults: &impl Serialize, open: &[&'static str]) -> Result<Self, ConfigError> {
        let value = serde_json::to_value(defaults).map_err(|why| error(Path::new(""), why))?;
        let mut layers = Self { values: BTreeMap::new(), open: open.to_vec() };
        let mut leaves = Vec::new();
        flatten(String::new(), value, &mut leaves);
        for (key, value) in leaves {
            layers.values.insert(key, (value, Origin::Default));
        }
        Ok(layers)
    }

    /// Lays the tables of a file over what is there.
    pub fn file(&mut self, tables: Value, path: &Path) -> Result<(), ConfigError> {
        let mut leaves = Vec::new();
        if !tables.is_null() {
            flatten(String::new(), tables, &mut leaves);
        }
        for (key, value) in leaves {
            let origin = Origin::File(path.display().to_string());
            self.lay(&key, value, origin).map_err(|why| error(path, why))?;
        }
        Ok(())
    }

    /// Lays variables over what is there: `DRIVEBAY_CU_WORKERS` is `cu.workers`.
    pub fn env(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let named: BTreeMap<String, String> = self
            .values
            .keys()
            .map(|key| {
                (format!("{ENV_PREFIX}{}", key.to_uppercase().replace('.', "_")), key.clone())
            })
            .collect();
        for (name, text) in variables {
            let Some(key) = named.get(&name) else { continue };
            self.text(key, &text, Origin::Env(name.clone()))
                .map_err(|why| ConfigError { path: format!("the environment, {name}"), why })?;
        }
        Ok(())
    }

    /// Lays one flag over what is there.
    pub fn flag(&mut self, key: &str, text: &str, flag: &str) -> Result<(), ConfigError> {
        let origin = Origin::Flag(flag.to_owned());
        let wrong = |why| ConfigError { path: format!("the flag {flag}"), why };
        self.text(key, text, origin).map_err(wrong)
    }

    /// Adds a choice that has a place of its own, to be listed with the others.
    pub fn note(&mut self, key: &str, value: String, origin: Origin) {
        self.values.insert(key.to_owned(), (Value::from(value), origin));
    }

    /// All choices, typed.
    pub fn build<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let mut tables = Map::new();
        for (key, (value, _)) in &self.values {
            put(&mut tables, key, value.clone());
        }
        serde_json::from_value(Value::Object(tables)).map_err(|why| error(Path::new(""), why))
    }

    /// All values in order of their keys, as a file would write them, with their origins.
    pub fn list(&self) -> impl Iterator<Item = (&str, String, &Origin)> {
        self.values.iter().map(|(key, (value, origin))| {
            let text = if value.is_null() { "(none)".to_owned() } else { value.to_string() };
            (key.as_str(), text, origin)
        })
    }

    /// A text becomes what the key's default is.
    fn text(&mut self, key: &str, text: &str, origin: Origin) -> Result<(), String> {
        let as_is = || Value::from(text);
        let value = match self.values.get(key).map(|(value, _)| value) {
            Some(Value::Bool(_)) => text.parse().map(Value::Bool).unwrap_or_else(|_| as_is()),
            Some(Value::Number(_)) => text.parse::<u64>().map_or_else(|_| as_is(), Value::from),
            // A list as a file has it, or its parts with commas between them.
            Some(Value::Array(_)) if text.trim_start().starts_with('[') => {
                serde_json::from_str(text).map_err(|why| format!("{key} is no list: {why}"))?
            }
            Some(Value::Array(_)) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(Value::from).collect()
            }
            Some(Value::Null) => text.parse::<u64>().map_or_else(|_| as_is(), Value::from),
            // A table that takes any key has switches only.
            None => text.parse().map(Value::Bool).unwrap_or_else(|_| as_is()),
            Some(_) => as_is(),
        };
        self.lay(key, value, origin)
    }

    fn lay(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), String> {
        let open = key.split_once('.').is_some_and(|(table, _)| self.open.contains(&table));
        let Some((old, _)) = self.values.get(key) else {
            if !open {
                let all = self.values.keys().cloned().collect::<Vec<_>>().join(", ");
                return Err(format!("there is no choice {key:?}; the choices are {all}"));
            }
            let fits = value.is_boolean();
            self.values.insert(key.to_owned(), (value, origin));
            return if fits { Ok(()) } else { Err(format!("{key} is true or false")) };
        };
        if let Some(kind) = mismatch(old, &value) {
            return Err(format!("{key} is {value}, but should be {kind}"));
        }
        self.values.insert(key.to_owned(), (value, origin));
        Ok(())
    }
}

/// What a value should be, if it is something else. What has no default may be a number or a text.
fn mismatch(old: &Value, new: &Value) -> Option<&'static str> {
    match (old, new) {
        (Value::Bool(_), Value::Bool(_)) | (Value::String(_), Value::String(_)) => None,
        (Value::Number(_), Value::Number(_)) if new.is_u64() => None,
        (Value::Array(_), Value::Array(list)) if list.iter().all(Value::is_string) => None,
        (Value::Null, Value::String(_)) => None,
        (Value::Null, Value::Number(_)) if new.is_u64() => None,
        (Value::Bool(_), _) => Some("true or false"),
        (Value::Number(_), _) => Some("a whole number, 0 or more"),
        (Value::String(_), _) => Some("a text"),
        (Value::Array(_), _) => Some("a list of texts"),
        _ => Some("a text or a whole number"),
    }
}

fn flatten(key: String, value: Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(key, value, leaves);
            }
        }
        value => leaves.push((key, value)),
    }
}

fn put(tables: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            tables.insert(key.to_owned(), value);
        }
        Some((table, rest)) => {
            let entry = tables.entry(table).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = entry {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn layers() -> Layers {
        let defaults = json!({
            "cu": { "workers": 0, "wallet": null },
            "deny": { "owners": [] },
            "readers": { "wasm": true },
            "log": "text",
        });
        Layers::defaults(&defaults, &["readers"]).unwrap()
    }

    fn shown(layers: &Layers, key: &str) -> String {
        let found = layers.list().find(|(name, _, _)| *name == key).unwrap();
        format!("{} ({})", found.1, found.2)
    }

    #[test]
    fn the_last_layer_wins_and_says_where_it_is_from() {
        let mut layers = layers();
        let path = Path::new("d.toml");
        layers.file(json!({"cu": {"workers": 2}, "readers": {"riscv": false}}), path).unwrap();
        assert_eq!(shown(&layers, "cu.workers"), "2 (file d.toml)");
        let variables =
            [("DRIVEBAY_CU_WORKERS", "3"), ("DRIVEBAY_DENY_OWNERS", "a, b"), ("X", "1")];
        layers.env(variables.map(|(k, v)| (k.into(), v.into()))).unwrap();
        assert_eq!(shown(&layers, "cu.workers"), "3 (environment DRIVEBAY_CU_WORKERS)");
        assert_eq!(
            shown(&layers, "deny.owners"),
            r#"["a","b"] (environment DRIVEBAY_DENY_OWNERS)"#
        );
        layers.flag("cu.workers", "4", "--set").unwrap();
        layers.flag("readers.wasm", "false", "--set").unwrap();
        assert_eq!(shown(&layers, "cu.workers"), "4 (flag --set)");
        assert_eq!(shown(&layers, "cu.wallet"), "(none) (default)");
        let built: Value = layers.build().unwrap();
        assert_eq!(built["readers"], json!({"wasm": false, "riscv": false}));
    }

    #[test]
    fn a_mistake_says_what_was_expected() {
        let mut layers = layers();
        let say = |result: Result<(), ConfigError>| result.unwrap_err().to_string();
        let error = say(layers.flag("cu.workers", "many", "--set"));
        assert!(error.contains("should be a whole number"), "{error}");
        let error = say(layers.file(json!({"cu": {"worker": 1}}), Path::new("d.toml")));
        assert!(error.contains("cu.worker\"") && error.contains("cu.workers"), "{error}");
        let error = say(layers.file(json!({"readers": {"riscv": 1}}), Path::new("d.toml")));
        assert!(error.contains("true or false"), "{error}");
        let error = say(layers
            .env([("DRIVEBAY_LOG".into(), "".into())])
            .and_then(|()| layers.file(json!({"log": 1}), Path::new("d.toml"))));
        assert!(error.contains("a text"), "{error}");
    }
}
