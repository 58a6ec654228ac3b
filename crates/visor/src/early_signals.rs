//! SIGTERM and SIGINT before an event loop handles them, while documents are read. Nothing has been
//! written by then, so the process exits at once.
//!
//! As process 1 of a container a process has no default action for signals: one that arrives before
//! its handler is installed is lost, and the container is killed at the end of its grace period. So
//! this is the first thing that `main` does.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};

use crate::report::Report;

static WATCH: Mutex<Watch> = Mutex::new(Watch { handle: None, report: None });

/// The state of the handler.
struct Watch {
    /// `None` before and after the handler is active.
    handle: Option<Handle>,
    /// The report to write before exiting.
    report: Option<Arc<Report>>,
}

/// Installs the handler.
///
/// # Errors
///
/// If the system can't provide a handler or a thread.
pub(crate) fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    watch_state(|watch| watch.handle = Some(signals.handle()));
    thread::Builder::new().name("early-signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            watch_state(|watch| watch.report.iter().for_each(|report| report.end()));
            std::process::exit(128 + signal);
        }
    })?;
    Ok(())
}

/// Sets the report to write if a signal ends the process early.
pub(crate) fn report_to(report: &Arc<Report>) {
    watch_state(|watch| watch.report = Some(Arc::clone(report)));
}

/// Removes the handler; the caller handles signals from now on.
pub(crate) fn unwatch() {
    watch_state(|watch| {
        if let Some(handle) = watch.handle.take() {
            handle.close();
        }
        watch.report = None;
    });
}

fn watch_state<T>(with: impl FnOnce(&mut Watch) -> T) -> T {
    // No code in here panics with an inconsistent state.
    with(&mut WATCH.lock().unwrap_or_else(PoisonError::into_inner))
}
