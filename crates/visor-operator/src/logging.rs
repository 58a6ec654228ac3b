//! The operator's own logs, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Begins to write logs.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("VISOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let coloured =
        io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(coloured)
        .with_target(false);
    // It can fail only if logs have begun already, and then they go on.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}
