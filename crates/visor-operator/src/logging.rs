//! The operator's logs, on standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::cli::LoggingFormat;

/// Initializes logging.
pub(crate) fn start(format: LoggingFormat) {
    let colored = io::IsTerminal::is_terminal(&io::stderr()) && !colors_disabled();
    let lines = fmt::layer()
        .with_writer(io::stderr)
        // The subscriber would report a failed write to standard error, and panic.
        .log_internal_errors(false)
        .with_ansi(colored)
        .with_target(false);
    let setting = std::env::var("VISOR_LOG").unwrap_or_default();
    let logs = tracing_subscriber::registry().with(levels(&setting));
    // It fails only if logging has been initialized before.
    let _ = match format {
        LoggingFormat::Text => logs.with(lines).try_init(),
        // The span of the reconciliation has the source's name.
        LoggingFormat::Json => {
            logs.with(lines.json().flatten_event(true).with_span_list(false)).try_init()
        }
    };
}

/// The levels of `VISOR_LOG`, such as `debug` or `visor_operator=debug`; `info` where it says
/// nothing, or isn't valid.
fn levels(setting: &str) -> Targets {
    let names_the_client = setting.contains("kube");
    let setting = Some(setting).filter(|setting| !setting.is_empty());
    let levels: Targets = setting.and_then(|setting| setting.parse().ok()).unwrap_or_default();
    let other = levels.default_level().unwrap_or(LevelFilter::INFO);
    let levels = levels.with_default(other);
    // Failed requests are logged by the code that sent them, with more context.
    if names_the_client { levels } else { levels.with_target("kube_client", LevelFilter::OFF) }
}

/// Whether output is never colored: on a dumb terminal, or with `NO_COLOR`.
pub(crate) fn colors_disabled() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|terminal| terminal == "dumb");
    is_dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_configured_or_info_and_the_client_is_quiet_by_default() {
        for (setting, operator, client) in [
            ("", Some(Level::INFO), None),
            ("three=equals=signs", Some(Level::INFO), None),
            ("debug", Some(Level::DEBUG), None),
            ("off", None, None),
            ("a slip", Some(Level::INFO), None),
            ("visor_operator=debug", Some(Level::DEBUG), None),
            ("warn,kube_client=info", Some(Level::WARN), Some(Level::INFO)),
        ] {
            let levels = levels(setting);
            for (target, level) in
                [("visor_operator::run", operator), ("kube_client::client", client)]
            {
                let mut enabled =
                    [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
                        .into_iter()
                        .filter(|level| levels.would_enable(target, level));
                assert_eq!(enabled.next(), level, "{target} by {setting:?}");
            }
        }
    }
}
