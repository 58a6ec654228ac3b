//! The injector: puts a generator into pods of others that ask for it, as they are created.
//!
//! It answers questions of the API server (`AdmissionReview`, admission.k8s.io/v1), and has one rule
//! above all others: nobody's pod is refused or held up. Whatever is wrong, the pod goes in without,
//! and what was wrong is told: to whoever created it by a warning, to everybody by a metric, and by
//! an event of the operator that acts, once the API server has shown it the pod.
//!
//! Every operator answers, whether it leads or not. So what the answers need (the sources that ride
//! along, the namespaces that ask for one) is watched here, apart from what the leader watches.

mod known;
mod mutate;
mod names;
mod outcome;
mod review;
mod wish;

use crate::build::labels::INJECTED;

pub(crate) use known::Known;
pub(crate) use outcome::tell;
pub(crate) use review::{Injector, router};

/// The label by which a pod or a namespace asks for a generator (`true`), or a pod for none (`false`).
pub(crate) const INJECT: &str = "visor.dev/inject";
/// The annotation of a pod, or of its namespace, that names the source.
pub(crate) const SOURCE: &str = "visor.dev/source";
/// The annotation of a pod that names the volume of its own to write into.
pub(crate) const VOLUME: &str = "visor.dev/volume";
/// The annotation of a pod that says what the generator asks for and may use, as JSON.
pub(crate) const RESOURCES: &str = "visor.dev/container-resources";

/// How the generator is put into a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An init container that goes on running (Kubernetes 1.29 and later): it starts before the
    /// pod's own containers, and doesn't keep a Job from ending.
    Native,
    /// One more container.
    Plain,
}
