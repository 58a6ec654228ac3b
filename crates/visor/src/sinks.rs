//! The sinks of all outputs, and who may write into them.
//!
//! Standard output and standard error are shared by all who write to them. A file has one writer at
//! a time: an outlet that comes to one, while another outlet is still writing what is left for it,
//! waits for its turn.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync;

use crate::{
    plan::OutputPlan,
    sink::{Patience, SharedSink, Sink, Target},
};

/// All sinks of the process.
pub(crate) struct Sinks {
    patience: Patience,
    standard: [(Target, SharedSink); 2],
    turns: Mutex<HashMap<PathBuf, Turn>>,
}

/// The right to write to a file, held by one at a time.
pub(crate) type Turn = Arc<sync::Mutex<()>>;

impl Sinks {
    /// No file as yet.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor for what ends all waiting.
    pub(crate) fn new() -> io::Result<Self> {
        let patience = Patience::new()?;
        let standard = |target: Target| {
            (target.clone(), SharedSink::new(Sink::new(target, None, patience.clone())))
        };
        Ok(Self {
            standard: [standard(Target::Stdout), standard(Target::Stderr)],
            turns: Mutex::default(),
            patience,
        })
    }

    /// The sink of an output: a handle to a standard stream, or one of its own for a file.
    pub(crate) fn sink(&self, output: &OutputPlan) -> SharedSink {
        let standard = self.standard.iter().find(|(target, _)| *target == output.target);
        match standard {
            Some((_, shared)) => shared.another_owner(),
            None => SharedSink::new(Sink::new(
                output.target.clone(),
                output.rotation.clone(),
                self.patience.clone(),
            )),
        }
    }

    /// What a writer of this target has to hold; `None` where there can be several.
    pub(crate) fn turn(&self, target: &Target) -> Option<Turn> {
        let path = target.file()?.path();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Files that nobody writes to any more are forgotten.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Some(Arc::clone(turns.entry(path).or_default()))
    }

    /// Has all writes that wait for room end, now and from now on.
    pub(crate) fn give_up(&self) {
        self.patience.end();
    }
}
