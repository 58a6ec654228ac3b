//! What the operator knows of the cluster without asking: a watch on every kind of child and on the
//! pods with a generator in them, each told only of objects that carry our label. A change of one names
//! the source that must be looked at again.
//!
//! A cache is late by nature. So what makes, changes or deletes a child because of it is a request that
//! the server refuses if another object has the name by then (see `apply`).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

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
    build::labels::{
        DOCUMENT, INJECTED, INSTANCE, MANAGED_BY, MANAGER, SOURCE, SOURCE_UID, source_uid,
    },
    children::ChildKind,
    cluster::{many, scoped},
    metrics::Metrics,
    pod_owner::{self, Controllers, SourceIdentity},
    tallies::Tallies,
};

/// The caches, one for each kind.
#[derive(Clone)]
pub(crate) struct Cache {
    workloads: Workloads,
    pods: Store<Pod>,
}

/// The children, and what runs pods for them.
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

/// The sources whose children or pods have changed. It must be polled for the caches to be filled.
pub(crate) type Touched = stream::BoxStream<'static, ObjectRef<FakeLogSource>>;

impl Cache {
    /// Begins the watches.
    pub(crate) fn watch(
        client: &Client,
        namespace: Option<&str>,
        kinds: impl IntoIterator<Item = ChildKind>,
        metrics: &Arc<Metrics>,
        tallies: Arc<Tallies>,
    ) -> (Self, Touched) {
        let selector = many().labels(&format!("{MANAGED_BY}={MANAGER}"));
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
        let objects = watcher(typed(client, namespace), many().labels(SOURCE_UID))
            .modify(keep_what_status_needs)
            .inspect(move |event| tell(&tallies, &controllers, event))
            .reflect(writer);
        touched.push(owners("Pod", metrics, objects, instance));
        (Self { workloads, pods }, stream::select_all(touched).boxed())
    }

    /// Waits until every watch has told its first list.
    pub(crate) async fn synced(&self) {
        for store in self.workloads.children.values() {
            // An error says that the operator is ending.
            store.wait_until_ready().await.ok();
        }
        self.workloads.replica_sets.wait_until_ready().await.ok();
        self.pods.wait_until_ready().await.ok();
    }

    /// The kinds that are watched.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = ChildKind> {
        self.workloads.children.keys().copied()
    }

    /// The child of that kind and name, whosever it is.
    pub(crate) fn child(
        &self,
        kind: ChildKind,
        namespace: &str,
        name: &str,
    ) -> Option<DynamicObject> {
        Some(unpacked(&*self.workloads.child(kind, namespace, name)?))
    }

    /// The claims that a `StatefulSet` has made for this source's pods.
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
                && claim.labels().get(INSTANCE).is_some_and(|instance| instance == name)
                && claim.owner_references().iter().any(|owner| owner.uid == uid)
                && claim.metadata.deletion_timestamp.is_none()
                // The one that all pods share has the source's name.
                && claim.metadata.name.as_deref() != Some(name)
        });
        claims.iter().filter_map(|claim| unpacked(claim).try_parse().ok()).collect()
    }

    /// The uids of all children.
    pub(crate) fn child_uids(&self) -> HashSet<String> {
        let children = self.workloads.children.values().flat_map(Store::state);
        children.filter_map(|child| child.metadata.uid.clone()).collect()
    }

    /// The pods whose labels say that they are a source's.
    pub(crate) fn pods(&self) -> Vec<Arc<Pod>> {
        self.pods.state()
    }

    /// The pods whose labels say that they are this source's.
    pub(crate) fn pods_labelled(&self, source: &SourceIdentity) -> Vec<Arc<Pod>> {
        self.pods.state_filter(|pod| source_uid(pod) == Some(&source.uid))
    }

    /// Whether a pod is this source's.
    pub(crate) fn is_of(&self, pod: &Pod, source: &SourceIdentity) -> bool {
        pod_owner::belongs(pod, source, &self.workloads)
    }
}

/// When we last changed what an object says, as the server noted it.
pub(crate) fn last_written(object: &DynamicObject) -> Option<Timestamp> {
    let managers = object.metadata.managed_fields.iter().flatten();
    managers.filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

/// The sources that a watch's objects belong to. Errors are logged; the watch goes on after a
/// growing pause.
fn owners<K>(
    kind: &'static str,
    metrics: &Arc<Metrics>,
    objects: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
    owner: impl Fn(&K) -> Option<ObjectRef<FakeLogSource>> + Send + 'static,
) -> Touched
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
                    warn!(kind, %error, "a watch failed; it goes on after a pause");
                    None
                }
            })
        })
        .boxed()
}

/// Each state of a pod counts, the last one most: it has the generator's last word.
fn tell(tallies: &Tallies, controllers: &Workloads, event: &watcher::Result<watcher::Event<Pod>>) {
    let is_of = |pod: &Pod, source: &SourceIdentity| pod_owner::belongs(pod, source, controllers);
    match event {
        Ok(watcher::Event::Apply(pod) | watcher::Event::InitApply(pod)) => tallies.saw(pod, is_of),
        Ok(watcher::Event::Delete(pod)) => tallies.lost(pod, is_of),
        Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => {}
    }
}

fn owner(object: &DynamicObject) -> Option<ObjectRef<FakeLogSource>> {
    let owner = object.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    ObjectRef::from_owner_ref(object.metadata.namespace.as_deref(), owner, ())
}

fn instance(pod: &Pod) -> Option<ObjectRef<FakeLogSource>> {
    let name = pod.labels().get(SOURCE)?;
    Some(ObjectRef::new(name).within(pod.metadata.namespace.as_deref()?))
}

/// A cache of thousands of objects must stay small: of who wrote which field only the time of our
/// own last write matters, and of a status only that of a workload does.
fn forget_what_is_not_ours(kind: ChildKind, object: &mut DynamicObject) {
    if let Some(managers) = &mut object.metadata.managed_fields {
        managers.retain(|entry| entry.manager.as_deref() == Some(MANAGER));
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

/// Keeps what an object says as its text: as a tree of values it takes ten times the memory, and it is
/// looked at once in a while.
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

/// Of a `ReplicaSet`: what controls it.
fn keep_its_controller(object: &mut PartialObjectMeta<ReplicaSet>) {
    let metadata = &object.metadata;
    object.metadata = ObjectMeta {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        owner_references: pod_owner::controller(metadata).map(|owner| vec![owner]),
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

/// Of a pod: whose it is, where it is, and how its containers are.
fn keep_what_status_needs(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.metadata.owner_references = pod_owner::controller(&pod.metadata).map(|owner| vec![owner]);
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| [DOCUMENT, INJECTED].contains(&key.as_str()));
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
                    {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {}}},
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
            assert_eq!((own.manager.as_deref(), &own.fields_v1), (Some(MANAGER), &None));
        }
    }
}
