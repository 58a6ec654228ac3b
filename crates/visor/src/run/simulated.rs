//! A simulated run: the driver on threads of its own, and here signals, metrics and the table.

use std::{future::pending, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{
    Run, endings, lines_written,
    live::ticker,
    serve,
    signals::{StopSignals, Wish},
};
use crate::{
    http::Readiness,
    metrics::Metrics,
    plan::Plan,
    simulated::{self, Course, SimulationError},
    sink::SinkError,
    table::{self, Table},
};

/// When the run is to end, outputs have this long to take what they are being given.
const FLUSH_TIME: Duration = Duration::from_millis(600);

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

    let course = Arc::new(Course::new().context("setting up the outputs")?);
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
    let mut patience: Option<Instant> = None;
    let outcome = loop {
        tokio::select! {
            outcome = &mut ended => break outcome,
            wish = stop.recv() => match wish {
                Wish::InOrder => {
                    course.stop();
                    patience = Some(Instant::now() + FLUSH_TIME);
                }
                Wish::AtOnce(code) => std::process::exit(code),
            },
            () = async { match patience { Some(end) => sleep_until(end).await, None => pending().await } } => {
                course.give_up();
                patience = None;
            }
            _ = async { if table.is_some() { table_tick.tick().await } else { pending().await } } => {
                let position = match run.lines_to_write() {
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
    let (remainders, outcome) =
        outcome.context("the simulation ended without a word; that is a defect of visor")?;
    let code = endings::tell(Some(&remainders), run.summary);
    match outcome {
        Err(SimulationError::Sink(SinkError::NoReader { .. } | SinkError::GivenUp { .. })) => {
            Ok(code)
        }
        Err(SimulationError::Sink(error)) if error.is_broken_pipe() => Ok(code),
        outcome => outcome.map(|()| code).map_err(Into::into),
    }
}
