//! Runs the directives of one script.

use super::mount::{Mount, Prepared, Stopped};
use super::spectest;
use super::values::{self, Compare, arguments};
use std::collections::BTreeMap;
use wasmtime::{Extern, Func, Global, Instance, Store, Trap, Val};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet};

/// How a directive came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    /// The rewriter does not take its module.
    Refused(String),
    /// It needs an instance that is missing because of another directive.
    Unreached,
    Failed(String),
}

/// A directive that was run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) outcome: Outcome,
}

/// A script that was run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) steps: Vec<Step>,
    /// Fuel that it used in all.
    pub(super) fuel: u64,
    /// The numbers that its calls returned.
    pub(super) results: Vec<u128>,
}

/// Runs the script `text`.
pub(super) fn run(mount: &Mount, text: &str) -> Log {
    let mut lexer = wast::lexer::Lexer::new(text);
    // Names of the scripts are made of it.
    lexer.allow_confusing_unicode(true);
    let buffer = wast::parser::ParseBuffer::new_with_lexer(lexer).unwrap();
    let wast = wast::parser::parse::<Wast<'_>>(&buffer).unwrap();
    let lines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut script = Script::new(mount).unwrap();
    let mut steps = Vec::with_capacity(wast.directives.len());
    for directive in wast.directives {
        let offset = directive.span().offset();
        let line = lines.partition_point(|end| *end < offset) + 1;
        let outcome = match script.directive(directive) {
            Ok(()) => Outcome::Passed,
            Err(Fell::Stopped(Stopped::Refused(why))) => Outcome::Refused(why),
            Err(Fell::Stopped(Stopped::Unreached)) => Outcome::Unreached,
            Err(Fell::Stopped(stopped)) => Outcome::Failed(stopped.text()),
            Err(Fell::Other(why)) => Outcome::Failed(why),
        };
        steps.push(Step { line, outcome });
    }
    Log { steps, fuel: u64::MAX - script.store.get_fuel().unwrap(), results: script.results }
}

/// Why a directive did not pass.
enum Fell {
    Stopped(Stopped),
    Other(String),
}

impl From<Stopped> for Fell {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<wasmtime::Error> for Fell {
    fn from(error: wasmtime::Error) -> Self {
        Self::Other(format!("{error:?}"))
    }
}

fn fell<T>(why: impl Into<String>) -> Result<T, Fell> {
    Err(Fell::Other(why.into()))
}

/// A place in [`Script::instances`], or nothing because the directive did not pass.
type Slot = Option<usize>;

/// An instance of the script.
struct Entry {
    /// Gone if a module that could have changed it was left out.
    instance: Option<Instance>,
    /// Those that it imports from.
    imports: Vec<usize>,
}

struct Script<'m> {
    mount: &'m Mount,
    store: Store<()>,
    spectest: BTreeMap<&'static str, Extern>,
    registered: BTreeMap<String, Slot>,
    named: BTreeMap<String, Slot>,
    definitions: BTreeMap<Option<String>, Option<Prepared>>,
    current: Slot,
    instances: Vec<Entry>,
    /// Counters of depth of all instances.
    meters: Vec<Global>,
    results: Vec<u128>,
}

impl<'m> Script<'m> {
    fn new(mount: &'m Mount) -> wasmtime::Result<Self> {
        let mut store = mount.store()?;
        let spectest = spectest::exports(&mut store)?;
        Ok(Self {
            mount,
            store,
            spectest,
            registered: BTreeMap::new(),
            named: BTreeMap::new(),
            definitions: BTreeMap::new(),
            current: None,
            instances: Vec::new(),
            meters: Vec::new(),
            results: Vec::new(),
        })
    }

    fn directive(&mut self, directive: WastDirective<'_>) -> Result<(), Fell> {
        match directive {
            WastDirective::Module(module) => self.module(module),
            WastDirective::ModuleDefinition(module) => self.definition(module),
            WastDirective::ModuleInstance { instance, module, .. } => {
                self.instance_of(instance, module)
            }
            WastDirective::Register { name, module, .. } => self.register(name, module),
            WastDirective::Invoke(call) => Ok(self.call(&call).map(drop)?),
            WastDirective::AssertReturn { exec, results, .. } => self.returns(exec, &results),
            WastDirective::AssertTrap { exec, message, .. } => {
                let result = self.execute(exec);
                traps(result, message)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let result = self.call(&call);
                traps(result, message)
            }
            WastDirective::AssertException { exec, .. } => match self.execute(exec) {
                Err(Stopped::Thrown) => {
                    self.store.take_pending_exception();
                    Ok(())
                }
                other => missed(other, "an exception"),
            },
            WastDirective::AssertUnlinkable { mut module, .. } => {
                match self.instantiate(module.encode()) {
                    Err(Stopped::Unlinkable(_)) => Ok(()),
                    other => missed(other, "no link"),
                }
            }
            WastDirective::AssertInvalid { module, .. }
            | WastDirective::AssertMalformed { module, .. }
            | WastDirective::AssertInvalidCustom { module, .. }
            | WastDirective::AssertMalformedCustom { module, .. } => self.rejects(module),
            WastDirective::AssertSuspension { .. }
            | WastDirective::Thread(_)
            | WastDirective::Wait { .. } => fell("a directive of a proposal that is off"),
        }
    }

