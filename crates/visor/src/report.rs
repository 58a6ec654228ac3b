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

use visor_proof::Emitted;

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
        let emitted = self.metrics.emitted(ended);
        let limit = if self.is_termination_log() { MAX_TERMINATION_MESSAGE } else { usize::MAX };
        let mut text = within(emitted, limit)?;
        // What a longer one would leave behind is blank.
        let width = self.width.fetch_max(text.len(), Ordering::Relaxed).max(text.len());
        text.resize(width, b' ');
        text.push(b'\n');
        file.write_all_at(&text, 0)
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

/// The report as JSON of at most this many bytes: the last lanes that have no room are left out.
fn within(mut emitted: Emitted, limit: usize) -> serde_json::Result<Vec<u8>> {
    loop {
        let text = serde_json::to_vec(&emitted)?;
        let count = emitted.lanes.len();
        if text.len() <= limit || count == 0 {
            return Ok(text);
        }
        // At most as many as are too much; one at a time, thousands would take long.
        let excess = (text.len() - limit) / text.len().div_ceil(count);
        for lane in emitted.lanes.split_off(count - excess.clamp(1, count)) {
            emitted.omitted.lanes += 1;
            emitted.omitted.lines += u64::from(lane.lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use visor_proof::{
        Lane,
        emitted::{EmittedLane, Omitted, VERSION},
    };

    use super::*;

    fn emitted(lanes: u32) -> Emitted {
        let lane = |number: u32| EmittedLane {
            lane: Lane::live(number.into()),
            output: format!("{number}.log"),
            sources: vec!["shop/web".to_owned()],
            begun: "2026-01-02T03:04:05Z".to_owned(),
            lines: 3,
            handed_over: 3,
            ended: false,
            unread: 0,
        };
        Emitted {
            version: VERSION,
            identity: "shop-0".to_owned(),
            ended: false,
            lines: 3 * u64::from(lanes),
            bytes: 0,
            lanes: (0..lanes).map(lane).collect(),
            omitted: Omitted::default(),
        }
    }

    #[test]
    fn a_termination_message_has_the_lanes_that_have_room() {
        for lanes in [0, 1, 25, 30, 10_000] {
            let text = within(emitted(lanes), MAX_TERMINATION_MESSAGE).unwrap();
            assert!(text.len() <= MAX_TERMINATION_MESSAGE);
            let told: Emitted = serde_json::from_slice(&text).unwrap();
            let count = told.lanes.len() as u64;
            assert_eq!(count + told.omitted.lanes, u64::from(lanes));
            assert_eq!(told.omitted.lines, 3 * told.omitted.lanes);
            // None that has room is left out.
            assert!(lanes == 0 || told.omitted.lanes == 0 || count > 15, "{lanes}: {count}");
        }
    }
}
