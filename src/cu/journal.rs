//! The messages of a process of the command line, so that its past can be had again by replay.
//!
//! One line of JSON a message, in the process's folder. A line is durable before the head counts its message. What a
//! kill leaves behind is a line too many, or half a line: the last whole line of a message is the one that counts,
//! and whoever replays compares roots.

use super::vault::{Vault, VaultError, damaged, io_error};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
};

const JOURNAL: &str = "messages.jsonl";
/// The most bytes of a journal that is read again.
const JOURNAL_BYTES_MAX: u64 = 4 << 30;

/// A message that was evaluated, and the state that it led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    /// Its slot.
    pub nonce: u64,
    /// Root of the state after it, in hexadecimal.
    pub root: String,
    /// The message, as JSON text.
    pub message: String,
}

impl Vault {
    /// Adds a message to the journal, durably.
    pub fn note(&self, noted: &Noted) -> Result<(), VaultError> {
        let path = self.file(JOURNAL);
        let mut line =
            serde_json::to_vec(noted).map_err(|error| damaged(&path, error.to_string()))?;
        line.push(b'\n');
        let written = OpenOptions::new().create(true).read(true).append(true).open(&path);
        written
            .and_then(|mut file| {
                if !ends_with_a_line(&mut file)? {
                    line.insert(0, b'\n');
                }
                file.write_all(&line)?;
                file.sync_all()
            })
            .map_err(io_error("write", &path))
    }

    /// The first `count` messages of the process, in order.
    pub fn noted(&self, count: u64) -> Result<Vec<Noted>, VaultError> {
        let path = self.file(JOURNAL);
        let mut found = BTreeMap::new();
        let file = match File::open(&path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        let lines = file
            .into_iter()
            .flat_map(|file| BufReader::new(file.take(JOURNAL_BYTES_MAX)).split(b'\n'));
        for line in lines {
            let line = line.map_err(io_error("read", &path))?;
            // Half a line is what a kill leaves behind, and its message was written again.
            let Ok(noted) = serde_json::from_slice::<Noted>(&line) else { continue };
            if noted.nonce < count {
                found.insert(noted.nonce, noted);
            }
        }
        // In order: whatever differs first is missing.
        let there =
            (0..).zip(found.keys()).take_while(|(slot, nonce)| slot == *nonce).count() as u64;
        if there < count {
            return Err(VaultError::NotNoted { slot: there });
        }
        Ok(found.into_values().collect())
    }

    /// Forgets all messages.
    pub(super) fn forget_noted(&self) -> Result<(), VaultError> {
        let path = self.file(JOURNAL);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn noted(nonce: u64, root: &str) -> Noted {
        Noted { nonce, root: root.to_owned(), message: "{\"Data\":\"1\\n\"}".to_owned() }
    }

    #[test]
    fn the_last_whole_line_of_a_message_counts() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path(), "p").unwrap();
        assert!(matches!(vault.noted(1), Err(VaultError::NotNoted { slot: 0 })));
        vault.note(&noted(0, "a")).unwrap();
        vault.note(&noted(1, "lost")).unwrap();
        let path = dir.path().join("p").join(JOURNAL);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, whole.get(..whole.len() - 9).unwrap()).unwrap();
        assert!(matches!(vault.noted(2), Err(VaultError::NotNoted { slot: 1 })));
        vault.note(&noted(1, "b")).unwrap();
        vault.note(&noted(2, "c")).unwrap();
        vault.note(&noted(1, "d")).unwrap();
        let found = vault.noted(2).unwrap();
        assert_eq!(found, [noted(0, "a"), noted(1, "d")]);
    }
}