    fn module(&mut self, mut module: QuoteWat<'_>) -> Result<(), Fell> {
        let name = module.name();
        self.set(name, None);
        let instance = self.instantiate(module.encode())?;
        self.set(name, Some(instance));
        Ok(())
    }

    fn definition(&mut self, mut module: QuoteWat<'_>) -> Result<(), Fell> {
        let name = module.name().map(|id| id.name().to_owned());
        self.definitions.insert(name.clone(), None);
        let prepared = self.mount.prepare(&encoded(module.encode())?)?;
        self.definitions.insert(name, Some(prepared));
        Ok(())
    }

    fn instance_of(
        &mut self,
        instance: Option<Id<'_>>,
        module: Option<Id<'_>>,
    ) -> Result<(), Fell> {
        self.set(instance, None);
        let key = module.map(|id| id.name().to_owned());
        let Some((key, found)) = self.definitions.remove_entry(&key) else {
            return fell("no such definition");
        };
        let linked = match &found {
            Some(found) => self.link(found),
            None => Err(Stopped::Unreached),
        };
        self.definitions.insert(key, found);
        self.set(instance, Some(linked?));
        Ok(())
    }

    fn set(&mut self, name: Option<Id<'_>>, slot: Slot) {
        self.current = slot;
        if let Some(name) = name {
            self.named.insert(name.name().to_owned(), slot);
        }
    }

    fn slot(&self, name: Option<Id<'_>>) -> Result<Slot, Stopped> {
        let Some(name) = name else { return Ok(self.current) };
        let found = self.named.get(name.name()).copied();
        found.ok_or_else(|| Stopped::Broken(format!("no module {}", name.name())))
    }

    fn get(&self, name: Option<Id<'_>>) -> Result<Instance, Stopped> {
        let slot = self.slot(name)?.ok_or(Stopped::Unreached)?;
        self.instances[slot].instance.ok_or(Stopped::Unreached)
    }

    fn register(&mut self, name: &str, module: Option<Id<'_>>) -> Result<(), Fell> {
        let slot = self.slot(module)?;
        self.registered.insert(name.to_owned(), slot);
        Ok(self.get(module).map(drop)?)
    }

    fn link(&mut self, prepared: &Prepared) -> Result<usize, Stopped> {
        let Self { spectest, registered, instances, .. } = self;
        let mut imports = Vec::new();
        let resolve = |store: &mut Store<()>, module: &str, name: &str| {
            if module == "spectest" {
                return Ok(spectest.get(name).cloned());
            }
            let Some(slot) = registered.get(module) else { return Ok(None) };
            let slot = slot.ok_or(Stopped::Unreached)?;
            imports.push(slot);
            let instance = instances[slot].instance.ok_or(Stopped::Unreached)?;
            Ok(instance.get_export(store, name))
        };
        let instance =
            self.mount.instantiate(&mut self.store, prepared, &mut self.meters, resolve)?;
        self.instances.push(Entry { instance: Some(instance), imports });
        Ok(self.instances.len() - 1)
    }

    fn instantiate(&mut self, bytes: Result<Vec<u8>, wast::Error>) -> Result<usize, Stopped> {
        let bytes = encoded(bytes)?;
        let linked = self.mount.prepare(&bytes).and_then(|prepared| self.link(&prepared));
        if let Err(Stopped::Invalid(_) | Stopped::Refused(_) | Stopped::Unreached) = linked {
            // What this module would have done to others, it did not.
            for module in import_modules(&bytes) {
                if let Some(Some(slot)) = self.registered.get(module) {
                    self.lose(*slot);
                }
            }
        }
        linked
    }

    /// Nothing that an instance answers can be relied on, nor what others answer that it is linked with.
    fn lose(&mut self, slot: usize) {
        if self.instances[slot].instance.take().is_none() {
            return;
        }
        for other in 0..self.instances.len() {
            let linked = |from: usize, to| self.instances[from].imports.contains(&to);
            if linked(slot, other) || linked(other, slot) {
                self.lose(other);
            }
        }
    }

