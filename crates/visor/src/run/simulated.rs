//! A simulated run: the driver on threads of its own, and here signals, metrics and the table.

use std::{future::pending, process::ExitCode, sync::Arc};

use tokio::sync::oneshot;

use super::{
    Run, lines_of, lines_written,
    live::ticker,
    serve,
    signals::{StopSignals, Wish},
};
use crate::{
    http::Readiness,
    metrics::Metrics,
    plan::Plan,
    simulated::{self, Course, SimulationError},
    table::{self, Table},
};

/// Runs until the simulated time is over, or until a signal.
pub(super) async fn run(
    run: Run,
    plan: Plan,
    start: i64,
    metrics: &Arc<Metrics>,
    mut table: Option<Table>,
) -> anyhow::Result<ExitCode> {
    let mut stop = StopSignals::new()?;
    let readiness = Arc::new(Readiness::default());
    serve(run.listen().await?, metrics, &readiness);
    readiness.set(true);

    let course = Arc::new(Course::default());
    let (done, mut ended) = oneshot::channel();
    let driver = {
        let (course, metrics, threads) = (Arc::clone(&course), Arc::clone(metrics), run.threads);
        move || {
            // Nobody waits for the answer if the program is ending in haste.
            let _ = done.send(simulated::run(plan, start, threads, &metrics, &course));
        }
    };
    std::thread::Builder::new().name("simulation".to_owned()).spawn(driver)?;

    let mut table_tick = ticker(table::TICK);
    let outcome = loop {
        tokio::select! {
            outcome = &mut ended => break outcome,
            wish = stop.recv() => match wish {
                Wish::InOrder => course.stop(),
                Wish::AtOnce => std::process::exit(130),
            },
            _ = async { if table.is_some() { table_tick.tick().await } else { pending().await } } => {
                let position = match lines_of(&run.sources) {
                    Some(_) => lines_written(metrics),
                    None => u64::try_from((course.reached() - start) / 1_000_000).unwrap_or(0),
                };
                if let Some(table) = &mut table {
                    table.tick(position);
                }
            }
        }
    };
    table.iter().for_each(Table::clear);
    match outcome {
        Ok(Err(SimulationError::Sink(error))) if error.is_broken_pipe() => Ok(ExitCode::SUCCESS),
        Ok(outcome) => outcome.map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Err(_) => anyhow::bail!("the simulation ended without a word; that is a defect of visor"),
    }
}
