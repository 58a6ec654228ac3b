//! The operator's own logs, on standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::cli::LogFormat;

/// Begins to write logs.
pub(crate) fn start(format: LogFormat) {
    let coloured = io::IsTerminal::is_terminal(&io::stderr()) && !colours_are_unwished();
    let lines = fmt::layer()
        .with_writer(io::stderr)
        // The subscriber's own complaint about a failed write would be a write that panics.
        .log_internal_errors(false)
        .with_ansi(coloured)
        .with_target(false);
    let wished = std::env::var("VISOR_LOG").unwrap_or_default();
    let logs = tracing_subscriber::registry().with(levels(&wished));
    // It can fail only if logs have begun already, and then they go on.
    let _ = match format {
        LogFormat::Text => logs.with(lines).try_init(),
        // The look at a source that a line is about (`span`) says which one it is.
        LogFormat::Json => {
            logs.with(lines.json().flatten_event(true).with_span_list(false)).try_init()
        }
    };
}

/// The levels that are wished, such as `debug` or `visor_operator=debug`; `info` for all that
/// nothing is wished for, or nothing that can be understood.
fn levels(wished: &str) -> Targets {
    let names_the_client = wished.contains("kube");
    let wished = Some(wished).filter(|wished| !wished.is_empty());
    let levels: Targets = wished.and_then(|wished| wished.parse().ok()).unwrap_or_default();
    let other = levels.default_level().unwrap_or(LevelFilter::INFO);
    let levels = levels.with_default(other);
    // What kube's client says of a request that failed is said by whoever made it, and better.
    if names_the_client { levels } else { levels.with_target("kube_client", LevelFilter::OFF) }
}

/// Whether colours are out of place whatever the output is: on a dumb terminal, or by `NO_COLOR`.
pub(crate) fn colours_are_unwished() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_those_wished_or_info_and_the_client_is_silent_unless_named() {
        for (wished, operator, client) in [
            ("", Some(Level::INFO), None),
            ("three=equals=signs", Some(Level::INFO), None),
            ("debug", Some(Level::DEBUG), None),
            ("off", None, None),
            ("a slip", Some(Level::INFO), None),
            ("visor_operator=debug", Some(Level::DEBUG), None),
            ("warn,kube_client=info", Some(Level::WARN), Some(Level::INFO)),
        ] {
            let levels = levels(wished);
            for (target, level) in
                [("visor_operator::run", operator), ("kube_client::client", client)]
            {
                let mut enabled =
                    [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
                        .into_iter()
                        .filter(|level| levels.would_enable(target, level));
                assert_eq!(enabled.next(), level, "{target} by {wished:?}");
            }
        }
    }
}
