//! From a module's file to a disk, with words for whatever is wrong with it.

use super::{
    App, artifact,
    error::{refused, usage},
    files,
    progress::Progress,
};
use crate::{
    config::Config,
    cu::{CuError, EVM_FORMAT, FolderArtifacts, Readers},
    disk::{
        ArtifactStore, Disk, DiskReader, FormatName, Module, NoArtifacts, Refusal, RefusalCode, Tag,
    },
};
use anyhow::Context;
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The most bytes of a module's file. The largest published module has 3 MB.
const MODULE_BYTES_MAX: u64 = 512 << 20;

/// A module, as a command names it.
#[derive(Clone, clap::Args)]
pub(crate) struct ModuleArgs {
    /// The module's file
    #[arg(id = "module", value_name = "MODULE")]
    pub(crate) file: PathBuf,
    /// Its Module-Format, if the file does not tell
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// Which contract of a compiler's output, if it has several
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
}

impl ModuleArgs {
    /// The module in the file: the bytes themselves, or the bytecode in a compiler's output.
    pub(crate) fn read(&self, readers: &Readers) -> anyhow::Result<Module> {
        let bytes = read_bytes(&self.file)?;
        module_of(readers, (bytes, &self.file), self.format.as_deref(), self.contract.as_deref())
    }
}

/// Reads a module's bytes. A folder is a bundle of the Lua files in it.
pub(crate) fn read_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.is_dir() {
        return bundle(path);
    }
    let mut bytes = Vec::new();
    files::open(path, "module")?
        .take(MODULE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() as u64 > MODULE_BYTES_MAX {
        return Err(usage(format!("{} is over 512 MiB, which no format allows", path.display())));
    }
    Ok(bytes)
}

/// All Lua files under a folder, under their names from there.
fn bundle(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries =
            fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", next.display()))?.path();
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "lua") {
                let text = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {} as text", path.display()))?;
                files.push((name.replace('\\', "/"), text));
            }
        }
    }
    if files.is_empty() {
        return Err(usage(format!("{} is a folder without Lua files", folder.display())));
    }
    Ok(Readers::bundle(files).into_bytes())
}

/// The format to read `bytes` in: the one asked for, else the one that the bytes show.
pub(crate) fn format_of(
    readers: &Readers,
    (bytes, file): (&[u8], &Path),
    asked: Option<&str>,
) -> anyhow::Result<FormatName> {
    let known = || {
        let names: Vec<_> = readers.formats().map(|format| format.name.to_string()).collect();
        names.join(", ")
    };
    if let Some(name) = asked {
        let name = FormatName::from(name);
        return match readers.get(&name) {
            Some(_) => Ok(name),
            None => Err(refused(Refusal::new(
                RefusalCode::UnknownFormat,
                format!("no reader knows the format {name}; the formats are {}", known()),
            ))),
        };
    }
    readers.detect(bytes, file).ok_or_else(|| {
        let what = if bytes.starts_with(b"\0asm") {
            "this is WebAssembly, but its imports and exports fit no ao format"
        } else {
            "this is neither WebAssembly (it does not begin with \\0asm) nor what Ethereum's compilers \
             write, nor a .lua file or a folder of them"
        };
        let note = format!("{what}; say what it is with --format, one of: {}", known());
        refused(Refusal::new(RefusalCode::UnknownFormat, note))
    })
}

/// The module in a file's bytes: the bytes themselves, or the bytecode in a compiler's output. Its tags are
/// those that a publisher would give it.
pub(crate) fn module_of(
    readers: &Readers,
    (bytes, file): (Vec<u8>, &Path),
    format: Option<&str>,
    contract: Option<&str>,
) -> anyhow::Result<Module> {
    // A bundle of Lua is JSON too, but no compiler's output.
    let is_lua = format.map_or_else(|| readers.detect(&[], file), |name| Some(name.into()))
        == Some(Readers::lua());
    let artifact = if is_lua { None } else { artifact::take(&bytes, contract)? };
    let Some(artifact) = artifact else {
        let format = format_of(readers, (&bytes, file), format)?;
        let tags = default_tags(&format);
        return Ok(Module::new(bytes, format, tags));
    };
    let format = format_of(readers, (&[], file), Some(format.unwrap_or(EVM_FORMAT)))?;
    let mut tags = default_tags(&format);
    tags.extend(artifact.tags);
    Ok(Module::new(artifact.code, format, tags))
}

/// The tags that a publisher would give a module of `format`.
pub(crate) fn default_tags(format: &FormatName) -> Vec<Tag> {
    vec![
        Tag::new("Data-Protocol", "ao"),
        Tag::new("Variant", "ao.TN.1"),
        Tag::new("Type", "Module"),
        Tag::new("Module-Format", format.as_str()),
        Tag::new("Input-Encoding", "JSON-1"),
        Tag::new("Output-Encoding", "JSON-1"),
    ]
}

/// The tags of a module to publish: what is typed goes before what is usual.
pub(crate) fn published_tags(module: &Module, typed: &[Tag]) -> Vec<Tag> {
    let (format, mut tags) = (&module.format, module.tags.clone());
    // Units of the network refuse a module of these formats without limits.
    if format.as_str().contains("emscripten") {
        tags.push(Tag::new("Memory-Limit", "1-gb"));
        tags.push(Tag::new("Compute-Limit", "9000000000000"));
    }
    if format.as_str().starts_with("wasm") {
        tags.push(Tag::new("Content-Type", "application/wasm"));
    }
    tags.retain(|tag| typed.iter().all(|other| other.name != tag.name));
    tags.extend_from_slice(typed);
    tags
}

/// The reader of a module's format; it was looked up when the format was chosen.
pub(crate) fn reader<'a>(
    readers: &'a Readers,
    module: &Module,
) -> anyhow::Result<&'a Arc<dyn DiskReader>> {
    let unknown = || format!("no reader knows the format {}", module.format);
    readers.get(&module.format).ok_or_else(|| usage(unknown()))
}

/// Compiles a module, or finds it compiled.
pub(crate) fn read_disk(app: &App, module: &Module) -> anyhow::Result<Arc<dyn Disk>> {
    let _progress = Progress::spinner(&app.config, "compiling the module (kept for the next time)");
    let artifacts = artifacts(&app.config);
    let disk = reader(&app.readers, module)?.read(module, &*artifacts).map_err(CuError::from)?;
    Ok(disk)
}

/// The folder of compiled modules, or none where it cannot be written.
pub(crate) fn artifacts(config: &Config) -> Box<dyn ArtifactStore> {
    let opened = match &config.cache {
        Some(dir) => {
            FolderArtifacts::open(dir).map_err(|error| format!("{}: {error}", dir.display()))
        }
        None => Err("there is no home folder to keep them in".to_owned()),
    };
    match opened {
        Ok(folder) => Box::new(folder),
        Err(why) => {
            let _ = writeln!(
                io::stderr(),
                "warning: compiled modules are not kept ({why}); every start compiles again. \
                 Name a folder with --cache to change that"
            );
            Box::new(NoArtifacts)
        }
    }
}
