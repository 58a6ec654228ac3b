//! Scraping: every pod with a running generator is asked for its counts at `/counts`. An older one has
//! no such page, and is read by its metrics.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};
use tracing::debug;

use super::{
    AffectedPods, Counts, Findings, Implausible, MetricsPage,
    http_client::{self, HttpClient, HttpError},
    reason,
};
use crate::{
    labels::{METRICS_PORT, source_uid},
    pods,
    source::namespaced_name,
};

/// The maximum time of one scrape.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// The maximum size of a page of metrics: enough for some 60,000 streams.
const MAX_BYTES: usize = 64 << 20;
/// The maximum size of the reason of a failing output.
const MAX_REASON_BYTES: usize = 64 << 10;
/// The minimum time in a round for all pods that were unreachable in the last one.
pub(crate) const MIN_RETRY_TIME: Duration = Duration::from_secs(2 * TIME_LIMIT.as_secs());
/// The maximum number of concurrent scrapes, over all namespaces.
const MAX_CONCURRENT: usize = 32;
static SCRAPES: Semaphore = Semaphore::const_new(MAX_CONCURRENT);

/// Pods with a problem, by their uids.
type PodProblems = HashMap<String, PodProblem>;

/// A problem of a pod as text, and the source of the pod.
struct PodProblem {
    source: String,
    why: String,
}

/// The counts of a pod's container.
pub(crate) struct Scraped {
    /// The uid of the pod's source.
    pub(crate) source: String,
    /// The pod's uid.
    pub(crate) pod: String,
    /// The container's restart count.
    pub(crate) restarts: i32,
    pub(crate) counts: Counts,
}

/// The result of a round.
#[derive(Default)]
pub(crate) struct RoundFindings {
    /// The pods that could not be scraped.
    unreachable: PodProblems,
    /// The pods that can't write to one of their outputs.
    failing: PodProblems,
}

/// Scrapes these pods, and records their counts. Those that were unreachable the last time come last,
/// and share a limited time: however many they are, they don't delay the counts of others.
pub(crate) async fn scrape_all(
    client: &HttpClient,
    pods: impl Iterator<Item = &Pod>,
    last: &RoundFindings,
    time_limit: Duration,
    record: impl Fn(&Scraped) -> Result<(), Implausible>,
) -> RoundFindings {
    let targets = pods.filter_map(Target::for_pod);
    let (again, first): (Vec<_>, Vec<_>) =
        targets.partition(|target| last.unreachable.contains_key(&target.pod));
    let mut found = RoundFindings::default();
    scrape(client, first, &record, &mut found).await;
    for target in &again {
        let why = "not scraped: too many other pods are unreachable";
        found.unreachable.insert(target.pod.clone(), target.problem(why));
    }
    // A pod that isn't reached in time stays unreachable for another round.
    timeout(time_limit, scrape(client, again, &record, &mut found)).await.ok();
    found
}

