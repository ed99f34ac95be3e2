//! `drivebay image`: a process's state as a file, and back.

use super::{
    App,
    error::{Exit, refused, usage},
    files, module,
    session::{self, ProcessArgs},
};
use crate::{
    config::Config,
    cu::{CuError, Vault},
    disk::{
        Change, Disk, HostError, Image, ImageError, ImageLimits, Module, PAGE, Section, Tag,
        json::{Json, Value},
    },
};
use anyhow::Context;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

const AFTER_HELP: &str = "\
An image is the whole state of a process in one canonical file; it is checked whenever it is read,
and means the same on every machine. A checkpoint is the reference's own form for its emscripten
formats: the bytes of memory, gzip or plain. It does not say whose it is: give it the module and the tags that
it was made with, and the nonce that comes next.

Examples:
  drivebay image save state.image --process ID
  drivebay image show state.image
  drivebay image diff before.image after.image
  drivebay image load state.image aos.wasm --process copy
  drivebay image save memory.gz --process ID --checkpoint aos.wasm
  drivebay image load memory.gz aos.wasm --process theirs --checkpoint --next 42";

/// Save, load, show and compare states
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Write a process's state to a file
    Save {
        /// The file to write
        file: PathBuf,
        /// The process
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        process: String,
        /// Write the reference's checkpoint instead, gzipped; needs the process's module
        #[arg(long, value_name = "MODULE")]
        checkpoint: Option<PathBuf>,
    },
    /// Make a process of a module stand in the state of a file
    Load {
        /// The file to read
        file: PathBuf,
        #[command(flatten)]
        process: Box<ProcessArgs>,
        /// Read the reference's checkpoint: memory bytes, gzip or plain
        #[arg(long)]
        checkpoint: bool,
        /// Nonce of the next message [default: 1, after the process's own]
        #[arg(long, value_name = "NONCE")]
        next: Option<u64>,
    },
    /// Say what is in an image
    Show {
        /// The file
        file: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what differs between two images; ends with 1 if anything does
    Diff {
        /// The older file
        before: PathBuf,
        /// The newer file
        after: PathBuf,
    },
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    match &args.action {
        Action::Save { file, process, checkpoint: None } => save(&app.config, file, process),
        Action::Save { file, process, checkpoint: Some(module) } => {
            save_checkpoint(app, file, process, module)
        }
        Action::Load { file, process, checkpoint, next } => {
            load(app, file, process, *checkpoint, next.unwrap_or(1))
        }
        Action::Show { file, json } => show(file, *json),
        Action::Diff { before, after } => diff(before, after),
    }
}

/// A stored process's state, and whose it is.
fn stored(config: &Config, process: &str) -> anyhow::Result<(crate::cu::Head, Image)> {
    let vault = Vault::peek(&config.data, process)?;
    let head = vault.head()?.ok_or_else(|| {
        usage(format!("there is no process {process} in {}; run it first", config.data.display()))
    })?;
    let image = vault.image(&head, &ImageLimits::default())?.ok_or_else(|| {
        usage(format!("process {process} has no state yet: no message has succeeded"))
    })?;
    Ok((head, image))
}

fn save(config: &Config, file: &Path, process: &str) -> anyhow::Result<Exit> {
    let (head, image) = stored(config, process)?;
    write_file(file, |out| Ok(image.write_to(out)?))?;
    saved(file, &image, head.next)
}

fn saved(file: &Path, image: &Image, next: u64) -> anyhow::Result<Exit> {
    writeln!(io::stdout(), "{}: root {}, before slot {next}", file.display(), image.root())?;
    Ok(Exit::Done)
}

