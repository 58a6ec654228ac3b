//! Time is advanced whenever no write is in progress. The output buffers write to real files, and
//! what fails is what fails in real life: a name that is a directory's, a disk without room, a pipe
//! without a reader.

use std::{fs, path::Path};

use tokio::{
    task::{JoinHandle, spawn_local},
    time::sleep,
};
use visor_engine::time::Time;

use super::*;
use crate::{
    metrics::{Metrics, StreamName},
    testing::{self, on_a_loop},
};

/// An output buffer in use, and one stream's meter.
struct Running {
    output: Rc<OutputBuffer>,
    retry_limit: Arc<RetryLimit>,
    metrics: Metrics,
    stream: Arc<StreamMeter>,
    task: JoinHandle<(OutputEnd, CloseResult)>,
}

fn start(path: &Path) -> Running {
    let metrics = Metrics::new().unwrap();
    let (output, retry_limit) = testing::output_buffer(path, &metrics, &Rc::new(Clock::start()));
    let stream = metrics.stream(&StreamName {
        source: "shop".to_owned(),
        generator: "web".to_owned(),
        stream: "requests".to_owned(),
        kind: "access",
    });
    let writer = Rc::clone(&output);
    let task = spawn_local(async move { writer.write().await });
    Running { output, retry_limit, metrics, stream, task }
}

impl Running {
    /// Appends this many lines of eleven bytes.
    fn append(&self, lines: u64) {
        self.output.append(&self.stream, Time::EPOCH, |out| {
            let mut line = out.line();
            (0..lines).for_each(|_| line.extend(b"0123456789\n"));
            line.keep();
            lines
        });
    }

    /// How many lines are counted as written, and how many are on their way.
    fn counts(&self) -> (u64, u64) {
        (self.stream.lines.get(), self.output.unwritten())
    }
}

#[test]
fn lines_are_written_soon_and_count_when_they_are() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let running = start(&path);
        running.append(3);
        assert_eq!(running.counts(), (0, 3));
        sleep(Duration::from_millis(10)).await;
        assert_eq!(running.counts(), (3, 0));
        assert_eq!(running.stream.bytes.get(), 33);
        assert_eq!(fs::read(&path).unwrap(), b"0123456789\n".repeat(3));
    });
}

#[test]
fn a_closed_buffer_writes_its_contents() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let running = start(&path);
        running.append(50_000);
        running.output.close();
        assert_eq!(running.task.await.unwrap(), (OutputEnd::Complete, CloseResult::default()));
        assert_eq!(running.output.end(), Some(OutputEnd::Complete));
        assert_eq!((running.stream.lines.get(), running.output.unwritten()), (50_000, 0));
        assert_eq!(fs::metadata(&path).unwrap().len(), 550_000);
    });
}

#[test]
fn a_failing_output_is_retried_until_it_works() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.append(3);
        sleep(Duration::from_hours(1)).await;
        assert_eq!(running.counts(), (0, 3));
        let failures = running.output.meter.errors.get();
        // A tenth of a second, doubled up to the second: an hour is not many more than 3600.
        assert!((3600..=3610).contains(&failures), "{failures}");
        fs::remove_dir(&path).unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(running.counts(), (3, 0));
        assert_eq!(fs::read(&path).unwrap(), b"0123456789\n".repeat(3));
    });
}

#[test]
fn an_output_fails_permanently_if_the_run_ends_by_itself() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.retry_limit.set(Some(Duration::from_secs(10)));
        running.append(3);
        sleep(Duration::from_secs(9)).await;
        assert_eq!(running.output.end(), None);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(running.output.end(), Some(OutputEnd::Failed));
        assert_eq!((running.stream.lines.get(), running.output.unwritten()), (0, 3));
        // At the end, the wait is shorter.
        let running = start(&path);
        running.retry_limit.set(Some(Duration::from_secs(10)));
        running.append(3);
        running.output.close();
        sleep(Duration::from_secs(4)).await;
        assert_eq!(running.output.end(), Some(OutputEnd::Failed));
    });
}

#[test]
fn an_aborted_buffer_discards_unwritten_lines() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.append(3);
        sleep(Duration::from_millis(10)).await;
        running.output.abort();
        assert_eq!(running.task.await.unwrap().0, OutputEnd::Canceled);
        assert_eq!(running.output.unwritten(), 3);
    });
}

#[test]
fn a_pipe_waits_for_its_reader_and_that_is_no_failure() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let running = start(&path);
        running.retry_limit.set(Some(Duration::from_secs(10)));
        running.append(3);
        sleep(Duration::from_hours(1)).await;
        assert_eq!((running.output.end(), running.counts()), (None, (0, 3)));
        assert_eq!(running.output.meter.errors.get(), 0);
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            options.read(true),
            rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
        );
        let reader = options.open(&path).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(running.counts(), (3, 0));
        let mut read = [0; 100];
        assert_eq!(rustix::io::read(&reader, &mut read).unwrap(), 33);
    });
}

#[test]
fn there_is_room_until_the_buffer_is_full() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.append(CAPACITY as u64 / 11);
        sleep(Duration::from_millis(10)).await;
        assert!(running.output.has_room());
        running.append(1);
        assert!(!running.output.has_room());
        let lock_of_file = running.output.wait_for_room();
        tokio::pin!(lock_of_file);
        assert!(timeout(Duration::from_mins(1), lock_of_file.as_mut()).await.is_err());
        fs::remove_dir(&path).unwrap();
        lock_of_file.await;
        assert!(running.output.has_room());
    });
}

#[test]
fn an_output_is_opened_before_there_are_lines_and_errors_are_reported_at_once() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        sleep(Duration::from_millis(10)).await;
        let [why] = &running.metrics.failing_outputs()[..] else { panic!("nothing is reported") };
        assert!(why.contains(&path.display().to_string()), "{why}");
        fs::remove_dir(&path).unwrap();
        sleep(Duration::from_secs(2)).await;
        assert!(running.metrics.failing_outputs().is_empty());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    });
}

#[test]
fn an_output_that_has_worked_is_reported_after_some_seconds() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let running = start(&path);
        running.append(1);
        sleep(Duration::from_millis(10)).await;
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        running.output.reopen();
        running.append(1);
        sleep(UNREPORTED_FAILURE / 2).await;
        assert!(running.metrics.failing_outputs().is_empty());
        sleep(UNREPORTED_FAILURE).await;
        assert_eq!(running.metrics.failing_outputs().len(), 1);
        running.output.close();
        sleep(Duration::from_secs(2)).await;
        assert!(running.metrics.failing_outputs().is_empty(), "it is no longer configured");
    });
}

#[test]
fn a_pipe_misses_its_reader_when_there_are_lines() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let running = start(&path);
        sleep(Duration::from_mins(1)).await;
        assert!(running.metrics.failing_outputs().is_empty());
        running.append(1);
        sleep(UNREPORTED_FAILURE * 2).await;
        let [why] = &running.metrics.failing_outputs()[..] else { panic!("nothing is reported") };
        assert!(why.contains("without a reader"), "{why}");
    });
}
