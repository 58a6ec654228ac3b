//! `visor-operator`: runs `FakeLogSource`s as pods that write logs.
//!
//! | module | idea |
//! |---|---|
//! | `controller` | what the leader does for each change: observe, validate, build, apply, report |
//! | `counts` | how many lines were written, from scrapes and termination messages |
//! | `injector` | the mutating webhook for pods |
//! | `admission` | the validating webhook for sources, and the HTTPS server of both webhooks |
//! | `certificates` | its certificate, and the CA bundle |
//! | `leader` | leader election |
//! | `api_client` | requests to the API server: counted, limited, throttled |
//! | `source` | a source that has passed every rule |
//! | `policy` | which privileges sources have |
//! | `pods` | which pods belong to a source, whatever their labels say |
//! | `labels` | the names by which objects are recognized |
//! | `operate` | starts everything, and shuts it down |

#[cfg(test)]
mod account_policy;
mod admission;
mod api_client;
mod certificates;
mod cli;
mod controller;
mod counts;
#[cfg(test)]
mod documented;
mod hash;
mod injector;
mod labels;
mod leader;
mod metrics;
mod operate;
mod pods;
mod policy;
mod source;
#[cfg(test)]
mod test_server;

use std::{process::ExitCode, time::Duration};

use ::http::StatusCode;
use anyhow::Context;
use clap::{ColorChoice, CommandFactory, FromArgMatches};

use visor_runtime::{
    console::{self, Diagnostics},
    early_signals, logging, reference,
};

use cli::{Cli, Command};
use counts::http_client;

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
