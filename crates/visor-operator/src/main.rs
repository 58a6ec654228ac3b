//! `visor-operator`: turns `FakeLogSource`s into pods that write logs.
//!
//! | module | idea |
//! |---|---|
//! | `source` | a source that has passed every rule |
//! | `policy` | what sources may not wish for |
//! | `build` | the objects that it is made of, as they should be (pure) |
//! | `cache` | the objects that there are, watched |
//! | `apply` | from the one to the other |
//! | `other_operators` | whether another one acts on a source |
//! | `pod_owner` | which pods are a source's, whatever their labels say (pure) |
//! | `pod_refusals` | why a workload's pods aren't made |
//! | `tally` | how many lines there were, from what pods said (pure) |
//! | `status` | what a person is told (pure) |
//! | `pace` | how often they are told |
//! | `reconcile` | all of that, once for each change |
//! | `inject` | puts generators into pods of others, as the API server asks about them |
//! | `validate` | refuses sources that can't run, as the API server asks about them |
//! | `reviews` | what is the same for both |
//! | `webhook` | the HTTPS server by which it asks |
//! | `certificates` | what it trusts that server by |
//! | `gather` | asks the pods for their counts, round by round |
//! | `queue` | how many looks are waiting |
//! | `leader` | one operator acts, the others wait |
//! | `operate` | starts all of it, and ends it |

#[cfg(test)]
mod account_policy;
mod apply;
mod build;
mod cache;
mod certificates;
mod children;
mod cli;
mod cluster;
mod compare;
#[cfg(test)]
mod documented;
mod events;
mod fetch;
mod gather;
mod inject;
mod leader;
mod logging;
mod lookups;
mod metrics;
mod observed;
mod operate;
mod other_operators;
mod pace;
mod pod_owner;
mod pod_refusals;
mod policy;
mod queue;
mod reconcile;
mod requests;
mod reviews;
mod source;
mod status;
mod tallies;
mod tally;
mod validate;
mod webhook;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use ::http::StatusCode;
use anyhow::Context;
use clap::{ColorChoice, CommandFactory, FromArgMatches};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let caught = operate::end_at_signals();
    let colour =
        if logging::colours_are_unwished() { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(colour).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        _ if caught.is_err() => caught,
        Command::Crd => print_definition(),
        Command::Check { url } => check(&url),
        Command::Run(options) => {
            logging::start(options.log_format);
            run(*options)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody left to tell if standard error is closed.
            let _ = writeln!(io::stderr(), "visor-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `visor-operator crd`.
fn print_definition() -> anyhow::Result<()> {
    let text = visor_api::definition::yaml().context("writing the definition")?;
    print(&text)
}

/// Writes to standard output; a reader that has had enough is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(()),
    }
}

/// `visor-operator check`.
fn check(url: &str) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(10);
    const MOST_BYTES: usize = 1 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = url.parse().with_context(|| format!("{url} is no URL"))?;
    let mut answer = None;
    runtime.block_on(async {
        let client = fetch::client();
        let line = |line: &str| {
            answer.get_or_insert_with(|| line.to_owned());
        };
        fetch::lines(&client, asked, StatusCode::OK, PATIENCE, MOST_BYTES, line).await
    })?;
    print(&format!("{url}: {}\n", answer.unwrap_or_default()))
}

/// `visor-operator run`. What it does is waiting, for a server on the other side of a network: two
/// threads are plenty, however many cores there are.
fn run(options: cli::Run) -> anyhow::Result<()> {
    const THREADS: usize = 2;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(THREADS).enable_all().build()?;
    let done = runtime.block_on(operate::run(options));
    // Whatever is still under way was given its time by `operate`.
    runtime.shutdown_background();
    done
}
