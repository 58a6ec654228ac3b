//! SIGTERM and SIGINT, which end a program in order.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::early_signals;

/// The signals for a shutdown.
#[derive(Debug)]
pub struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    /// Handles the signals from now on. It must be called within a runtime.
    ///
    /// # Errors
    ///
    /// If the system can't provide a handler.
    pub fn listen() -> io::Result<Self> {
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        early_signals::unwatch();
        Ok(signals)
    }

    /// Waits for the next signal, and returns its number.
    pub async fn received(&mut self) -> i32 {
        let kind = tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        };
        kind.as_raw_value()
    }
}
