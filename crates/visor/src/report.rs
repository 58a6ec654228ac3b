//! How much was written in all, in a file for a program (`--report`): every second while the run
//! goes on, so that little is missing if it is killed, and to the line when it ends.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task,
    time::{MissedTickBehavior, interval},
};

use crate::metrics::Metrics;

/// How often it is written while the run goes on.
const PERIOD: Duration = Duration::from_secs(1);
/// Longer than any report, so that each covers the one before in one write: whoever reads the file
/// at any time finds a whole one.
const WIDTH: usize = 95;

/// A file that tells how much was written.
pub(crate) struct Report {
    path: PathBuf,
    metrics: Arc<Metrics>,
    /// `None` when there is no more to say.
    file: Mutex<Option<File>>,
    /// Why there is none, until that is told.
    untold: Mutex<Option<io::Error>>,
}

impl Report {
    /// Opens the file as it is, for that of a container can't be replaced. One that can't be opened
    /// is only a warning, once there are diagnostics.
    pub(crate) fn open(path: PathBuf, metrics: Arc<Metrics>) -> Self {
        let opened = File::options().create(true).truncate(true).write(true).open(&path);
        let (file, error) = match opened {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(error)),
        };
        Self { path, metrics, file: Mutex::new(file), untold: Mutex::new(error) }
    }

    /// Warns of a file that couldn't be opened.
    pub(crate) fn warn(&self) {
        if let Some(error) = self.untold.lock().unwrap_or_else(PoisonError::into_inner).take() {
            warn(&self.path, &error);
        }
    }

    /// Has it written every second from now on.
    pub(crate) fn keep(self: &Arc<Self>) {
        let report = Arc::clone(self);
        tokio::spawn(async move {
            let mut ticks = interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let report = Arc::clone(&report);
                // A disk may take its time. What fails now is said at the end, if it fails again.
                let written = task::spawn_blocking(move || report.write_if_open());
                written.await.ok();
            }
        });
    }

    fn write_if_open(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            self.write(file, false).ok();
        }
    }

    /// Says the last of it: nothing is written any more.
    pub(crate) fn end(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = file
            && let Err(error) = self.write(&file, true)
        {
            warn(&self.path, &error);
        }
    }

    fn write(&self, file: &File, ended: bool) -> io::Result<()> {
        let (mut lines, mut bytes) = (0_u64, 0_u64);
        for meter in self.metrics.streams() {
            lines += meter.lines.get();
            bytes += meter.bytes.get();
        }
        let text = format!("{{\"lines\":{lines},\"bytes\":{bytes},\"ended\":{ended}}}");
        file.write_all_at(format!("{text:WIDTH$}\n").as_bytes(), 0)
    }
}

impl Drop for Report {
    /// A program that never began to write has written nothing, and that is its last word, too.
    fn drop(&mut self) {
        self.end();
    }
}

fn warn(path: &Path, error: &io::Error) {
    tracing::warn!("the report can't be written to {}: {error}", path.display());
}
