//! `visor`: fake but faithful Apache logs, every kind of line on its own clock.
//!
//! One line's way through the program, live: a [stream](live_stream) sleeps until it is due and has
//! the engine write it into its [`outlet`]'s [`batch`]; the outlet has one of the [`writers`] put the
//! batch into a [`sink`]; then the batch counts its lines in the [`metrics`]. Which streams there are
//! is in the [`plan`], made of [`documents`]. A [`simulation`] writes the same lines without the
//! waiting.

mod batch;
mod bell;
mod cli;
mod clock;
mod documents;
mod early_signals;
mod emit;
mod event_loop;
mod live_stream;
mod logging;
mod metrics;
mod outlet;
mod plan;
mod prepare;
mod report;
mod run;
mod simulation;
mod sink;
mod sinks;
mod start;
mod summary;
mod table;
#[cfg(test)]
mod testing;
mod writers;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use clap::{ColorChoice, CommandFactory, FromArgMatches};

use cli::{Cli, Command, Diagnostics};
use documents::{Documents, Problems};

fn main() -> ExitCode {
    let watched = early_signals::watch();
    let colour =
        if logging::colours_are_unwished() { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(colour).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        _ if watched.is_err() => watched.context("catching signals").map(|()| ExitCode::FAILURE),
        Command::Run(options) => run::run(options, cli.diagnostics),
        Command::Emit(options) => run::emit(&options, cli.diagnostics),
        Command::Validate(options) => validate(&options),
        Command::PrepareDirectory(options) => prepare::directory(&options.directory, options.owner),
        Command::Completions { shell } => completions(shell),
        Command::Man { output_dir } => manual(output_dir.as_deref()),
    };
    // If it never began, its report says so now.
    early_signals::unwatch();
    outcome.unwrap_or_else(|error| {
        match cli.diagnostics {
            Diagnostics::Text => say(&error),
            Diagnostics::Json => log(&error),
        }
        ExitCode::FAILURE
    })
}

/// Says for people what went wrong.
fn say(error: &anyhow::Error) {
    logging::say_last(&match error.downcast_ref::<Problems>() {
        // They name their places themselves.
        Some(problems) => format!("{problems}\n"),
        None => format!("visor: {error:#}\n"),
    });
}

/// Says for programs what went wrong: an object for each problem.
fn log(error: &anyhow::Error) {
    logging::start(Diagnostics::Json, None);
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
        logging::say_last(&format!("{note}\n"));
    }
    let names = sources.iter().map(|source| source.name.as_str());
    print(&format!("valid: {}\n", names.collect::<Vec<_>>().join(", ")))
}

/// `visor completions`.
fn completions(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "visor", &mut script);
    print(&String::from_utf8(script).context("the completions")?)
}

/// `visor man`.
fn manual(output_dir: Option<&Path>) -> anyhow::Result<ExitCode> {
    if let Some(directory) = output_dir {
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        clap_mangen::generate_to(Cli::command(), directory)
            .with_context(|| format!("writing manual pages into {}", directory.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    print(&String::from_utf8(page).context("the manual page")?)
}

/// Writes to standard output; a reader that has had enough is no failure.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
