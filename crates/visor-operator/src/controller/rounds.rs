//! Scrape rounds: in each, every pod that is counted is scraped, the sources whose status is outdated
//! are enqueued, and what is remembered of sources that are gone is forgotten.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use kube::{
    Resource,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Context, status};
use crate::{
    counts::{
        Findings, http_client,
        scrape::{MIN_RETRY_TIME, RoundFindings, scrape_all},
    },
    metrics::{SourceStats, State},
    source::{GuardedSource, namespaced_name, namespaced_name_of},
};

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
    let mut last = RoundFindings::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let pods = context.cache.pods();
        // Only pods that belong to a source: anybody may create others with its labels.
        let counted = pods.iter().map(AsRef::as_ref).filter(|pod| context.sources.counts_pod(pod));
        let time_limit = every.max(MIN_RETRY_TIME);
        let record = |scraped: &_| context.sources.record(scraped);
        last = scrape_all(&client, counted, &last, time_limit, record).await;
        let seconds = began.elapsed().as_secs_f64();
        let sources = sources.state();
        context.forget_all_but(&sources);
        let (found, outdated) = context.finish_round(&sources, seconds, &last.by_source());
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

impl Context {
    /// Forgets the sources that no longer exist.
    fn forget_all_but(&self, sources: &[Arc<GuardedSource>]) {
        let uids = sources.iter().filter_map(|object| object.meta().uid.clone());
        self.sources.retain(&uids.collect());
        self.queue.retain(&sources.iter().map(|object| namespaced_name(object.meta())).collect());
    }

    /// Finishes a round: returns the states of all sources, and those whose status is outdated.
    fn finish_round(
        &self,
        sources: &[Arc<GuardedSource>],
        seconds: f64,
        findings: &HashMap<String, Findings>,
    ) -> (SourceStats, Vec<ObjectRef<GuardedSource>>) {
        let pods = self.cache.pods();
        let pods: HashSet<String> =
            pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        let mut outdated = Vec::new();
        for object in sources {
            let (Ok(source), Some(uid)) = (&object.0, &object.meta().uid) else { continue };
            let findings = findings.get(uid).cloned().unwrap_or_default();
            self.sources.finish_round(uid, seconds, findings, &pods);
            let totals = self.sources.totals(uid);
            if totals.is_some_and(|totals| !status::has_totals(source.status.as_ref(), &totals)) {
                outdated.push(ObjectRef::from_obj(&**object));
            }
        }
        let unreachable = findings.values().map(|findings| findings.unreachable.pods).sum();
        let mut stats = SourceStats::new(unreachable);
        for object in sources {
            match &object.0 {
                Ok(source) => {
                    let last = source.status.as_ref();
                    let conditions = last.map(|status| status.conditions.as_slice());
                    stats.count(status::state(last), conditions.unwrap_or_default());
                }
                Err(_) => stats.count(State::Rejected, &[]),
            }
        }
        (stats, outdated)
    }
}
