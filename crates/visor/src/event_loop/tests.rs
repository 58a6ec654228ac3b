//! A loop that follows plans, with real files below it, whose time is wound forward.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::*;
use crate::{
    output::{OutputEnd, UnfinishedOutput},
    testing::{every, on_a_loop, plan},
};

/// A loop that runs, and the directory that it writes to.
struct Running {
    sender: UnboundedSender<LoopCommand>,
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    outputs: Arc<Outputs>,
    directory: tempfile::TempDir,
}

fn generator(name: &str, file: &str, interval: &str) -> Value {
    let output = json!({"file": {"path": file}});
    json!({"name": name, "access": {}, "streams": [every(interval)], "output": output})
}

impl Running {
    fn start() -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let outputs = Arc::new(Outputs::new(Arc::clone(&metrics)).unwrap());
        outputs.set_retry_limit(None);
        let activity = Arc::new(Activity::default());
        let shared = Shared {
            metrics: Arc::clone(&metrics),
            activity: Arc::clone(&activity),
            outputs: Arc::clone(&outputs),
            max_lag: None,
        };
        let (sender, commands) = mpsc::unbounded_channel();
        spawn_local(EventLoop::new(shared).run(commands));
        Self { sender, metrics, activity, outputs, directory: tempfile::tempdir().unwrap() }
    }

    /// Has the loop follow these generators, of one source with a seed.
    fn apply(&self, generators: &[Value]) {
        let plan = plan(&json!({"seed": 1, "generators": generators}), self.directory.path());
        self.activity.begin();
        let now = tokio::time::Instant::now().into_std();
        self.sender.send(LoopCommand::Apply(plan.generators, now)).unwrap();
    }

    async fn end(&self) -> Vec<UnfinishedOutput> {
        let (done, answer) = oneshot::channel();
        self.sender.send(LoopCommand::End(done)).unwrap();
        answer.await.unwrap();
        self.outputs.unfinished()
    }

    fn lines_in(&self, file: &str) -> usize {
        lines_in(&self.directory.path().join(file))
    }

    /// The lines that are counted, whichever stream they are of.
    fn counted(&self) -> u64 {
        self.metrics.streams().iter().map(|meter| meter.lines.get()).sum()
    }
}

fn lines_in(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[test]
fn a_loop_runs_all_generators_of_its_plan_and_ends_with_every_line_written() {
    on_a_loop(async {
        let running = Running::start();
        running.apply(&[generator("one", "one.log", "1s"), generator("two", "two.log", "100ms")]);
        seconds(10).await;
        assert!(running.end().await.is_empty());
        assert_eq!((running.lines_in("one.log"), running.lines_in("two.log")), (10, 100));
        assert_eq!(running.counted(), 110);
    });
}

#[test]
fn unchanged_streams_continue_with_a_new_plan() {
    on_a_loop(async {
        let running = Running::start();
        running.apply(&[generator("one", "one.log", "1s"), generator("two", "two.log", "1s")]);
        seconds(10).await;
        running.apply(&[generator("one", "one.log", "1s"), generator("three", "three.log", "1s")]);
        seconds(10).await;
        assert!(running.end().await.is_empty());
        let lines = ["one.log", "two.log", "three.log"].map(|file| running.lines_in(file));
        assert_eq!(lines, [20, 10, 10]);
        // The seed's next lines, not its first again.
        let text = fs::read_to_string(running.directory.path().join("one.log")).unwrap();
        let mut different: Vec<&str> = text.lines().collect();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), 20);
    });
}

#[test]
fn a_stream_moves_to_another_output_without_losing_a_line() {
    on_a_loop(async {
        let running = Running::start();
        running.apply(&[generator("one", "before.log", "1s")]);
        seconds(10).await;
        running.apply(&[generator("one", "after.log", "1s")]);
        seconds(10).await;
        assert!(running.end().await.is_empty());
        assert_eq!((running.lines_in("before.log"), running.lines_in("after.log")), (10, 10));
        assert_eq!(running.counted(), 20);
    });
}

#[test]
fn a_renamed_file_is_recreated_on_reopen() {
    on_a_loop(async {
        let running = Running::start();
        running.apply(&[generator("one", "one.log", "1s")]);
        seconds(10).await;
        let path = running.directory.path().join("one.log");
        fs::rename(&path, path.with_extension("old")).unwrap();
        running.sender.send(LoopCommand::Reopen).unwrap();
        seconds(10).await;
        assert!(running.end().await.is_empty());
        assert_eq!((lines_in(&path.with_extension("old")), lines_in(&path)), (10, 10));
    });
}

#[test]
fn all_is_finished_when_the_last_stream_has_ended_by_itself() {
    on_a_loop(async {
        let running = Running::start();
        let spec = json!({
            "generators": [generator("one", "one.log", "1s"), generator("two", "two.log", "1s")],
            "stopAfter": {"duration": "5s"},
        });
        let plan = plan(&spec, running.directory.path());
        let now = tokio::time::Instant::now().into_std();
        plan.generators.iter().for_each(|generator| generator.limits.start(now));
        running.activity.begin();
        running.sender.send(LoopCommand::Apply(plan.generators, now)).unwrap();
        let early = timeout(Duration::from_secs(4), running.activity.finished.notified()).await;
        assert!(early.is_err());
        running.activity.finished.notified().await;
        assert!(running.end().await.is_empty());
        assert_eq!((running.lines_in("one.log"), running.lines_in("two.log")), (5, 5));
    });
}

#[test]
fn an_aborted_run_reports_unwritten_lines() {
    on_a_loop(async {
        let running = Running::start();
        fs::create_dir(running.directory.path().join("one.log")).unwrap();
        running.apply(&[generator("one", "one.log", "1s"), generator("two", "two.log", "1s")]);
        seconds(10).await;
        let (done, answer) = oneshot::channel();
        running.sender.send(LoopCommand::End(done)).unwrap();
        running.sender.send(LoopCommand::Abort).unwrap();
        answer.await.unwrap();
        let left = running.outputs.unfinished();
        let left: Vec<_> = left.iter().map(|left| (&*left.output, left.lines, left.end)).collect();
        assert_eq!(left, [("one.log", 10, Some(OutputEnd::Canceled))]);
        assert_eq!((running.lines_in("two.log"), running.counted()), (10, 10));
    });
}
