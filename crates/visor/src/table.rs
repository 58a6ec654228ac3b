//! The live table on a terminal: the configured and the actual rate of each stream, its lines and
//! its bytes; and the progress of a run that ends by itself.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal},
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::metrics::{Metrics, StreamMeter};

/// How often the table is redrawn.
pub(crate) const TICK: Duration = Duration::from_millis(500);
/// The number of ticks over which actual rates are measured, so that a stream with a line every few
/// seconds has one, too.
const TICKS_OF_A_RATE: usize = 20;
/// The maximum number of rows: the streams with the highest rates.
const MAX_ROWS: usize = 20;

/// A table that is shown.
pub(crate) struct Table {
    metrics: Arc<Metrics>,
    bars: MultiProgress,
    header: ProgressBar,
    rows: Vec<ProgressBar>,
    more: ProgressBar,
    progress: Option<ProgressBar>,
    /// The lines of each stream at the last ticks, oldest first.
    history: VecDeque<(Instant, Vec<u64>)>,
}

/// The terminal for a table, if standard error is one.
pub(crate) fn on_terminal() -> Option<MultiProgress> {
    let terminal =
        io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|t| t != "dumb");
    terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4)))
}

impl Table {
    /// Shows the table. `length` is the length of a finite run, in its own unit.
    pub(crate) fn new(metrics: Arc<Metrics>, bars: MultiProgress, length: Option<u64>) -> Self {
        let line =
            |bars: &MultiProgress| bars.add(ProgressBar::new_spinner().with_style(style("{msg}")));
        let header = line(&bars);
        let more = line(&bars);
        let progress = length.map(|length| {
            let bar = ProgressBar::new(length);
            bar.set_style(
                style("[{elapsed_precise}] {wide_bar} {percent:>3}%").progress_chars("=> "),
            );
            bars.add(bar)
        });
        let mut table = Self {
            metrics,
            bars,
            header,
            rows: Vec::new(),
            more,
            progress,
            history: VecDeque::new(),
        };
        table.tick(0);
        table
    }

    /// Redraws the table. `position` is the progress of a finite run.
    pub(crate) fn tick(&mut self, position: u64) {
        let mut streams = self.rates();
        let hidden = streams.len().saturating_sub(MAX_ROWS);
        if hidden > 0 {
            streams.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            streams.truncate(MAX_ROWS);
        }
        let name = |meter: &StreamMeter| {
            format!("{}/{}/{}", meter.name.source, meter.name.generator, meter.name.stream)
        };
        let width = streams.iter().map(|(_, meter)| name(meter).len()).max().unwrap_or(0).max(6);
        self.header.set_message(format!(
            "{:<width$}  {:>12}  {:>12}  {:>14}  {:>10}",
            "STREAM", "CONFIGURED/S", "ACTUAL/S", "LINES", "BYTES"
        ));
        while self.rows.len() < streams.len() {
            let row = ProgressBar::new_spinner().with_style(style("{msg}"));
            self.rows.push(self.bars.insert_before(&self.more, row));
        }
        for (row, (rate, meter)) in self.rows.iter().zip(&streams) {
            row.set_message(format!(
                "{:<width$}  {:>12}  {:>12}  {:>14}  {:>10}",
                name(meter),
                shown_rate(meter.configured_rate.get()),
                shown_rate(*rate),
                meter.lines.get(),
                HumanBytes(meter.bytes.get()).to_string()
            ));
        }
        self.more.set_message(if hidden > 0 {
            format!("... and {hidden} more streams; see /metrics for all")
        } else {
            String::new()
        });
        if let Some(progress) = &self.progress {
            progress.set_position(position);
        }
    }

    /// The streams with their current rates in lines per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown to a few digits")]
    fn rates(&mut self) -> Vec<(f64, Arc<StreamMeter>)> {
        let streams = self.metrics.streams();
        let lines: Vec<u64> = streams.iter().map(|meter| meter.lines.get()).collect();
        let (since, earlier) =
            self.history.front().cloned().unwrap_or_else(|| (Instant::now(), lines.clone()));
        let elapsed = since.elapsed().as_secs_f64().max(0.001);
        let rates = lines.iter().enumerate().map(|(index, lines)| {
            // A stream that a reload has added has no history; all its lines are recent.
            (lines - earlier.get(index).unwrap_or(&0)) as f64 / elapsed
        });
        let rates = rates.zip(streams).collect();
        self.history.push_back((Instant::now(), lines));
        if self.history.len() > TICKS_OF_A_RATE {
            self.history.pop_front();
        }
        rates
    }

    /// Removes the table from the terminal.
    pub(crate) fn clear(&self) {
        // The terminal may be gone.
        let _ = self.bars.clear();
    }
}

/// A rate with a reasonable number of digits.
fn shown_rate(rate: f64) -> String {
    if rate.is_infinite() {
        "unlimited".to_owned()
    } else if rate >= 100.0 {
        format!("{rate:.0}")
    } else {
        format!("{rate:.2}")
    }
}

/// The style of a bar.
pub(crate) fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this program; an invalid one falls back to the default bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::StreamName;

    #[test]
    fn a_rate_has_as_many_digits_as_say_something() {
        for (rate, text) in [
            (0.0, "0.00"),
            (0.5, "0.50"),
            (99.994, "99.99"),
            (123.4, "123"),
            (f64::INFINITY, "unlimited"),
        ] {
            assert_eq!(shown_rate(rate), text);
        }
    }

    #[test]
    fn a_stream_that_comes_later_is_in_the_table_with_all_its_lines() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let stream = |name: &str| {
            metrics.stream(&StreamName {
                source: "shop".to_owned(),
                generator: "web".to_owned(),
                stream: name.to_owned(),
                kind: "access",
            })
        };
        let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut table = Table::new(Arc::clone(&metrics), hidden, Some(10));
        stream("one").lines.inc_by(4);
        table.tick(4);
        stream("two").lines.inc_by(6);
        table.tick(10);
        let shown: Vec<String> = table.rows.iter().map(ProgressBar::message).collect();
        assert_eq!(shown.len(), 2);
        for (row, (name, lines)) in shown.iter().zip([("shop/web/one", "4"), ("shop/web/two", "6")])
        {
            let columns: Vec<&str> = row.split_whitespace().collect();
            assert_eq!((columns[0], columns[3]), (name, lines), "{row}");
        }
        assert!(table.rates().iter().all(|(rate, _)| *rate > 0.0));
        assert_eq!(table.progress.as_ref().map(ProgressBar::position), Some(10));
    }

    #[test]
    fn of_many_streams_those_with_the_most_lines_are_shown() {
        let metrics = Arc::new(Metrics::new().unwrap());
        let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let mut table = Table::new(Arc::clone(&metrics), hidden, None);
        for number in 0..MAX_ROWS as u64 + 5 {
            let name = StreamName {
                source: "shop".to_owned(),
                generator: "web".to_owned(),
                stream: format!("stream-{number}"),
                kind: "access",
            };
            metrics.stream(&name).lines.inc_by(number);
        }
        table.tick(0);
        assert_eq!(table.rows.len(), MAX_ROWS);
        assert!(table.rows[0].message().contains("stream-24 "));
        assert!(table.more.message().contains("5 more streams"));
    }
}
