//! `visor`: fake Apache logs, each kind of line on its own random schedule.
//!
//! The way of one line, live: a [stream](live_stream) sleeps until it is due and has the engine write
//! it into the buffer of its [`output`], whose writer has a thread write the batch to the
//! destination; then the batch counts its lines in the [`metrics`]. The [`plan`] of the streams is
//! made of [`documents`]. A [`simulation`] writes the same lines without waiting.

mod cli;
mod clock;
mod coalesced_timer;
mod descriptors;
mod documents;
mod emit;
mod event_loop;
mod lanes;
mod live_stream;
mod logging;
mod metrics;
mod output;
mod plan;
mod prepare;
mod report;
mod run;
mod simulation;
mod sink;
mod start;
mod summary;
mod table;
#[cfg(test)]
mod testing;
mod verify;

use std::{fs, path::Path, process::ExitCode};

use anyhow::Context;
use clap::{ColorChoice, CommandFactory, FromArgMatches};

use visor_runtime::{console, early_signals, logging::LoggingFormat, reference};

use cli::{Cli, Command};
use documents::{Documents, Problems};

fn main() -> ExitCode {
    let watched = early_signals::watch();
    let color = if console::colors_disabled() { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(color).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        _ if watched.is_err() => {
            watched.context("cannot install signal handlers").map(|()| ExitCode::FAILURE)
        }
        Command::Run(options) => run::run(options, cli.logging_format),
        Command::Emit(options) => run::emit(&options, cli.logging_format),
        Command::Validate(options) => validate(&options),
        Command::Verify(options) => return verify::run(&options),
        Command::Sink { arguments } => {
            // What it replaces this program with handles signals itself.
            early_signals::unwatch();
            print_error(&sink::run(&arguments));
            return ExitCode::from(2);
        }
        Command::PrepareDirectory(options) => prepare::directory(&options.directory, options.owner),
        Command::Completions { shell } => completions(shell),
        Command::Man { output_dir } => manual(output_dir.as_deref()),
        Command::Reference => reference_page(),
    };
    // If it never started, this writes its report.
    early_signals::unwatch();
    outcome.unwrap_or_else(|error| {
        match cli.logging_format {
            LoggingFormat::Text => print_error(&error),
            LoggingFormat::Json => log_error(&error),
        }
        ExitCode::FAILURE
    })
}

/// Prints an error for people.
fn print_error(error: &anyhow::Error) {
    console::print_last(&match error.downcast_ref::<Problems>() {
        // They have locations of their own.
        Some(problems) => format!("{problems}\n"),
        None => format!("visor: {error:#}\n"),
    });
}

/// Logs an error for programs: one object for each problem.
fn log_error(error: &anyhow::Error) {
    logging::start(LoggingFormat::Json, None);
    let Some(Problems(problems)) = error.downcast_ref() else {
        tracing::error!("{error:#}");
        return;
    };
    for found in problems {
        let path = found.problem.path.as_str();
        tracing::error!(file = found.file, line = found.line, path, "{}", found.problem.message);
    }
}

/// `visor validate`.
fn validate(options: &cli::Validate) -> anyhow::Result<ExitCode> {
    let mut documents = Documents::open(&options.file)?;
    let sources = documents.read()?;
    for note in documents.take_notes() {
        console::print_last(&format!("{note}\n"));
    }
    let names = sources.iter().map(|source| source.name.as_str());
    print(&format!("valid: {}\n", names.collect::<Vec<_>>().join(", ")))
}

/// `visor reference`.
fn reference_page() -> anyhow::Result<ExitCode> {
    print(&reference::page(&Cli::command(), &metrics::example()?))
}

/// `visor completions`.
fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "visor", &mut script);
    print(&String::from_utf8(script).context("cannot generate the completions")?)
}

/// `visor man`.
fn manual(output_dir: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(directory) = output_dir {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        clap_mangen::generate_to(Cli::command(), directory)
            .with_context(|| format!("cannot write manual pages into {}", directory.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    // There is no page for `help`.
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::Man::new(command).render(&mut page)?;
    print(&String::from_utf8(page).context("cannot generate the manual page")?)
}

/// Writes to standard output; a closed pipe is no failure.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    descriptors::check_stream(visor_libc::standard_streams::Stream::Output)?;
    console::print(text).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
