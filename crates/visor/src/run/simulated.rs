//! A simulated run: the driver on threads of its own, and on the main thread signals, metrics and
//! the table.

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
    output::OutputEnd,
    plan::Plan,
    simulation::{self, SimulationError, SimulationHandle},
    table::Table,
};

/// How long outputs may take after a signal.
const FLUSH_TIME: Duration = Duration::from_millis(600);

/// Runs until the end of simulated time, or until a signal.
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

    let handle = Arc::new(SimulationHandle::new().context("cannot set up the outputs")?);
    let (done, mut ended) = oneshot::channel();
    let driver = {
        let (handle, metrics, threads) = (Arc::clone(&handle), Arc::clone(metrics), run.threads);
        move || {
            // There is no receiver after a signal.
            let _ = done.send(simulation::run(plan, start, threads, &metrics, &handle));
        }
    };
    std::thread::Builder::new().name("simulation".to_owned()).spawn(driver)?;

    let mut table = TableTicker::new(table, metrics);
    let mut deadline: Option<Instant> = None;
    let outcome = loop {
        tokio::select! {
            outcome = &mut ended => break outcome,
            () = stop.requested() => {
                handle.stop();
                deadline = Some(Instant::now() + FLUSH_TIME);
            }
            () = async { match deadline { Some(end) => sleep_until(end).await, None => pending().await } } => {
                handle.cancel();
                deadline = None;
            }
            () = table.is_due() => table.draw(&run, handle.reached().nanos_since(start) / 1_000_000),
        }
    };
    drop(table);
    let (unfinished, outcome) =
        outcome.context("the simulation exited without a result; this is a bug in visor")?;
    let code = endings::report(Some(&unfinished), run.summary);
    match outcome {
        Err(SimulationError::Output(error)) if error.end() != OutputEnd::Failed => Ok(code),
        outcome => outcome.map(|()| code).map_err(Into::into),
    }
}
