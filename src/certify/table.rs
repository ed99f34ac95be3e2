//! The report as a table, for people.

use super::report::{Outcome, Report, SuiteReport, Tier};
use std::fmt::Write;

/// The whole table.
pub fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = head(&mut out, report);
    let _ = body(&mut out, report);
    let _ = reasons(&mut out, report);
    out
}

fn head(out: &mut String, report: &Report) -> std::fmt::Result {
    let about = &report.about;
    let tier = if report.tier == Tier::Full { "full" } else { "fast" };
    writeln!(
        out,
        "drivebay {} on {}, {} cores of {}; {tier} tier",
        about.version, about.target, about.cores, about.processor
    )?;
    for reader in &report.readers {
        writeln!(out, "{} {}", reader.name, reader.version)?;
        for (name, rules) in &reader.formats {
            writeln!(out, "  {name:<52} rules {}", short(&rules.to_string()))?;
        }
    }
    Ok(())
}

fn body(out: &mut String, report: &Report) -> std::fmt::Result {
    let wide = report.suites.iter().map(|suite| suite.suite.len()).max().unwrap_or(0);
    writeln!(
        out,
        "\n{:<8} {:<wide$} {:>6} {:>6} {:>7} {:>8}  transcript root, or cases that passed",
        "machine", "suite", "passed", "failed", "skipped", "time"
    )?;
    for suite in &report.suites {
        line(out, suite, wide)?;
    }
    let counts = report.counts();
    writeln!(out, "{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped)
}

fn line(out: &mut String, suite: &SuiteReport, wide: usize) -> std::fmt::Result {
    let counts = suite.counts();
    let mut roots = suite.roots().map(|(name, root)| {
        let how = match root.recorded {
            Some(recorded) if recorded == root.found => "as recorded",
            Some(_) => "NOT AS RECORDED",
            None => "not recorded yet",
        };
        format!("{} {how} ({name}, {} receipts)", short(&root.found.to_string()), root.receipts)
    });
    let cases = suite.cases().map(|cases| format!("{cases} cases"));
    writeln!(
        out,
        "{:<8} {:<wide$} {:>6} {:>6} {:>7} {:>6.1} s  {}",
        suite.subject,
        suite.suite,
        counts.passed,
        counts.failed,
        counts.skipped,
        suite.took().as_secs_f64(),
        roots.next().or(cases).unwrap_or_default()
    )?;
    roots.try_for_each(|root| writeln!(out, "{:<1$}{root}", "", wide + 43))
}

/// Every failure and every skip, with its reason.
fn reasons(out: &mut String, report: &Report) -> std::fmt::Result {
    for suite in &report.suites {
        for trial in &suite.trials {
            let (word, why) = match &trial.found.outcome {
                Outcome::Passed => continue,
                Outcome::Failed(seen) => ("FAILED", seen),
                Outcome::Skipped(why) => ("skipped", why),
            };
            writeln!(out, "{word} {} {}, {}: {why}", suite.subject, suite.suite, trial.name)?;
        }
    }
    Ok(())
}

/// As much of a digest as a person compares.
fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skip_and_failure_has_its_reason() {
        let text = table(&super::super::report::example());
        assert!(text.contains("2 passed, 1 failed, 1 skipped"), "{text}");
        assert!(text.contains("skipped tape laws, role walk: a tape has an order"), "{text}");
        assert!(text.contains("FAILED tape laws, fuel: 3 fuel"), "{text}");
        assert!(text.contains("as recorded (transcript, 3 receipts)"), "{text}");
    }
}
