//! The injector's caches: sidecar sources, namespaces with their defaults for injection, and the
//! limit ranges of namespaces.

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
    request::NamespaceDefaults,
};
use crate::{
    admission::lookups::{LookupError, Lookups},
    api_client,
    metrics::Metrics,
    source::GuardedSource,
};

/// The caches, and lookups for what they don't hold yet.
pub(crate) struct InjectorCache {
    client: Client,
    sources: Store<GuardedSource>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    limit_ranges: Store<LimitRange>,
    source_lookups: Lookups<GuardedSource>,
    namespace_lookups: Lookups<PartialObjectMeta<Namespace>>,
}

impl InjectorCache {
    /// Starts the watches; the returned future must be polled, and never completes. Lookups have a
    /// client of their own, so that they can be throttled separately.
    pub(crate) fn watch(
        client: &Client,
        lookup_client: Client,
        metrics: &Arc<Metrics>,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + use<>) {
        let (sources, watching_sources) = store(client, metrics, keep_what_injection_needs);
        let (namespaces, watching_namespaces) = store(client, metrics, drop_managed_fields);
        let (limit_ranges, watching_limit_ranges) = store(client, metrics, drop_managed_fields);
        let injector_cache = Self {
            client: lookup_client,
            sources,
            namespaces,
            limit_ranges,
            source_lookups: Lookups::default(),
            namespace_lookups: Lookups::default(),
        };
        (Arc::new(injector_cache), async move {
            futures::join!(watching_sources, watching_namespaces, watching_limit_ranges);
        })
    }

    /// Waits for the initial lists.
    pub(crate) async fn synced(&self) {
        // It fails only when the operator is shutting down.
        self.sources.wait_until_ready().await.ok();
        self.namespaces.wait_until_ready().await.ok();
        self.limit_ranges.wait_until_ready().await.ok();
    }

    /// The defaults that a namespace has for its pods.
    ///
    /// # Errors
    ///
    /// If it isn't in the cache, and the lookup fails.
    pub(crate) async fn namespace(&self, name: &str) -> Result<NamespaceDefaults, LookupError> {
        let found = match self.namespaces.get(&ObjectRef::new(name)) {
            Some(found) => Some(found),
            // It may have been created a moment ago.
            None if is_label(name) => {
                let api: Api<Namespace> = Api::all(self.client.clone());
                let question = async { api.get_metadata_opt(name).await };
                self.namespace_lookups.get(name, question).await?
            }
            None => None,
        };
        Ok(found.map_or_else(NamespaceDefaults::default, |found| {
            NamespaceDefaults::read(found.labels(), found.annotations())
        }))
    }

    /// The limits that a namespace has for containers and pods.
    pub(crate) fn limits(&self, namespace: &str) -> Vec<LimitRangeItem> {
        let there = |range: &Arc<LimitRange>| range.namespace().as_deref() == Some(namespace);
        let ranges = self.limit_ranges.state().into_iter().filter(there);
        ranges.flat_map(|range| range.spec.clone().unwrap_or_default().limits).collect()
    }

    /// A sidecar source.
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
                let api: Api<GuardedSource> = Api::namespaced(self.client.clone(), namespace);
                let question = async { api.get_opt(name).await };
                self.source_lookups.get(&format!("{namespace}/{name}"), question).await?
            }
            None => None,
        };
        let missing = |why: String| NoSource::Missing(why);
        let Some(found) = found else {
            let why = format!("FakeLogSource `{name}` not found in namespace {namespace}");
            return Err(missing(why));
        };
        match &found.0 {
            Err(invalid) => {
                let why = format!("cannot read FakeLogSource `{name}`: {}", invalid.error);
                Err(missing(why))
            }
            Ok(source) if source.spec.workload != Some(Workload::Sidecar) => {
                let why = format!("FakeLogSource `{name}` is not of `workload: Sidecar`; set it");
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
    LookupError(#[from] LookupError),
}

/// Managed fields aren't needed here.
fn drop_managed_fields(object: &mut impl Resource) {
    object.meta_mut().managed_fields = None;
}

/// Of a source, only what injection needs is kept.
fn keep_what_injection_needs(source: &mut GuardedSource) {
    let metadata = source.meta_mut();
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.labels = None;
    if let Ok(FakeLogSource { spec, status, .. }) = &mut source.0 {
        spec.generators = Vec::new();
        *status = None;
    }
}

/// A cache of the objects of a kind, reduced by `reduce`. The future keeps it up to date.
fn store<K>(
    client: &Client,
    metrics: &Arc<Metrics>,
    reduce: fn(&mut K),
) -> (Store<K>, impl Future<Output = ()> + Send + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let watched = watcher(Api::<K>::all(client.clone()), api_client::paged_watch())
        .modify(reduce)
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
                    warn!(%kind, %error, "watch failed; will retry");
                }
            }
        }
    };
    (store, watching)
}
