//! The injector: adds a generator to pods that request one, when they are created.
//!
//! It answers admission reviews (`AdmissionReview`, admission.k8s.io/v1), and it never rejects or
//! delays a pod. If anything is wrong, the pod is admitted without a generator, and the reason is
//! reported: to the client by a warning, by a metric, and by an event of the leader once the API
//! server has shown it the pod.
//!
//! Every operator answers, leader or not. So what the responses depend on (sidecar sources, and
//! namespaces that request injection) is watched here, apart from the controller's watches.

mod cache;
mod events;
mod mutate;
mod names;
mod request;
mod review;

use crate::labels::INJECTED_ANNOTATION;

pub(crate) use cache::InjectorCache;
pub(crate) use events::publish_events;
pub(crate) use review::{Injector, router};

/// The label by which a pod or a namespace requests injection (`true`), or a pod opts out
/// (`false`).
pub(crate) const INJECT_LABEL: &str = "visor.dev/inject";
/// The annotation of a pod or its namespace with the name of the source.
pub(crate) const SOURCE_ANNOTATION: &str = "visor.dev/source";
/// The annotation of a pod with the name of its volume to write to.
pub(crate) const VOLUME_ANNOTATION: &str = "visor.dev/volume";
/// The annotation of a pod with the resource requirements of the generator as JSON.
pub(crate) const RESOURCES_ANNOTATION: &str = "visor.dev/container-resources";

/// How the generator is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An init container with `restartPolicy: Always` (Kubernetes 1.29 and later): it starts before
    /// the pod's own containers, and doesn't prevent a Job from completing.
    Native,
    /// A container.
    Plain,
}