/// Scrapes these pods, some concurrently.
async fn scrape(
    client: &HttpClient,
    targets: Vec<Target>,
    record: &impl Fn(&Scraped) -> Result<(), Implausible>,
    found: &mut RoundFindings,
) {
    let scrapes = targets.into_iter().map(|target| async move {
        // The semaphore is never closed.
        let _permit = SCRAPES.acquire().await;
        let recorded = target.scrape(client).await.and_then(|(counts, failure)| {
            let (source, pod) = (target.source.clone(), target.pod.clone());
            let restarts = target.restarts;
            record(&Scraped { source, pod, restarts, counts })?;
            Ok(failure)
        });
        (target, recorded)
    });
    let mut results = stream::iter(scrapes).buffer_unordered(MAX_CONCURRENT);
    while let Some((target, recorded)) = results.next().await {
        match recorded {
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
    /// By the uids of the sources.
    pub(crate) fn by_source(&self) -> HashMap<String, Findings> {
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
    #[error("cannot read the counts: {0}")]
    Malformed(String),
    #[error("implausible counts: {0}")]
    Implausible(#[from] Implausible),
}

/// The page of a generator.
#[derive(Deserialize)]
struct CountsPage {
    #[serde(flatten)]
    counts: Counts,
    /// Why it can't write to one of its outputs.
    #[serde(default)]
    failing: Option<String>,
}

/// A pod to scrape.
struct Target {
    source: String,
    pod: String,
    name: String,
    restarts: i32,
    age: Option<Duration>,
    /// The address and the port.
    authority: String,
}

impl Target {
    /// `None` if the pod's generator isn't running.
    fn for_pod(pod: &Pod) -> Option<Self> {
        let container = pods::generator(pod)?;
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
            authority: format!("{address}:{METRICS_PORT}"),
        })
    }

    /// The counts of the pod and, if it can't write to one of its outputs, why.
    async fn scrape(&self, client: &HttpClient) -> Result<(Counts, Option<String>), ScrapeError> {
        let (counts, failing) =
            match http_client::line(client, self.url("counts")?, TIME_LIMIT).await {
                Ok(page) => {
                    let page = serde_json::from_str(&page);
                    // The error may quote anything that the pod has sent.
                    let CountsPage { counts, failing } =
                        page.map_err(|error| ScrapeError::Malformed(reason(&error.to_string())))?;
                    (counts, failing.as_deref().map(reason))
                }
                Err(HttpError::Status(StatusCode::NOT_FOUND)) => self.read_metrics(client).await?,
                Err(error) => return Err(error.into()),
            };
        counts.check(self.age)?;
        Ok((counts, failing))
    }

    /// The same, from a generator that has no page for it.
    async fn read_metrics(
        &self,
        client: &HttpClient,
    ) -> Result<(Counts, Option<String>), ScrapeError> {
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
        Ok(format!("http://{}/{page}", self.authority).parse()?)
    }

    fn problem(&self, why: &str) -> PodProblem {
        PodProblem { source: self.source.clone(), why: format!("{}: {why}", self.name) }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};

    use super::*;
    use crate::documented::row_contains;

    #[test]
    fn how_much_of_pods_is_read_is_documented() {
        let (time, bytes, line) =
            (TIME_LIMIT.as_secs(), MAX_BYTES >> 20, http_client::MAX_LINE_BYTES >> 10);
        let cells = "scrapes of pods | concurrent; timeout; bytes";
        row_contains(cells, &format!("{MAX_CONCURRENT}; {time} s; {line} KiB"));
        let cells = "scrapes of pods with an older generator | bytes; bytes of a line";
        row_contains(cells, &format!("{bytes} MiB; {line} KiB"));
        let cells = "scrapes of pods | total time for pods that were unreachable in the last round";
        row_contains(cells, &format!("at least {} s", MIN_RETRY_TIME.as_secs()));
    }

    /// Asks a generator with this router.
    async fn scraped(pages: Router) -> Result<(Counts, Option<String>), ScrapeError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, pages).await });
        let [source, pod, name] = ["1", "2", "web/shop-1"].map(str::to_owned);
        let target = Target { source, pod, name, restarts: 0, age: None, authority };
        target.scrape(&http_client::client()).await
    }

    fn with_counts(page: &'static str) -> Router {
        Router::new().route("/counts", get(move || async move { page }))
    }

    #[tokio::test]
    async fn a_generator_says_what_it_has_written_and_why_it_cannot_write() {
        let counts = Counts { lines: 7, bytes: 700 };
        let found = scraped(with_counts(r#"{"lines":7,"bytes":700}"#)).await.unwrap();
        assert_eq!(found, (counts, None));
        let page = r#"{"lines":7,"bytes":700,"failing":"access.log: no\nroom","other":1}"#;
        let found = scraped(with_counts(page)).await.unwrap();
        assert_eq!(found, (counts, Some("access.log: noroom".to_owned())));
    }

    #[tokio::test]
    async fn an_older_generator_is_read_by_its_metrics() {
        let metrics = "visor_lines_total{a=\"b\"} 7\nvisor_bytes_total{a=\"b\"} 700\n\
                       visor_output_failing{output=\"a\"} 1\n";
        let pages = Router::new()
            .route("/metrics", get(move || async move { metrics }))
            .route("/readyz", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "no room\n") }));
        let found = scraped(pages).await.unwrap();
        assert_eq!(found, (Counts { lines: 7, bytes: 700 }, Some("no room".to_owned())));
    }

    #[tokio::test]
    async fn what_no_generator_says_is_an_error() {
        for (page, wanted) in [
            ("", "cannot read the counts"),
            ("{}", "cannot read the counts: missing field `lines`"),
            (r#"{"lines":-1,"bytes":1}"#, "cannot read the counts"),
            (r#"{"lines":8,"bytes":1}"#, "implausible counts: 8 lines"),
        ] {
            let error = scraped(with_counts(page)).await.unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{page}: {error}");
        }
        let long = format!("{{\"lines\":\"{}\",\"bytes\":1}}", "a".repeat(10_000));
        let error = scraped(with_counts(long.leak())).await.unwrap_err().to_string();
        assert!(error.len() < 500, "{error}");
        let endless: &str = "1".repeat(1 << 20).leak();
        let error = scraped(with_counts(endless)).await.unwrap_err();
        assert!(matches!(error, ScrapeError::Fetch(HttpError::TooLong(_))), "{error}");
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
