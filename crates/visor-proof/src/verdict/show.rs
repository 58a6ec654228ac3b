//! The forms of a verdict: a table for people, and `JUnit`'s XML for continuous integration.

use std::fmt::Write;

use super::{Counts, FaultyLine, Outcome, Verdict};
use crate::delivery::FaultKind;

/// A form of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Form {
    /// For people
    Table,
    /// For programs
    Json,
    /// For continuous integration
    Junit,
}

impl Verdict {
    /// The verdict in this form, where these faults are allowed. `command` is what has found it.
    pub fn show(&self, form: Form, allowed: &[FaultKind], command: &str) -> String {
        let outcome = self.outcome(allowed);
        match form {
            Form::Table => table(self, outcome),
            // A verdict has nothing that is no JSON.
            Form::Json => serde_json::to_string_pretty(self).unwrap_or_default() + "\n",
            Form::Junit => junit(self, allowed, outcome, command),
        }
    }
}

/// The verdict as a table: a row for each output, and the first lines to which something happened.
fn table(verdict: &Verdict, outcome: Outcome) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    // Files have no such lines.
    let is_shown = |(name, _): &(&str, u64)| {
        let count =
            verdict.total.named().iter().find(|(other, _)| other == name).map(|pair| pair.1);
        count != Some(0) || !["redelivered", "late"].contains(name)
    };
    let header = ["POD", "OUTPUT"].map(str::to_owned).into_iter();
    let names = verdict.total.named().into_iter().filter(is_shown).map(|(name, _)| title(name));
    rows.push(header.chain(names).collect());
    let row = |pod: &str, output: &str, counts: &Counts| {
        let texts = [pod, output].map(|text| if text.is_empty() { "-" } else { text }.to_owned());
        let counts =
            counts.named().into_iter().filter(is_shown).map(|(_, count)| count.to_string());
        texts.into_iter().chain(counts).collect::<Vec<_>>()
    };
    for output in &verdict.outputs {
        rows.push(row(&output.pod, &output.output, &output.counts));
    }
    rows.push(row("total", "", &verdict.total));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if !verdict.examples.is_empty() {
        text.push('\n');
    }
    for example in &verdict.examples {
        let _ = writeln!(text, "{}", sentence(example));
    }
    let _ = writeln!(text, "\n{}", conclusion(verdict, outcome));
    text
}

/// `outOfOrder` as the title of a column: `OUT OF ORDER`.
fn title(name: &str) -> String {
    let mut title = String::new();
    for character in name.chars() {
        if character.is_uppercase() {
            title.push(' ');
        }
        title.extend(character.to_uppercase());
    }
    title
}

fn sentence(line: &FaultyLine) -> String {
    let place = match (&line.input, line.record) {
        (Some(input), Some(record)) => format!(", {input}: record {record}"),
        _ => String::new(),
    };
    let output =
        if line.output.is_empty() { String::new() } else { format!(" of {}", line.output) };
    format!("{}: line {}{output} (lane {}){place}", line.fault, line.number, line.lane)
}

fn conclusion(verdict: &Verdict, outcome: Outcome) -> String {
    match outcome {
        Outcome::Delivered => "All lines arrived once and intact.".to_owned(),
        Outcome::Faulty => "Not all lines arrived once and intact.".to_owned(),
        Outcome::Unknown if !verdict.is_emitted_known => {
            "What was emitted is not known; name it with --emitted.".to_owned()
        }
        Outcome::Unknown if verdict.total.emitted == 0 => {
            "No line with a token was emitted; use --tokens or spec.tokens.".to_owned()
        }
        Outcome::Unknown => format!(
            "{} lines may not have been written, or not have arrived yet.",
            verdict.total.unobserved
        ),
    }
}

/// The verdict as `JUnit`'s XML: a test for each kind of fault.
fn junit(verdict: &Verdict, allowed: &[FaultKind], outcome: Outcome, command: &str) -> String {
    let faults = verdict.total.faults();
    let mut cases = String::new();
    let mut failures = 0;
    for (kind, count) in faults {
        let name = kind.name();
        if count == 0 || allowed.contains(&kind) {
            let _ = writeln!(cases, r#"    <testcase classname="delivery" name="{name}"/>"#);
            continue;
        }
        failures += 1;
        let examples = verdict.examples.iter().filter(|example| example.fault == name);
        let examples: Vec<_> = examples.map(|example| escaped(&sentence(example))).collect();
        let _ = writeln!(
            cases,
            "    <testcase classname=\"delivery\" name=\"{name}\">\n      \
             <failure message=\"{count} {name}\">{}</failure>\n    </testcase>",
            examples.join("\n"),
        );
    }
    let known = match outcome {
        Outcome::Unknown => {
            failures += 1;
            format!("><failure message=\"{}\"/></testcase>", escaped(&conclusion(verdict, outcome)))
        }
        Outcome::Delivered | Outcome::Faulty => "/>".to_owned(),
    };
    let tests = faults.len() + 1;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
         <testsuite name=\"{command}\" tests=\"{tests}\" failures=\"{failures}\">\n{cases}    \
         <testcase classname=\"delivery\" name=\"observed\"{known}\n  </testsuite>\n</testsuites>\n"
    )
}

/// A text in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
