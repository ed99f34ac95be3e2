//! The ABI of a module, from its tags: what an `Action` means, and what logs and errors say.
//!
//! Types come from strangers, so their size is bounded before anything of them is made; and values are
//! decoded only from as many bytes as cannot unfold into many more.

use crate::address::{address_of, is_id};
use alloy_dyn_abi::{DynSolEvent, DynSolType, DynSolValue, FunctionExt, JsonAbiExt, Specifier};
use alloy_json_abi::{Function, JsonAbi, Param, StateMutability};
use drivebay_disk::{Tag, json::Value};
use revm::primitives::{Address, B256, Log, hex};

/// Longest signature in an `Action`, in bytes.
const SIGNATURE_MAX: usize = 1024;
/// Longest ABI in a module's tags, in bytes.
pub(crate) const ABI_MAX: usize = 1 << 20;
/// Deepest nesting of a type.
const NESTS_MAX: usize = 8;
/// Most values that the fixed part of a type has.
const FIXED_MAX: usize = 1024;
/// Most bytes that are decoded, by how many lists of lists a type has.
const DECODED_MAX: [usize; 3] = [16 << 10, 16 << 10, 2 << 10];

/// Why an ABI, or what was to be encoded by it, is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AbiError(pub String);

fn no<T>(why: impl Into<String>) -> Result<T, AbiError> {
    Err(AbiError(why.into()))
}

/// Functions, events and errors of a module.
#[derive(Clone, Debug, Default)]
pub struct Abi {
    json: JsonAbi,
    /// The signature of each function, and what each event looks like in a log: in order, worked out once.
    signatures: Vec<String>,
    events: Vec<Event>,
}

/// An event, ready to be recognized and decoded.
#[derive(Clone, Debug)]
struct Event {
    topic: B256,
    indexed: usize,
    is_anonymous: bool,
    types: Vec<DynSolType>,
    /// `None` for what no log can be.
    decoder: Option<DynSolEvent>,
}

impl Event {
    fn of(event: &alloy_json_abi::Event) -> Self {
        let types = event.inputs.iter().filter_map(|input| input.resolve().ok()).collect();
        Self {
            topic: event.selector(),
            indexed: event.inputs.iter().filter(|input| input.indexed).count(),
            is_anonymous: event.anonymous,
            types,
            decoder: event.resolve().ok(),
        }
    }
}