fn save_checkpoint(app: &App, file: &Path, process: &str, path: &Path) -> anyhow::Result<Exit> {
    let (head, image) = stored(&app.config, process)?;
    let bytes = module::read_bytes(path)?;
    let tags = head.module.tags.iter().map(|(name, value)| Tag::new(name, value)).collect();
    let module = Module::new(bytes, head.format.as_str(), tags);
    if module.id != image.header().module {
        return Err(usage(format!(
            "{} is not the module of process {process}, which is {} when it last ran",
            path.display(),
            head.module_path
        )));
    }
    let memory = module::read_disk(app, &module)?.disown(&image).map_err(CuError::from)?;
    write_file(file, |out| {
        let mut gzip = GzEncoder::new(out, Compression::default());
        gzip.write_all(&memory)?;
        gzip.finish()?;
        Ok(())
    })?;
    saved(file, &image, head.next)
}

/// Writes a file beside its place, and moves it there when it is whole.
fn write_file(
    file: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temp = file.with_file_name(name);
    let write = || -> anyhow::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&temp)?);
        fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(std::fs::rename(&temp, file)?)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

fn load(
    app: &App,
    file: &Path,
    args: &ProcessArgs,
    checkpoint: bool,
    next: u64,
) -> anyhow::Result<Exit> {
    if !file.exists() {
        return Err(usage(format!("there is no file {}", file.display())));
    }
    let opened = session::prepare(app, args)?;
    let id = opened.head.process.id.clone();
    if opened.exists {
        return Err(usage(format!(
            "process {id} already has a state; give another --process, or --fresh to put this one in its \
             place"
        )));
    }
    let image = if checkpoint { adopt(&opened.disk, file)? } else { read(file)? };
    // Whether the image is this module's is for the machine to say.
    Arc::clone(&opened.disk).mount(&image).map_err(CuError::from)?;
    let vault = Vault::open(&app.config.data, &id)?;
    if args.fresh {
        vault.forget()?;
    }
    let mut head = opened.head;
    head.next = next;
    vault.commit(&mut head, Some(&image))?;
    writeln!(io::stdout(), "process {id}: root {}, before slot {next}", image.root())?;
    Ok(Exit::Done)
}

fn adopt(disk: &Arc<dyn Disk>, file: &Path) -> anyhow::Result<Image> {
    let mut input = open(file)?;
    let gzipped = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let limits = ImageLimits::default();
    let mut memory: Box<dyn Read> =
        if gzipped { Box::new(GzDecoder::new(input)) } else { Box::new(input) };
    let adopted = disk.adopt(&mut memory, &limits).map_err(|error| match CuError::from(error) {
        CuError::Host(HostError::Io { source, .. }) if is_bad_gzip(&source) => {
            usage(format!("its gzip is cut or damaged ({source}); get it again"))
        }
        error => error.into(),
    });
    adopted.with_context(|| format!("{} cannot be taken as a checkpoint", file.display()))
}

/// What the decoder says of bytes that are no gzip, and no disk says of itself.
fn is_bad_gzip(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

fn open(file: &Path) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(1 << 20, files::open(file, "file")?))
}

fn read(file: &Path) -> anyhow::Result<Image> {
    let image = Image::read_from(&mut open(file)?, &ImageLimits::default());
    let image = image.map_err(|error| match error {
        ImageError::Refused(refusal) => refused(refusal),
        ImageError::Host(error) => error.into(),
    });
    image.with_context(|| format!("{} is no image that can be used", file.display()))
}

fn show(file: &Path, json: bool) -> anyhow::Result<Exit> {
    let image = read(file)?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", show_json(&image)?)?;
        return Ok(Exit::Done);
    }
    writeln!(out, "root     {}", image.root())?;
    writeln!(out, "module   {} (BLAKE3 of its bytes)", image.header().module)?;
    writeln!(out, "layout   {}", image.header().state)?;
    for (name, section) in image.sections() {
        let size = match section {
            Section::Pages(pages) => {
                format!(
                    "{} bytes, {} of {} pages not zero",
                    pages.len_bytes(),
                    used(section)?,
                    pages.page_count()
                )
            }
            Section::Table(table) => format!("{} rows, trie root {}", table.len(), table.root()),
        };
        writeln!(out, "section  {name}: {size}")?;
    }
    Ok(Exit::Done)
}

