//! One process at work: its folder, its drive, and the message that comes next.

use super::{
    App,
    error::{refused, usage},
    message::{self, BLOCK_START, CLOCK_START_MS, CLOCK_STEP_MS, Place},
    module::{self, ModuleArgs},
};
use crate::{
    cu::{Bay, CuError, Evaluated, Head, Noted, OfflineHost, Stored, Vault, call_seed},
    disk::{
        Call, Disk, Image, ImageLimits, Mode, Module, Process, Refusal, RefusalCode, Root, Slot,
        Tag, WireJson, json::Value,
    },
    wire::{Fields, ModuleInfo, env_json, tags_value},
};
use std::{path::Path, sync::Arc};

/// What a process that says nothing in its data says.
const SPAWN_DATA: &str = "1984";

/// Which process, of which module.
#[derive(clap::Args, Clone)]
pub(crate) struct ProcessArgs {
    #[command(flatten)]
    pub(crate) module: ModuleArgs,
    /// The process: its id, and the name of its folder [default: one made from the module]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(crate) process: Option<String>,
    /// Forget the process and start it anew
    #[arg(long)]
    pub(crate) fresh: bool,
    /// At the first run: address of the owner, who also sends what has no other sender
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub(crate) owner: Option<String>,
    /// At the first run: a tag of the process, such as Name=tally or On-Boot=Data (repeatable)
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    pub(crate) tags: Vec<Tag>,
    /// At the first run: a tag of the module, such as Memory-Limit=1-gb (repeatable)
    #[arg(long = "module-tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    pub(crate) module_tags: Vec<Tag>,
}

/// A process, and what is needed to go on with it.
pub(crate) struct Session {
    vault: Vault,
    head: Head,
    bay: Bay,
    process: Arc<Process>,
    env: Arc<str>,
    dry: bool,
    /// Time of the next message, where `--timestamp` set the clock.
    clock: Option<u64>,
}

/// One evaluated message.
pub(crate) struct Step {
    pub(crate) nonce: u64,
    pub(crate) dry: bool,
    /// `Action`, else `Type`, for a person to tell messages apart.
    pub(crate) name: String,
    pub(crate) root: Root,
    pub(crate) evaluated: Evaluated,
}

fn parse_tag(text: &str) -> Result<Tag, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Tag::new(name, value)),
        _ => Err("a tag is NAME=VALUE, such as Name=tally".to_owned()),
    }
}

impl Session {
    /// Mounts the process, or prepares a new one. A dry session leaves no mark on the disk.
    pub(crate) fn open(app: &App, args: &ProcessArgs, dry: bool) -> anyhow::Result<Self> {
        let Prepared { head, disk, module, .. } = prepare(app, args)?;
        let process = Arc::new(process_of(&head));
        let limits = module::reader(&app.readers, &module)?.limits(&module, &process);
        let (vault, head) = hold(app, args, head, &module, dry)?;
        let stored = vault.image(&head, &ImageLimits::default())?;
        let image = stored.unwrap_or_else(|| disk.blank().clone());
        let (id, owner) = (head.module.id.clone(), head.module.owner.clone());
        let env = env_json(&process, &ModuleInfo { id, owner, tags: module.tags }).text();
        let bay = Bay::open(disk, limits, image)?;
        Ok(Self { vault, head, bay, process, env, dry, clock: None })
    }

    /// The process as it stood after `slot`, by replay; and that slot again. Whatever is sent to it is a dry-run.
    pub(crate) fn open_at(
        app: &App,
        args: &ProcessArgs,
        slot: u64,
    ) -> anyhow::Result<(Self, Step)> {
        let mut session = Self::open(app, args, true)?;
        let id = session.head.process.id.clone();
        match session.head.next {
            next if slot < next => {}
            0 => return Err(usage(format!("process {id} has no slots yet; send it a message"))),
            next => {
                let last = next - 1;
                return Err(usage(format!(
                    "process {id} has the slots 0 to {last}, and no {slot}"
                )));
            }
        }
        let noted = session.vault.noted(slot + 1)?;
        session.rewind();
        let mut last = None;
        for Noted { nonce, root, message } in noted {
            let fields = Fields::parse(Value::parse(&message)?).map_err(refused)?;
            let step = session.evaluate(fields, Mode::Scheduled)?;
            let again = step.root.to_string();
            if again != root {
                let slot = Slot { nonce, ..Slot::default() };
                let why = format!("its root was {root}, and is {again} now");
                return Err(CuError::Diverged { process: id, slot, why }.into());
            }
            last = Some(step);
        }
        let step = last.ok_or_else(|| usage(format!("process {id} has no slot {slot}")))?;
        Ok((session, step))
    }

