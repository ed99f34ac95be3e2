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
    RewriteError, Rules, access,
    asyncify::Asyncify,
    bug, depth,
    facts::{Signature, ValType},
    fold::{self, Dead, Step},
    limits,
    lower::{self, Lower},
    measure::Body,
    nan::{self, Scratch, Site},
    plan::Plan,
    too_big,
    trail::Trail,
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
    /// Asyncify, whose state is 0.
    pub(super) asyncify: Option<&'a Asyncify>,
    /// The memory gets 32-bit addresses.
    pub(super) lowered: bool,
}

/// A function's body and what it is of.
pub(super) struct Function<'a, 'm> {
    /// Its position among the defined ones.
    pub(super) position: u32,
    /// Its type.
    pub(super) signature: &'a Signature,
    /// Its body.
    pub(super) body: &'a Body<'m>,
}

/// Rewrites a function.
pub(super) fn rewrite(
    module: &Module<'_>,
    function: &Function<'_, '_>,
    plan: &mut Plan,
) -> Result<NewBody, RewriteError> {
    let Function { signature, body, .. } = function;
    let declared = body.locals.iter().fold(0, |sum: u32, (count, _)| sum.saturating_add(*count));
    let first = declared.saturating_add(u32::try_from(signature.params.len()).map_err(bug)?);
    let accesses = Some(body.accesses).filter(|accesses| accesses.any && module.lowered);
    let scratch = Scratch::new(first, body.floats, accesses);
    let cost = depth::cost(signature, body, &scratch);
    let mut out = Vec::with_capacity(body.source.range().len() * 2 + 64);
    write_locals(&mut out, body, &scratch);
    depth::enter(&mut out, plan, cost, scratch.mark);
    let block = depth::body_block(&mut plan.types, signature);
    InstructionSink::new(&mut out).block(block);
    let mut writer = Writer {
        module,
        plan,
        cost,
        out,
        tries: body.tries.iter(),
        labels: vec![Label { height: 0, mark: 0, taken: false }],
        height: 1,
        trail: Trail::new(),
        lower: scratch.memory.map(Lower::new),
        state: module.asyncify.filter(|it| !it.owns(function.position)).map(|it| it.state),
        dead: None,
        scratch,
    };
    writer.operators(body)?;
    Ok(NewBody { bytes: writer.out, cost })
}

/// An open block of the source.
struct Label {
    /// The height of the label that branches to it go to.
    height: u32,
    /// What was known of locals where it begins.
    mark: usize,
    /// It is an `if` whose first arm always runs.
    taken: bool,
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
    labels: Vec<Label>,
    /// Labels open in the output, the function's own not counted.
    height: u32,
    trail: Trail,
    /// Where addresses get 32 bits.
    lower: Option<Lower>,
    /// The global that is always 0.
    state: Option<u32>,
    /// Set in code that never runs.
    dead: Option<Dead>,
}

impl Writer<'_, '_> {
    fn operators(&mut self, body: &Body<'_>) -> Result<(), RewriteError> {
        let mut reader = body.source.get_operators_reader().map_err(bug)?;
        while !reader.eof() {
            let start = reader.original_position();
            let op = reader.read().map_err(bug)?;
            let raw = self.module.bytes.get(start..reader.original_position());
            self.step(&op, raw.ok_or_else(|| bug("an operator outside the module"))?)?;
            if self.out.len() > limits::NEW_BODY_BYTES {
                let most = limits::NEW_BODY_BYTES as u64;
                return Err(too_big("bytes of a rewritten function, at least", most + 1, most));
            }
        }
        Ok(())
    }

    /// Dead code is left out, what can be folded is folded, the rest is written.
    fn step(&mut self, op: &Operator<'_>, raw: &[u8]) -> Result<(), RewriteError> {
        if let Some(mut dead) = self.dead.take() {
            match dead.step(op) {
                Step::Dead => self.dead = Some(dead),
                Step::Gone => {}
                Step::End => return self.operator(op, raw),
                Step::Arm(block) => {
                    self.out.extend_from_slice(&block);
                    self.open(1);
                }
            }
            return Ok(());
        }
        if self.state.is_some() && self.folded(op, raw)? {
            return Ok(());
        }
        self.operator(op, raw)
    }

