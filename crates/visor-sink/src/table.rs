//! The live table on a terminal: a row for each output, and one for each protocol.

use std::io::{self, IsTerminal};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use visor_proof::{Verdict, verdict::Counts};

/// The maximum number of rows of outputs: those with most missing lines.
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

    /// Shows a verdict, and of each protocol its name, requests and records.
    pub(crate) fn show(&mut self, verdict: &Verdict, protocols: &[(String, u64, u64)]) {
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

fn lines(verdict: &Verdict, protocols: &[(String, u64, u64)]) -> Vec<String> {
    let mut outputs: Vec<_> = verdict.outputs.iter().collect();
    outputs.sort_by_key(|output| std::cmp::Reverse(output.counts.missing));
    let name = |pod: &str, output: &str| match (pod, output) {
        ("", "") => "unknown".to_owned(),
        ("", output) => output.to_owned(),
        (pod, output) => format!("{pod} {output}"),
    };
    let rows = outputs
        .iter()
        .take(MAX_ROWS)
        .map(|output| (name(&output.pod, &output.output), output.counts));
    let rows: Vec<(String, Counts)> = rows.chain([("total".to_owned(), verdict.total)]).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(6).max(6);
    let titles = ["EMITTED", "RECEIVED", "MISSING", "DUPLICATED", "LATE", "WAITING"];
    let row = |name: &str, cells: [String; 6]| {
        let cells = cells.map(|cell| format!("{cell:>12}"));
        format!("{name:width$}{}", cells.concat())
    };
    let mut lines = vec![row("OUTPUT", titles.map(str::to_owned))];
    for (name, counts) in &rows {
        let Counts { emitted, delivered, missing, duplicated, late, unobserved, .. } = counts;
        let cells = [emitted, delivered, missing, duplicated, late, unobserved];
        lines.push(row(name, cells.map(u64::to_string)));
    }
    if let Some(hidden @ 1..) = outputs.len().checked_sub(MAX_ROWS) {
        lines.push(format!("and {hidden} more outputs"));
    }
    for (name, requests, records) in protocols {
        lines.push(format!("{name}: {requests} requests, {records} records"));
    }
    lines
}
