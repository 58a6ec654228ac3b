//! `visor-operator`: runs `FakeLogSource`s as pods that write logs.
//!
//! | module | idea |
//! |---|---|
//! | `source` | a source that has passed every rule |
//! | `policy` | which privileges sources have |
//! | `build` | the desired children (pure) |
//! | `cache` | the existing objects, watched |
//! | `apply` | writes the children that differ |
//! | `other_operators` | whether another operator manages a source |
//! | `pod_owner` | which pods belong to a source, whatever their labels say (pure) |
//! | `failed_creates` | why a workload's pods can't be created |
//! | `source_counts` | how many lines were written, from scrapes and termination messages (pure) |
//! | `status` | conditions and numbers (pure) |
//! | `status_rate_limiter` | limits how often a status is written |
//! | `reconcile` | all of that, for each change |
//! | `inject` | the mutating webhook for pods |
//! | `validate` | the validating webhook for sources |
//! | `admission` | what both have in common |
//! | `webhook` | their HTTPS server |
//! | `certificates` | its certificate, and the CA bundle |
//! | `scrape` | scrapes the pods |
//! | `queue` | counts the sources that wait to be reconciled |
//! | `leader` | leader election |
//! | `operate` | starts everything, and shuts it down |

#[cfg(test)]
mod account_policy;
mod admission;
mod all_counts;
mod api_server;
mod apply;
mod build;
mod cache;
mod certificates;
mod children;
mod cli;
mod compare;
#[cfg(test)]
mod documented;
mod events;
mod failed_creates;
mod http_client;
mod inject;
mod leader;
mod logging;
mod lookups;
mod metrics;
mod observed;
mod operate;
mod other_operators;
mod pod_owner;
mod policy;
mod queue;
mod reconcile;
mod requests;
mod scrape;
mod source;
mod source_counts;
mod status;
mod status_rate_limiter;
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
    let caught = operate::exit_on_signals();
    let color = if logging::colors_disabled() { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(color).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        _ if caught.is_err() => caught,
        Command::Crd => print_definition(),
        Command::Reference => reference(),
        Command::Check { url } => check(&url),
        Command::Run(options) => {
            logging::start(options.logging_format);
            run(*options)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if standard error is closed.
            let _ = writeln!(io::stderr(), "visor-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `visor-operator crd`.
fn print_definition() -> anyhow::Result<()> {
    let text =
        visor_api::definition::yaml().context("cannot generate the custom resource definition")?;
    print(&text)
}

/// `visor-operator reference`.
fn reference() -> anyhow::Result<()> {
    print(&visor_reference::page(&Cli::command(), &metrics::example()?))
}

/// Writes to standard output; a closed pipe is no failure.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// `visor-operator check`.
fn check(url: &str) -> anyhow::Result<()> {
    const TIME_LIMIT: Duration = Duration::from_secs(10);
    const MAX_BYTES: usize = 1 << 20;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
    let mut answer = None;
    runtime.block_on(async {
        let client = http_client::client();
        let line = |line: &str| {
            answer.get_or_insert_with(|| line.to_owned());
        };
        http_client::lines(&client, asked, StatusCode::OK, TIME_LIMIT, MAX_BYTES, line).await
    })?;
    print(&format!("{url}: {}\n", answer.unwrap_or_default()))
}

/// `visor-operator run`. The operator mostly waits for the network, so two threads are enough on
/// any machine.
fn run(options: cli::Run) -> anyhow::Result<()> {
    const THREADS: usize = 2;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(THREADS).enable_all().build()?;
    let done = runtime.block_on(operate::run(options));
    // `operate` has waited for what is still running.
    runtime.shutdown_background();
    done
}