    fn folded(&mut self, op: &Operator<'_>, raw: &[u8]) -> Result<bool, RewriteError> {
        match op {
            Operator::GlobalGet { global_index } if Some(*global_index) == self.state => {
                fold::put_constant(&mut self.out, &mut self.trail, 0);
                return Ok(true);
            }
            Operator::If { .. } | Operator::BrIf { .. } => {}
            _ => return Ok(fold::computes(&mut self.out, &mut self.trail, op)),
        }
        let Some(condition) = fold::take_constant(&mut self.out, &mut self.trail) else {
            return Ok(false);
        };
        match op {
            Operator::BrIf { .. } if condition == 0 => {}
            Operator::BrIf { relative_depth } => self.br(*relative_depth)?,
            _ if condition == 0 => {
                self.settle();
                self.trail.clear();
                self.dead = Some(Dead::first_arm(raw));
            }
            _ => {
                self.settle();
                self.out.extend_from_slice(&fold::block(raw));
                self.open(1);
                if let Some(label) = self.labels.last_mut() {
                    label.taken = true;
                }
            }
        }
        Ok(true)
    }

    /// Checks addresses that were collected.
    fn settle(&mut self) {
        if let Some(lower) = &mut self.lower {
            lower.settle(&mut self.out);
        }
    }

    fn br(&mut self, relative_depth: u32) -> Result<(), RewriteError> {
        self.settle();
        let label = self.label(relative_depth)?;
        InstructionSink::new(&mut self.out).br(label);
        self.trail.clear();
        Ok(())
    }

    fn operator(&mut self, op: &Operator<'_>, raw: &[u8]) -> Result<(), RewriteError> {
        if lower::leaves(op) {
            self.settle();
        }
        match op {
            Operator::Loop { .. } => {
                self.out.extend_from_slice(raw);
                self.open(1);
                self.trail.forget();
            }
            Operator::Block { .. } | Operator::If { .. } => {
                self.out.extend_from_slice(raw);
                self.open(1);
            }
            Operator::Else => self.second_arm(raw),
            Operator::End => self.end(),
            Operator::Try { blockty } => self.begin_try(*blockty)?,
            Operator::Catch { .. } => self.catch(),
            Operator::Br { relative_depth } => self.br(*relative_depth)?,
            Operator::BrIf { relative_depth } => {
                let label = self.label(*relative_depth)?;
                InstructionSink::new(&mut self.out).br_if(label);
                self.trail.clear();
            }
            Operator::BrTable { targets } => self.br_table(targets)?,
            Operator::Return => {
                InstructionSink::new(&mut self.out).br(self.height - 1);
                self.trail.clear();
            }
            Operator::Call { function_index } => {
                let callee = self.plan.callee(*function_index);
                InstructionSink::new(&mut self.out).call(callee);
                self.trail.clear();
            }
            _ => self.plain(op, raw),
        }
        Ok(())
    }

    fn plain(&mut self, op: &Operator<'_>, raw: &[u8]) {
        let at = self.out.len();
        let access = self.lower.as_mut().and_then(|lower| Some((lower, access::classify(op)?)));
        if let Some((lower, access)) = access {
            lower.write(&mut self.out, &mut self.trail, raw, access);
        } else if let Some(of) = nan::classify(op) {
            let site = Site { raw, scratch: &self.scratch, nan: self.module.rules.nan };
            nan::write(&mut self.out, self.plan, of, site);
        } else {
            self.out.extend_from_slice(raw);
        }
        self.trail.see(op, at);
    }

    /// A block of the source that opens `labels` in the output, the outermost standing for it.
    fn open(&mut self, labels: u32) {
        self.trail.clear();
        let mark = self.trail.mark();
        self.labels.push(Label { height: self.height, mark, taken: false });
        self.height += labels;
    }

    fn second_arm(&mut self, raw: &[u8]) {
        let Some(label) = self.labels.last() else { return };
        if label.taken {
            self.dead = Some(Dead::second_arm());
            return;
        }
        self.out.extend_from_slice(raw);
        let mark = label.mark;
        self.trail.back_to(mark);
    }

    fn end(&mut self) {
        if let Some(label) = self.labels.pop() {
            self.height = label.height;
            self.trail.back_to(label.mark);
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
        Ok(self.height - 1 - label.height)
    }

    fn br_table(&mut self, targets: &wasmparser::BrTable<'_>) -> Result<(), RewriteError> {
        let mut labels = Vec::with_capacity(targets.len() as usize);
        for target in targets.targets() {
            labels.push(self.label(target.map_err(bug)?)?);
        }
        let default = self.label(targets.default())?;
        InstructionSink::new(&mut self.out).br_table(labels, default);
        self.trail.clear();
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
        if let Some(label) = self.labels.last() {
            let mark = label.mark;
            self.trail.back_to(mark);
        }
        depth::caught(&mut self.out, self.plan, self.scratch.mark);
    }
}