impl Abi {
    /// An ABI as JSON, or as lines in Solidity's own words (`function f(uint256)`, `event …`, `error …`),
    /// ended by `;` or line breaks.
    pub fn parse(text: &str) -> Result<Self, AbiError> {
        if text.len() > ABI_MAX {
            return no(format!("the ABI has {} bytes; the limit is {ABI_MAX}", text.len()));
        }
        let abi = if text.trim_start().starts_with('[') {
            JsonAbi::from_json_str(text).map_err(|error| error.to_string())
        } else {
            let lines = text.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty());
            let lines: Vec<&str> = lines.collect();
            if lines.iter().any(|line| is_nested(line)) {
                return no("the ABI's types are nested too deep");
            }
            JsonAbi::parse(lines).map_err(|error| error.to_string())
        };
        let abi = abi.map_err(|error| AbiError(format!("the ABI cannot be read: {error}")))?;
        let abi = Self { json: abi, ..Self::default() };
        abi.check()?;
        let signatures = abi.json.functions().map(Function::signature).collect();
        let events = abi.json.events().map(Event::of).collect();
        Ok(Self { signatures, events, ..abi })
    }

    fn check(&self) -> Result<(), AbiError> {
        let functions = self.json.functions().flat_map(|f| f.inputs.iter().chain(&f.outputs));
        let errors = self.json.errors().flat_map(|error| &error.inputs);
        let constructor = self.json.constructor.iter().flat_map(|made| &made.inputs);
        for param in functions.chain(errors).chain(constructor) {
            bounded(&param.resolve().map_err(|error| AbiError(error.to_string()))?)?;
        }
        for param in self.json.events().flat_map(|event| &event.inputs) {
            bounded(&param.resolve().map_err(|error| AbiError(error.to_string()))?)?;
        }
        Ok(())
    }

    /// In Solidity's own words, as a tag that [`Abi::parse`] reads.
    pub fn to_lines(&self) -> String {
        let signature = |text: String| text;
        let constructor = self.json.constructor.iter().map(|made| {
            let inputs: Vec<String> = made.inputs.iter().map(|param| param.ty.clone()).collect();
            format!("constructor({})", inputs.join(","))
        });
        let functions = self.json.functions().map(|f| signature(f.full_signature()));
        let events = self.json.events().map(|event| signature(event.full_signature()));
        let errors = self.json.errors().map(|error| format!("error {}", error.signature()));
        constructor.chain(functions).chain(events).chain(errors).collect::<Vec<_>>().join(";")
    }

    /// All functions, by name.
    pub fn functions(&self) -> Vec<NamedFunction> {
        self.json.functions().map(NamedFunction::of).collect()
    }

    /// The function that `name` means when it is called with these arguments, as messages are read; `None`
    /// if it means none. Fails if they are not of its types.
    pub fn named(&self, name: &str, args: &[String]) -> Result<Option<NamedFunction>, AbiError> {
        let all: Vec<Value> = args.iter().map(|arg| Value::from(arg.as_str())).collect();
        let (all, count) = (Value::from(all), args.len());
        let Some(function) = self.function(name, |params| params.len() == count)? else {
            return Ok(None);
        };
        Args::Json(&all).values(&function.inputs)?;
        let wanted = function.signature();
        let mut known = self.json.functions().zip(&self.signatures);
        let known = known.find(|(_, signature)| **signature == wanted);
        Ok(Some(NamedFunction::of(known.map_or(&function, |(known, _)| known))))
    }

    /// The function that an `Action` names: a signature, or a name in this ABI that takes `count`
    /// arguments. `None` if it names none.
    pub(crate) fn function(
        &self,
        action: &str,
        count: impl Fn(&[Param]) -> bool,
    ) -> Result<Option<Function>, AbiError> {
        if let Some(known) = self.json.function(action) {
            let fits = known.iter().find(|function| count(&function.inputs));
            return match fits.or(known.first()) {
                Some(function) => Ok(Some(function.clone())),
                None => Ok(None),
            };
        }
        if !(action.contains('(') && action.ends_with(')')) {
            return Ok(None);
        }
        let mut known = self.json.functions().zip(&self.signatures);
        match known.find(|(_, signature)| *signature == action) {
            Some((function, _)) => Ok(Some(function.clone())),
            None => function_of(action).map(Some),
        }
    }

    /// The arguments of the constructor, encoded.
    pub(crate) fn constructor(&self, args: &Args<'_>) -> Result<Vec<u8>, AbiError> {
        let Some(constructor) = &self.json.constructor else {
            return no("the module's ABI has no constructor; give its arguments as hexadecimal");
        };
        let values = args.values(&constructor.inputs)?;
        constructor.abi_encode_input_raw(&values).map_err(|error| AbiError(error.to_string()))
    }

    /// What a log says, if this ABI has its event.
    pub fn event(&self, log: &Log) -> Option<Value> {
        let topic = log.topics().first()?;
        let indexed = log.topics().len() - 1;
        let (event, known) = self.json.events().zip(&self.events).find(|(_, known)| {
            !known.is_anonymous && known.topic == *topic && known.indexed == indexed
        })?;
        may_decode(known.types.iter(), log.data.data.len()).then_some(())?;
        let decoded = known.decoder.as_ref()?.decode_log_data(&log.data).ok()?;
        let (mut indexed, mut body) = (decoded.indexed.into_iter(), decoded.body.into_iter());
        let args = event.inputs.iter().enumerate().map(|(at, input)| {
            let value = if input.indexed { indexed.next() } else { body.next() };
            let name = if input.name.is_empty() { at.to_string() } else { input.name.clone() };
            value.map(|value| (name, shown(&value)))
        });
        let args = args.collect::<Option<Vec<_>>>()?;
        Some(Value::object([
            ("event", Value::from(event.name.as_str())),
            ("args", Value::object(args)),
        ]))
    }

    /// What revert data says: a text, a panic, or an error of this ABI.
    pub fn reason(&self, data: &[u8]) -> Option<String> {
        let (selector, rest) = data.split_first_chunk::<4>()?;
        let text = |types: Vec<DynSolType>| {
            may_decode(types.iter(), rest.len()).then_some(())?;
            let DynSolValue::Tuple(values) =
                DynSolType::Tuple(types).abi_decode_params(rest).ok()?
            else {
                return None;
            };
            Some(values)
        };
        match selector {
            [0x08, 0xc3, 0x79, 0xa0] => match text(vec![DynSolType::String])?.pop()? {
                DynSolValue::String(reason) => Some(reason),
                _ => None,
            },
            [0x4e, 0x48, 0x7b, 0x71] => match text(vec![DynSolType::Uint(256)])?.pop()? {
                DynSolValue::Uint(code, _) => Some(format!("panic 0x{code:x}")),
                _ => None,
            },
            _ => {
                let error = self.json.errors().find(|error| error.selector() == *selector)?;
                let types = error.inputs.iter().map(|input| input.resolve().ok());
                let values = text(types.collect::<Option<Vec<_>>>()?)?;
                let values: Vec<String> = values.iter().map(plain).collect();
                Some(format!("{}({})", error.name, values.join(", ")))
            }
        }
    }
}