/// Pages that are not all zero.
fn used(section: &Section) -> anyhow::Result<u64> {
    let mut used = 0;
    if let Section::Pages(pages) = section {
        pages.for_each_hash(|_, _| {
            used += 1;
            Ok(())
        })?;
    }
    Ok(used)
}

fn show_json(image: &Image) -> anyhow::Result<Json> {
    let number = crate::wire::number;
    let mut sections = Vec::new();
    for (name, section) in image.sections() {
        let mut pairs = vec![("Name", Value::from(name.as_str()))];
        match section {
            Section::Pages(pages) => pairs.extend([
                ("Kind", Value::from("pages")),
                ("Bytes", number(pages.len_bytes())),
                ("Pages", number(pages.page_count())),
                ("Used", number(used(section)?)),
            ]),
            Section::Table(table) => {
                pairs.extend([("Kind", Value::from("table")), ("Rows", number(table.len()))]);
            }
        }
        pairs.push(("Root", Value::from(section.root().to_string())));
        sections.push(Value::object(pairs));
    }
    Ok(Json::from(Value::object([
        ("Root", Value::from(image.root().to_string())),
        ("Module", Value::from(image.header().module.to_string())),
        ("Layout", Value::from(image.header().state.as_str())),
        ("Sections", Value::from(sections)),
    ])))
}

/// What changed in one section.
#[derive(Default)]
struct Changed {
    whole: Option<&'static str>,
    pages: Vec<u64>,
    rows: u64,
}

fn diff(before: &Path, after: &Path) -> anyhow::Result<Exit> {
    let (old, new) = (read(before)?, read(after)?);
    let mut out = io::stdout().lock();
    if old.root() == new.root() {
        writeln!(out, "equal: root {}", new.root())?;
        return Ok(Exit::Done);
    }
    writeln!(out, "before   root {}\nafter    root {}", old.root(), new.root())?;
    if old.header() != new.header() {
        let whose =
            |image: &Image| format!("{} of module {}", image.header().state, image.header().module);
        writeln!(out, "header   {} became {}", whose(&old), whose(&new))?;
    }
    let mut changed: BTreeMap<String, Changed> = BTreeMap::new();
    for change in new.changes_since(&old) {
        let (section, change) = match change {
            Change::Section { section, now } => {
                let whole = if now.is_some() { "new, or of another size" } else { "gone" };
                (section, Changed { whole: Some(whole), ..Changed::default() })
            }
            Change::Page { section, index, .. } => {
                (section, Changed { pages: vec![index], ..Changed::default() })
            }
            Change::Row { section, .. } => (section, Changed { rows: 1, ..Changed::default() }),
        };
        let entry = changed.entry(section.to_string()).or_default();
        entry.whole = entry.whole.or(change.whole);
        entry.pages.extend(change.pages);
        entry.rows += change.rows;
    }
    for (name, changed) in changed {
        writeln!(out, "section  {name}: {}", said(&changed))?;
    }
    Ok(Exit::Guest)
}

fn said(changed: &Changed) -> String {
    let mut parts: Vec<String> = changed.whole.iter().map(|whole| (*whole).to_owned()).collect();
    if !changed.pages.is_empty() {
        let count = changed.pages.len();
        parts.push(format!("{count} pages of {PAGE} bytes differ, at {}", ranges(&changed.pages)));
    }
    if changed.rows > 0 {
        parts.push(format!("{} rows differ", changed.rows));
    }
    parts.join("; ")
}

/// `3, 7-9, …` of increasing numbers: at most twelve runs.
fn ranges(pages: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for page in pages {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == *page => *end = *page,
            _ => runs.push((*page, *page)),
        }
    }
    let more = if runs.len() > 12 { ", …" } else { "" };
    let run = |(start, end): &(u64, u64)| {
        if start == end { start.to_string() } else { format!("{start}-{end}") }
    };
    let shown: Vec<_> = runs.iter().take(12).map(run).collect();
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_run() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
        let many: Vec<u64> = (0..40).map(|n| n * 2).collect();
        assert!(ranges(&many).ends_with("22, …"));
    }
}
