//! Rounds of questions: how much has each pod written? At a modest interval every pod whose
//! generator runs is asked for its `/metrics`, and the sources whose sums have changed are looked at
//! again, so that their status tells it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Resource,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::debug;

use crate::{
    build::{METRICS_PORT, labels::source_uid},
    fetch::{self, FetchError, PlainClient},
    metrics::Census,
    observed,
    reconcile::{Context, Guarded},
    source::{place, place_of},
    status::{self, State},
    tallies::Answer,
    tally::{Affected, Counts, Findings, Implausible, Page, reason},
};

/// The longest that a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest page that is read: one of some 60,000 streams.
const MOST_BYTES: usize = 64 << 20;
/// The longest text that is read of an output that fails.
const MOST_BYTES_OF_A_REASON: usize = 64 << 10;
/// The least that pods have together that said nothing the last time.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * PATIENCE.as_secs());
/// How many pods are asked at once, in whatever namespaces.
const AT_ONCE: usize = 32;
static ASKING: Semaphore = Semaphore::const_new(AT_ONCE);

/// Asks round after round, and sends the sources to look at. Ends when nobody listens any more.
pub(crate) async fn rounds(
    context: Arc<Context>,
    sources: Store<Guarded>,
    every: Duration,
    touched: mpsc::Sender<ObjectRef<Guarded>>,
) {
    let began = Instant::now();
    let mut census = Census::default();
    let client = fetch::client();
    let mut pods = PodFindings::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        pods = ask_all(&context, &client, &pods.silent, every.max(LONGEST_WAIT)).await;
        let findings = pods.by_source();
        let seconds = began.elapsed().as_secs_f64();
        let (found, behind) = end_round(&context, &sources, seconds, &findings);
        context.metrics.round(&census, &found);
        census = found;
        for source in behind {
            context.queue.enter(place_of(&source));
            if touched.send(source).await.is_err() {
                return;
            }
        }
    }
}

/// Pods with which something is wrong, by their uids.
type Pods = HashMap<String, Complaint>;

/// What is wrong with a pod, for people, and whose pod it is.
struct Complaint {
    source: String,
    why: String,
}

/// What a round has shown.
#[derive(Default)]
struct PodFindings {
    /// The pods that gave no answer.
    silent: Pods,
    /// Those that can't write to some output of theirs.
    failing: Pods,
}

/// Asks all pods. Those that said nothing the last time come last, and have so long together: however
/// many they are, they hold up nobody else's counts.
async fn ask_all(
    context: &Context,
    client: &PlainClient,
    silent_before: &Pods,
    most: Duration,
) -> PodFindings {
    let pods = context.cache.pods();
    // Only those that count: others may have as many pods as they like.
    let pods = pods.iter().filter(|pod| context.tallies.counts(pod));
    let questions = pods.filter_map(|pod| Question::for_pod(pod));
    let (again, first): (Vec<_>, Vec<_>) =
        questions.partition(|question| silent_before.contains_key(&question.pod));
    let mut found = PodFindings::default();
    ask(context, client, first, &mut found).await;
    for question in &again {
        let why = "too many others do not answer, either";
        found.silent.insert(question.pod.clone(), question.complaint(why));
    }
    // Whoever isn't asked in time is silent for another round.
    timeout(most, ask(context, client, again, &mut found)).await.ok();
    found
}

/// Asks these pods, some at once.
async fn ask(
    context: &Context,
    client: &PlainClient,
    questions: Vec<Question>,
    found: &mut PodFindings,
) {
    let asked = questions.into_iter().map(|question| async move {
        // It is closed never, so there always is one at some time.
        let _permit = ASKING.acquire().await;
        let answered = question.ask(client).await.and_then(|(counts, failure)| {
            let (source, pod) = (question.source.clone(), question.pod.clone());
            let restarts = question.restarts;
            context.tallies.answered(&Answer { source, pod, restarts, counts })?;
            Ok(failure)
        });
        (question, answered)
    });
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some((question, answered)) = answers.next().await {
        match answered {
            Ok(failure) => {
                found.silent.remove(&question.pod);
                if let Some(why) = failure {
                    found.failing.insert(question.pod.clone(), question.complaint(&why));
                }
            }
            Err(error) => {
                debug!(pod = question.name, %error, "a pod did not answer");
                let complaint = question.complaint(&error.to_string());
                found.silent.insert(question.pod, complaint);
            }
        }
    }
}

impl PodFindings {
    fn by_source(&self) -> HashMap<String, Findings> {
        let mut sources: HashMap<String, Findings> = HashMap::new();
        for complaint in self.silent.values() {
            complaint.add_to(&mut sources.entry(complaint.source.clone()).or_default().silent);
        }
        for complaint in self.failing.values() {
            complaint.add_to(&mut sources.entry(complaint.source.clone()).or_default().failing);
        }
        sources
    }
}

impl Complaint {
    fn add_to(&self, affected: &mut Affected) {
        affected.pods += 1;
        // Always the same one, as long as it is among them.
        if affected.example.is_empty() || self.why < affected.example {
            affected.example.clone_from(&self.why);
        }
    }
}

