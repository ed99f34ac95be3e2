//! The import that copies big blocks, answered inside the module by `memory.copy`.
//!
//! The reference's is `TypedArray.copyWithin`: what lies past the end of memory is left out, overlaps are
//! moved, nothing traps. So the helper clamps before it copies.

use super::{
    Rules,
    facts::{Signature, ValType},
    gas,
    scan::Scan,
};
use wasm_encoder::{Function, InstructionSink};

/// The import: its function index, and the type of its three parameters.
pub(super) type CopyImport = (u32, ValType);

/// Finds the imports that copy, where calls of them can be replaced.
pub(super) fn find(scan: &Scan<'_>, rules: &Rules) -> Vec<CopyImport> {
    let mut found = Vec::new();
    for (index, (module, name, ty)) in (0u32..).zip(&scan.imports) {
        let named = rules.copies.contains(&(*module, *name));
        let ty = if named { parameter(scan.types.get(*ty)) } else { None };
        let Some(ty) = ty else { continue };
        if gas::only_called(scan, index) {
            found.push((index, ty));
        }
    }
    found
}

fn parameter(signature: Option<&Signature>) -> Option<ValType> {
    let lists = signature.map(|ty| (ty.params.as_slice(), ty.results.as_slice()));
    match lists {
        Some(([ty @ (ValType::I32 | ValType::I64), second, third], []))
            if ty == second && ty == third =>
        {
            Some(*ty)
        }
        _ => None,
    }
}

const SIZE: u32 = 3;
const TO: u32 = 4;
const FROM: u32 = 5;
const LEN: u32 = 6;

/// The function that takes the import's place. `pointer` is the parameters' type, `wide` the memory's.
pub(super) fn helper(pointer: ValType, wide: bool) -> Function {
    let mut function = Function::new([(4, wasm_encoder::ValType::I64)]);
    let mut code = function.instructions();
    code.memory_size(0);
    if !wide {
        code.i64_extend_i32_u();
    }
    code.i64_const(16).i64_shl().local_set(SIZE);
    for (param, local) in [(0, TO), (1, FROM)] {
        least(parameter_of(&mut code, param, pointer), local, |code| {
            code.local_get(SIZE);
        });
    }
    least(parameter_of(&mut code, 2, pointer), LEN, |code| {
        code.local_get(SIZE).local_get(FROM).i64_sub();
    });
    code.local_get(LEN);
    least(&mut code, LEN, |code| {
        code.local_get(SIZE).local_get(TO).i64_sub();
    });
    for local in [TO, FROM, LEN] {
        code.local_get(local);
        if !wide {
            code.i32_wrap_i64();
        }
    }
    code.memory_copy(0, 0).end();
    function
}

fn parameter_of<'c, 'a>(
    code: &'c mut InstructionSink<'a>,
    param: u32,
    pointer: ValType,
) -> &'c mut InstructionSink<'a> {
    code.local_get(param);
    if pointer == ValType::I32 {
        code.i64_extend_i32_u();
    }
    code
}

/// `into` becomes the lesser of the operand on the stack and what `bound` pushes.
fn least(code: &mut InstructionSink<'_>, into: u32, bound: impl Fn(&mut InstructionSink<'_>)) {
    code.local_tee(into);
    bound(code);
    code.local_get(into);
    bound(code);
    code.i64_lt_u().select().local_set(into);
}
