//! The operator's own logs, on standard error.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Begins to write logs.
pub(crate) fn start(format: LogFormat) {
    let mut levels = std::env::var("VISOR_LOG").unwrap_or_default();
    if EnvFilter::try_new(&levels).is_err() || levels.is_empty() {
        "info".clone_into(&mut levels);
    }
    // What kube's client says of a request that failed is said by whoever made it, and better.
    if !levels.contains("kube") {
        levels.push_str(",kube_client=off");
    }
    let filter = EnvFilter::new(levels);
    let coloured = io::IsTerminal::is_terminal(&io::stderr()) && !colours_are_unwished();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // The subscriber's own complaint about a failed write would be a write that panics.
        .log_internal_errors(false)
        .with_ansi(coloured)
        .with_target(false);
    // It can fail only if logs have begun already, and then they go on.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        // The look at a source that a line is about (`span`) says which one it is.
        LogFormat::Json => subscriber.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

/// Whether colours are out of place whatever the output is: on a dumb terminal, or by `NO_COLOR`.
pub(crate) fn colours_are_unwished() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
