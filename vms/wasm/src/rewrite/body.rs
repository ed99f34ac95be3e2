//! One function body, rewritten. Operators that need no change are copied as they are.
//!
//! `try A catch t B end` becomes
//!
//! ```text
//! block $out (the try's type)
//!   block $handler (its parameters -> the tag's)
//!     try_table (the try's type) (catch t $handler)  A  end
//!     br $out
//!   end
//!   B, after the depth is put back
//! end
//! ```
//!
//! A branch to the try leaves `$out`, from `A` as from `B`, so branches that cross it from inside `A` go
//! two labels further.

use super::{
    RewriteError, Rules, bug, depth,
    facts::{Signature, ValType},
    limits,
    measure::Body,
    nan::{self, Scratch, Site},
    plan::Plan,
    too_big,
};
use wasm_encoder::{BlockType, Catch, Encode, InstructionSink};
use wasmparser::Operator;

/// A rewritten body.
pub(super) struct NewBody {
    /// Locals and code, without the size in front.
    pub(super) bytes: Vec<u8>,
    /// Units of depth of its frame.
    pub(super) cost: u32,
}

/// What all bodies of a module share.
pub(super) struct Module<'a> {
    /// The module's bytes.
    pub(super) bytes: &'a [u8],
    /// Type index of each exception tag.
    pub(super) tags: &'a [u32],
    /// The rules.
    pub(super) rules: &'a Rules,
}

/// Rewrites a body of a function of that signature.
pub(super) fn rewrite(
    module: &Module<'_>,
    body: &Body<'_>,
    signature: &Signature,
    plan: &mut Plan,
) -> Result<NewBody, RewriteError> {
    let declared = body.locals.iter().fold(0, |sum: u32, (count, _)| sum.saturating_add(*count));
    let first = declared.saturating_add(u32::try_from(signature.params.len()).map_err(bug)?);
    let scratch = Scratch::new(first, body.floats);
    let cost = depth::cost(signature, body, &scratch);
    let mut out = Vec::with_capacity(body.source.range().len() * 2 + 64);
    write_locals(&mut out, body, &scratch);
    depth::enter(&mut out, plan, cost, scratch.mark);
    let block = depth::body_block(&mut plan.types, signature);
    InstructionSink::new(&mut out).block(block);
    let tries = body.tries.iter();
    let mut writer = Writer { module, plan, scratch, cost, out, tries, labels: vec![0], height: 1 };
    writer.operators(body)?;
    Ok(NewBody { bytes: writer.out, cost })
}

fn write_locals(out: &mut Vec<u8>, body: &Body<'_>, scratch: &Scratch) {
    let groups = body.locals.iter().chain(scratch.groups());
    groups.clone().count().encode(out);
    for (count, ty) in groups {
        count.encode(out);
        ty.encoded().encode(out);
    }
}

struct Writer<'a, 'p> {
    module: &'a Module<'a>,
    plan: &'p mut Plan,
    scratch: Scratch,
    cost: u32,
    out: Vec<u8>,
    /// Tags of the `try`s to come.
    tries: std::slice::Iter<'a, u32>,
    /// For every open block of the source, the height of the label that branches to it go to.
    labels: Vec<u32>,
    /// Labels open in the output, the function's own not counted.
    height: u32,
}

impl Writer<'_, '_> {
    fn operators(&mut self, body: &Body<'_>) -> Result<(), RewriteError> {
        let mut reader = body.source.get_operators_reader().map_err(bug)?;
        while !reader.eof() {
            let start = reader.original_position();
            let op = reader.read().map_err(bug)?;
            let raw = self.module.bytes.get(start..reader.original_position());
            self.operator(&op, raw.ok_or_else(|| bug("an operator outside the module"))?)?;
            if self.out.len() > limits::NEW_BODY_BYTES {
                let most = limits::NEW_BODY_BYTES as u64;
                return Err(too_big("bytes of a rewritten function, at least", most + 1, most));
            }
        }
        Ok(())
    }

