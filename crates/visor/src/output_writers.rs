//! The writers of all outputs, and the locks of files.
//!
//! Standard output and standard error are shared by all event loops. A file has one writer at a
//! time: a new output for a file waits while another one still writes what is left.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync;

use crate::{
    output::{Cancellation, Destination, OutputWriter, SharedOutputWriter},
    plan::OutputPlan,
};

/// All writers of the process.
pub(crate) struct OutputWriters {
    cancellation: Cancellation,
    standard: [(Destination, SharedOutputWriter); 2],
    file_locks: Mutex<HashMap<PathBuf, FileLock>>,
}

/// The lock of a file, held by one writer at a time.
pub(crate) type FileLock = Arc<sync::Mutex<()>>;

impl OutputWriters {
    /// No file yet.
    ///
    /// # Errors
    ///
    /// If the system can't provide a descriptor for the cancellation.
    pub(crate) fn new() -> io::Result<Self> {
        let cancellation = Cancellation::new()?;
        let standard = |destination: Destination| {
            (
                destination.clone(),
                SharedOutputWriter::new(OutputWriter::new(destination, None, cancellation.clone())),
            )
        };
        Ok(Self {
            standard: [standard(Destination::Stdout), standard(Destination::Stderr)],
            file_locks: Mutex::default(),
            cancellation,
        })
    }

    /// The writer of an output: a handle to a standard stream, or a new one for a file.
    pub(crate) fn writer(&self, output: &OutputPlan) -> SharedOutputWriter {
        let standard =
            self.standard.iter().find(|(destination, _)| *destination == output.destination);
        match standard {
            Some((_, shared)) => shared.new_owner(),
            None => SharedOutputWriter::new(OutputWriter::new(
                output.destination.clone(),
                output.rotation.clone(),
                self.cancellation.clone(),
            )),
        }
    }

    /// The lock that a writer to this destination must hold; `None` if several may write.
    pub(crate) fn file_lock(&self, destination: &Destination) -> Option<FileLock> {
        let path = destination.file()?.path();
        let mut file_locks = self.file_locks.lock().unwrap_or_else(PoisonError::into_inner);
        // Locks without a holder are dropped.
        file_locks.retain(|_, file_lock| Arc::strong_count(file_lock) > 1);
        Some(Arc::clone(file_locks.entry(path).or_default()))
    }

    /// Cancels all writes that wait for room, now and from now on.
    pub(crate) fn cancel(&self) {
        self.cancellation.cancel();
    }
}
