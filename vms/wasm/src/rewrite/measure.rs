//! One function body: validated, and measured for what rewriting has to know beforehand.

use super::{
    RewriteError, Rules, access::Accesses, check, facts::ValType, limits, malformed, nan,
    not_allowed, too_big,
};
use wasmparser::{
    BlockType, FuncToValidate, FuncValidator, FuncValidatorAllocations, FunctionBody, Operator,
    ValidatorResources,
};

/// A validated body.
pub(super) struct Body<'a> {
    /// Its bytes and where they are.
    pub(super) source: FunctionBody<'a>,
    /// Groups of locals as declared, without the parameters.
    pub(super) locals: Vec<(u32, ValType)>,
    /// Highest operand stack, in values.
    pub(super) operands: u32,
    /// A `v128` may be on its operand stack.
    pub(super) vectors: bool,
    /// Float types whose NaNs must be looked after.
    pub(super) floats: nan::Floats,
    /// What its accesses of memory need.
    pub(super) accesses: Accesses,
    /// It contains `memory.grow`.
    pub(super) grows: bool,
    /// Places where control flow parts or meets.
    pub(super) blocks: u64,
    /// The tag that each `try` catches, in the order of the `try`s.
    pub(super) tries: Vec<u32>,
}

/// What the bodies of a module have in common while they are measured.
#[derive(Default)]
pub(super) struct Shared {
    /// Memory that the validator uses again.
    allocations: FuncValidatorAllocations,
    /// Some type returns several values, a `v128` among them. A call then leaves vectors below the top of
    /// the stack, where [`operators`] does not look, so every body counts as one with vectors.
    pub(super) vectors: bool,
    /// Locals so far.
    locals: u64,
    /// Blocks times locals of each body, so far.
    webs: u64,
}

/// Validates and measures.
pub(super) fn measure<'a>(
    function: FuncToValidate<ValidatorResources>,
    source: FunctionBody<'a>,
    rules: &Rules,
    module: &mut Shared,
) -> Result<Body<'a>, RewriteError> {
    let bytes = source.range().len();
    if bytes > limits::BODY_BYTES {
        return Err(too_big("bytes of a function", bytes as u64, limits::BODY_BYTES as u64));
    }
    let mut validator = function.into_validator(std::mem::take(&mut module.allocations));
    let mut body = Body {
        locals: locals(&source)?,
        source,
        operands: 0,
        vectors: module.vectors,
        floats: nan::Floats::default(),
        accesses: Accesses::default(),
        grows: false,
        // The body itself is one.
        blocks: 1,
        tries: Vec::new(),
    };
    operators(&mut body, &mut validator, rules)?;
    let locals = u64::from(validator.len_locals());
    let web = body.blocks.saturating_mul(locals);
    module.webs = module.webs.saturating_add(web);
    if web > limits::BODY_WEB {
        return Err(too_big("blocks times locals of a function", web, limits::BODY_WEB));
    }
    if module.webs > limits::ALL_WEBS {
        let what = "blocks times locals of all functions, at least";
        return Err(too_big(what, module.webs, limits::ALL_WEBS));
    }
    module.locals = module.locals.saturating_add(locals);
    if module.locals > limits::ALL_LOCALS {
        return Err(too_big(
            "locals of all functions, at least",
            module.locals,
            limits::ALL_LOCALS,
        ));
    }
    module.allocations = validator.into_allocations();
    Ok(body)
}

fn locals(source: &FunctionBody<'_>) -> Result<Vec<(u32, ValType)>, RewriteError> {
    let reader = source.get_locals_reader().map_err(|e| malformed(&e))?;
    let mut locals = Vec::new();
    for group in reader {
        let (count, ty) = group.map_err(|e| malformed(&e))?;
        locals.push((count, ValType::read(ty)?));
    }
    Ok(locals)
}

fn operators(
    body: &mut Body<'_>,
    validator: &mut FuncValidator<ValidatorResources>,
    rules: &Rules,
) -> Result<(), RewriteError> {
    let mut locals = body.source.get_binary_reader();
    validator.read_locals(&mut locals).map_err(|e| malformed(&e))?;
    if validator.len_locals() > limits::LOCALS {
        let found = u64::from(validator.len_locals());
        return Err(too_big("locals of a function", found, u64::from(limits::LOCALS)));
    }
    let mut tries = Tries::default();
    let mut reader = body.source.get_operators_reader().map_err(|e| malformed(&e))?;
    while !reader.eof() {
        let at = reader.original_position();
        let op = reader.read().map_err(|e| malformed(&e))?;
        check::operator(&op, rules)?;
        validator.op(at, &op).map_err(|e| malformed(&e))?;
        tries.see(&op)?;
        body.see(&op);
        body.operands = body.operands.max(validator.operand_stack_height());
        body.vectors |= validator.get_operand_type(0) == Some(Some(wasmparser::ValType::V128));
    }
    reader.finish().map_err(|e| malformed(&e))?;
    body.tries = tries.finish()?;
    Ok(())
}

impl Body<'_> {
    fn see(&mut self, op: &Operator<'_>) {
        self.floats.see(op);
        self.accesses.see(op);
        self.grows |= matches!(op, Operator::MemoryGrow { .. });
        self.blocks += u64::from(matches!(
            op,
            Operator::Block { .. }
                | Operator::Loop { .. }
                | Operator::If { .. }
                | Operator::Else
                | Operator::Try { .. }
                | Operator::Catch { .. }
                | Operator::BrIf { .. }
        ));
    }
}

/// Pairs each `try` with its one `catch`.
#[derive(Default)]
struct Tries {
    /// For every open block, which `try` it is.
    open: Vec<Option<usize>>,
    tags: Vec<Option<u32>>,
}

impl Tries {
    fn see(&mut self, op: &Operator<'_>) -> Result<(), RewriteError> {
        match op {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                self.push(None)?
            }
            Operator::Try { blockty } => {
                no_references(*blockty)?;
                self.push(Some(self.tags.len()))?;
                self.tags.push(None);
            }
            Operator::Catch { tag_index } => self.catch(*tag_index)?,
            Operator::End => {
                self.open.pop();
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, of: Option<usize>) -> Result<(), RewriteError> {
        self.open.push(of);
        if self.open.len() > limits::NESTING {
            return Err(too_big(
                "blocks inside one another",
                self.open.len() as u64,
                limits::NESTING as u64,
            ));
        }
        Ok(())
    }

    fn catch(&mut self, tag: u32) -> Result<(), RewriteError> {
        let open = self.open.last().copied().flatten();
        match open.and_then(|index| self.tags.get_mut(index)) {
            Some(slot @ None) => *slot = Some(tag),
            _ => return Err(not_allowed("a try with several catch clauses is not allowed")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u32>, RewriteError> {
        let tags: Option<Vec<u32>> = self.tags.into_iter().collect();
        tags.ok_or_else(|| not_allowed("a try without a catch clause is not allowed"))
    }
}

fn no_references(ty: BlockType) -> Result<(), RewriteError> {
    match ty {
        BlockType::Type(ty) => ValType::read(ty).map(drop),
        // The type section was read already, so it has none.
        BlockType::Empty | BlockType::FuncType(_) => Ok(()),
    }
}
