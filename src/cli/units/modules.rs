//! Modules that a local ao has from the start.

use crate::{
    cli::{App, module},
    disk::{Module, Tag},
    gateway::Gateway,
    item::{Draft, Wallet},
};
use std::path::{Path, PathBuf};

/// Publishes the `.wasm` files of the folders under the names of their files. A wallet that signs without
/// chance gives a module the same id each time, so a second start publishes nothing anew.
pub(super) async fn publish(
    app: &App,
    gateway: &Gateway,
    wallet: &Wallet,
    folders: &[PathBuf],
) -> anyhow::Result<Vec<(String, String)>> {
    let mut published = Vec::new();
    for file in files(folders)? {
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let bytes = module::read_bytes(&file)?;
        // What no reader here reads is nothing to publish.
        let Some(format) = app.readers.detect(&bytes, &file) else { continue };
        let module = Module::new(bytes, format.clone(), module::default_tags(&format));
        let tags = module::published_tags(&module, &[Tag::new("Name", name.as_str())]);
        let item = wallet.sign(&Draft::new(None, tags, module.bytes))?;
        let id = item.id().to_string();
        gateway.put_item(item).await?;
        published.push((name, id));
    }
    Ok(published)
}

fn files(folders: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wasm") && is_small(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// A module of many megabytes is published by hand, by who wants it.
fn is_small(path: &Path) -> bool {
    const BYTES_MAX: u64 = 16 << 20;
    std::fs::metadata(path).is_ok_and(|meta| meta.len() <= BYTES_MAX)
}