    fn execute(&mut self, exec: WastExecute<'_>) -> Result<Vec<Val>, Stopped> {
        match exec {
            WastExecute::Invoke(call) => self.call(&call),
            WastExecute::Wat(mut module) => self.instantiate(module.encode()).map(|_| Vec::new()),
            WastExecute::Get { module, global, .. } => {
                let instance = self.get(module)?;
                let found = instance.get_global(&mut self.store, global);
                let found = found.ok_or_else(|| Stopped::Broken(format!("no global {global}")))?;
                Ok(vec![found.get(&mut self.store)])
            }
        }
    }

    fn call(&mut self, call: &WastInvoke<'_>) -> Result<Vec<Val>, Stopped> {
        let instance = self.get(call.module)?;
        let found = instance.get_func(&mut self.store, call.name);
        let func: Func =
            found.ok_or_else(|| Stopped::Broken(format!("no export {}", call.name)))?;
        let broken = |error: wasmtime::Error| Stopped::Broken(format!("{error:?}"));
        let args = arguments(&mut self.store, &call.args).map_err(broken)?;
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        self.depth(true)?;
        func.call(&mut self.store, &args, &mut results)
            .map_err(|error| Stopped::of_call(&error))?;
        self.depth(false)?;
        self.results.extend(results.iter().filter_map(values::bits));
        Ok(results)
    }

    /// Before a call, puts the counters of depth to zero; after one that returned, they are there again.
    fn depth(&mut self, reset: bool) -> Result<(), Stopped> {
        for meter in &self.meters {
            if reset {
                let set = meter.set(&mut self.store, Val::I32(0));
                set.map_err(|error| Stopped::Broken(format!("{error:?}")))?;
            } else if meter.get(&mut self.store).i32() != Some(0) {
                return Err(Stopped::Broken("depth left after a call that returned".into()));
            }
        }
        Ok(())
    }

    fn returns(&mut self, exec: WastExecute<'_>, expected: &[WastRet<'_>]) -> Result<(), Fell> {
        let found = self.execute(exec)?;
        let compare = Compare { nan: self.mount.nan() };
        if compare.all(&mut self.store, &found, expected) {
            return Ok(());
        }
        fell(format!("expected {expected:?}, found {found:?}"))
    }

    fn rejects(&mut self, mut module: QuoteWat<'_>) -> Result<(), Fell> {
        let Ok(bytes) = module.encode() else { return Ok(()) };
        match self.mount.reject(&bytes) {
            Err(Stopped::Invalid(_) | Stopped::Refused(_)) => Ok(()),
            other => missed(other, "a module that is not valid"),
        }
    }
}

/// Modules that a module imports from, as far as it can be read.
fn import_modules(bytes: &[u8]) -> Vec<&str> {
    let mut modules = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(wasmparser::Payload::ImportSection(section)) => {
                modules.extend(section.into_imports().flatten().map(|import| import.module));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    modules
}

fn encoded(bytes: Result<Vec<u8>, wast::Error>) -> Result<Vec<u8>, Stopped> {
    bytes.map_err(|error| Stopped::Invalid(error.message()))
}

fn traps(result: Result<Vec<Val>, Stopped>, message: &str) -> Result<(), Fell> {
    // Older scripts cut the words, newer ones add to them.
    let fits =
        |words: &str, message: &str| words.starts_with(message) || message.starts_with(words);
    let fits = match &result {
        Err(Stopped::Trapped(trap)) => words(*trap).iter().any(|words| fits(words, message)),
        Err(Stopped::TooDeep) => message == EXHAUSTED,
        _ => false,
    };
    if fits { Ok(()) } else { missed(result, message) }
}

/// Not what was expected: by refusal and the like, or by another result.
fn missed<T: std::fmt::Debug>(result: Result<T, Stopped>, expected: &str) -> Result<(), Fell> {
    match result {
        Err(stopped @ (Stopped::Refused(_) | Stopped::Unreached)) => Err(stopped.into()),
        Err(stopped) => fell(format!("expected {expected}, found {}", stopped.text())),
        Ok(found) => fell(format!("expected {expected}, found {found:?}")),
    }
}

const EXHAUSTED: &str = "call stack exhausted";

/// What the scripts call a trap.
fn words(trap: Trap) -> &'static [&'static str] {
    match trap {
        Trap::StackOverflow => &[EXHAUSTED],
        Trap::MemoryOutOfBounds => &["out of bounds memory access"],
        Trap::TableOutOfBounds => &["out of bounds table access", "undefined element"],
        Trap::IndirectCallToNull => &["uninitialized element"],
        Trap::BadSignature => &["indirect call type mismatch"],
        Trap::IntegerOverflow => &["integer overflow"],
        Trap::IntegerDivisionByZero => &["integer divide by zero"],
        Trap::BadConversionToInteger => &["invalid conversion to integer"],
        Trap::UnreachableCodeReached => &["unreachable"],
        _ => &[],
    }
}
