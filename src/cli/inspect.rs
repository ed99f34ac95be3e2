//! `drivebay inspect`: what a module is, and why it is refused if it is.

use super::{
    App, color,
    error::{Exit, refused},
    module::{self, ModuleArgs},
    print::Style,
    tame::tame,
};
use crate::{
    cu::{CuError, Inspection},
    disk::{
        Limits, Module, NoArtifacts, Process, ReadError, Refusal,
        json::{Json, Value},
    },
    wire::tags_value,
};
use std::io::{self, Write};

const AFTER_HELP: &str = "\
Examples:
  drivebay inspect process.wasm
  drivebay inspect process.wasm --json | jq .Imports
  drivebay inspect process.wasm --format wasm32-unknown-emscripten4

Ends with 0 if the module would run, 2 if it is refused.";

/// Say what a module is: format, reader, imports, exports, limits; and why it is refused if it is
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    module: ModuleArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// All that is found, before it is printed.
struct Found {
    module: Module,
    reader: String,
    rules: String,
    limits: Limits,
    inspection: Option<Result<Inspection, Refusal>>,
    refusal: Option<Refusal>,
}

pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<Exit> {
    let found = look(app, args.module.read(&app.readers)?)?;
    if args.json {
        writeln!(io::stdout(), "{}", json(&found))?;
    } else {
        print(&found, Style::new(color(&app.config)))?;
    }
    match found.refusal {
        Some(refusal) => Err(refused(refusal)),
        None => Ok(Exit::Done),
    }
}

fn look(app: &App, module: Module) -> anyhow::Result<Found> {
    let reader = module::reader(&app.readers, &module)?;
    let refusal = match reader.read(&module, &NoArtifacts) {
        Ok(_) => None,
        Err(ReadError::Refused(refusal)) => Some(refusal),
        Err(ReadError::Host(error)) => return Err(CuError::Host(error).into()),
    };
    let id = reader.id();
    let rules = reader.formats().iter().find(|format| format.name == module.format);
    Ok(Found {
        reader: format!("{} {}", id.name, id.version),
        rules: rules.map_or_else(String::new, |format| format.rules.to_string()),
        limits: reader.limits(&module, &Process::default()),
        inspection: app.readers.inspect(&module),
        refusal,
        module,
    })
}

fn print(found: &Found, style: Style) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut row = |name: &str, value: String| {
        writeln!(out, "{} {}", style.dim(&format!("{name:<9}")), tame(&value, true))
    };
    row("format", style.bold(found.module.format.as_str()))?;
    row("reader", found.reader.clone())?;
    row("rules", found.rules.clone())?;
    row("module", format!("{} bytes, BLAKE3 {}", found.module.bytes.len(), found.module.id))?;
    let limits = &found.limits;
    let gas = limits.gas.map_or_else(|| "not metered".to_owned(), |gas| gas.to_string());
    let memory = match limits.memory_bytes {
        u64::MAX => "the module's own maximum".to_owned(),
        bytes => format!("{bytes} bytes"),
    };
    let (fuel, output, depth) = (limits.fuel, limits.output_bytes, limits.depth);
    row(
        "limits",
        format!("fuel {fuel}, gas {gas}, memory {memory}, output {output} bytes, depth {depth}"),
    )?;
    match &found.inspection {
        Some(Ok(inspection)) => print_inspection(inspection, &mut row)?,
        Some(Err(refusal)) => row("contents", format!("cannot be listed: {refusal}"))?,
        None => {}
    }
    if let Some(abi) = found.module.tag("ABI") {
        for line in abi.split(';') {
            row("abi", line.to_owned())?;
        }
    }
    row("verdict", if found.refusal.is_some() { "refused" } else { "accepted" }.to_owned())
}

fn print_inspection(
    inspection: &Inspection,
    row: &mut impl FnMut(&str, String) -> io::Result<()>,
) -> io::Result<()> {
    let bits = if inspection.memory64 { 64 } else { 32 };
    let max =
        inspection.memory_max_bytes.map_or("no maximum".to_owned(), |max| format!("at most {max}"));
    row("memory", format!("{bits}-bit, {} bytes at first, {max}", inspection.memory_min_bytes))?;
    let yes = |is: bool| if is { "yes" } else { "no" };
    row("asyncify", yes(inspection.asyncify).to_owned())?;
    row("metered", format!("{} (when it was built)", yes(inspection.metered)))?;
    for (name, list) in [("import", &inspection.imports), ("export", &inspection.exports)] {
        for entry in list {
            row(name, entry.clone())?;
        }
    }
    for (name, text) in &inspection.custom {
        row("custom", format!("{name}: {text}"))?;
    }
    Ok(())
}

fn json(found: &Found) -> Json {
    let number = |count: u64| Value::from(count as f64);
    // Null is the module's own maximum.
    let memory = match found.limits.memory_bytes {
        u64::MAX => Value::Null,
        bytes => number(bytes),
    };
    let limits = Value::object([
        ("Fuel", number(found.limits.fuel.0)),
        ("Gas", found.limits.gas.map_or(Value::Null, number)),
        ("Memory-Bytes", memory),
        ("Output-Bytes", number(found.limits.output_bytes.into())),
        ("Depth", number(found.limits.depth.into())),
    ]);
    let mut pairs = vec![
        ("Format", Value::from(found.module.format.as_str())),
        ("Reader", Value::from(found.reader.as_str())),
        ("Rules", Value::from(found.rules.as_str())),
        ("Bytes", number(found.module.bytes.len() as u64)),
        ("Blake3", Value::from(found.module.id.to_string())),
        ("Tags", tags_value(&found.module.tags)),
        ("Limits", limits),
    ];
    if let Some(Ok(inspection)) = &found.inspection {
        let list = |list: &[String]| {
            Value::from(list.iter().map(|text| Value::from(text.as_str())).collect::<Vec<_>>())
        };
        pairs.extend([
            ("Imports", list(&inspection.imports)),
            ("Exports", list(&inspection.exports)),
            ("Memory64", Value::from(inspection.memory64)),
            ("Memory-Min-Bytes", number(inspection.memory_min_bytes)),
            ("Memory-Max-Bytes", inspection.memory_max_bytes.map_or(Value::Null, number)),
            ("Asyncify", Value::from(inspection.asyncify)),
            ("Metered", Value::from(inspection.metered)),
        ]);
    }
    let refusal = found.refusal.as_ref();
    pairs
        .push(("Refused", refusal.map_or(Value::Null, |refusal| Value::from(refusal.to_string()))));
    Json::from(Value::object(pairs))
}
