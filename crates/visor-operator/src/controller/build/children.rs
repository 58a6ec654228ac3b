//! The kinds of object that a source has as children. Build, cache and apply treat them alike, by
//! this table.

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::{ConfigMap, PersistentVolumeClaim, Service},
    },
};
use kube::{
    Resource,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use visor_api::source::Workload;

/// A kind of child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ChildKind {
    ConfigMap,
    Service,
    PersistentVolumeClaim,
    PodMonitor,
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

/// A desired child.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) kind: ChildKind,
    pub(crate) object: DynamicObject,
}

impl ChildKind {
    /// The kinds that every cluster serves.
    pub(crate) const EVERYWHERE: [Self; 7] = [
        Self::ConfigMap,
        Self::Service,
        Self::PersistentVolumeClaim,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
    ];

    /// Group, version, kind and plural, as the API server knows them.
    pub(crate) fn resource(self) -> ApiResource {
        fn typed<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>() -> ApiResource {
            ApiResource::erase::<K>(&())
        }
        match self {
            Self::ConfigMap => typed::<ConfigMap>(),
            Self::Service => typed::<Service>(),
            Self::PersistentVolumeClaim => typed::<PersistentVolumeClaim>(),
            Self::PodMonitor => ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk("monitoring.coreos.com", "v1", "PodMonitor"),
                "podmonitors",
            ),
            Self::Deployment => typed::<Deployment>(),
            Self::StatefulSet => typed::<StatefulSet>(),
            Self::DaemonSet => typed::<DaemonSet>(),
            Self::Job => typed::<Job>(),
        }
    }

    /// The kind's name, as Kubernetes writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::PodMonitor => "PodMonitor",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
        }
    }

    /// The workload of this kind, if it is one.
    pub(crate) fn workload(self) -> Option<Workload> {
        match self {
            Self::Deployment => Some(Workload::Deployment),
            Self::StatefulSet => Some(Workload::StatefulSet),
            Self::DaemonSet => Some(Workload::DaemonSet),
            Self::Job => Some(Workload::Job),
            Self::ConfigMap | Self::Service | Self::PersistentVolumeClaim | Self::PodMonitor => {
                None
            }
        }
    }

    /// Whether objects of this kind run pods.
    pub(crate) fn is_workload(self) -> bool {
        self.workload().is_some()
    }
}
