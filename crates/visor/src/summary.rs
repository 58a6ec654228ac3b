//! The summary of a run on standard error, stream by stream.

use visor_runtime::{console, logging::LoggingFormat};

use crate::metrics::Metrics;

const HEADER: [&str; 7] = ["SOURCE", "GENERATOR", "STREAM", "KIND", "LINES", "BYTES", "SKIPPED"];

/// Prints the summary: a table for people, or one JSON object for each stream.
pub(crate) fn print(metrics: &Metrics, format: LoggingFormat) {
    match format {
        LoggingFormat::Text => console::print_last(&table(metrics)),
        LoggingFormat::Json => {
            for meter in metrics.streams() {
                let name = &meter.name;
                tracing::info!(
                    source = name.source,
                    generator = name.generator,
                    stream = name.stream,
                    kind = name.kind,
                    lines = meter.lines.get(),
                    bytes = meter.bytes.get(),
                    skipped = meter.skipped.get(),
                    "lines written"
                );
            }
        }
    }
}

/// The table: names to the left, numbers to the right, and a last row with totals.
fn table(metrics: &Metrics) -> String {
    let meters = metrics.streams();
    let mut rows: Vec<[String; 7]> = vec![HEADER.map(ToOwned::to_owned)];
    let mut sums = [0; 3];
    for meter in &meters {
        let numbers = [meter.lines.get(), meter.bytes.get(), meter.skipped.get()];
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
        let name = &meter.name;
        let [lines, bytes, skipped] = numbers.map(|number| number.to_string());
        rows.push([
            name.source.clone(),
            name.generator.clone(),
            name.stream.clone(),
            name.kind.to_owned(),
            lines,
            bytes,
            skipped,
        ]);
    }
    if meters.len() > 1 {
        let [lines, bytes, skipped] = sums.map(|sum| sum.to_string());
        let nothing = String::new;
        rows.push([nothing(), nothing(), nothing(), "all".to_owned(), lines, bytes, skipped]);
    }
    align(&rows)
}

/// Aligns columns: the first four to the left, the others to the right.
fn align(rows: &[[String; 7]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if column < 4 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::StreamName;

    #[test]
    fn the_table_lines_up_and_adds_up() {
        let metrics = Metrics::new().unwrap();
        for (stream, lines) in [("requests", 1200), ("heartbeat", 7)] {
            let meter = metrics.stream(&StreamName {
                source: "shop".to_owned(),
                generator: "web".to_owned(),
                stream: stream.to_owned(),
                kind: "access",
            });
            meter.lines.inc_by(lines);
            meter.bytes.inc_by(lines * 100);
        }
        let wanted = "\
SOURCE  GENERATOR  STREAM     KIND    LINES   BYTES  SKIPPED
shop    web        requests   access   1200  120000        0
shop    web        heartbeat  access      7     700        0
                              all      1207  120700        0
";
        assert_eq!(table(&metrics), wanted);
    }
}
