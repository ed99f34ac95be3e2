//! A process between two runs of the program: a folder with its image and its place in its schedule.
//!
//! ```text
//! DIR/<process>/lock                        held while a program works on the process
//! DIR/<process>/head.json                   where it stands, and which image is its state
//! DIR/<process>/messages.jsonl              what it was sent, for replay
//! DIR/<process>/images/<slot>-<root>.image  the state, as `Image::write_to` makes it
//! ```
//!
//! The image is written, made durable and named first; then the head is, and only then is the old image
//! removed. So whenever the power goes, the head names an image that is whole: the one before the message
//! or the one after it.

use crate::disk::{Image, ImageLimits};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

const HEAD: &str = "head.json";
const IMAGES: &str = "images";
const HEAD_BYTES_MAX: u64 = 4 << 20;
const HEAD_VERSION: u32 = 1;
/// The most bytes of a process's name: it becomes the name of a folder.
const NAME_BYTES_MAX: usize = 128;

/// Where a process stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Of this file's shape.
    version: u32,
    /// The module that the state belongs to.
    pub module: Stored,
    /// Path of the module's file when it last ran: a hint, not an identity.
    pub module_path: String,
    /// BLAKE3 of the module's bytes, in hexadecimal.
    pub module_blake3: String,
    /// Its `Module-Format`.
    pub format: String,
    /// The process.
    pub process: Stored,
    /// Nonce of the next message.
    pub next: u64,
    /// Time of the last message.
    pub timestamp_ms: u64,
    /// Block height of the last message.
    pub block_height: u64,
    /// Hash chain after the last message.
    pub hash_chain: String,
    /// Its state; none if no message has changed it yet.
    pub image: Option<StoredImage>,
}

/// Who a module or a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Address of its owner.
    pub owner: String,
    /// Its tags: names and values.
    pub tags: Vec<(String, String)>,
}

/// An image in the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredImage {
    /// Name of its file.
    pub file: String,
    /// Its root, in hexadecimal.
    pub root: String,
}

impl Head {
    /// A process that has evaluated nothing.
    pub fn new(module: Stored, process: Stored, format: &str, module_blake3: String) -> Self {
        Self {
            version: HEAD_VERSION,
            module,
            module_path: String::new(),
            module_blake3,
            format: format.to_owned(),
            process,
            next: 0,
            timestamp_ms: 0,
            block_height: 0,
            hash_chain: String::new(),
            image: None,
        }
    }
}

/// Why a stored process cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Somebody else works on it.
    #[error(
        "process {0} is in use by another drivebay; wait for it to end, or give --process or --data another value"
    )]
    Locked(String),
    /// The name cannot be a folder's.
    #[error(
        "{0:?} cannot name a process: use 1 to 128 letters, digits, - and _, as in an Arweave id"
    )]
    BadName(String),
    /// What is stored is not what was written.
    #[error(
        "{path} is damaged: {why}; put back a copy of the folder, or start the process anew with --fresh"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A message of the past was not kept.
    #[error(
        "the message at slot {slot} was not kept: this process began elsewhere, from an image or in an older version; \
         its past can be read from the first slot on or not at all"
    )]
    NotNoted {
        /// The first that is missing.
        slot: u64,
    },
    /// Reading or writing failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// The folder of one process, held by this program as long as this lives.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    writable: bool,
    /// Unlocked by being closed. `None` where there is no folder to hold.
    _lock: Option<File>,
}

impl Vault {
    /// The folder of `process` under `data`, made if need be and held against everybody else.
    pub fn open(data: &Path, process: &str) -> Result<Self, VaultError> {
        let dir = folder(data, process)?;
        let images = dir.join(IMAGES);
        fs::create_dir_all(&images).map_err(io_error("make", &images))?;
        let lock = lock(&dir, process, true)?;
        let vault = Self { dir, writable: true, _lock: Some(lock) };
        vault.sweep()?;
        Ok(vault)
    }

    /// The same folder, to be looked at only: nothing is made, and other readers may look too.
    pub fn peek(data: &Path, process: &str) -> Result<Self, VaultError> {
        let dir = folder(data, process)?;
        let lock = if dir.exists() { Some(lock(&dir, process, false)?) } else { None };
        Ok(Self { dir, writable: false, _lock: lock })
    }

