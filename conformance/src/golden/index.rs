//! Finding modules by hash, so that no path needs to be agreed on.

use super::GoldenError;
use drivebay_disk::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The most bytes that a file may have to be taken for a module.
pub const MODULE_MAX: u64 = 256 << 20;

/// How deep folders are searched: a link that leads back must come to an end.
const FOLDERS_MAX: usize = 24;

/// The `*.wasm` files under some folder, by SHA-256.
#[derive(Clone, Debug, Default)]
pub struct ModuleIndex(BTreeMap<Digest, PathBuf>);

impl ModuleIndex {
    /// Hashes every `*.wasm` file of at most [`MODULE_MAX`] bytes under `dir`.
    pub fn scan(dir: &Path) -> Result<Self, GoldenError> {
        let mut index = Self::default();
        index.add(dir, 0)?;
        Ok(index)
    }

    /// The module with this SHA-256.
    pub fn get(&self, sha256: &Digest) -> Option<&Path> {
        self.0.get(sha256).map(PathBuf::as_path)
    }

    /// The bytes of the module with this SHA-256, if there is one and the file is still the same.
    pub fn load(&self, sha256: &Digest) -> Result<Option<Vec<u8>>, GoldenError> {
        let Some(path) = self.get(sha256) else { return Ok(None) };
        let bytes = read(path)?;
        Ok(bytes.filter(|bytes| sha256_of(bytes) == *sha256))
    }

    /// Number of modules.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, dir: &Path, depth: usize) -> Result<(), GoldenError> {
        for path in sorted(dir)? {
            if path.is_dir() && !path.is_symlink() && depth < FOLDERS_MAX {
                self.add(&path, depth + 1)?;
            } else if path.is_file()
                && path.extension().is_some_and(|ending| ending == "wasm")
                && let Some(bytes) = read(&path)?
            {
                self.0.entry(sha256_of(&bytes)).or_insert(path);
            }
        }
        Ok(())
    }
}

/// SHA-256, in the shape of all digests here.
pub(super) fn sha256_of(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The whole file, unless it is too big to be a module.
fn read(path: &Path) -> Result<Option<Vec<u8>>, GoldenError> {
    let io = |source| GoldenError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(io)?;
    file.take(MODULE_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= MODULE_MAX))
}

/// What a folder holds, in an order that no file system decides.
pub(super) fn sorted(dir: &Path) -> Result<Vec<PathBuf>, GoldenError> {
    let io = |source| GoldenError::Io { path: dir.to_owned(), source };
    let entries = fs::read_dir(dir).map_err(io)?;
    let mut paths = entries
        .map(|entry| Ok(entry.map_err(io)?.path()))
        .collect::<Result<Vec<_>, GoldenError>>()?;
    paths.sort();
    Ok(paths)
}