    /// Back to where nothing was evaluated yet.
    fn rewind(&mut self) {
        let Head { module, process, format, module_blake3, .. } = self.head.clone();
        self.head = Head::new(module, process, &format, module_blake3);
        self.head.hash_chain = first_chain(&self.head.process.id);
        self.bay.reset();
    }

    /// Sets the clock: the next message stands at `timestamp_ms`, further ones a second apart.
    pub(crate) fn set_clock(&mut self, timestamp_ms: Option<u64>) {
        self.clock = timestamp_ms;
    }

    /// Where the process stands.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The committed state.
    pub(crate) fn image(&self) -> &Image {
        self.bay.image()
    }

    /// Evaluates the process's own message, if it has not been yet. It says `data`.
    pub(crate) fn boot(&mut self, data: Option<&str>) -> anyhow::Result<Option<Step>> {
        if self.head.next > 0 {
            return Ok(None);
        }
        let mut fields = Fields::default();
        fields.set("Id", self.process.id.as_str());
        fields.set("Data", data.unwrap_or(SPAWN_DATA));
        fields.set("Tags", tags_value(&self.process.tags));
        // A dry-run needs a state to run on, so the spawn is evaluated, and kept nowhere.
        self.evaluate(fields, Mode::Scheduled).map(Some)
    }

    /// Evaluates the next message: a scheduled one, or a dry-run in a dry session.
    pub(crate) fn send(&mut self, fields: Fields) -> anyhow::Result<Step> {
        self.evaluate(fields, if self.dry { Mode::DryRun } else { Mode::Scheduled })
    }

    /// Evaluates the next message as a scheduled one: of a dry session, in memory alone.
    pub(crate) fn play(&mut self, fields: Fields) -> anyhow::Result<Step> {
        self.evaluate(fields, Mode::Scheduled)
    }

    /// Evaluates a message that leaves no mark.
    pub(crate) fn peek(&mut self, fields: Fields) -> anyhow::Result<Step> {
        self.evaluate(fields, Mode::DryRun)
    }

    fn evaluate(&mut self, mut fields: Fields, mode: Mode) -> anyhow::Result<Step> {
        let dry = mode == Mode::DryRun;
        message::fill(&mut fields, &self.place(dry));
        if !dry {
            self.check(&fields)?;
        }
        let call = Arc::new(self.call(&fields, mode));
        let host = OfflineHost::new(Arc::clone(&self.process), tags_of(&self.head.module));
        let evaluated = self.bay.advance(Arc::clone(&call), Arc::new(host))?;
        let root = self.bay.image().root();
        if !dry {
            self.advance(&call, &fields, &evaluated)?;
        }
        let tags = &call.message.tags;
        let name =
            Tag::last(tags, "Action").or_else(|| Tag::last(tags, "Type")).unwrap_or("Message");
        Ok(Step { nonce: call.slot.nonce, dry, name: name.to_owned(), root, evaluated })
    }

