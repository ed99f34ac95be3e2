//! `drivebay item`: data items in files, signed and verified.

use super::{
    App,
    client::{SaidArgs, parse_id},
    error::{Exit, usage},
    module,
};
use crate::item::{Bundle, DataItem, Draft, Id, b64url, is_bundle, load_wallet};
use anyhow::Context;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

const AFTER_HELP: &str = "\
Examples:
  drivebay item verify message.bin
  drivebay item sign --target PROCESS --action Ping --wallet alice.json --out message.bin

A data item is what ao's messages, processes and modules are: bytes in the form of ANS-104.";

/// Verify a data item in a file, or sign one into a file
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Print what an item says, and whether its signature holds; ends with 2 if it does not
    Verify {
        /// The item's file
        file: PathBuf,
    },
    /// Sign an item
    Sign(Box<SignArgs>),
}

#[derive(clap::Args)]
struct SignArgs {
    /// The file that is written
    #[arg(long, short = 'o', value_name = "FILE")]
    out: PathBuf,
    /// Whom it is for
    #[arg(long, value_name = "ID", value_parser = parse_id, allow_hyphen_values = true)]
    target: Option<Id>,
    /// Its anchor: 32 bytes of text [default: a random one]
    #[arg(long, value_name = "TEXT")]
    anchor: Option<String>,
    /// What it is: Message, Process …; none of ao's tags if it is empty
    #[arg(long, value_name = "TYPE", default_value = "Message")]
    r#type: String,
    #[command(flatten)]
    said: SaidArgs,
    /// The wallet that signs
    #[arg(long, value_name = "FILE", env = "DRIVEBAY_WALLET", hide_env_values = true)]
    wallet: Option<PathBuf>,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        What::Verify { file } => verify(file),
        What::Sign(args) => sign(app, args),
    }
}

fn verify(file: &Path) -> anyhow::Result<Exit> {
    let item = DataItem::parse(module::read_bytes(file)?)?;
    writeln!(io::stdout(), "{}", told(&item)?)?;
    item.verify()?;
    Ok(Exit::Done)
}

fn told(item: &DataItem) -> anyhow::Result<Value> {
    let tag = |tag: &crate::item::Tag| json!({ "name": tag.name, "value": tag.value });
    let inner = match is_bundle(item) {
        true => Bundle::parse(item.data_bytes())?
            .items()
            .iter()
            .map(|item| item.id().to_string())
            .collect(),
        false => Vec::new(),
    };
    Ok(json!({
        "Id": item.id().to_string(),
        "Signature-Type": item.scheme().number(),
        "Owner": item.owner_address().to_string(),
        "Process-Sees": item.ao_address(),
        "Target": item.target().map(|target| target.to_string()),
        "Anchor": item.anchor().map(|anchor| b64url(anchor)),
        "Tags": item.tags().iter().map(tag).collect::<Vec<_>>(),
        "Data-Bytes": item.data().len(),
        "Deep-Hash": data_encoding::HEXLOWER.encode(&item.deep_hash()),
        "Holds": item.verify().is_ok(),
        "Items": inner,
    }))
}

fn sign(app: &App, args: &SignArgs) -> anyhow::Result<Exit> {
    let file = args.wallet.clone().unwrap_or_else(|| app.config.data.join("wallet.json"));
    let wallet = load_wallet(&file)?;
    let mut tags = args.said.tags(&args.r#type);
    if args.r#type.is_empty() {
        tags.retain(|tag| !["Data-Protocol", "Variant", "Type"].contains(&tag.name.as_str()));
    }
    let mut draft = Draft::new(args.target, tags, args.said.data("")?);
    draft = match &args.anchor {
        Some(anchor) => {
            let length = anchor.len();
            let bytes = anchor
                .clone()
                .into_bytes()
                .try_into()
                .map_err(|_| usage(format!("an anchor has 32 bytes, and this has {length}")))?;
            Draft { anchor: Some(bytes), ..draft }
        }
        None => draft.with_random_anchor()?,
    };
    let item = wallet.sign(&draft)?;
    let name = args.out.display();
    fs::write(&args.out, item.bytes()).with_context(|| format!("cannot write {name}"))?;
    writeln!(io::stdout(), "{}", item.id())?;
    Ok(Exit::Done)
}
