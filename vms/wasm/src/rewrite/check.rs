//! Which features and operators are taken, and the check of what was written.

use super::{RewriteError, Rules, bug, not_allowed};
use wasmparser::{Operator, ValType, Validator, WasmFeatures};

/// What the validator accepts of a module. References are on for the encodings that came with them;
/// [`operator`] and the readers of types refuse the rest of that proposal.
pub(super) fn features(rules: &Rules) -> WasmFeatures {
    let mut features = base();
    features.set(WasmFeatures::MEMORY64, rules.memory64);
    let legacy = WasmFeatures::EXCEPTIONS | WasmFeatures::LEGACY_EXCEPTIONS;
    features.set(legacy, rules.allow_legacy_eh);
    features
}

fn base() -> WasmFeatures {
    WasmFeatures::WASM1
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::SIMD
}

/// Validates what rewriting wrote. It can only fail if rewriting is wrong.
pub(super) fn output(bytes: &[u8]) -> Result<(), RewriteError> {
    let features = base() | WasmFeatures::MEMORY64 | WasmFeatures::EXCEPTIONS;
    match Validator::new_with_features(features).validate_all(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(bug(format!("the rewritten module is not valid: {error}"))),
    }
}

/// Refuses an operator that its feature's flag lets through, but these rules do not.
pub(super) fn operator(op: &Operator<'_>, rules: &Rules) -> Result<(), RewriteError> {
    let what = match op {
        Operator::MemoryInit { .. } => "memory.init",
        Operator::DataDrop { .. } => "data.drop",
        Operator::ElemDrop { .. } => "elem.drop",
        Operator::TableInit { .. } => "table.init",
        Operator::TableCopy { .. } => "table.copy",
        Operator::TableFill { .. } => "table.fill",
        Operator::TableGet { .. } => "table.get",
        Operator::TableSet { .. } => "table.set",
        Operator::TableGrow { .. } => "table.grow",
        Operator::TableSize { .. } => "table.size",
        Operator::RefNull { .. } => "ref.null",
        Operator::RefIsNull => "ref.is_null",
        Operator::RefFunc { .. } => "ref.func",
        Operator::TypedSelect { ty: ValType::Ref(_) } => "select of references",
        Operator::TypedSelectMulti { .. } => "select of several values",
        Operator::Try { .. } | Operator::Catch { .. } | Operator::Throw { .. } => {
            return exceptions(rules);
        }
        Operator::TryTable { .. } => "try_table",
        Operator::ThrowRef => "throw_ref",
        Operator::Rethrow { .. } => "rethrow",
        Operator::Delegate { .. } => "delegate",
        Operator::CatchAll => "catch_all",
        _ => return Ok(()),
    };
    Err(not_allowed(format!("the operator {what} is not allowed")))
}

fn exceptions(rules: &Rules) -> Result<(), RewriteError> {
    if rules.allow_legacy_eh {
        return Ok(());
    }
    Err(not_allowed("exceptions (try, catch, throw) are not allowed in this format"))
}