    /// Where the process stands; `None` if it never ran.
    pub fn head(&self) -> Result<Option<Head>, VaultError> {
        let path = self.dir.join(HEAD);
        let mut text = String::new();
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("open", &path)(error)),
            Ok(file) => file
                .take(HEAD_BYTES_MAX)
                .read_to_string(&mut text)
                .map_err(|error| damaged(&path, error.to_string()))?,
        };
        let head: Head =
            serde_json::from_str(&text).map_err(|error| damaged(&path, error.to_string()))?;
        if head.version != HEAD_VERSION {
            let why = format!("it has version {}, not {HEAD_VERSION}", head.version);
            return Err(damaged(&path, why));
        }
        Ok(Some(head))
    }

    /// The state that `head` names, checked; `None` if no message has changed it yet.
    pub fn image(&self, head: &Head, max: &ImageLimits) -> Result<Option<Image>, VaultError> {
        let Some(stored) = &head.image else { return Ok(None) };
        let path = self.image_path(stored)?;
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let image = Image::read_from(&mut BufReader::with_capacity(1 << 20, file), max)
            .map_err(|error| damaged(&path, error.to_string()))?;
        let root = image.root().to_string();
        if root != stored.root {
            return Err(damaged(&path, format!("its root is {root}, not {}", stored.root)));
        }
        Ok(Some(image))
    }

    /// Makes `head`, and the state that goes with it, durable. Without an image the old state stays.
    pub fn commit(&self, head: &mut Head, image: Option<&Image>) -> Result<(), VaultError> {
        if !self.writable {
            return Err(damaged(&self.dir, "it was opened to be looked at only".to_owned()));
        }
        if let Some(image) = image {
            head.image = Some(self.write_image(head.next.saturating_sub(1), image)?);
        }
        let path = self.dir.join(HEAD);
        let text =
            serde_json::to_vec_pretty(head).map_err(|error| damaged(&path, error.to_string()))?;
        write_durably(&path, &mut |out| out.write_all(&text))?;
        self.sweep_images(head.image.as_ref())
    }

    /// Forgets the process. The head goes first, so that what a kill leaves behind is only refuse.
    pub fn forget(&self) -> Result<(), VaultError> {
        let path = self.dir.join(HEAD);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error("remove", &path)(error));
            }
            _ => {}
        }
        self.forget_noted()?;
        sync_dir(&self.dir)?;
        self.sweep_images(None)
    }

    /// A file of the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn write_image(&self, slot: u64, image: &Image) -> Result<StoredImage, VaultError> {
        let root = image.root().to_string();
        let prefix: String = root.chars().take(16).collect();
        let file = format!("{slot:08}-{prefix}.image");
        let path = self.dir.join(IMAGES).join(&file);
        write_durably(&path, &mut |out| {
            image.write_to(out).map_err(|error| io::Error::other(error.to_string()))
        })?;
        Ok(StoredImage { file, root })
    }

    fn image_path(&self, stored: &StoredImage) -> Result<PathBuf, VaultError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        // The head may be anybody's text, and must not lead out of the folder.
        if stored.file.starts_with('.') || !stored.file.chars().all(plain) {
            let why = format!("it names the image {:?}", stored.file);
            return Err(damaged(&self.dir.join(HEAD), why));
        }
        Ok(self.dir.join(IMAGES).join(&stored.file))
    }

    /// Removes what a killed run left behind. Where the head is damaged, or its image is not there, every
    /// image is kept: one of them may be what a person needs.
    fn sweep(&self) -> Result<(), VaultError> {
        let Ok(head) = self.head() else { return Ok(()) };
        let stored = head.and_then(|head| head.image);
        let there = |stored: &StoredImage| self.image_path(stored).is_ok_and(|path| path.is_file());
        if stored.as_ref().is_none_or(there) { self.sweep_images(stored.as_ref()) } else { Ok(()) }
    }

    fn sweep_images(&self, keep: Option<&StoredImage>) -> Result<(), VaultError> {
        let dir = self.dir.join(IMAGES);
        for entry in fs::read_dir(&dir).map_err(io_error("list", &dir))? {
            let entry = entry.map_err(io_error("list", &dir))?;
            if keep.is_none_or(|keep| entry.file_name() != *keep.file) {
                fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Whether `name` may be a process's name here: every Arweave id may.
pub fn is_process_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(plain)
}

fn folder(data: &Path, process: &str) -> Result<PathBuf, VaultError> {
    if is_process_name(process) {
        Ok(data.join(process))
    } else {
        Err(VaultError::BadName(process.to_owned()))
    }
}

fn lock(dir: &Path, process: &str, alone: bool) -> Result<File, VaultError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    let locked = if alone { file.try_lock() } else { file.try_lock_shared() };
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(VaultError::Locked(process.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
    }
}

/// Writes a file whole or not at all: under another name first, then renamed, each step made durable.
fn write_durably(
    path: &Path,
    fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> Result<(), VaultError> {
    let temp = path.with_extension("new");
    let written = File::create(&temp).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temp, path)
    });
    written.map_err(io_error("write", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> Result<(), VaultError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

pub(super) fn io_error(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> VaultError + use<> {
    let path = path.display().to_string();
    move |source| VaultError::Io { doing, path, source }
}

pub(super) fn damaged(path: &Path, why: String) -> VaultError {
    VaultError::Damaged { path: path.display().to_string(), why }
}
