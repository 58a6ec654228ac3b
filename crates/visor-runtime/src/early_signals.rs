//! SIGTERM and SIGINT before a program handles them. It has done nothing by then, so it exits at once.
//!
//! As process 1 of a container a process has no default action for signals: one that arrives before
//! its handler is installed is lost, and the container is killed at the end of its grace period. So
//! this is the first thing that `main` does.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};

static WATCH: Mutex<Watch> = Mutex::new(Watch { handle: None, before_exit: None });

/// The state of the handler.
struct Watch {
    /// `None` before and after the handler is active.
    handle: Option<Handle>,
    /// What to do before exiting.
    before_exit: Option<Box<dyn FnOnce() + Send>>,
}

/// Installs the handler.
///
/// # Errors
///
/// If the system can't provide a handler or a thread.
pub fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    watch_state(|watch| watch.handle = Some(signals.handle()));
    thread::Builder::new().name("early-signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            watch_state(|watch| watch.before_exit.take().into_iter().for_each(|action| action()));
            std::process::exit(128 + signal);
        }
    })?;
    Ok(())
}

/// Sets what to do if a signal ends the process early.
pub fn before_exit(action: impl FnOnce() + Send + 'static) {
    watch_state(|watch| watch.before_exit = Some(Box::new(action)));
}

/// Removes the handler; the caller handles signals from now on.
pub fn unwatch() {
    watch_state(|watch| {
        if let Some(handle) = watch.handle.take() {
            handle.close();
        }
        watch.before_exit = None;
    });
}

fn watch_state<T>(with: impl FnOnce(&mut Watch) -> T) -> T {
    // No code in here panics with an inconsistent state.
    with(&mut WATCH.lock().unwrap_or_else(PoisonError::into_inner))
}