    /// A dry-run stands where the last message stands.
    fn place(&self, dry: bool) -> Place<'_> {
        let head = &self.head;
        let nonce = if dry { head.next.saturating_sub(1) } else { head.next };
        let custom = CLOCK_START_MS.saturating_add(CLOCK_STEP_MS.saturating_mul(nonce));
        let timestamp_ms = match self.clock {
            Some(clock) => clock,
            None if dry => head.timestamp_ms,
            None if head.next > 0 && custom <= head.timestamp_ms => {
                head.timestamp_ms + CLOCK_STEP_MS
            }
            None => custom,
        };
        let block_height = match dry {
            true => head.block_height,
            false => head.block_height.max(BLOCK_START.saturating_add(nonce)),
        };
        Place {
            process: &self.process.id,
            owner: &self.process.owner,
            nonce,
            timestamp_ms,
            block_height,
            hash_chain: &head.hash_chain,
            dry,
        }
    }

    /// Whether a scheduler could have put the message here.
    fn check(&self, fields: &Fields) -> anyhow::Result<()> {
        let (head, number) = (&self.head, |key| fields.number(key).unwrap_or_default());
        let (nonce, time, height) = (number("Nonce"), number("Timestamp"), number("Block-Height"));
        let wrong = if nonce != head.next {
            format!(
                "Nonce is {nonce}, but the next message of this process is {}; leave Nonce out",
                head.next
            )
        } else if head.next > 0 && time <= head.timestamp_ms {
            format!(
                "Timestamp is {time}, but the last message stands at {}: time only runs forward in a \
                 process; leave Timestamp out, or give a later one",
                head.timestamp_ms
            )
        } else if height < head.block_height {
            format!(
                "Block-Height is {height}, but the last message stands at {}",
                head.block_height
            )
        } else {
            return Ok(());
        };
        Err(refused(Refusal::new(RefusalCode::NotAllowed, wrong)))
    }

    fn call(&self, fields: &Fields, mode: Mode) -> Call {
        let place = self.place(mode == Mode::DryRun);
        let epoch = fields.number("Epoch").unwrap_or_default();
        let chain = fields.text("Hash-Chain").unwrap_or_else(|| self.head.hash_chain.clone());
        let slot = Slot { epoch, nonce: place.nonce, tick: 0 };
        let seed = call_seed(&self.process.id, slot, &chain);
        Call {
            process: Arc::clone(&self.process),
            message: Arc::new(fields.message()),
            json: WireJson { message: fields.json().text(), env: Arc::clone(&self.env) },
            slot,
            timestamp_ms: fields.number("Timestamp").unwrap_or_default(),
            block_height: fields.number("Block-Height").unwrap_or_default(),
            seed,
            mode,
        }
    }

    /// Moves on by one slot, faulted or not, and makes that durable.
    fn advance(&mut self, call: &Call, fields: &Fields, done: &Evaluated) -> anyhow::Result<()> {
        let chain = fields.get("Hash-Chain").and_then(Value::as_str).unwrap_or_default();
        self.head.hash_chain = message::id_of(&[chain.as_bytes(), call.message.id.as_bytes()]);
        self.head.next += 1;
        self.head.timestamp_ms = call.timestamp_ms;
        self.head.block_height = call.block_height;
        self.clock = self.clock.map(|clock| clock.saturating_add(CLOCK_STEP_MS));
        if self.dry {
            return Ok(());
        }
        let root = self.bay.image().root().to_string();
        let message = fields.json().as_str().to_owned();
        self.vault.note(&Noted { nonce: call.slot.nonce, root, message })?;
        let image = done.fault.is_none().then(|| self.bay.image());
        Ok(self.vault.commit(&mut self.head, image)?)
    }
}

/// A process that is to be given a state: its disk, and the head that it would have.
pub(crate) struct Prepared {
    pub(crate) head: Head,
    pub(crate) disk: Arc<dyn Disk>,
    /// It already ran.
    pub(crate) exists: bool,
    module: Module,
}

/// Reads the module and the head, and leaves the folder as it is.
pub(crate) fn prepare(app: &App, args: &ProcessArgs) -> anyhow::Result<Prepared> {
    let module = args.module.read(&app.readers)?;
    let id = process_id(args, &module);
    // A look first: a module that is refused, or a process in use, leaves no folder behind.
    let stored = if args.fresh { None } else { Vault::peek(&app.config.data, &id)?.head()? };
    let exists = stored.is_some();
    let head = head_of(stored, args, &module, &id)?;
    let module = Module { tags: tags_of(&head.module), ..module };
    let disk = module::read_disk(app, &module)?;
    Ok(Prepared { head, disk, exists, module })
}

/// Takes hold of the folder, and reads again what may have changed since the first look.
fn hold(
    app: &App,
    args: &ProcessArgs,
    head: Head,
    module: &Module,
    dry: bool,
) -> anyhow::Result<(Vault, Head)> {
    let (data, id) = (&app.config.data, head.process.id.clone());
    let vault = if dry { Vault::peek(data, &id)? } else { Vault::open(data, &id)? };
    if args.fresh && !dry {
        vault.forget()?;
    }
    let stored = if args.fresh { None } else { vault.head()? };
    let head = match stored {
        Some(stored) => head_of(Some(stored), args, module, &id)?,
        None => head,
    };
    Ok((vault, head))
}