/// A function, for whoever calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFunction {
    /// Its signature with what it returns: an `Action` that needs no ABI to be read.
    pub signature: String,
    /// Whether it is a view, or pure.
    pub only_reads: bool,
}

impl NamedFunction {
    fn of(function: &Function) -> Self {
        let full = function.full_signature();
        let signature = full.strip_prefix("function ").unwrap_or(&full).to_owned();
        let only_reads =
            matches!(function.state_mutability, StateMutability::View | StateMutability::Pure);
        Self { signature, only_reads }
    }
}

/// A function from its signature alone.
pub(crate) fn function_of(signature: &str) -> Result<Function, AbiError> {
    if signature.len() > SIGNATURE_MAX || is_nested(signature) {
        return no(format!(
            "the signature has {} bytes, or its types are nested deep; expected at most {SIGNATURE_MAX}",
            signature.len()
        ));
    }
    let function = Function::parse(signature)
        .map_err(|error| AbiError(format!("`{signature}` is no function signature: {error}")))?;
    for param in function.inputs.iter().chain(&function.outputs) {
        bounded(&param.resolve().map_err(|error| AbiError(error.to_string()))?)?;
    }
    Ok(function)
}

/// What a call of `function` answered, if its ABI says what that is.
pub(crate) fn answer_of(function: &Function, output: &[u8]) -> Option<Value> {
    let types: Option<Vec<_>> = function.outputs.iter().map(|out| out.resolve().ok()).collect();
    let types = types.filter(|types| !types.is_empty())?;
    may_decode(types.iter(), output.len()).then_some(())?;
    let mut values = function.abi_decode_output(output).ok()?;
    match values.pop() {
        Some(only) if values.is_empty() => Some(shown(&only)),
        last => Some(values.iter().chain(last.as_ref()).map(shown).collect::<Vec<_>>().into()),
    }
}

fn is_nested(text: &str) -> bool {
    let opens = text.bytes().filter(|byte| *byte == b'(').count();
    let lists = text.bytes().filter(|byte| *byte == b'[').count();
    opens > 2 * NESTS_MAX + 2 || lists > 64
}

