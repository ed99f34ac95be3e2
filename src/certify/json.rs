//! The report as JSON, for programs.

use super::report::{Outcome, Report, SuiteReport, Tier, Trial};
use crate::{
    disk::json::{Json, Value},
    wire::number,
};

/// The whole report.
pub fn json(report: &Report) -> Json {
    let about = &report.about;
    let readers = report.readers.iter().map(|reader| {
        let formats = reader.formats.iter().map(|(name, rules)| {
            Value::object([("Format", text(name)), ("Rules", text(&rules.to_string()))])
        });
        Value::object([
            ("Reader", text(reader.name)),
            ("Version", text(&reader.version)),
            ("Formats", list(formats)),
        ])
    });
    Json::from(Value::object([
        ("Drivebay", text(about.version)),
        ("Target", text(&about.target)),
        ("Processor", text(&about.processor)),
        ("Cores", count(about.cores)),
        ("Tier", text(if report.tier == Tier::Full { "full" } else { "fast" })),
        ("Passed", count(report.counts().passed)),
        ("Failed", count(report.counts().failed)),
        ("Skipped", count(report.counts().skipped)),
        ("Readers", list(readers)),
        ("Suites", list(report.suites.iter().map(suite))),
    ]))
}

fn suite(suite: &SuiteReport) -> Value {
    let counts = suite.counts();
    Value::object([
        ("Subject", text(&suite.subject)),
        ("Suite", text(&suite.suite)),
        ("Passed", count(counts.passed)),
        ("Failed", count(counts.failed)),
        ("Skipped", count(counts.skipped)),
        ("Cases", suite.cases().map_or(Value::Null, count)),
        ("Trials", list(suite.trials.iter().map(trial))),
    ])
}

fn trial(trial: &Trial) -> Value {
    let (verdict, why) = match &trial.found.outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed(seen) => ("failed", Some(seen)),
        Outcome::Skipped(why) => ("skipped", Some(why)),
    };
    let mut pairs = vec![
        ("Trial", text(&trial.name)),
        ("Verdict", text(verdict)),
        ("Milliseconds", number(u64::try_from(trial.took.as_millis()).unwrap_or(u64::MAX))),
    ];
    pairs.extend(why.map(|why| ("Why", text(why))));
    pairs.extend(trial.found.note.as_ref().map(|note| ("Note", text(note))));
    if let Some(root) = &trial.found.root {
        pairs.push(("Root", text(&root.found.to_string())));
        pairs.push(("Receipts", count(root.receipts)));
        let recorded = root.recorded.map_or(Value::Null, |root| text(&root.to_string()));
        pairs.push(("Recorded", recorded));
    }
    Value::object(pairs)
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn count(count: usize) -> Value {
    number(count as u64)
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::from(values.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_program_finds_counts_and_roots() {
        let report = json(&super::super::report::example()).value();
        assert_eq!(report.get("Failed").unwrap().as_u64(), Some(1));
        let suites = report.get("Suites").unwrap().as_array().unwrap();
        let trial = suites.last().unwrap().get("Trials").unwrap().as_array().unwrap();
        let trial = trial.first().unwrap();
        assert_eq!(trial.get("Root").unwrap().as_str(), trial.get("Recorded").unwrap().as_str());
    }
}