fn process_id(args: &ProcessArgs, module: &Module) -> String {
    let format = module.format.as_str().as_bytes();
    let made = || message::id_of(&[b"drivebay process id", &module.id.0, format]);
    args.process.clone().unwrap_or_else(made)
}

/// The stored head, if it is that of this module and of these tags; else a new one.
fn head_of(
    stored: Option<Head>,
    args: &ProcessArgs,
    module: &Module,
    id: &str,
) -> anyhow::Result<Head> {
    let path = std::path::absolute(&args.module.file).unwrap_or_else(|_| args.module.file.clone());
    let mut head = match stored {
        Some(head) => {
            check_module(&head, module, &args.module.file)?;
            check_tags(&head, args)?;
            head
        }
        None => new_head(args, module, id),
    };
    head.module_path = path.display().to_string();
    Ok(head)
}

fn new_head(args: &ProcessArgs, module: &Module, id: &str) -> Head {
    let owner = args.owner.clone();
    let owner = owner.unwrap_or_else(|| message::id_of(&[b"drivebay default owner"]));
    let module_id = data_encoding::BASE64URL_NOPAD.encode(&module.id.0);
    let mut tags = message::tags("Process", &args.tags);
    for (name, value) in [("Module", &module_id), ("Authority", &owner)] {
        if Tag::last(&tags, name).is_none() {
            tags.push(Tag::new(name, value));
        }
    }
    let module_tags = merged(module.tags.clone(), &args.module_tags);
    let publisher = Stored { id: module_id, owner: owner.clone(), tags: pairs(&module_tags) };
    let process = Stored { id: id.to_owned(), owner, tags: pairs(&tags) };
    let mut head = Head::new(publisher, process, module.format.as_str(), module.id.to_string());
    head.hash_chain = first_chain(id);
    head
}

/// The hash chain before the first message.
fn first_chain(process: &str) -> String {
    message::id_of(&[process.as_bytes()])
}

fn check_module(head: &Head, module: &Module, path: &Path) -> anyhow::Result<()> {
    let id = &head.process.id;
    if head.module_blake3 != module.id.to_string() {
        return Err(usage(format!(
            "process {id} belongs to another module: its state is of {} (BLAKE3 {}), and {} is {}; a \
             state means nothing to another module. Give that module, another --process, or --fresh to \
             forget the state",
            head.module_path,
            head.module_blake3,
            path.display(),
            module.id
        )));
    }
    if head.format != module.format.as_str() {
        return Err(usage(format!(
            "process {id} runs under the rules of {}, not of {}; leave --format out, or give another \
             --process",
            head.format, module.format
        )));
    }
    Ok(())
}

fn check_tags(head: &Head, args: &ProcessArgs) -> anyhow::Result<()> {
    let id = &head.process.id;
    let lacks = |stored: &Stored, asked: &[Tag]| {
        let has = |tag: &Tag| stored.tags.iter().any(|(n, v)| *n == tag.name && *v == tag.value);
        asked.iter().find(|tag| !has(tag)).map(|tag| format!("tag {}={}", tag.name, tag.value))
    };
    let owner = args.owner.as_ref().filter(|owner| **owner != head.process.owner);
    let lack = lacks(&head.process, &args.tags)
        .or_else(|| lacks(&head.module, &args.module_tags))
        .or_else(|| owner.map(|owner| format!("owner {owner}")));
    match lack {
        None => Ok(()),
        Some(lack) => Err(usage(format!(
            "process {id} was started without {lack}, and what it was started with is fixed; leave it \
             out, give another --process, or --fresh to start anew"
        ))),
    }
}

fn merged(mut tags: Vec<Tag>, more: &[Tag]) -> Vec<Tag> {
    tags.retain(|tag| more.iter().all(|other| other.name != tag.name));
    tags.extend_from_slice(more);
    tags
}

fn process_of(head: &Head) -> Process {
    let Stored { id, owner, .. } = head.process.clone();
    Process { id, owner, module: head.module.id.clone(), tags: tags_of(&head.process) }
}

fn tags_of(stored: &Stored) -> Vec<Tag> {
    stored.tags.iter().map(|(name, value)| Tag::new(name, value)).collect()
}

fn pairs(tags: &[Tag]) -> Vec<(String, String)> {
    tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect()
}