/// Refuses types whose fixed part is large, or that are nested deep.
fn bounded(ty: &DynSolType) -> Result<(), AbiError> {
    fn size(ty: &DynSolType, depth: usize) -> Option<usize> {
        if depth > NESTS_MAX {
            return None;
        }
        let size = match ty {
            DynSolType::Array(inner) => size(inner, depth + 1)?,
            DynSolType::FixedArray(inner, count) => {
                size(inner, depth + 1)?.checked_mul(*count).filter(|size| *size > 0)?
            }
            DynSolType::Tuple(parts) => {
                let parts = parts.iter().map(|part| size(part, depth + 1));
                parts.sum::<Option<usize>>()?.max(1)
            }
            _ => 1,
        };
        (size <= FIXED_MAX).then_some(size)
    }
    match size(ty, 0) {
        Some(_) => Ok(()),
        None => no(format!(
            "a type is empty, nested deeper than {NESTS_MAX}, or has more than {FIXED_MAX} fixed values"
        )),
    }
}

/// Whether so many bytes of such types may be decoded. Offsets may point at the same place many times, so
/// each list within a list multiplies what comes of them.
fn may_decode<'a>(types: impl Iterator<Item = &'a DynSolType>, len: usize) -> bool {
    fn lists(ty: &DynSolType) -> usize {
        match ty {
            DynSolType::Array(inner) => 1 + lists(inner),
            DynSolType::FixedArray(inner, _) => usize::from(is_open(inner)) + lists(inner),
            DynSolType::Tuple(parts) => parts.iter().map(lists).max().unwrap_or(0),
            _ => 0,
        }
    }
    fn is_open(ty: &DynSolType) -> bool {
        match ty {
            DynSolType::Bytes | DynSolType::String | DynSolType::Array(_) => true,
            DynSolType::FixedArray(inner, _) => is_open(inner),
            DynSolType::Tuple(parts) => parts.iter().any(is_open),
            _ => false,
        }
    }
    let deepest = types.map(lists).max().unwrap_or(0);
    DECODED_MAX.get(deepest).is_some_and(|max| len <= *max)
}

/// Where arguments come from.
pub(crate) enum Args<'a> {
    Json(&'a Value),
    Tags(&'a [Tag]),
}

impl Args<'_> {
    /// Whether they are as many as these parameters.
    pub(crate) fn fits(&self, params: &[Param]) -> bool {
        match self {
            Self::Json(Value::Array(all)) => all.len() == params.len(),
            Self::Json(_) | Self::Tags(_) => {
                params.iter().enumerate().all(|(at, param)| self.of(at, param).is_some())
            }
        }
    }

    fn of(&self, at: usize, param: &Param) -> Option<Value> {
        let index = format!("Arg-{at}");
        match self {
            Self::Json(Value::Array(all)) => all.get(at).cloned(),
            Self::Json(json) => json.get(&param.name).cloned(),
            Self::Tags(tags) => {
                let mut first = param.name.chars();
                let upper: String =
                    first.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(first).collect();
                let names = [param.name.as_str(), &upper, &index];
                let found = names.iter().filter(|name| !name.is_empty());
                found.filter_map(|name| Tag::last(tags, name)).next().map(Value::from)
            }
        }
    }

    /// The values of these parameters.
    pub(crate) fn values(&self, params: &[Param]) -> Result<Vec<DynSolValue>, AbiError> {
        if let Self::Json(Value::Array(all)) = self
            && all.len() != params.len()
        {
            return no(format!("{} arguments were given; expected {}", all.len(), params.len()));
        }
        let value = |(at, param): (usize, &Param)| {
            let name = if param.name.is_empty() { at.to_string() } else { param.name.clone() };
            let Some(given) = self.of(at, param) else {
                return no(format!(
                    "argument {name} of type {} is missing; give it in JSON data, or as a tag `{name}` or `Arg-{at}`",
                    param.ty
                ));
            };
            let ty = param.resolve().map_err(|error| AbiError(error.to_string()))?;
            encoded(&ty, &given)
                .map_err(|why| AbiError(format!("argument {name}: {why}; expected {}", param.ty)))
        };
        params.iter().enumerate().map(value).collect()
    }
}

