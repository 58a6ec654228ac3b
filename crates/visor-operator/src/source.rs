//! A source that has passed every rule. Only a `ValidSource` is built into children, so nothing is
//! built from an unchecked document.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, api::ObjectMeta, core::DeserializeGuard, runtime::reflector::ObjectRef};
use visor_api::{
    FakeLogSource, ResolvedSource,
    resolved::Generator,
    source::{FakeLogSourceSpec, Workload},
};

/// A source, or an object that fails to parse as one: it must not stop the others from being
/// reconciled.
pub(crate) type GuardedSource = DeserializeGuard<FakeLogSource>;

/// A valid source, as an object of the cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValidSource<'a>(&'a ResolvedSource);

/// Why a source was rejected: the reason and the message of the condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// The maximum size of a message in bytes. A condition's is 32,768 (metav1.Condition), more than
/// anybody reads.
const MAX_MESSAGE_BYTES: usize = 2000;

/// Checks the rules that the schema can't express.
///
/// # Errors
///
/// Every problem, each with its path in the document.
pub(crate) fn check(object: &FakeLogSource) -> Result<ResolvedSource, Rejection> {
    ResolvedSource::check(object.clone()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Rejection::new("Invalid", lines.join("; "))
    })
}

impl<'a> ValidSource<'a> {
    pub(crate) const fn of(resolved: &'a ResolvedSource) -> Self {
        Self(resolved)
    }

    pub(crate) fn metadata(self) -> &'a ObjectMeta {
        &self.0.document().metadata
    }

    pub(crate) fn name(self) -> &'a str {
        &self.0.name
    }

    pub(crate) fn namespace(self) -> &'a str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn uid(self) -> &'a str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    /// The spec as its author wrote it.
    pub(crate) fn spec(self) -> &'a FakeLogSourceSpec {
        &self.0.document().spec
    }

    pub(crate) const fn workload(self) -> Workload {
        self.0.workload
    }

    /// Whether it ends by itself.
    pub(crate) const fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The configured rate of one pod in lines per second, without surges.
    pub(crate) fn lines_per_second(self) -> f64 {
        if self.0.suspended {
            return 0.0;
        }
        self.0.generators.iter().map(Generator::lines_per_second).sum()
    }

    /// The controller reference of a child: the garbage collector deletes it with the source.
    pub(crate) fn controller_reference(self) -> Option<OwnerReference> {
        self.0.document().controller_owner_ref(&())
    }

    /// The owner reference of an object with another controller: it is deleted with the source as
    /// well.
    pub(crate) fn owner_reference(self) -> Option<OwnerReference> {
        self.0.document().owner_ref(&())
    }
}

impl Rejection {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MAX_MESSAGE_BYTES {
            let end = message.floor_char_boundary(MAX_MESSAGE_BYTES);
            message.truncate(end);
            message.push_str(" ...");
        }
        Self { reason, message }
    }
}

/// The namespaced name of a reference.
pub(crate) fn namespaced_name_of<K: Resource>(reference: &ObjectRef<K>) -> String {
    format!("{}/{}", reference.namespace.as_deref().unwrap_or_default(), reference.name)
}

/// The namespaced name of a source.
pub(crate) fn namespaced_name(metadata: &ObjectMeta) -> String {
    let part = |part: &Option<String>| part.as_deref().unwrap_or_default().to_owned();
    format!("{}/{}", part(&metadata.namespace), part(&metadata.name))
}
