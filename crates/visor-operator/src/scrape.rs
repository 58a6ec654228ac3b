//! Scraping: in each round, every pod with a running generator is scraped at `/metrics`, and the
//! sources whose counts have changed are enqueued, so that their status is updated.

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
    all_counts::Scraped,
    build::{METRICS_PORT, labels::source_uid},
    http_client::{self, HttpClient, HttpError},
    metrics::SourceStats,
    observed,
    reconcile::{Context, GuardedSource},
    source::{namespaced_name, namespaced_name_of},
    source_counts::{AffectedPods, Counts, Findings, Implausible, MetricsPage, reason},
    status::{self, State},
};

/// The maximum time of one scrape.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// The maximum size of a page: enough for some 60,000 streams.
const MAX_BYTES: usize = 64 << 20;
/// The maximum size of the reason of a failing output.
const MAX_REASON_BYTES: usize = 64 << 10;
/// The minimum time in a round for all pods that were unreachable in the last one.
const MIN_RETRY_TIME: Duration = Duration::from_secs(2 * TIME_LIMIT.as_secs());
/// The maximum number of concurrent scrapes, over all namespaces.
const MAX_CONCURRENT: usize = 32;
static SCRAPES: Semaphore = Semaphore::const_new(MAX_CONCURRENT);

/// Runs round after round, and sends the sources to reconcile. Returns when the receiver is gone.
pub(crate) async fn run_rounds(
    context: Arc<Context>,
    sources: Store<GuardedSource>,
    every: Duration,
    outdated_sources: mpsc::Sender<ObjectRef<GuardedSource>>,
) {
    let began = Instant::now();
    let mut stats = SourceStats::default();
    let client = http_client::client();
    let mut pods = RoundFindings::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        pods = scrape_all(&context, &client, &pods.unreachable, every.max(MIN_RETRY_TIME)).await;
        let findings = pods.by_source();
        let seconds = began.elapsed().as_secs_f64();
        let (found, outdated) = finish_round(&context, &sources, seconds, &findings);
        context.metrics.record_round(&stats, &found);
        stats = found;
        for source in outdated {
            context.queue.enqueue(namespaced_name_of(&source));
            if outdated_sources.send(source).await.is_err() {
                return;
            }
        }
    }
}

/// Pods with a problem, by their uids.
type PodProblems = HashMap<String, PodProblem>;

/// A problem of a pod as text, and the source of the pod.
struct PodProblem {
    source: String,
    why: String,
}

/// The result of a round.
#[derive(Default)]
struct RoundFindings {
    /// The pods that could not be scraped.
    unreachable: PodProblems,
    /// The pods that can't write to one of their outputs.
    failing: PodProblems,
}

/// Scrapes all pods. Those that were unreachable the last time come last, and share a limited time:
/// however many they are, they don't delay the counts of others.
async fn scrape_all(
    context: &Context,
    client: &HttpClient,
    unreachable_before: &PodProblems,
    time_limit: Duration,
) -> RoundFindings {
    let pods = context.cache.pods();
    // Only pods that belong to a source: anybody may create others with its labels.
    let pods = pods.iter().filter(|pod| context.all_counts.counts(pod));
    let targets = pods.filter_map(|pod| Target::for_pod(pod));
    let (again, first): (Vec<_>, Vec<_>) =
        targets.partition(|target| unreachable_before.contains_key(&target.pod));
    let mut found = RoundFindings::default();
    scrape(context, client, first, &mut found).await;
    for target in &again {
        let why = "not scraped: too many other pods are unreachable";
        found.unreachable.insert(target.pod.clone(), target.problem(why));
    }
    // A pod that isn't reached in time stays unreachable for another round.
    timeout(time_limit, scrape(context, client, again, &mut found)).await.ok();
    found
}

/// Scrapes these pods, some concurrently.
async fn scrape(
    context: &Context,
    client: &HttpClient,
    targets: Vec<Target>,
    found: &mut RoundFindings,
) {
    let scrapes = targets.into_iter().map(|target| async move {
        // The semaphore is never closed.
        let _permit = SCRAPES.acquire().await;
        let record = target.scrape(client).await.and_then(|(counts, failure)| {
            let (source, pod) = (target.source.clone(), target.pod.clone());
            let restarts = target.restarts;
            context.all_counts.record(&Scraped { source, pod, restarts, counts })?;
            Ok(failure)
        });
        (target, record)
    });
    let mut results = stream::iter(scrapes).buffer_unordered(MAX_CONCURRENT);
    while let Some((target, record)) = results.next().await {
        match record {
            Ok(failure) => {
                found.unreachable.remove(&target.pod);
                if let Some(why) = failure {
                    found.failing.insert(target.pod.clone(), target.problem(&why));
                }
            }
            Err(error) => {
                debug!(pod = target.name, %error, "scrape failed");
                let problem = target.problem(&error.to_string());
                found.unreachable.insert(target.pod, problem);
            }
        }
    }
}

impl RoundFindings {
    fn by_source(&self) -> HashMap<String, Findings> {
        let mut sources: HashMap<String, Findings> = HashMap::new();
        for problem in self.unreachable.values() {
            problem.add_to(&mut sources.entry(problem.source.clone()).or_default().unreachable);
        }
        for problem in self.failing.values() {
            problem.add_to(&mut sources.entry(problem.source.clone()).or_default().failing);
        }
        sources
    }
}

impl PodProblem {
    fn add_to(&self, affected: &mut AffectedPods) {
        affected.pods += 1;
        // A stable choice, so that the message doesn't change without need.
        if affected.example.is_empty() || self.why < affected.example {
            affected.example.clone_from(&self.why);
        }
    }
}

