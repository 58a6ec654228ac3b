//! The live table on a terminal: a row for each output, source and protocol.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use visor_proof::{Verdict, verdict::Counts};

use crate::metrics::Traffic;

/// The maximum number of rows with a title: those with most missing lines.
const MAX_ROWS: usize = 20;

/// A table that is shown.
pub(crate) struct Table {
    bars: MultiProgress,
    rows: Vec<ProgressBar>,
}

impl Table {
    /// A table on standard error, if that is a terminal.
    pub(crate) fn on_terminal() -> Option<Self> {
        let is_terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|t| t != "dumb");
        let target = ProgressDrawTarget::stderr_with_hz(4);
        is_terminal
            .then(|| Self { bars: MultiProgress::with_draw_target(target), rows: Vec::new() })
    }

    /// Shows a verdict, and what has come in by each protocol.
    pub(crate) fn show(&mut self, verdict: &Verdict, protocols: &BTreeMap<String, Traffic>) {
        let lines = lines(verdict, protocols);
        while self.rows.len() < lines.len() {
            // The template has no mistake.
            let style = ProgressStyle::with_template("{msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            self.rows.push(self.bars.add(ProgressBar::new_spinner().with_style(style)));
        }
        for (index, row) in self.rows.iter().enumerate() {
            row.set_message(lines.get(index).cloned().unwrap_or_default());
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for row in &self.rows {
            row.finish();
        }
    }
}

fn lines(verdict: &Verdict, protocols: &BTreeMap<String, Traffic>) -> Vec<String> {
    let name = |pod: &str, output: &str| match (pod, output) {
        ("", "") => "unknown".to_owned(),
        ("", output) => output.to_owned(),
        (pod, output) => format!("{pod} {output}"),
    };
    let outputs = verdict.outputs.iter();
    let outputs = outputs.map(|output| (name(&output.pod, &output.output), output.counts));
    let sources = verdict.sources.iter().map(|source| (source.source.clone(), source.counts));
    let mut lines = rows("OUTPUT", outputs.collect(), Some(verdict.total));
    if !verdict.sources.is_empty() {
        lines.extend(rows("SOURCE", sources.collect(), None));
    }
    for (name, Traffic { requests, records, faults }) in protocols {
        lines.push(format!("{name}: {requests} requests, {records} records, {faults} faults"));
    }
    lines
}

/// A title, the rows below it with most missing lines, and a row with their sum.
fn rows(title: &str, mut rows: Vec<(String, Counts)>, total: Option<Counts>) -> Vec<String> {
    rows.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.missing));
    let hidden = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    rows.extend(total.map(|total| ("total".to_owned(), total)));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default().max(title.len());
    let titles = ["EMITTED", "RECEIVED", "MISSING", "DUPLICATED", "LATE", "WAITING"];
    let row = |name: &str, cells: [String; 6]| {
        let cells = cells.map(|cell| format!("{cell:>12}"));
        format!("{name:width$}{}", cells.concat())
    };
    let mut lines = vec![row(title, titles.map(str::to_owned))];
    for (name, counts) in &rows {
        let Counts { emitted, delivered, missing, duplicated, late, unobserved, .. } = counts;
        let cells = [emitted, delivered, missing, duplicated, late, unobserved];
        lines.push(row(name, cells.map(u64::to_string)));
    }
    if hidden > 0 {
        lines.push(format!("and {hidden} more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use visor_proof::{
        Delivery,
        verdict::{OutputVerdict, SourceVerdict},
    };

    use super::*;

    #[test]
    fn outputs_sources_and_protocols_have_rows() {
        let mut verdict = Verdict::of(&mut Delivery::default(), &[], None);
        let counts = |missing| Counts { emitted: 100, delivered: 93, missing, ..Counts::default() };
        for number in 0..25 {
            let (pod, output) = (format!("shop-{number}"), "access.log".to_owned());
            let counts = counts(number);
            verdict.outputs.push(OutputVerdict { pod, output, counts, ..OutputVerdict::default() });
        }
        verdict.sources.push(SourceVerdict { source: "shop/web".to_owned(), counts: counts(7) });
        let traffic = Traffic { requests: 3, records: 300, faults: 2 };
        let lines = lines(&verdict, &BTreeMap::from([("loki".to_owned(), traffic)]));
        assert!(lines[0].starts_with("OUTPUT  "), "{lines:#?}");
        assert!(lines[1].starts_with("shop-24 access.log         100          93          24"));
        assert!(lines[21].starts_with("total "));
        assert_eq!(lines[22], "and 5 more");
        assert!(lines[24].starts_with("shop/web         100          93           7"));
        assert_eq!(lines[25], "loki: 3 requests, 300 records, 2 faults");
        assert_eq!(lines.len(), 26);
    }
}
