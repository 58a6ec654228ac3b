//! The table on the terminal during a run.

use std::{future::pending, sync::Arc};

use tokio::time::Interval;

use super::{Run, length::RunLength, ticker};
use crate::{
    metrics::Metrics,
    table::{self, Table},
};

/// The table, if there is one, and its redraw timer.
pub(super) struct TableTicker {
    table: Option<Table>,
    tick: Interval,
    metrics: Arc<Metrics>,
}

impl TableTicker {
    pub(super) fn new(table: Option<Table>, metrics: &Arc<Metrics>) -> Self {
        Self { table, tick: ticker(table::TICK), metrics: Arc::clone(metrics) }
    }

    /// Waits until the table is to be redrawn; forever if there is none.
    pub(super) async fn is_due(&mut self) {
        match self.table {
            Some(_) => _ = self.tick.tick().await,
            None => pending().await,
        }
    }

    /// Redraws the table. The progress of a run with a number of lines is its lines, that of any
    /// other is its time in milliseconds.
    pub(super) fn draw(&mut self, run: &Run, elapsed: i64) {
        let position = match run.length {
            RunLength::Lines(_) => self.metrics.streams().iter().map(|m| m.lines.get()).sum(),
            _ => u64::try_from(elapsed).unwrap_or(0),
        };
        if let Some(table) = &mut self.table {
            table.tick(position);
        }
    }
}

impl Drop for TableTicker {
    /// Removes the table from the terminal.
    fn drop(&mut self) {
        self.table.iter().for_each(Table::clear);
    }
}