fn encoded(ty: &DynSolType, given: &Value) -> Result<DynSolValue, String> {
    match (ty, given) {
        (DynSolType::Array(inner), Value::Array(all)) => {
            let all = all.iter().map(|value| encoded(inner, value));
            Ok(DynSolValue::Array(all.collect::<Result<_, _>>()?))
        }
        (DynSolType::FixedArray(inner, count), Value::Array(all)) if all.len() == *count => {
            let all = all.iter().map(|value| encoded(inner, value));
            Ok(DynSolValue::FixedArray(all.collect::<Result<_, _>>()?))
        }
        (DynSolType::Tuple(parts), Value::Array(all)) if all.len() == parts.len() => {
            let all = parts.iter().zip(all).map(|(part, value)| encoded(part, value));
            Ok(DynSolValue::Tuple(all.collect::<Result<_, _>>()?))
        }
        (DynSolType::Array(_) | DynSolType::FixedArray(..) | DynSolType::Tuple(_), given) => {
            let json = given.as_str().and_then(|text| Value::parse(text).ok());
            match json {
                Some(json @ Value::Array(_)) => encoded(ty, &json),
                _ => Err("this is no list of that length".into()),
            }
        }
        (DynSolType::String, Value::String(text)) => match text.as_str() {
            Some(text) => Ok(DynSolValue::String(text.into())),
            None => Err("this text is no Unicode".into()),
        },
        (_, given) => single(ty, given),
    }
}

fn single(ty: &DynSolType, given: &Value) -> Result<DynSolValue, String> {
    let text = match given {
        Value::Bool(truth) => truth.to_string(),
        Value::Number(_) => match given.as_u64() {
            Some(number) => number.to_string(),
            None => return Err("write a number below 0, above 2^53 or with a point as text".into()),
        },
        given => given.as_str().ok_or("this is no single value")?.to_owned(),
    };
    if *ty == DynSolType::Address && is_id(&text) {
        return Ok(DynSolValue::Address(address_of(&text)));
    }
    ty.coerce_str(&text).map_err(|_| format!("`{}` is none", cut(&text)))
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A value as JSON: numbers as decimal text, bytes and addresses as `0x` and hexadecimal digits.
fn shown(value: &DynSolValue) -> Value {
    match value {
        DynSolValue::Bool(truth) => Value::from(*truth),
        DynSolValue::Array(all)
        | DynSolValue::FixedArray(all)
        | DynSolValue::Tuple(all)
        | DynSolValue::CustomStruct { tuple: all, .. } => {
            all.iter().map(shown).collect::<Vec<_>>().into()
        }
        other => Value::from(plain(other)),
    }
}

fn plain(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(truth) => truth.to_string(),
        DynSolValue::Int(number, _) => number.to_string(),
        DynSolValue::Uint(number, _) => number.to_string(),
        DynSolValue::FixedBytes(word, size) => {
            hex::encode_prefixed(word.get(..*size).unwrap_or_default())
        }
        DynSolValue::Address(address) => checksummed(address),
        DynSolValue::Function(function) => hex::encode_prefixed(function.as_slice()),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        DynSolValue::String(text) => text.clone(),
        DynSolValue::Array(all)
        | DynSolValue::FixedArray(all)
        | DynSolValue::Tuple(all)
        | DynSolValue::CustomStruct { tuple: all, .. } => {
            format!("[{}]", all.iter().map(plain).collect::<Vec<_>>().join(", "))
        }
    }
}

pub(crate) fn checksummed(address: &Address) -> String {
    address.to_checksum(None)
}
