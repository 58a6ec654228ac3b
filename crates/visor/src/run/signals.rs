//! SIGTERM and SIGINT: the first asks for an orderly end, a second one for an end at once.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that comes so soon after the first is the same wish said twice, as by timeout(1), which
/// signals a process and then its group.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// The signals that end the program.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    first: Option<Instant>,
}

/// How the program is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// With every line whole and written.
    InOrder,
    /// Now, with this exit code: 128 and the signal's number, as a shell would have it.
    AtOnce(i32),
}

impl StopSignals {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("catching SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("catching SIGINT")?,
            first: None,
        })
    }

    /// Waits for a signal that says something new.
    pub(super) async fn recv(&mut self) -> Wish {
        loop {
            let signal = tokio::select! {
                _ = self.terminate.recv() => SignalKind::terminate(),
                _ = self.interrupt.recv() => SignalKind::interrupt(),
            };
            match self.first {
                None => {
                    self.first = Some(Instant::now());
                    return Wish::InOrder;
                }
                Some(first) if first.elapsed() > SAME_SIGNAL => {
                    return Wish::AtOnce(128 + signal.as_raw_value());
                }
                Some(_) => {}
            }
        }
    }

    /// Waits for the wish to end at once, and says with which exit code; one to end in order is being
    /// fulfilled already.
    pub(super) async fn at_once(&mut self) -> i32 {
        loop {
            if let Wish::AtOnce(code) = self.recv().await {
                return code;
            }
        }
    }
}
