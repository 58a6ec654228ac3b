//! What the injector knows of the cluster: the sources that ride along, the namespaces that ask for a
//! generator in all their pods, and the bounds that namespaces have for containers and pods.

use std::{fmt::Debug, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem, Namespace};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};
use visor_api::{FakeLogSource, source::Workload};

use super::{
    names::{is_label, is_subdomain},
    wish::NamespaceWish,
};
use crate::{
    cluster,
    lookups::{Lookups, Unknown},
    metrics::Metrics,
    reconcile::Guarded,
};

/// The sources and namespaces, as far as they matter here.
pub(crate) struct Known {
    client: Client,
    sources: Store<Guarded>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    limit_ranges: Store<LimitRange>,
    asked_sources: Lookups<Guarded>,
    asked_namespaces: Lookups<PartialObjectMeta<Namespace>>,
}

impl Known {
    /// Begins to watch; the future must be polled, and never ends. What isn't known is asked for by a
    /// client of its own: a server that wishes for fewer questions is to have fewer of these.
    pub(crate) fn watch(
        client: &Client,
        asking: Client,
        metrics: &Arc<Metrics>,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + use<>) {
        let (sources, watching_sources) = store(client, metrics, forget_what_others_need);
        let (namespaces, watching_namespaces) = store(client, metrics, forget_managers);
        let (limit_ranges, watching_limit_ranges) = store(client, metrics, forget_managers);
        let known = Self {
            client: asking,
            sources,
            namespaces,
            limit_ranges,
            asked_sources: Lookups::default(),
            asked_namespaces: Lookups::default(),
        };
        (Arc::new(known), async move {
            futures::join!(watching_sources, watching_namespaces, watching_limit_ranges);
        })
    }

    /// Waits for the first lists.
    pub(crate) async fn synced(&self) {
        // An error says that the operator is ending.
        self.sources.wait_until_ready().await.ok();
        self.namespaces.wait_until_ready().await.ok();
        self.limit_ranges.wait_until_ready().await.ok();
    }

    /// What a namespace asks for its pods.
    ///
    /// # Errors
    ///
    /// When it isn't known, and can't be asked for.
    pub(crate) async fn namespace(&self, name: &str) -> Result<NamespaceWish, Unknown> {
        let found = match self.namespaces.get(&ObjectRef::new(name)) {
            Some(found) => Some(found),
            // It may have been made a moment ago.
            None if is_label(name) => {
                let api: Api<Namespace> = Api::all(self.client.clone());
                let question = async { api.get_metadata_opt(name).await };
                self.asked_namespaces.get(name, question).await?
            }
            None => None,
        };
        Ok(found.map_or_else(NamespaceWish::default, |found| {
            NamespaceWish::read(found.labels(), found.annotations())
        }))
    }

    /// What a namespace allows containers and pods.
    pub(crate) fn bounds(&self, namespace: &str) -> Vec<LimitRangeItem> {
        let there = |range: &Arc<LimitRange>| range.namespace().as_deref() == Some(namespace);
        let ranges = self.limit_ranges.state().into_iter().filter(there);
        ranges.flat_map(|range| range.spec.clone().unwrap_or_default().limits).collect()
    }

    /// A source that rides along.
    ///
    /// # Errors
    ///
    /// Why there is none of that name.
    pub(crate) async fn source(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<FakeLogSource, NoSource> {
        let found = match self.sources.get(&ObjectRef::new(name).within(namespace)) {
            Some(found) => Some(found),
            // It may have been applied a moment ago, together with the pod.
            None if is_label(namespace) && is_subdomain(name) => {
                let api: Api<Guarded> = Api::namespaced(self.client.clone(), namespace);
                let question = async { api.get_opt(name).await };
                self.asked_sources.get(&format!("{namespace}/{name}"), question).await?
            }
            None => None,
        };
        let missing = |why: String| NoSource::Missing(why);
        let Some(found) = found else {
            let why = format!("there is no FakeLogSource `{name}` in namespace {namespace}");
            return Err(missing(why));
        };
        match &found.0 {
            Err(invalid) => {
                let why = format!("FakeLogSource `{name}` can't be read: {}", invalid.error);
                Err(missing(why))
            }
            Ok(source) if source.spec.workload != Some(Workload::Sidecar) => {
                let why =
                    format!("FakeLogSource `{name}` doesn't ride along; set `workload: Sidecar`");
                Err(missing(why))
            }
            Ok(source) => Ok(source.clone()),
        }
    }
}

/// Why a pod gets no source.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSource {
    #[error("{0}")]
    Missing(String),
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

/// Who has set which field is of no interest here.
fn forget_managers(object: &mut impl Resource) {
    object.meta_mut().managed_fields = None;
}

/// Of a source, what it generates is of no interest here.
fn forget_what_others_need(source: &mut Guarded) {
    let metadata = source.meta_mut();
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.labels = None;
    if let Ok(FakeLogSource { spec, status, .. }) = &mut source.0 {
        spec.generators = Vec::new();
        *status = None;
    }
}

/// The objects of a kind, as far as they aren't forgotten. The future keeps them up to date.
fn store<K>(
    client: &Client,
    metrics: &Arc<Metrics>,
    forget: fn(&mut K),
) -> (Store<K>, impl Future<Output = ()> + Send + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let watched = watcher(Api::<K>::all(client.clone()), cluster::many())
        .modify(forget)
        .default_backoff()
        .reflect(writer)
        .touched_objects();
    let metrics = Arc::clone(metrics);
    let watching = async move {
        let kind = K::kind(&());
        let mut watched = std::pin::pin!(watched);
        while let Some(change) = watched.next().await {
            match change {
                Ok(_) => debug!(%kind, "changed"),
                Err(error) => {
                    metrics.watch_failed();
                    warn!(%kind, %error, "a watch of the injector failed; it goes on after a pause");
                }
            }
        }
    };
    (store, watching)
}