/// Why there are no counts of a pod.
#[derive(Debug, thiserror::Error)]
enum NoCounts {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("no address: {0}")]
    Address(#[from] http::uri::InvalidUri),
    #[error("what it answers can't be: {0}")]
    Implausible(#[from] Implausible),
}

/// What to ask a pod.
struct Question {
    source: String,
    pod: String,
    name: String,
    restarts: i32,
    age: Option<Duration>,
    address: String,
}

impl Question {
    /// `None` for a pod whose generator doesn't run.
    fn for_pod(pod: &Pod) -> Option<Self> {
        let container = observed::generator(pod)?;
        let running = container.state.as_ref()?.running.as_ref()?;
        let since = running.started_at.as_ref().map(|started| started.0);
        let address = pod.status.as_ref()?.pod_ip.as_deref()?;
        let address =
            if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        Some(Self {
            source: source_uid(pod)?.to_owned(),
            pod: pod.metadata.uid.clone()?,
            name: place(&pod.metadata),
            restarts: container.restart_count,
            // Negative where the clocks of nodes differ.
            age: since
                .map(|since| Timestamp::now().duration_since(since).try_into().unwrap_or_default()),
            address,
        })
    }

    /// How much the pod has written and, if it can't write to some output, why.
    async fn ask(&self, client: &PlainClient) -> Result<(Counts, Option<String>), NoCounts> {
        let mut page = Page::default();
        let line = |line: &str| page.line(line);
        fetch::lines(client, self.url("metrics")?, StatusCode::OK, PATIENCE, MOST_BYTES, line)
            .await?;
        let fails = page.output_fails();
        let counts = page.counts()?;
        counts.check(self.age)?;
        Ok((counts, if fails { self.failure(client).await } else { None }))
    }

    /// What the pod says of an output that it can't write to; nothing, if all is well again.
    async fn failure(&self, client: &PlainClient) -> Option<String> {
        let mut said = None;
        let line = |line: &str| {
            said.get_or_insert_with(|| reason(line));
        };
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let asked = fetch::lines(
            client,
            self.url("readyz").ok()?,
            status,
            PATIENCE,
            MOST_BYTES_OF_A_REASON,
            line,
        );
        asked.await.ok();
        said
    }

    fn url(&self, page: &str) -> Result<http::Uri, NoCounts> {
        Ok(format!("http://{}:{METRICS_PORT}/{page}", self.address).parse()?)
    }

    fn complaint(&self, why: &str) -> Complaint {
        Complaint { source: self.source.clone(), why: format!("{}: {why}", self.name) }
    }
}

/// Ends a round: forgets what is no more, and returns how all sources are, and those whose status is
/// behind.
fn end_round(
    context: &Context,
    sources: &Store<Guarded>,
    seconds: f64,
    findings: &HashMap<String, Findings>,
) -> (Census, Vec<ObjectRef<Guarded>>) {
    let sources = sources.state();
    let uids = |objects: &[Arc<Guarded>]| -> HashSet<String> {
        objects.iter().filter_map(|object| object.meta().uid.clone()).collect()
    };
    let uids = uids(&sources);
    context.tallies.forget_all_but(&uids);
    context.pace.forget_all_but(&uids);
    context.announcer.forget_all_but(&uids);
    let places = sources.iter().map(|object| place(object.meta())).collect();
    context.failures.forget_all_but(&places);
    context.queue.forget_all_but(&places);
    context.applier.forget_all_but(&context.cache.child_uids());

    let pods = context.cache.pods();
    let pods: HashSet<String> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    let mut behind = Vec::new();
    for object in &sources {
        let (Ok(source), Some(uid)) = (&object.0, &object.meta().uid) else { continue };
        let findings = findings.get(uid).cloned().unwrap_or_default();
        context.tallies.round_is_over(uid, seconds, findings, &pods);
        let sums = context.tallies.sums(uid);
        if sums.is_some_and(|sums| !status::tells(source.status.as_ref(), &sums)) {
            behind.push(ObjectRef::from_obj(&**object));
        }
    }
    let silent = findings.values().map(|findings| findings.silent.pods).sum();
    let mut census = Census::new(silent);
    for object in &sources {
        match &object.0 {
            Ok(source) => {
                let status = source.status.as_ref();
                let conditions = status.map(|status| status.conditions.as_slice());
                census.count(State::of(status), conditions.unwrap_or_default());
            }
            Err(_) => census.count(State::Refused, &[]),
        }
    }
    (census, behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documented::says;

    #[test]
    fn how_much_of_pods_is_read_is_documented() {
        let cells = "pages of pods | pods asked at once; time; bytes; bytes of a line";
        let (time, bytes, line) = (PATIENCE.as_secs(), MOST_BYTES >> 20, fetch::LONGEST_LINE >> 10);
        says(cells, &format!("{AT_ONCE}; {time} s; {bytes} MiB; {line} KiB"));
        let cells = "pages of pods | time for all pods together that said nothing the last time";
        says(cells, &format!("{} s at the least", LONGEST_WAIT.as_secs()));
    }

    #[test]
    fn what_is_found_of_a_source_is_that_of_its_pods_with_one_of_them_for_example() {
        let pod =
            |source: &str, why: &str| Complaint { source: source.to_owned(), why: why.to_owned() };
        let silent = Pods::from([
            ("1".to_owned(), pod("shop", "web/shop-2: late")),
            ("2".to_owned(), pod("shop", "web/shop-1: late")),
            ("3".to_owned(), pod("other", "web/other-1: late")),
        ]);
        let failing = Pods::from([("4".to_owned(), pod("shop", "web/shop-3: no room"))]);
        let sources = PodFindings { silent, failing }.by_source();
        let affected = |pods, example: &str| Affected { pods, example: example.to_owned() };
        assert_eq!(sources["shop"].silent, affected(2, "web/shop-1: late"));
        assert_eq!(sources["shop"].failing, affected(1, "web/shop-3: no room"));
        assert_eq!(sources["other"].failing, Affected::default());
    }
}
