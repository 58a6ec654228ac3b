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

use std::{process::ExitCode, time::Duration};

use ::http::StatusCode;
use anyhow::Context;
use clap::{ColorChoice, CommandFactory, FromArgMatches};

use visor_runtime::{
    console::{self, Diagnostics},
    early_signals, logging, reference,
};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let watched = early_signals::watch();
    let color = if console::colors_disabled() { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(color).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match cli.command {
        _ if watched.is_err() => watched.context("cannot install signal handlers"),
        Command::Crd => print_definition(),
        Command::Reference => reference_page(),
        Command::Check { url } => check(&url),
        Command::Run(options) => {
            // Failed requests are logged by the code that sent them, with more context.
            logging::start(options.logging_format, || Diagnostics, Some("kube_client"));
            run(*options)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::print_last(&format!("visor-operator: {error:#}\n"));
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
fn reference_page() -> anyhow::Result<()> {
    print(&reference::page(&Cli::command(), &metrics::example()?))
}

/// Writes to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    console::print(text).context("cannot write to standard output")
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
