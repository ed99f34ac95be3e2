//! The report as JUnit XML, as continuous integration reads it.

use super::report::{Outcome, Report, SuiteReport, Trial};
use std::fmt::{self, Display, Write};

/// The whole file.
pub fn junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = report.counts();
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "<testsuites name=\"drivebay certify\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
        counts.passed + counts.failed + counts.skipped,
        counts.failed,
        counts.skipped
    );
    report.suites.iter().for_each(|suite| {
        let _ = suite_into(&mut out, suite);
    });
    out.push_str("</testsuites>\n");
    out
}

fn suite_into(out: &mut String, suite: &SuiteReport) -> fmt::Result {
    let (counts, all) = (suite.counts(), suite.trials.len());
    writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{all}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
        Escaped(&format!("{} {}", suite.subject, suite.suite)),
        counts.failed,
        counts.skipped,
        suite.took().as_secs_f64()
    )?;
    for (name, root) in suite.roots() {
        let (name, value) = (Escaped(name), root.found);
        writeln!(out, "    <!-- transcript root of {name}: {value} -->")?;
    }
    suite.trials.iter().try_for_each(|trial| trial_into(out, suite, trial))?;
    writeln!(out, "  </testsuite>")
}

fn trial_into(out: &mut String, suite: &SuiteReport, trial: &Trial) -> fmt::Result {
    let class = format!("{}.{}", suite.subject, suite.suite);
    write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
        Escaped(&class),
        Escaped(&trial.name),
        trial.took.as_secs_f64()
    )?;
    match &trial.found.outcome {
        Outcome::Passed => writeln!(out, "/>"),
        Outcome::Failed(seen) => {
            writeln!(out, "><failure message=\"{}\"/></testcase>", Escaped(seen))
        }
        Outcome::Skipped(why) => {
            writeln!(out, "><skipped message=\"{}\"/></testcase>", Escaped(why))
        }
    }
}

/// Text as an attribute's value. What XML 1.0 has no way to say becomes U+FFFD; `--` cannot end a comment.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '-' => f.write_str("&#45;")?,
                '\n' | '\t' => write!(f, "&#{};", u32::from(c))?,
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c if c < ' ' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_escaped() {
        let xml = junit(&super::super::report::example());
        assert!(xml.contains("tests=\"4\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("3 fuel &amp; &quot;4&quot; fuel\u{fffd}"), "{xml}");
        assert!(xml.contains("<skipped message=\"a tape has an order\"/>"), "{xml}");
        assert_eq!(xml.matches("<testcase").count(), 4);
    }
}
