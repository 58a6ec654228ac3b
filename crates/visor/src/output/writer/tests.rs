//! Time is advanced whenever no write is in progress. Lines go to real files, and what fails is what
//! fails in real life: a name that is a directory's, a disk without room, a pipe without a reader.

use std::{fs, path::Path};

use tokio::task::{JoinHandle, spawn_local};
use visor_engine::time::Time;

use super::*;
use crate::{
    metrics::{Metrics, StreamMeter, StreamName},
    output::{Buffer, FileLocation, channel::CAPACITY},
    testing::{self, on_a_loop},
};

/// An output in use, and one stream's meter.
struct Running {
    outputs: Arc<Outputs>,
    buffer: Rc<Buffer>,
    channel: Arc<Channel>,
    metrics: Arc<Metrics>,
    stream: Arc<StreamMeter>,
    task: JoinHandle<()>,
}

fn start(path: &Path) -> Running {
    let metrics = Arc::new(Metrics::new().unwrap());
    let (outputs, buffer, writer) = testing::output(path, &metrics);
    let stream = metrics.stream(&StreamName {
        source: "shop".to_owned(),
        generator: "web".to_owned(),
        stream: "requests".to_owned(),
        kind: "access",
    });
    let channel = buffer.channel();
    let task = spawn_local(writer.run(WriteThreads::default(), Rc::new(Clock::start())));
    Running { outputs, buffer, channel, metrics, stream, task }
}

impl Running {
    /// Appends this many lines of eleven bytes.
    fn append(&self, lines: u64) {
        append(&self.buffer, &self.stream, b"0123456789\n", lines);
    }

    /// Drops the buffer, and waits for the end.
    async fn end(self) -> (Option<OutputEnd>, u64, u64) {
        drop(self.buffer);
        self.task.await.unwrap();
        (self.channel.end(), self.stream.lines.get(), self.channel.unwritten())
    }

    /// How many lines are counted as written, and how many are on their way.
    fn counts(&self) -> (u64, u64) {
        (self.stream.lines.get(), self.channel.unwritten())
    }

    /// How many writes have failed.
    fn failures(&self) -> u64 {
        self.metrics.output("access.log").errors.get()
    }
}

fn append(buffer: &Buffer, stream: &Arc<StreamMeter>, record: &[u8], records: u64) {
    buffer.append(stream, Time::EPOCH, 0, |out| {
        for _ in 0..records {
            let mut line = out.line();
            line.extend(record);
            line.keep();
            out.end_record();
        }
    });
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
fn a_buffer_that_is_dropped_is_written() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let running = start(&path);
        running.append(50_000);
        assert_eq!(running.end().await, (Some(OutputEnd::Complete), 50_000, 0));
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
        let failures = running.failures();
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
        running.outputs.set_retry_limit(Some(Duration::from_secs(10)));
        running.append(3);
        sleep(Duration::from_secs(9)).await;
        assert_eq!(running.channel.end(), None);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(running.channel.end(), Some(OutputEnd::Failed));
        assert_eq!((running.stream.lines.get(), running.channel.unwritten()), (0, 3));
        // At the end, the wait is shorter.
        let running = start(&path);
        running.outputs.set_retry_limit(Some(Duration::from_secs(10)));
        running.append(3);
        let end = timeout(Duration::from_secs(4), running.end()).await;
        assert_eq!(end, Ok((Some(OutputEnd::Failed), 0, 3)));
    });
}

#[test]
fn a_canceled_output_discards_unwritten_lines() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        fs::create_dir(&path).unwrap();
        let running = start(&path);
        running.append(3);
        sleep(Duration::from_millis(10)).await;
        running.outputs.cancel();
        assert_eq!(running.end().await, (Some(OutputEnd::Canceled), 0, 3));
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
        running.outputs.set_retry_limit(Some(Duration::from_secs(10)));
        running.append(3);
        sleep(Duration::from_hours(1)).await;
        assert_eq!((running.channel.end(), running.counts()), (None, (0, 3)));
        assert_eq!(running.failures(), 0);
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
        assert!(running.buffer.has_room());
        running.append(1);
        assert!(!running.buffer.has_room());
        let lock_of_file = running.buffer.wait_for_room();
        tokio::pin!(lock_of_file);
        assert!(timeout(Duration::from_mins(1), lock_of_file.as_mut()).await.is_err());
        fs::remove_dir(&path).unwrap();
        lock_of_file.await;
        assert!(running.buffer.has_room());
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
        running.buffer.reopen();
        running.append(1);
        sleep(UNREPORTED_FAILURE / 2).await;
        assert!(running.metrics.failing_outputs().is_empty());
        sleep(UNREPORTED_FAILURE).await;
        assert_eq!(running.metrics.failing_outputs().len(), 1);
        drop(running.buffer);
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

/// The lines of a file, each with the number of the loop that wrote it.
fn numbered(path: &Path) -> Vec<(usize, usize)> {
    let text = fs::read_to_string(path).unwrap();
    let number = |field: Option<&str>| field.unwrap().parse().unwrap();
    text.lines()
        .map(|line| {
            let mut fields = line.split(' ');
            let numbers = (number(fields.next()), number(fields.next()));
            assert_eq!(fields.next().unwrap().len(), 90 * (numbers.0 + 1));
            numbers
        })
        .collect()
}

#[test]
fn buffers_of_several_loops_never_mix_their_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    on_a_loop(async {
        let running = start(&path);
        let loops: Vec<_> = (0..4)
            .map(|number| {
                let buffer = Buffer::new(&running.channel, &Arc::default());
                let stream = Arc::clone(&running.stream);
                std::thread::spawn(move || {
                    for line in 0..3000 {
                        let text = format!("{number} {line} {}\n", "x".repeat(90 * (number + 1)));
                        append(&buffer, &stream, text.as_bytes(), 1);
                    }
                })
            })
            .collect();
        assert_eq!(running.end().await, (Some(OutputEnd::Complete), 12_000, 0));
        for one in loops {
            one.join().unwrap();
        }
    });
    let mut next = [0; 4];
    for (number, line) in numbered(&path) {
        assert_eq!(line, next[number]);
        next[number] += 1;
    }
    assert_eq!(next, [3000; 4]);
}

/// Whatever the writer is doing meanwhile: writing, closing the file, or nothing any more.
#[test]
fn an_output_that_is_used_again_loses_no_line_and_has_one_writer() {
    on_a_loop(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let Running { outputs, mut buffer, stream, task, .. } = start(&path);
        let mut tasks = vec![task];
        let plan = OutputPlan {
            name: "access.log".to_owned(),
            address: Address::File(FileLocation::new(Path::new(""), &path)),
            rotation: None,
        };
        for turn in 0..300 {
            append(&buffer, &stream, b"0123456789\n", 1);
            drop(buffer);
            for _ in 0..turn {
                tokio::task::yield_now().await;
            }
            let (again, writer) = outputs.buffer(&plan, &Arc::default());
            buffer = Rc::new(again);
            tasks.extend(writer.map(|writer| {
                spawn_local(writer.run(WriteThreads::default(), Rc::new(Clock::start())))
            }));
        }
        drop(buffer);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!((stream.lines.get(), outputs.unfinished().len()), (300, 0));
        assert_eq!(fs::read(&path).unwrap(), b"0123456789\n".repeat(300));
    });
}
