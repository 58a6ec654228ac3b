//! Time is wound forward whenever no write is under way. The outlets write into real files, and
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

/// An outlet that is being written, and one stream's meter.
struct Running {
    outlet: Rc<Outlet>,
    persistence: Arc<Persistence>,
    metrics: Metrics,
    stream: Arc<StreamMeter>,
    task: JoinHandle<(End, Closed)>,
}

fn start(path: &Path) -> Running {
    let metrics = Metrics::new().unwrap();
    let (outlet, persistence) = testing::outlet(path, &metrics, &Rc::new(Clock::start()));
    let stream = metrics.stream(&StreamName {
        source: "shop".to_owned(),
        generator: "web".to_owned(),
        stream: "requests".to_owned(),
        kind: "access",
    });
    let writer = Rc::clone(&outlet);
    let task = spawn_local(async move { writer.write().await });
    Running { outlet, persistence, metrics, stream, task }
}

impl Running {
    /// Appends so many lines of eleven bytes.
    fn append(&self, lines: u64) {
        self.outlet.append(&self.stream, Time::EPOCH, |out| {
            let mut line = out.line();
            (0..lines).for_each(|_| line.extend(b"0123456789\n"));
            line.keep();
            lines
        });
    }

    /// How many lines are counted as written, and how many are on their way.
    fn counts(&self) -> (u64, u64) {
        (self.stream.lines.get(), self.outlet.unwritten())
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
fn a_closed_outlet_writes_what_there_is() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let running = start(&path);
        running.append(50_000);
        running.outlet.close();
        assert_eq!(running.task.await.unwrap(), (End::Whole, Closed::default()));
        assert_eq!(running.outlet.end(), Some(End::Whole));
        assert_eq!((running.stream.lines.get(), running.outlet.unwritten()), (50_000, 0));
        assert_eq!(fs::metadata(&path).unwrap().len(), 550_000);
    });
}

#[test]
fn an_output_that_fails_is_tried_again_until_it_works() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.append(3);
        sleep(Duration::from_hours(1)).await;
        assert_eq!(running.counts(), (0, 3));
        let failures = running.outlet.meter.errors.get();
        // A tenth of a second, doubled up to the second: an hour is not many more than 3600.
        assert!((3600..=3610).contains(&failures), "{failures}");
        fs::remove_dir(&path).unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(running.counts(), (3, 0));
        assert_eq!(fs::read(&path).unwrap(), b"0123456789\n".repeat(3));
    });
}

#[test]
fn where_a_run_ends_by_itself_an_output_fails_for_good() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.persistence.set(Some(Duration::from_secs(10)));
        running.append(3);
        sleep(Duration::from_secs(9)).await;
        assert_eq!(running.outlet.end(), None);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(running.outlet.end(), Some(End::Failed));
        assert_eq!((running.stream.lines.get(), running.outlet.unwritten()), (0, 3));
        // At the end, nobody waits as long.
        let running = start(&path);
        running.persistence.set(Some(Duration::from_secs(10)));
        running.append(3);
        running.outlet.close();
        sleep(Duration::from_secs(4)).await;
        assert_eq!(running.outlet.end(), Some(End::Failed));
    });
}

#[test]
fn a_hurried_outlet_gives_up_what_it_could_not_write() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.append(3);
        sleep(Duration::from_millis(10)).await;
        running.outlet.hurry();
        assert_eq!(running.task.await.unwrap().0, End::GivenUp);
        assert_eq!(running.outlet.unwritten(), 3);
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
        running.persistence.set(Some(Duration::from_secs(10)));
        running.append(3);
        sleep(Duration::from_hours(1)).await;
        assert_eq!((running.outlet.end(), running.counts()), (None, (0, 3)));
        assert_eq!(running.outlet.meter.errors.get(), 0);
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
        running.append(ROOM as u64 / 11);
        sleep(Duration::from_millis(10)).await;
        assert!(running.outlet.has_room());
        running.append(1);
        assert!(!running.outlet.has_room());
        let wanted = running.outlet.room();
        tokio::pin!(wanted);
        assert!(timeout(Duration::from_mins(1), wanted.as_mut()).await.is_err());
        fs::remove_dir(&path).unwrap();
        wanted.await;
        assert!(running.outlet.has_room());
    });
}

#[test]
fn an_output_is_opened_before_there_are_lines_and_what_fails_is_told_at_once() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        sleep(Duration::from_millis(10)).await;
        let [why] = &running.metrics.failing_outputs()[..] else { panic!("nothing is told") };
        assert!(why.contains(&path.display().to_string()), "{why}");
        fs::remove_dir(&path).unwrap();
        sleep(Duration::from_secs(2)).await;
        assert!(running.metrics.failing_outputs().is_empty());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    });
}

#[test]
fn an_output_that_worked_fails_for_some_seconds_before_that_is_told() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let running = start(&path);
        running.append(1);
        sleep(Duration::from_millis(10)).await;
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        running.outlet.reopen();
        running.append(1);
        sleep(UNTOLD_FAILURE / 2).await;
        assert!(running.metrics.failing_outputs().is_empty());
        sleep(UNTOLD_FAILURE).await;
        assert_eq!(running.metrics.failing_outputs().len(), 1);
        running.outlet.close();
        sleep(Duration::from_secs(2)).await;
        assert!(running.metrics.failing_outputs().is_empty(), "nobody asks for it any more");
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
        sleep(UNTOLD_FAILURE * 2).await;
        let [why] = &running.metrics.failing_outputs()[..] else { panic!("nothing is told") };
        assert!(why.contains("without a reader"), "{why}");
    });
}
