//! SIGTERM and SIGINT before there is an event loop that waits for them, as while documents are
//! read. Nothing has been written by then, so the program ends at once.
//!
//! As process 1 of a container a program has no default action for a signal: one that comes before
//! its handler is lost, and the container is killed when its grace period is over. So this is the
//! first thing that `main` does.

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

/// What there is to do about an early signal.
struct Watch {
    /// `None` before the watch, and after it.
    handle: Option<Handle>,
    /// What says for a program that nothing was written.
    report: Option<Arc<Report>>,
}

/// Begins to wait for signals.
///
/// # Errors
///
/// If the system has no handler or no thread to spare.
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

/// Has a report say that nothing was written, should a signal end the program early.
pub(crate) fn report_to(report: &Arc<Report>) {
    watch_state(|watch| watch.report = Some(Arc::clone(report)));
}

/// Leaves signals to whoever has just begun to wait for them.
pub(crate) fn unwatch() {
    watch_state(|watch| {
        if let Some(handle) = watch.handle.take() {
            handle.close();
        }
        watch.report = None;
    });
}

fn watch_state<T>(with: impl FnOnce(&mut Watch) -> T) -> T {
    // Nothing in here panics with the state half changed.
    with(&mut WATCH.lock().unwrap_or_else(PoisonError::into_inner))
}
