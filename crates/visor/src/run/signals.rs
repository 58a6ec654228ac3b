//! SIGTERM and SIGINT: the first one ends the run in order, a second one at once.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use anyhow::Context;
use visor_runtime::shutdown::ShutdownSignals;

/// A signal that arrives this soon after the first is a duplicate, as from timeout(1), which
/// signals a process and then its group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// The signals that end the process.
pub(super) struct StopSignals {
    signals: ShutdownSignals,
    first: Option<Instant>,
}

impl StopSignals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let signals = ShutdownSignals::listen().context("cannot install signal handlers")?;
        Ok(Self { signals, first: None })
    }

    /// Waits for the signal to end with every line complete and written. A second signal exits at
    /// once, with 128 plus the signal's number as in a shell.
    pub(super) async fn requested(&mut self) {
        loop {
            let signal = self.signals.received().await;
            match self.first {
                None => {
                    self.first = Some(Instant::now());
                    return;
                }
                Some(first) if first.elapsed() > SAME_SIGNAL => {
                    std::process::exit(128 + signal);
                }
                Some(_) => {}
            }
        }
    }

    /// Like [`requested`](Self::requested), while the run is ending.
    pub(super) async fn requested_again(&mut self) -> Infallible {
        loop {
            self.requested().await;
        }
    }
}
