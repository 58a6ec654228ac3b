//! SIGTERM and SIGINT: the first asks for an orderly end, a second one for an end at once.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::early_signals;

/// A signal that comes so soon after the first is the same wish said twice, as by timeout(1), which
/// signals a process and then its group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// The signals that end the program.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    first: Option<Instant>,
}

impl StopSignals {
    pub(super) fn new() -> anyhow::Result<Self> {
        let signals = Self {
            terminate: signal(SignalKind::terminate()).context("catching SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("catching SIGINT")?,
            first: None,
        };
        early_signals::unwatch();
        Ok(signals)
    }

    /// Waits for the wish that the program end with every line whole and written. Another signal
    /// after it ends the process now, with 128 and the signal's number as exit code, as a shell would
    /// have it.
    pub(super) async fn asked(&mut self) {
        loop {
            let signal = tokio::select! {
                _ = self.terminate.recv() => SignalKind::terminate(),
                _ = self.interrupt.recv() => SignalKind::interrupt(),
            };
            match self.first {
                None => {
                    self.first = Some(Instant::now());
                    return;
                }
                Some(first) if first.elapsed() > SAME_SIGNAL => {
                    std::process::exit(128 + signal.as_raw_value());
                }
                Some(_) => {}
            }
        }
    }

    /// As [`asked`](Self::asked), when the wish is being fulfilled already.
    pub(super) async fn asked_again(&mut self) -> Infallible {
        loop {
            self.asked().await;
        }
    }
}