    fn operator(&mut self, op: &Operator<'_>, raw: &[u8]) -> Result<(), RewriteError> {
        match op {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                self.out.extend_from_slice(raw);
                self.open(1);
            }
            Operator::End => self.end(),
            Operator::Try { blockty } => self.begin_try(*blockty)?,
            Operator::Catch { .. } => self.catch(),
            Operator::Br { relative_depth } => {
                let label = self.label(*relative_depth)?;
                InstructionSink::new(&mut self.out).br(label);
            }
            Operator::BrIf { relative_depth } => {
                let label = self.label(*relative_depth)?;
                InstructionSink::new(&mut self.out).br_if(label);
            }
            Operator::BrTable { targets } => self.br_table(targets)?,
            Operator::Return => {
                InstructionSink::new(&mut self.out).br(self.height - 1);
            }
            Operator::Call { function_index } => {
                let callee = self.plan.callee(*function_index);
                InstructionSink::new(&mut self.out).call(callee);
            }
            _ => self.plain(op, raw),
        }
        Ok(())
    }

    fn plain(&mut self, op: &Operator<'_>, raw: &[u8]) {
        match nan::classify(op) {
            Some(of) => {
                let site = Site { raw, scratch: &self.scratch, nan: self.module.rules.nan };
                nan::write(&mut self.out, self.plan, of, site);
            }
            None => self.out.extend_from_slice(raw),
        }
    }

    /// A block of the source that opens `labels` in the output, the outermost standing for it.
    fn open(&mut self, labels: u32) {
        self.labels.push(self.height);
        self.height += labels;
    }

    fn end(&mut self) {
        if let Some(label) = self.labels.pop() {
            self.height = label;
        }
        if self.labels.is_empty() {
            depth::leave(&mut self.out, self.plan, self.cost);
        } else {
            InstructionSink::new(&mut self.out).end();
        }
    }

    /// The relative depth, in the output, of a label of the source.
    fn label(&self, relative_depth: u32) -> Result<u32, RewriteError> {
        let depth = usize::try_from(relative_depth).map_err(bug)?;
        let label = self.labels.iter().rev().nth(depth);
        let label = label.ok_or_else(|| bug("a branch to a label that is not there"))?;
        Ok(self.height - 1 - label)
    }

    fn br_table(&mut self, targets: &wasmparser::BrTable<'_>) -> Result<(), RewriteError> {
        let mut labels = Vec::with_capacity(targets.len() as usize);
        for target in targets.targets() {
            labels.push(self.label(target.map_err(bug)?)?);
        }
        let default = self.label(targets.default())?;
        InstructionSink::new(&mut self.out).br_table(labels, default);
        Ok(())
    }

    fn begin_try(&mut self, ty: wasmparser::BlockType) -> Result<(), RewriteError> {
        let tag = *self.tries.next().ok_or_else(|| bug("a try that was not counted"))?;
        let caught = usize::try_from(tag).ok().and_then(|tag| self.module.tags.get(tag));
        let caught = caught.and_then(|ty| self.plan.types.get(*ty));
        let caught = caught.ok_or_else(|| bug("a tag without a type"))?.params.clone();
        let (block, params) = self.block_type(ty)?;
        let handler = self.plan.types.block(Signature { params, results: caught });
        InstructionSink::new(&mut self.out)
            .block(block)
            .block(handler)
            .try_table(block, [Catch::One { tag, label: 0 }]);
        self.open(3);
        Ok(())
    }

    /// A block type of the source, and its parameters.
    fn block_type(
        &self,
        ty: wasmparser::BlockType,
    ) -> Result<(BlockType, Vec<ValType>), RewriteError> {
        Ok(match ty {
            wasmparser::BlockType::Empty => (BlockType::Empty, Vec::new()),
            wasmparser::BlockType::Type(ty) => {
                (BlockType::Result(ValType::read(ty)?.encoded()), Vec::new())
            }
            wasmparser::BlockType::FuncType(index) => {
                let signature = self.plan.types.get(index);
                let signature = signature.ok_or_else(|| bug("a block without a type"))?;
                (BlockType::FunctionType(index), signature.params.clone())
            }
        })
    }

    fn catch(&mut self) {
        InstructionSink::new(&mut self.out).end().br(1).end();
        self.height -= 2;
        depth::caught(&mut self.out, self.plan, self.scratch.mark);
    }
}
