//! `visor-sink`: takes what collectors send, and tells which lines arrived.

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};
use visor_runtime::{console, early_signals, logging, reference};
use visor_sink::cli::{Cli, Command};

/// An option is wrong, or the sink can't work. A verdict has other exit statuses.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let watched = early_signals::watch();
    let color = if console::colors_disabled() { ColorChoice::Never } else { ColorChoice::Auto };
    let matches = Cli::command().color(color).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        _ if watched.is_err() => Err(anyhow::anyhow!("cannot install signal handlers")),
        Some(Command::Reference) => reference_page(),
        None => {
            logging::start(cli.options.logging_format, || console::Diagnostics, None);
            visor_sink::run(&cli.options)
        }
    };
    outcome.unwrap_or_else(|error| {
        console::print_last(&format!("visor-sink: {error:#}\n"));
        WRONG.into()
    })
}

fn reference_page() -> anyhow::Result<ExitCode> {
    console::print(&reference::page(&Cli::command(), &visor_sink::example_metrics()?))?;
    Ok(ExitCode::SUCCESS)
}
