//! What has been emitted, in a file (`--report`): every second, so that little is missing if the
//! process is killed, and exactly at the end.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task,
    time::{MissedTickBehavior, interval},
};

use crate::metrics::Metrics;

/// The interval of reports.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longer than most reports without lanes.
const MIN_WIDTH: usize = 191;
/// The kubelet cuts a longer termination message.
const MAX_TERMINATION_MESSAGE: usize = 4000;

/// A file with the counts.
pub(crate) struct Report {
    path: PathBuf,
    metrics: Arc<Metrics>,
    /// `None` after the final report.
    file: Mutex<Option<File>>,
    /// The length of the longest one so far: each replaces the previous one in a single write, so a
    /// reader always finds a complete one.
    width: AtomicUsize,
    /// Why it couldn't be opened, until that is logged.
    open_error: Mutex<Option<io::Error>>,
}

impl Report {
    /// Opens the file as it is, because the termination log of a container can't be replaced. If it
    /// can't be opened, a warning is logged later.
    pub(crate) fn open(path: PathBuf, metrics: Arc<Metrics>) -> Self {
        let opened = File::options().create(true).truncate(true).write(true).open(&path);
        let (file, error) = match opened {
            Ok(file) => (Some(file), None),
            Err(error) => (None, Some(error)),
        };
        Self {
            path,
            metrics,
            file: Mutex::new(file),
            width: AtomicUsize::new(MIN_WIDTH),
            open_error: Mutex::new(error),
        }
    }

    /// Logs a warning if the file couldn't be opened.
    pub(crate) fn warn(&self) {
        if let Some(error) = self.open_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            warn(&self.path, &error);
        }
    }

    /// Writes it every second from now on.
    pub(crate) fn write_periodically(self: &Arc<Self>) {
        let report = Arc::clone(self);
        tokio::spawn(async move {
            let mut ticks = interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let report = Arc::clone(&report);
                // A disk may be slow. An error is logged at the end, if it persists.
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

    /// Writes the final report: no more lines are written.
    pub(crate) fn end(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = file
            && let Err(error) = self.write(&file, true)
        {
            warn(&self.path, &error);
        }
    }

    fn write(&self, file: &File, ended: bool) -> io::Result<()> {
        let mut emitted = self.metrics.emitted(ended);
        let mut text = serde_json::to_string(&emitted)?;
        while self.is_termination_log() && text.len() > MAX_TERMINATION_MESSAGE {
            let Some(lane) = emitted.lanes.pop() else { break };
            emitted.omitted.lanes += 1;
            emitted.omitted.lines += u64::from(lane.lines);
            text = serde_json::to_string(&emitted)?;
        }
        // What a longer one would leave behind is blank.
        let width = self.width.fetch_max(text.len(), Ordering::Relaxed).max(text.len());
        file.write_all_at(format!("{text:width$}\n").as_bytes(), 0)
    }

    fn is_termination_log(&self) -> bool {
        self.path == Path::new("/dev/termination-log")
    }
}

impl Drop for Report {
    /// A process that never started to write lines has written none, and this is its final report.
    fn drop(&mut self) {
        self.end();
    }
}

fn warn(path: &Path, error: &io::Error) {
    tracing::warn!("cannot write the report to {}: {error}", path.display());
}
