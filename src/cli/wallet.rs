//! `drivebay wallet`: a key of one's own.

use super::{App, error::Exit};
use crate::item::{KeyKind, Wallet, create_wallet, load_wallet};
use std::{
    io::{self, Write},
    path::PathBuf,
};

const AFTER_HELP: &str = "\
Examples:
  drivebay wallet                              (shows the address; makes a wallet if there is none)
  drivebay wallet --file alice.json --new rsa  (RSA, as Arweave's own tools have it)

A wallet is never overwritten. Its file can be read by its owner alone.";

/// Show the address of a wallet, or make one
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The wallet's file [default: wallet.json in the data folder]
    #[arg(long, value_name = "FILE", env = "DRIVEBAY_WALLET", hide_env_values = true)]
    file: Option<PathBuf>,
    /// Make a new one, of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    new: Option<Kind>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// secp256k1
    Ethereum,
    /// RSA with 4096 bits
    Rsa,
    /// ed25519
    Ed25519,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let file = args.file.clone().unwrap_or_else(|| app.config.data.join("wallet.json"));
    let wallet = match args.new {
        Some(kind) => create_wallet(&file, kind.into())?,
        None if args.file.is_none() && !file.exists() => create_wallet(&file, KeyKind::Ethereum)?,
        None => load_wallet(&file)?,
    };
    print(&wallet, &file.display().to_string(), args.json)?;
    Ok(Exit::Done)
}

fn print(wallet: &Wallet, file: &str, json: bool) -> io::Result<()> {
    let (address, ao) = (wallet.address().to_string(), wallet.ao_address());
    let mut out = io::stdout().lock();
    if json {
        let key = crate::item::b64url(wallet.owner());
        let object = serde_json::json!({
            "File": file, "Address": address, "Process-Sees": ao, "Key": key,
            "Signature-Type": wallet.scheme().number(),
        });
        return writeln!(out, "{object}");
    }
    writeln!(out, "file     {file}")?;
    writeln!(out, "address  {address}")?;
    if ao != address {
        writeln!(out, "as a process sees it  {ao}")?;
    }
    Ok(())
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ethereum => Self::Ethereum,
            Kind::Rsa => Self::Rsa,
            Kind::Ed25519 => Self::Ed25519,
        }
    }
}