/// Why a scrape failed.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Fetch(#[from] HttpError),
    #[error("invalid address: {0}")]
    Address(#[from] http::uri::InvalidUri),
    #[error("implausible metrics: {0}")]
    Implausible(#[from] Implausible),
}

/// A pod to scrape.
struct Target {
    source: String,
    pod: String,
    name: String,
    restarts: i32,
    age: Option<Duration>,
    address: String,
}

impl Target {
    /// `None` if the pod's generator isn't running.
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
            name: namespaced_name(&pod.metadata),
            restarts: container.restart_count,
            // Negative if the clocks of nodes differ.
            age: since
                .map(|since| Timestamp::now().duration_since(since).try_into().unwrap_or_default()),
            address,
        })
    }

    /// The counts of the pod and, if it can't write to one of its outputs, why.
    async fn scrape(&self, client: &HttpClient) -> Result<(Counts, Option<String>), ScrapeError> {
        let mut page = MetricsPage::default();
        let line = |line: &str| page.line(line);
        http_client::lines(
            client,
            self.url("metrics")?,
            StatusCode::OK,
            TIME_LIMIT,
            MAX_BYTES,
            line,
        )
        .await?;
        let fails = page.output_fails();
        let counts = page.counts()?;
        counts.check(self.age)?;
        Ok((counts, if fails { self.failure(client).await } else { None }))
    }

    /// Why the pod isn't ready; `None` if it has recovered.
    async fn failure(&self, client: &HttpClient) -> Option<String> {
        let mut reason_text = None;
        let line = |line: &str| {
            reason_text.get_or_insert_with(|| reason(line));
        };
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let scrapes = http_client::lines(
            client,
            self.url("readyz").ok()?,
            status,
            TIME_LIMIT,
            MAX_REASON_BYTES,
            line,
        );
        scrapes.await.ok();
        reason_text
    }

    fn url(&self, page: &str) -> Result<http::Uri, ScrapeError> {
        Ok(format!("http://{}:{METRICS_PORT}/{page}", self.address).parse()?)
    }

    fn problem(&self, why: &str) -> PodProblem {
        PodProblem { source: self.source.clone(), why: format!("{}: {why}", self.name) }
    }
}

/// Finishes a round: drops state of objects that no longer exist, and returns the states of all
/// sources, and those whose status is outdated.
fn finish_round(
    context: &Context,
    sources: &Store<GuardedSource>,
    seconds: f64,
    findings: &HashMap<String, Findings>,
) -> (SourceStats, Vec<ObjectRef<GuardedSource>>) {
    let sources = sources.state();
    let uids = |objects: &[Arc<GuardedSource>]| -> HashSet<String> {
        objects.iter().filter_map(|object| object.meta().uid.clone()).collect()
    };
    let uids = uids(&sources);
    context.all_counts.retain(&uids);
    context.status_rate_limiter.retain(&uids);
    context.event_publisher.retain(&uids);
    let names = sources.iter().map(|object| namespaced_name(object.meta())).collect();
    context.failures.retain(&names);
    context.queue.retain(&names);
    context.applier.retain(&context.cache.child_uids());

    let pods = context.cache.pods();
    let pods: HashSet<String> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    let mut outdated = Vec::new();
    for object in &sources {
        let (Ok(source), Some(uid)) = (&object.0, &object.meta().uid) else { continue };
        let findings = findings.get(uid).cloned().unwrap_or_default();
        context.all_counts.finish_round(uid, seconds, findings, &pods);
        let totals = context.all_counts.totals(uid);
        if totals.is_some_and(|totals| !status::has_totals(source.status.as_ref(), &totals)) {
            outdated.push(ObjectRef::from_obj(&**object));
        }
    }
    let unreachable = findings.values().map(|findings| findings.unreachable.pods).sum();
    let mut stats = SourceStats::new(unreachable);
    for object in &sources {
        match &object.0 {
            Ok(source) => {
                let last = source.status.as_ref();
                let conditions = last.map(|status| status.conditions.as_slice());
                stats.count(State::of(last), conditions.unwrap_or_default());
            }
            Err(_) => stats.count(State::Rejected, &[]),
        }
    }
    (stats, outdated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documented::row_contains;

    #[test]
    fn how_much_of_pods_is_read_is_documented() {
        let cells = "scrapes of pods | concurrent; timeout; bytes; bytes of a line";
        let (time, bytes, line) =
            (TIME_LIMIT.as_secs(), MAX_BYTES >> 20, http_client::MAX_LINE_BYTES >> 10);
        row_contains(cells, &format!("{MAX_CONCURRENT}; {time} s; {bytes} MiB; {line} KiB"));
        let cells = "scrapes of pods | total time for pods that were unreachable in the last round";
        row_contains(cells, &format!("at least {} s", MIN_RETRY_TIME.as_secs()));
    }

    #[test]
    fn what_is_found_of_a_source_is_that_of_its_pods_with_one_of_them_for_example() {
        let pod =
            |source: &str, why: &str| PodProblem { source: source.to_owned(), why: why.to_owned() };
        let unreachable = PodProblems::from([
            ("1".to_owned(), pod("shop", "web/shop-2: late")),
            ("2".to_owned(), pod("shop", "web/shop-1: late")),
            ("3".to_owned(), pod("other", "web/other-1: late")),
        ]);
        let failing = PodProblems::from([("4".to_owned(), pod("shop", "web/shop-3: no room"))]);
        let sources = RoundFindings { unreachable, failing }.by_source();
        let affected = |pods, example: &str| AffectedPods { pods, example: example.to_owned() };
        assert_eq!(sources["shop"].unreachable, affected(2, "web/shop-1: late"));
        assert_eq!(sources["shop"].failing, affected(1, "web/shop-3: no room"));
        assert_eq!(sources["other"].failing, AffectedPods::default());
    }
}
