//! A simulated run: the driver on threads of its own, and here signals, metrics and the table.

use std::{future::pending, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{Run, endings, serve, signals::StopSignals, table_ticker::TableTicker};
use visor_engine::time::Time;
use visor_http::Readiness;

use crate::{
    metrics::Metrics,
    plan::Plan,
    simulation::{self, Course, SimulationError},
    sink::SinkError,
    table::Table,
};

/// When the run is to end, outputs have this long to take what they are being given.
const FLUSH_TIME: Duration = Duration::from_millis(600);

/// Runs until the simulated time is over, or until a signal.
pub(super) async fn run(
    run: Run,
    plan: Plan,
    start: Time,
    metrics: &Arc<Metrics>,
    table: Option<Table>,
) -> anyhow::Result<ExitCode> {
    let mut stop = StopSignals::new()?;
    let readiness = Arc::new(Readiness::default());
    serve(run.listen()?, metrics, &readiness);
    readiness.set(true);

    let course = Arc::new(Course::new().context("setting up the outputs")?);
    let (done, mut ended) = oneshot::channel();
    let driver = {
        let (course, metrics, threads) = (Arc::clone(&course), Arc::clone(metrics), run.threads);
        move || {
            // Nobody waits for the answer if the program is ending in haste.
            let _ = done.send(simulation::run(plan, start, threads, &metrics, &course));
        }
    };
    std::thread::Builder::new().name("simulation".to_owned()).spawn(driver)?;

    let mut table = TableTicker::new(table, metrics);
    let mut patience: Option<Instant> = None;
    let outcome = loop {
        tokio::select! {
            outcome = &mut ended => break outcome,
            () = stop.asked() => {
                course.stop();
                patience = Some(Instant::now() + FLUSH_TIME);
            }
            () = async { match patience { Some(end) => sleep_until(end).await, None => pending().await } } => {
                course.give_up();
                patience = None;
            }
            () = table.is_due() => table.draw(&run, course.reached().nanos_since(start) / 1_000_000),
        }
    };
    drop(table);
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
