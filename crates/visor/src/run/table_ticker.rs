//! The table on the terminal while a run goes on, live or simulated.

use std::{future::pending, sync::Arc};

use tokio::time::Interval;

use super::{Run, extent::Extent, ticker};
use crate::{
    metrics::Metrics,
    table::{self, Table},
};

/// The table, if there is one, and when it is to be drawn anew.
pub(super) struct TableTicker {
    table: Option<Table>,
    tick: Interval,
    metrics: Arc<Metrics>,
}

impl TableTicker {
    pub(super) fn new(table: Option<Table>, metrics: &Arc<Metrics>) -> Self {
        Self { table, tick: ticker(table::TICK), metrics: Arc::clone(metrics) }
    }

    /// Waits until the table is to be drawn anew; for good where there is none.
    pub(super) async fn is_due(&mut self) {
        match self.table {
            Some(_) => _ = self.tick.tick().await,
            None => pending().await,
        }
    }

    /// Draws the table anew. A run that is so many lines long has come as far as its lines, any other
    /// as far as its time, in milliseconds.
    pub(super) fn draw(&mut self, run: &Run, elapsed: i64) {
        let position = match run.extent {
            Extent::Lines(_) => self.metrics.streams().iter().map(|m| m.lines.get()).sum(),
            _ => u64::try_from(elapsed).unwrap_or(0),
        };
        if let Some(table) = &mut self.table {
            table.tick(position);
        }
    }
}

impl Drop for TableTicker {
    /// Takes the table off the terminal.
    fn drop(&mut self) {
        self.table.iter().for_each(Table::clear);
    }
}
