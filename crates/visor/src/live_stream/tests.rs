//! Time is advanced, and the buffer is never emptied: its contents are what the
//! stream has written.

use super::*;
use crate::{
    metrics::Metrics,
    output::{WriteThreads, Writer},
    plan::GeneratorPlan,
    testing::{self, every, on_a_loop, plan},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep},
};

/// A running stream, and what it shares with the rest of the program.
struct Running {
    task: JoinHandle<()>,
    control: Rc<Control>,
    buffer: Rc<Buffer>,
    meter: Arc<StreamMeter>,
    limits: Limits,
    /// Runs in one test only.
    writer: Option<Writer>,
    _directory: TempDir,
}

/// The one generator of a spec's fields.
fn generator(stream: &Value, spec: Value) -> GeneratorPlan {
    let mut spec = spec;
    spec["generators"] = json!([{"name": "web", "access": {}, "streams": [stream]}]);
    plan(&spec, std::path::Path::new("")).generators.remove(0)
}

fn start(plan: GeneratorPlan) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let clock = Rc::new(Clock::start());
    let (_, buffer, writer) = testing::output(&directory.path().join("access.log"), &metrics);
    let named = plan.streams.into_iter().next().unwrap();
    let meter = metrics.stream(&plan.key.stream(&named));
    plan.limits.start(Instant::now().into_std());
    let control = Rc::new(Control::default());
    let live = LiveStream {
        tokens: 0,
        stream: named.start(clock.now()),
        meter: Arc::clone(&meter),
        buffer: Rc::clone(&buffer),
        limits: plan.limits.clone(),
        suspended: plan.suspended,
        clock,
        max_lag: Some(Duration::from_secs(10)),
        control: Rc::clone(&control),
    };
    let task = spawn_local(Box::new(live).run());
    Running {
        task,
        control,
        buffer,
        meter,
        limits: plan.limits,
        writer: Some(writer),
        _directory: directory,
    }
}

impl Running {
    /// Waits until the stream has ended.
    async fn end(&mut self) {
        (&mut self.task).await.unwrap();
    }

    fn lines(&self) -> u64 {
        self.buffer.channel().unwritten()
    }

    /// The lines that it writes within this many seconds.
    async fn lines_within(&self, seconds: u64) -> u64 {
        let before = self.lines();
        sleep(Duration::from_secs(seconds)).await;
        self.lines() - before
    }
}

#[test]
fn lines_come_when_they_are_due_and_no_sooner() {
    on_a_loop(async {
        let running = start(generator(&every("1s"), json!({})));
        sleep(Duration::from_millis(400)).await;
        assert_eq!(running.lines(), 0);
        sleep(Duration::from_millis(200)).await;
        assert_eq!(running.lines(), 1);
        assert_eq!(running.lines_within(60).await, 60);
        assert_eq!(running.meter.skipped.get(), 0);
    });
}

#[test]
fn a_stopped_stream_writes_no_more_lines() {
    on_a_loop(async {
        let mut running = start(generator(&every("1s"), json!({})));
        assert_eq!(running.lines_within(5).await, 5);
        running.control.send(Change::Stop);
        running.end().await;
        assert_eq!(running.lines(), 5);
    });
}

#[test]
fn a_source_ends_with_its_last_line_or_with_its_time() {
    on_a_loop(async {
        let mut running = start(generator(&every("1s"), json!({"stopAfter": {"lines": 3}})));
        running.end().await;
        assert_eq!(running.lines(), 3);
        let mut running =
            start(generator(&every("10ms"), json!({"stopAfter": {"duration": "2s"}})));
        running.end().await;
        assert_eq!(running.lines(), 200);
        let stream = json!({"name": "requests", "kind": "Access", "interval": {"unlimited": {}}});
        let mut running = start(generator(&stream, json!({"stopAfter": {"lines": 1000}})));
        running.end().await;
        assert_eq!(running.lines(), 1000);
    });
}

#[test]
fn a_sleeping_stream_ends_when_another_one_writes_the_last_line() {
    on_a_loop(async {
        let running = start(generator(&every("1h"), json!({"stopAfter": {"lines": 3}})));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(running.limits.take(3), 3);
        sleep(Duration::from_secs(1)).await;
        assert!(running.task.is_finished());
        assert_eq!(running.lines(), 0);
    });
}

#[test]
fn a_suspension_is_silence_and_leaves_no_backlog() {
    on_a_loop(async {
        let running = start(generator(&every("1s"), json!({"suspend": true})));
        assert_eq!(running.lines_within(100).await, 0);
        running.control.send(Change::Suspend(false));
        assert_eq!(running.lines_within(10).await, 10);
        running.control.send(Change::Suspend(true));
        assert_eq!(running.lines_within(100).await, 0);
        assert_eq!(running.meter.skipped.get(), 0);
    });
}

#[test]
fn a_change_of_the_document_counts_from_then_on() {
    on_a_loop(async {
        let running = start(generator(&every("1s"), json!({"seed": 1})));
        assert_eq!(running.lines_within(10).await, 10);
        let changed = |interval| {
            let streams = generator(&every(interval), json!({"seed": 1})).streams;
            Change::Stream(Box::new(streams.into_iter().next().unwrap()))
        };
        // Applying the same again changes nothing: the line is still due in 200 ms.
        sleep(Duration::from_millis(300)).await;
        running.control.send(changed("1s"));
        sleep(Duration::from_millis(300)).await;
        assert_eq!(running.lines(), 11);
        running.control.send(changed("100ms"));
        assert_eq!(running.lines_within(10).await, 100);
        running.control.send(changed("1h"));
        assert_eq!(running.lines_within(60).await, 0);
    });
}

#[test]
fn lines_that_are_too_late_are_skipped_and_counted() {
    on_a_loop(async {
        let mut running = start(generator(&every("1s"), json!({})));
        assert_eq!(running.lines_within(10).await, 10);
        running.buffer.append(&running.meter, crate::clock::wall(), 0, |out| {
            let mut line = out.line();
            line.extend(&vec![b'x'; 600_000]);
            line.push(b'\n');
            line.keep();
            out.end_record();
        });
        assert_eq!(running.lines_within(60).await, 0, "there is no room");
        let writer = running.writer.take().unwrap();
        spawn_local(writer.run(WriteThreads::default(), Rc::new(Clock::start())));
        while running.meter.skipped.get() == 0 {
            tokio::task::yield_now().await;
        }
        // Lines that are at most ten seconds late are written.
        assert!((49..=51).contains(&running.meter.skipped.get()));
        sleep(Duration::from_secs(5)).await;
        let written = running.meter.lines.get() - 1;
        assert_eq!(written + running.meter.skipped.get() + running.lines(), 75);
    });
}
