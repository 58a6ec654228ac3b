//! Rounds of questions: how much has each pod written? At a modest interval every pod whose
//! generator runs is asked for its `/metrics`, and the sources whose sums have changed are looked at
//! again, so that their status tells it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
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
    tally::{Counts, Implausible, Page, Silence},
};

/// The longest that a pod may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest page that is read: one of some 60,000 streams.
const MOST_BYTES: usize = 64 << 20;
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
    let mut silent_pods = SilentPods::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        silent_pods = ask_all(&context, &client, &silent_pods, every.max(LONGEST_WAIT)).await;
        let silent = by_source(&silent_pods);
        let seconds = began.elapsed().as_secs_f64();
        let (found, behind) = end_round(&context, &sources, seconds, &silent);
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

/// The pods that said nothing when they were last asked, by their uids.
type SilentPods = HashMap<String, SilentPod>;

struct SilentPod {
    source: String,
    /// What came instead of an answer, for people.
    why: String,
}

/// Asks all pods, and returns those that say nothing. Those that said nothing the last time come last,
/// and have so long together: however many they are, they hold up nobody else's counts.
async fn ask_all(
    context: &Context,
    client: &PlainClient,
    silent_before: &SilentPods,
    most: Duration,
) -> SilentPods {
    let pods = context.cache.pods();
    // Only those that count: others may have as many pods as they like.
    let pods = pods.iter().filter(|pod| context.tallies.counts(pod));
    let questions = pods.filter_map(|pod| Question::for_pod(pod));
    let (again, first): (Vec<_>, Vec<_>) =
        questions.partition(|question| silent_before.contains_key(&question.pod));
    let mut silent = SilentPods::new();
    ask(context, client, first, &mut silent).await;
    for question in &again {
        let source = question.source.clone();
        let why = format!("{}: too many others do not answer, either", question.name);
        silent.insert(question.pod.clone(), SilentPod { source, why });
    }
    // Whoever isn't asked in time is silent for another round.
    timeout(most, ask(context, client, again, &mut silent)).await.ok();
    silent
}

/// Asks these pods, some at once.
async fn ask(
    context: &Context,
    client: &PlainClient,
    questions: Vec<Question>,
    silent: &mut SilentPods,
) {
    let asked = questions.into_iter().map(|question| async move {
        // It is closed never, so there always is one at some time.
        let _permit = ASKING.acquire().await;
        let Question { source, pod, name, restarts, age, url } = question;
        let answered = counts(client, url, age).await.and_then(|counts| {
            let (source, pod) = (source.clone(), pod.clone());
            Ok(context.tallies.answered(&Answer { source, pod, restarts, counts })?)
        });
        let silence = answered.err().map(|error| {
            debug!(pod = name, %error, "a pod did not answer");
            SilentPod { source, why: format!("{name}: {error}") }
        });
        (pod, silence)
    });
    let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some((pod, silence)) = answers.next().await {
        match silence {
            Some(silence) => silent.insert(pod, silence),
            None => silent.remove(&pod),
        };
    }
}

/// How many pods of each source say nothing, and of one of them why.
fn by_source(pods: &SilentPods) -> HashMap<String, Silence> {
    let mut silent: HashMap<String, Silence> = HashMap::new();
    for SilentPod { source, why } in pods.values() {
        let silence = silent.entry(source.clone()).or_default();
        silence.pods += 1;
        // Always the same one, as long as it is silent.
        if silence.example.is_empty() || *why < silence.example {
            silence.example.clone_from(why);
        }
    }
    silent
}

/// Why there are no counts of a pod.
#[derive(Debug, thiserror::Error)]
enum NoCounts {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("what it answers can't be: {0}")]
    Implausible(#[from] Implausible),
}

/// Asks a pod whose container has run for so long.
async fn counts(
    client: &PlainClient,
    url: http::Uri,
    age: Option<Duration>,
) -> Result<Counts, NoCounts> {
    let mut page = Page::default();
    fetch::lines(client, url, PATIENCE, MOST_BYTES, |line| page.line(line)).await?;
    let counts = page.counts()?;
    counts.check(age)?;
    Ok(counts)
}

/// What to ask a pod.
struct Question {
    source: String,
    pod: String,
    name: String,
    restarts: i32,
    age: Option<Duration>,
    url: http::Uri,
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
            url: format!("http://{address}:{METRICS_PORT}/metrics").parse().ok()?,
        })
    }
}

/// Ends a round: forgets what is no more, and returns how all sources are, and those whose status is
/// behind.
fn end_round(
    context: &Context,
    sources: &Store<Guarded>,
    seconds: f64,
    silent: &HashMap<String, Silence>,
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
        let silence = silent.get(uid).cloned().unwrap_or_default();
        context.tallies.round_is_over(uid, seconds, silence, &pods);
        let sums = context.tallies.sums(uid);
        if sums.is_some_and(|sums| !status::tells(source.status.as_ref(), &sums)) {
            behind.push(ObjectRef::from_obj(&**object));
        }
    }
    let mut census = Census::new(silent.values().map(|silence| silence.pods).sum());
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
    fn a_source_s_silence_is_that_of_its_pods_with_one_of_them_for_example() {
        let silent =
            |source: &str, why: &str| SilentPod { source: source.to_owned(), why: why.to_owned() };
        let pods = SilentPods::from([
            ("1".to_owned(), silent("shop", "web/shop-2: late")),
            ("2".to_owned(), silent("shop", "web/shop-1: late")),
            ("3".to_owned(), silent("other", "web/other-1: late")),
        ]);
        let sources = by_source(&pods);
        let example = "web/shop-1: late".to_owned();
        assert_eq!(sources["shop"], Silence { pods: 2, example });
        assert_eq!(sources["other"].pods, 1);
    }
}
