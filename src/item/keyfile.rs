//! Wallets in files that only their owner can read.

use super::{KeyKind, Wallet, WalletError};
use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Bytes of a file that may be a wallet. An RSA key has about 3,200.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The wallet in the file `path`.
pub fn load_wallet(path: &Path) -> Result<Wallet, WalletError> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| in_file(path, error))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| in_file(path, error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let error = io::Error::other("it is over 64 KiB, so it is no wallet");
        return Err(in_file(path, error));
    }
    Wallet::parse(&text).map_err(|source| WalletError::InFile {
        path: path.display().to_string(),
        source: Box::new(source),
    })
}

/// Makes a wallet and writes it to `path`, which must not exist: a key is never overwritten. The file is
/// whole and on the disk when this returns, or it is not there.
pub fn create_wallet(path: &Path, kind: KeyKind) -> Result<Wallet, WalletError> {
    let wallet = Wallet::generate(kind)?;
    write_new(path, wallet.to_jwk().as_bytes()).map_err(|error| in_file(path, error))?;
    Ok(wallet)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
    let draft = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let mut options = OpenOptions::new();
    let written =
        options.write(true).create(true).truncate(true).mode(0o600).open(&draft).and_then(
            |mut file| {
                file.write_all(bytes)?;
                file.sync_all()
            },
        );
    // A link fails where a file is already, and so cannot replace one.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    linked?;
    removed?;
    fs::File::open(folder)?.sync_all()
}

fn in_file(path: &Path, source: io::Error) -> WalletError {
    WalletError::File { path: path.display().to_string(), source }
}
