//! Emscripten's Asyncify, taken out where the host answers at once.
//!
//! Asyncify keeps a state in a global: 0 while the guest runs, 1 while it unwinds, 2 while it rewinds. Only its
//! own exports change it, and a host that never calls them leaves it 0 for ever. Every reading of it is then
//! the constant 0, and what depends on that is folded away (`fold`).

use super::{
    RewriteError, bug,
    facts::ValType,
    plan,
    scan::{Global, Scan},
};
use wasmparser::{ExternalKind, Operator};

/// The exports that may change the state, and the one that reads it.
const START_UNWIND: &str = "asyncify_start_unwind";
const SETTERS: [&str; 4] =
    [START_UNWIND, "asyncify_stop_unwind", "asyncify_start_rewind", "asyncify_stop_rewind"];
const GETTER: &str = "asyncify_get_state";

/// Asyncify in a module whose state can be taken as 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asyncify {
    /// The global that holds the state.
    pub(super) state: u32,
    /// Positions, among the defined functions, of the exports that change it: they stay as they are.
    setters: Vec<u32>,
}

impl Asyncify {
    /// Whether the function at that position is one of Asyncify's own.
    pub(super) fn owns(&self, position: u32) -> bool {
        self.setters.contains(&position)
    }
}

/// Finds Asyncify, if nothing but its own exports can change its state.
pub(super) fn find(scan: &Scan<'_>) -> Result<Option<Asyncify>, RewriteError> {
    let Some(getter) = function(scan, GETTER) else { return Ok(None) };
    let setters: Option<Vec<u32>> = SETTERS.iter().map(|name| function(scan, name)).collect();
    let Some(setters) = setters else { return Ok(None) };
    let Some(state) = getter_of(scan, getter)? else { return Ok(None) };
    let fit = plan::position(state).and_then(|at| scan.globals.get(at)).is_some_and(is_state);
    let exported = scan
        .exports
        .iter()
        .any(|(_, kind, of)| matches!(kind, ExternalKind::Global) && *of == state);
    let found = Asyncify { state, setters };
    if !fit || exported || reachable(scan, &found) || changes(scan, &found)? {
        return Ok(None);
    }
    Ok(Some(found))
}

fn is_state(global: &Global) -> bool {
    global.ty == ValType::I32 && global.mutable && global.bits == 0
}

/// The position of an exported function that the module defines.
fn function(scan: &Scan<'_>, name: &str) -> Option<u32> {
    let is = |kind: &ExternalKind| matches!(kind, ExternalKind::Func);
    let found = scan.exports.iter().find(|(export, kind, _)| *export == name && is(kind))?;
    found.2.checked_sub(u32::try_from(scan.imports.len()).ok()?)
}

/// The global that the getter returns.
fn getter_of(scan: &Scan<'_>, position: u32) -> Result<Option<u32>, RewriteError> {
    let Some(body) = plan::position(position).and_then(|at| scan.bodies.get(at)) else {
        return Ok(None);
    };
    let mut reader = body.source.get_operators_reader().map_err(bug)?;
    match (reader.read().map_err(bug)?, reader.read().map_err(bug)?) {
        (Operator::GlobalGet { global_index }, Operator::End) => Ok(Some(global_index)),
        _ => Ok(None),
    }
}

/// Whether the module can call Asyncify's exports by its table or as its start.
fn reachable(scan: &Scan<'_>, found: &Asyncify) -> bool {
    let imports = u32::try_from(scan.imports.len()).unwrap_or(u32::MAX);
    let owned = |index: u32| index.checked_sub(imports).is_some_and(|at| found.owns(at));
    let in_table = scan.elements.iter().flat_map(|(_, list)| list).flatten().any(|at| owned(*at));
    in_table || scan.start.is_some_and(owned)
}

/// Whether any other function sets the state, or calls what does.
fn changes(scan: &Scan<'_>, found: &Asyncify) -> Result<bool, RewriteError> {
    let imports = u32::try_from(scan.imports.len()).map_err(bug)?;
    for (position, body) in (0u32..).zip(&scan.bodies) {
        let own = found.owns(position);
        for op in body.source.get_operators_reader().map_err(bug)? {
            let changes = match op.map_err(bug)? {
                Operator::GlobalSet { global_index } => global_index == found.state && !own,
                Operator::Call { function_index } => {
                    function_index.checked_sub(imports).is_some_and(|at| found.owns(at))
                }
                _ => false,
            };
            if changes {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
