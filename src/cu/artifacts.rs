//! Compiled code between two runs of the program, in a folder that only its owner can read.

use crate::disk::{ArtifactStore, Digest};
use bytes::Bytes;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The most bytes an entry may have: a larger one is not read, and so is compiled again.
const ENTRY_BYTES_MAX: u64 = 1 << 30;
const SEAL_FILE: &str = "seal.key";

/// Artifacts as files, each named by its key. What is read back may be anything: a reader checks the
/// seal that it made with [`ArtifactStore::seal_key`], and compiles again if it is broken.
#[derive(Debug)]
pub struct FolderArtifacts {
    dir: PathBuf,
    seal_key: [u8; 32],
}

impl FolderArtifacts {
    /// The store in `dir`, made if need be (mode 0700), with its secret (mode 0600).
    pub fn open(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        // A folder that others may write to could hold an entry of theirs.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        let seal_key = match read_seal(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_seal(dir)?;
                read_seal(dir)?
            }
            other => other?,
        };
        Ok(Self { dir: dir.to_path_buf(), seal_key })
    }

    fn try_put(&self, key: &Digest, sealed: &[u8]) -> io::Result<()> {
        let (temp, mut file) = temp_file(&self.dir)?;
        let written =
            file.write_all(sealed).and_then(|()| fs::rename(&temp, self.dir.join(key.to_string())));
        if written.is_err() {
            let _ = fs::remove_file(&temp);
        }
        written
    }
}

impl ArtifactStore for FolderArtifacts {
    fn get(&self, key: &Digest) -> Option<Bytes> {
        let file = File::open(self.dir.join(key.to_string())).ok()?;
        let length = file.metadata().ok()?.len();
        if length > ENTRY_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?);
        file.take(ENTRY_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes.into())
    }

    /// A store that cannot keep something has lost nothing but time, so a failure here is silent.
    fn put(&self, key: &Digest, sealed: &[u8]) {
        let _ = self.try_put(key, sealed);
    }

    fn seal_key(&self) -> [u8; 32] {
        self.seal_key
    }
}

fn read_seal(dir: &Path) -> io::Result<[u8; 32]> {
    let mut bytes = Vec::new();
    File::open(dir.join(SEAL_FILE))?.take(33).read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_| {
        let path = dir.join(SEAL_FILE);
        let text = format!("{} is not 32 bytes; remove the folder to start anew", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// Made whole under another name and then linked, so that of two first starts both see one secret.
fn make_seal(dir: &Path) -> io::Result<()> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    let (temp, mut file) = temp_file(dir)?;
    let linked = file
        .write_all(&secret)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&temp, dir.join(SEAL_FILE)));
    let _ = fs::remove_file(&temp);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A new file of our own, mode 0600, under a name that nobody else has.
fn temp_file(dir: &Path) -> io::Result<(PathBuf, File)> {
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|error| io::Error::other(error.to_string()))?;
    let path = dir.join(format!("tmp-{:016x}", u64::from_le_bytes(name)));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_put_is_got_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let key = Digest::of(b"module");
        let first = FolderArtifacts::open(&path).unwrap();
        assert_eq!(first.get(&key), None);
        first.put(&key, b"sealed code");
        let second = FolderArtifacts::open(&path).unwrap();
        assert_eq!(second.get(&key).as_deref(), Some(&b"sealed code"[..]));
        assert_eq!(first.seal_key(), second.seal_key());
        assert_ne!(first.seal_key(), [0; 32]);
    }

    #[test]
    fn only_the_owner_can_look() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        DirBuilder::new().mode(0o777).create(&path).unwrap();
        FolderArtifacts::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let seal = fs::metadata(path.join(SEAL_FILE)).unwrap();
        assert_eq!(seal.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn first_starts_at_once_agree_on_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let open = || FolderArtifacts::open(&path).unwrap().seal_key();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| Some(key) == keys.first()));
    }

    #[test]
    fn a_broken_secret_is_not_replaced_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(SEAL_FILE), b"short").unwrap();
        assert!(FolderArtifacts::open(dir.path()).is_err());
    }
}
