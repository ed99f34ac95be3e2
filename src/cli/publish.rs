//! `drivebay publish`: a module, checked, signed and uploaded.

use super::{
    App,
    client::{Client, UnitArgs, parse_tag},
    error::{Exit, refused},
    module::{self, ModuleArgs},
};
use crate::{
    cu::CuError,
    disk::{Module, NoArtifacts, ReadError, Tag},
    item::Draft,
};
use std::io::{self, Write};

const AFTER_HELP: &str = "\
Examples:
  drivebay publish process.wasm
  drivebay publish process.wasm --format wasm64-unknown-emscripten-draft_2024_02_15 --tag Name=mine
  drivebay publish token.wasm --gateway https://upload.ardrive.io/v1 --wallet arweave.json

What `drivebay inspect` refuses is not published. Prints the module's id.";

/// Publish a module: check it as a compute unit would, sign it, upload it
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    module: ModuleArgs,
    /// A tag, such as Memory-Limit=500-mb or Name=mine (repeatable)
    #[arg(long = "tag", short = 't', value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<Tag>,
    #[command(flatten)]
    units: UnitArgs,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let module = args.module.read(&app.readers)?;
    let module = Module { tags: module::published_tags(&module, &args.tags), ..module };
    check(app, &module)?;
    let client = Client::new(app, &args.units)?;
    // No anchor: where a wallet signs without chance, the same module has the same id.
    let draft = Draft::new(None, module.tags, module.bytes);
    let item = client.wallet()?.sign(&draft)?;
    let id = client.wait(client.gateway.upload(item.bytes().clone()))?;
    writeln!(io::stdout(), "{id}")?;
    Ok(Exit::Done)
}

fn check(app: &App, module: &Module) -> anyhow::Result<()> {
    match module::reader(&app.readers, module)?.read(module, &NoArtifacts) {
        Ok(_) => Ok(()),
        Err(ReadError::Refused(refusal)) => Err(refused(refusal)),
        Err(ReadError::Host(error)) => Err(CuError::Host(error).into()),
    }
}
