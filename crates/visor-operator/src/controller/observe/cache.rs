//! The cache: a watch on every kind of child, and on the pods with a generator, restricted to
//! objects with our labels. A change to one of them enqueues its source.
//!
//! A cache lags. So a request that creates, changes or deletes an object because of the cache has a
//! precondition that fails if the object has been replaced (see `apply`).

use std::{collections::BTreeMap, sync::Arc};

use futures::{Stream, StreamExt, future, stream};
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::ReplicaSet,
        core::v1::{PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ObjectMeta,
    core::{DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde_json::Value;
use tracing::warn;
use visor_api::FakeLogSource;

use crate::{
    api_client::{paged_watch, scoped},
    controller::{build::children::ChildKind, state::Sources},
    labels::{
        DOCUMENT_HASH, FIELD_MANAGER, INJECTED_ANNOTATION, INSTANCE_LABEL, MANAGED_BY_LABEL,
        SOURCE_LABEL, SOURCE_UID_LABEL, source_uid,
    },
    metrics::Metrics,
    pods::owner::{self, Controllers, SourceIdentity},
};

/// The caches, one for each kind.
#[derive(Clone)]
pub(crate) struct Cache {
    workloads: Workloads,
    pods: Store<Pod>,
}

/// The children, and the `ReplicaSet`s between Deployments and their pods.
#[derive(Clone)]
pub(crate) struct Workloads {
    children: Arc<BTreeMap<ChildKind, Store<DynamicObject>>>,
    replica_sets: Store<PartialObjectMeta<ReplicaSet>>,
}

impl Workloads {
    fn child(&self, kind: ChildKind, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let key = ObjectRef::new_with(name, kind.resource()).within(namespace);
        self.children.get(&kind)?.get(&key)
    }
}

impl Controllers for Workloads {
    fn controller(&self, namespace: &str, reference: &OwnerReference) -> Option<ObjectMeta> {
        let OwnerReference { kind, name, .. } = reference;
        if *kind == ReplicaSet::kind(&()) {
            let found = self.replica_sets.get(&ObjectRef::new(name).within(namespace))?;
            return Some(found.metadata.clone());
        }
        let kind = self.children.keys().find(|known| known.name() == kind)?;
        Some(self.child(*kind, namespace, name)?.metadata.clone())
    }
}

/// The sources whose children or pods have changed. This stream must be polled for the caches to be
/// filled.
pub(crate) type ChangedSources = stream::BoxStream<'static, ObjectRef<FakeLogSource>>;

impl Cache {
    /// Starts the watches.
    pub(crate) fn watch(
        client: &Client,
        namespace: Option<&str>,
        kinds: impl IntoIterator<Item = ChildKind>,
        metrics: &Arc<Metrics>,
        sources: Arc<Sources>,
    ) -> (Self, ChangedSources) {
        let selector = paged_watch().labels(&format!("{MANAGED_BY_LABEL}={FIELD_MANAGER}"));
        let mut children = BTreeMap::new();
        let mut touched = Vec::new();
        for kind in kinds {
            let resource = kind.resource();
            let writer = reflector::store::Writer::new(resource.clone());
            let store = writer.as_reader();
            let objects = watcher(scoped(client, namespace, &resource), selector.clone())
                .modify(move |object| {
                    forget_what_is_not_ours(kind, object);
                    pack(object);
                })
                .reflect(writer);
            touched.push(owners(kind.name(), metrics, objects, owner));
            children.insert(kind, store);
        }
        let (replica_sets, writer) = reflector::store();
        let api: Api<PartialObjectMeta<ReplicaSet>> = typed(client, namespace);
        let objects = watcher(api, selector).modify(keep_its_controller).reflect(writer);
        touched.push(owners("ReplicaSet", metrics, objects, |_| None));
        let workloads = Workloads { children: Arc::new(children), replica_sets };

        let (pods, writer) = reflector::store();
        let controllers = workloads.clone();
        let objects = watcher(typed(client, namespace), paged_watch().labels(SOURCE_UID_LABEL))
            .modify(keep_what_status_needs)
            .inspect(move |event| count_pod(&sources, &controllers, event))
            .reflect(writer);
        touched.push(owners("Pod", metrics, objects, instance));
        (Self { workloads, pods }, stream::select_all(touched).boxed())
    }

    /// Waits until every watch has delivered its initial list.
    pub(crate) async fn synced(&self) {
        for store in self.workloads.children.values() {
            // It fails only when the operator is shutting down.
            store.wait_until_ready().await.ok();
        }
        self.workloads.replica_sets.wait_until_ready().await.ok();
        self.pods.wait_until_ready().await.ok();
    }

    /// The kinds that are watched.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = ChildKind> {
        self.workloads.children.keys().copied()
    }

    /// The child of that kind and name, with any owner.
    pub(crate) fn child(
        &self,
        kind: ChildKind,
        namespace: &str,
        name: &str,
    ) -> Option<DynamicObject> {
        Some(unpacked(&*self.workloads.child(kind, namespace, name)?))
    }

    /// The claims that a `StatefulSet` has created for this source's pods.
    pub(crate) fn claims_of_pods(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Vec<PersistentVolumeClaim> {
        let Some(claims) = self.workloads.children.get(&ChildKind::PersistentVolumeClaim) else {
            return Vec::new();
        };
        let claims = claims.state_filter(|claim| {
            claim.metadata.namespace.as_deref() == Some(namespace)
                && claim.labels().get(INSTANCE_LABEL).is_some_and(|instance| instance == name)
                && claim.owner_references().iter().any(|owner| owner.uid == uid)
                && claim.metadata.deletion_timestamp.is_none()
                // The claim that all pods share has the source's name.
                && claim.metadata.name.as_deref() != Some(name)
        });
        claims.iter().filter_map(|claim| unpacked(claim).try_parse().ok()).collect()
    }

    /// The pods that are labeled as a source's.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        self.pods.state()
    }

    /// The pods that are labeled as this source's.
    pub(crate) fn pods_labelled(&self, source: &SourceIdentity) -> Vec<Arc<Pod>> {
        self.pods.state_filter(|pod| source_uid(pod) == Some(&source.uid))
    }

    /// Whether a pod belongs to this source.
    pub(crate) fn is_of(&self, pod: &Pod, source: &SourceIdentity) -> bool {
        owner::belongs(pod, source, &self.workloads)
    }
}

/// When the operator last changed an object, by its managed fields.
pub(crate) fn last_written(object: &DynamicObject) -> Option<Timestamp> {
    let managers = object.metadata.managed_fields.iter().flatten();
    managers.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

/// The sources that the objects of a watch belong to. Errors are logged, and the watch is restarted
/// with backoff.
fn owners<K>(
    kind: &'static str,
    metrics: &Arc<Metrics>,
    objects: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    owner: impl Fn(&K) -> Option<ObjectRef<FakeLogSource>> + Send + 'static,
) -> ChangedSources
where
    K: Resource + Clone + Send + 'static,
{
    let metrics = Arc::clone(metrics);
    objects
        .default_backoff()
        .touched_objects()
        .filter_map(move |object| {
            future::ready(match object {
                Ok(object) => owner(&object),
                Err(error) => {
                    metrics.watch_failed();
                    warn!(kind, %error, "watch failed; will retry");
                    None
                }
            })
        })
        .boxed()
}

/// Every state of a pod is counted, in particular the last one: it has the generator's termination
/// message.
fn count_pod(
    sources: &Sources,
    controllers: &Workloads,
    event: &watcher::Result<watcher::Event<Pod>>,
) {
    let is_of = |pod: &Pod, source: &SourceIdentity| owner::belongs(pod, source, controllers);
    match event {
        Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => {
            sources.observe_pod(pod, is_of);
        }
        Ok(watcher::Event::Delete(pod)) => sources.remove_pod(pod, is_of),
        Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => {}
    }
}

fn owner(object: &DynamicObject) -> Option<ObjectRef<FakeLogSource>> {
    let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    ObjectRef::from_owner_ref(object.metadata.namespace.as_deref(), owner, ())
}

fn instance(pod: &Pod) -> Option<ObjectRef<FakeLogSource>> {
    let name = pod.labels().get(SOURCE_LABEL)?;
    Some(ObjectRef::new(name).within(pod.metadata.namespace.as_deref()?))
}

/// Keeps the cache small: of the managed fields only the time of our own last write is needed, and
/// only a workload's status.
fn forget_what_is_not_ours(kind: ChildKind, object: &mut DynamicObject) {
    if let Some(managers) = &mut object.metadata.managed_fields {
        managers.retain(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
        for entry in managers {
            entry.fields_v1 = None;
        }
    }
    if !kind.is_workload()
        && let Value::Object(data) = &mut object.data
    {
        data.remove("status");
    }
}

/// Stores an object's content as text: a tree of values takes ten times the memory, and is rarely
/// needed.
fn pack(object: &mut DynamicObject) {
    object.data = Value::String(object.data.to_string());
}

fn unpacked(object: &DynamicObject) -> DynamicObject {
    let data = object.data.as_str().and_then(|text| serde_json::from_str(text).ok());
    DynamicObject {
        types: object.types.clone(),
        metadata: object.metadata.clone(),
        data: data.unwrap_or_default(),
    }
}

/// Of a `ReplicaSet`, only its controller is kept.
fn keep_its_controller(object: &mut PartialObjectMeta<ReplicaSet>) {
    let metadata = &object.metadata;
    object.metadata = ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        owner_references: owner::controller(metadata).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
}

fn typed<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Of a pod, only its owner, its addresses and the state of its containers are kept.
fn keep_what_status_needs(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.metadata.owner_references = owner::controller(&pod.metadata).map(|owner| vec![owner]);
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| [DOCUMENT_HASH, INJECTED_ANNOTATION].contains(&key.as_str()));
    }
    pod.spec = None;
    if let Some(status) = &mut pod.status {
        status.pod_ips = None;
        status.host_ips = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_packed_comes_out_as_it_was() {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shop", "uid": "1"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "visor"}]}}},
            "status": {"readyReplicas": 2},
        }))
        .unwrap();
        let mut packed = object.clone();
        pack(&mut packed);
        assert!(packed.data.is_string());
        assert_eq!(unpacked(&packed), object);
    }

    #[test]
    fn of_what_others_wrote_nothing_is_kept_but_the_status_of_a_workload() {
        let object = |kind: &str| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "v1",
                "kind": kind,
                "metadata": {"name": "shop", "managedFields": [
                    {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {}}},
                    {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {}}},
                ]},
                "spec": {},
                "status": {"replicas": 1},
            }))
            .unwrap()
        };
        for (kind, name, keeps_status) in
            [(ChildKind::Deployment, "Deployment", true), (ChildKind::Service, "Service", false)]
        {
            let mut object = object(name);
            forget_what_is_not_ours(kind, &mut object);
            assert_eq!(object.data.get("status").is_some(), keeps_status);
            let [own] = object.managed_fields() else { panic!("{object:?}") };
            assert_eq!((own.manager.as_deref(), &own.fields_v1), (Some(FIELD_MANAGER), &None));
        }
    }
}
