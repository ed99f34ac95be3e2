//! Where everything goes: the index spaces of the rewritten module.

use super::{
    Lower, RewriteError, Rules,
    asyncify::{self, Asyncify},
    bug,
    copy::{self, CopyImport},
    facts::{IMPORT_MODULE, OUT_OF_GAS, Signature, TOO_DEEP, ValType},
    gas::{self, GasImport},
    lower,
    nan::Lanes,
    not_allowed,
    scan::Scan,
    types::Types,
};

/// A function that rewriting adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helper {
    /// Counts gas; the parameter's type.
    UseGas(ValType),
    /// Copies memory as the reference does; the parameters' type.
    Copy(ValType),
    /// The NaN of an operation on two operands: which, and of what pattern.
    Operands(Lanes),
    /// The NaNs of a vector's `max`.
    Max(Lanes),
    /// A NaN made longer, with lanes of the result.
    Promote(Lanes),
    /// A NaN made shorter, with lanes of the result.
    Demote(Lanes),
}

/// Index spaces and types of the rewritten module.
pub(super) struct Plan {
    /// Types, to which rewriting adds.
    pub(super) types: Types,
    /// Functions that the module imports.
    imported: u32,
    /// Functions that rewriting imports.
    added: u32,
    /// Functions that the module defines.
    defined: u32,
    /// The import that is never called again.
    pub(super) gas_import: Option<GasImport>,
    /// Imports that copy, never called again.
    copies: Vec<CopyImport>,
    /// Asyncify, whose state is taken as 0.
    pub(super) asyncify: Option<Asyncify>,
    /// The memory gets 32-bit addresses.
    pub(super) lowered: bool,
    /// Function index of the import [`TOO_DEEP`].
    pub(super) too_deep: u32,
    /// Function index of the import [`OUT_OF_GAS`]; without gas, of nothing.
    pub(super) out_of_gas: u32,
    /// Global indices.
    pub(super) depth: u32,
    pub(super) depth_limit: u32,
    /// Global indices; without gas, of nothing.
    pub(super) gas: u32,
    pub(super) gas_limit: u32,
    /// Functions that rewriting adds, in order of first use.
    pub(super) helpers: Vec<Helper>,
}

impl Plan {
    /// Lays out the index spaces, and takes the types out of `scan`.
    pub(super) fn new(scan: &mut Scan<'_>, rules: &Rules) -> Result<Self, RewriteError> {
        for (module, name, _) in &scan.imports {
            if *module == IMPORT_MODULE && (*name == TOO_DEEP || *name == OUT_OF_GAS) {
                return Err(not_allowed(format!("the import {module}.{name} is reserved")));
            }
        }
        let gas_import = gas::find(scan, rules)?;
        // What the reference counts as gas, Asyncify's own work included, has to be done.
        let direct = rules.direct_waits && gas_import.is_none();
        let asyncify = if direct { asyncify::find(scan)? } else { None };
        let copies = copy::find(scan, rules);
        let imported = count(scan.imports.len())?;
        let globals = count(scan.globals.len())?;
        Ok(Self {
            types: std::mem::take(&mut scan.types),
            imported,
            added: if gas_import.is_some() { 2 } else { 1 },
            defined: count(scan.functions.len())?,
            gas_import,
            copies,
            asyncify,
            lowered: lowered(scan, rules),
            too_deep: imported,
            out_of_gas: imported + 1,
            depth: globals,
            depth_limit: globals + 1,
            gas: globals + 2,
            gas_limit: globals + 3,
            helpers: Vec::new(),
        })
    }

    /// The new index of one of the module's functions.
    pub(super) fn function(&self, index: u32) -> u32 {
        if index < self.imported { index } else { index.saturating_add(self.added) }
    }

    /// The function to call where the module calls `index`.
    pub(super) fn callee(&mut self, index: u32) -> u32 {
        match self.gas_import {
            Some((import, ty)) if import == index => self.helper(Helper::UseGas(ty)),
            _ => match self.copies.iter().find(|(import, _)| *import == index) {
                Some((_, ty)) => self.helper(Helper::Copy(*ty)),
                None => self.function(index),
            },
        }
    }

    /// The index of a helper, which is added if it is new.
    pub(super) fn helper(&mut self, helper: Helper) -> u32 {
        let known = self.helpers.iter().position(|known| *known == helper);
        let position = known.unwrap_or_else(|| {
            self.helpers.push(helper);
            self.helpers.len() - 1
        });
        // There are at most sixteen kinds of helpers.
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        (self.imported + self.added + self.defined).saturating_add(position)
    }
}

impl Helper {
    /// Parameters and results.
    pub(super) fn signature(self) -> Signature {
        let one = |params: &[ValType], result: ValType| Signature::of(params, &[result]);
        match self {
            Self::UseGas(ty) => Signature::of(&[ty], &[]),
            Self::Copy(ty) => Signature::of(&[ty, ty, ty], &[]),
            Self::Operands(lanes) | Self::Max(lanes) => {
                let ty = lanes.ty();
                if lanes.vector() { one(&[ty, ty, ty], ty) } else { one(&[ty, ty], ty) }
            }
            Self::Promote(lanes) | Self::Demote(lanes) => {
                let (from, ty) = (lanes.converted().ty(), lanes.ty());
                if lanes.vector() { one(&[from, ty], ty) } else { one(&[from], ty) }
            }
        }
    }
}

/// Whether the memory gets 32-bit addresses.
fn lowered(scan: &Scan<'_>, rules: &Rules) -> bool {
    let Some(memory) = scan.memory.filter(|memory| memory.memory64) else { return false };
    match rules.lower {
        Lower::Never => false,
        Lower::Bounded => memory.maximum.is_some_and(|most| most <= lower::PAGES),
        #[cfg(test)]
        Lower::Always => memory.initial <= lower::PAGES,
    }
}

/// A length as an index.
pub(super) fn count(length: usize) -> Result<u32, RewriteError> {
    u32::try_from(length).map_err(|_| bug("a list longer than its bound"))
}

/// An index as a position in a list.
pub(super) fn position(index: u32) -> Option<usize> {
    usize::try_from(index).ok()
}
