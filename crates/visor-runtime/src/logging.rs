//! Diagnostics: on standard error, as text or JSON. They never affect the program: if standard error
//! accepts none, because its reader is gone or a disk is full, they are dropped; if its reader stalls,
//! nobody waits for long.

use std::fmt;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::Targets,
    fmt::{MakeWriter, layer},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::console;

/// A format of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoggingFormat {
    /// Plain text
    Text,
    /// One JSON object per line
    Json,
}

impl fmt::Display for LoggingFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Initializes diagnostics. The environment variable `VISOR_LOG` sets their levels; without one of its
/// own, the target `quiet` is off.
pub fn start(
    format: LoggingFormat,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
    quiet: Option<&'static str>,
) {
    let lines = layer()
        .with_writer(writer)
        // The subscriber would report a failed write to standard error, and panic.
        .log_internal_errors(false)
        .with_ansi(console::stderr_is_colored())
        .with_target(false);
    let setting = std::env::var("VISOR_LOG").unwrap_or_default();
    let registry = tracing_subscriber::registry().with(levels(&setting, quiet));
    // It fails only if diagnostics have been initialized before.
    let _ = match format {
        LoggingFormat::Text => registry.with(lines).try_init(),
        // The current span has what its parents have.
        LoggingFormat::Json => {
            registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()
        }
    };
}

/// The levels of `VISOR_LOG`, such as `debug` or `visor=debug`; `info` where it says nothing, or isn't
/// valid.
fn levels(setting: &str, quiet: Option<&'static str>) -> Targets {
    let quiet = quiet.filter(|target| !setting.contains(target));
    let setting = Some(setting).filter(|setting| !setting.is_empty());
    let levels: Targets = setting.and_then(|setting| setting.parse().ok()).unwrap_or_default();
    let other = levels.default_level().unwrap_or(LevelFilter::INFO);
    let levels = levels.with_default(other);
    match quiet {
        Some(target) => levels.with_target(target, LevelFilter::OFF),
        None => levels,
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_configured_or_info_and_a_quiet_target_is_off() {
        for (setting, own, client) in [
            ("", Some(Level::INFO), None),
            ("three=equals=signs", Some(Level::INFO), None),
            ("warn", Some(Level::WARN), None),
            ("off", None, None),
            ("a slip", Some(Level::INFO), None),
            ("visor=debug", Some(Level::DEBUG), None),
            ("warn,visor=debug", Some(Level::DEBUG), None),
            ("warn,kube=info", Some(Level::WARN), Some(Level::INFO)),
        ] {
            let levels = levels(setting, Some("kube"));
            for (target, level) in [("visor::run", own), ("kube::client", client)] {
                let mut enabled =
                    [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR]
                        .into_iter()
                        .filter(|level| levels.would_enable(target, level));
                assert_eq!(enabled.next(), level, "{target} by {setting:?}");
            }
        }
        assert!(levels("warn", None).would_enable("kube", &Level::WARN));
    }
}
