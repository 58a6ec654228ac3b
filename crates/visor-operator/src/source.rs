//! A source as the operator works with it: one that has passed every rule. Only `ValidSource` is
//! built into children, so nothing can be built from a document that nobody has checked.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, api::ObjectMeta, runtime::reflector::ObjectRef};
use visor_api::{
    FakeLogSource, ResolvedSource,
    resolved::Generator,
    source::{FakeLogSourceSpec, Workload},
};

/// A source without a problem, as an object of the cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValidSource<'a>(&'a ResolvedSource);

/// Why a source can't be acted on: the reason of the condition, and a message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A condition's message is at most 32,768 bytes (metav1.Condition); a person reads far less.
const LONGEST_MESSAGE: usize = 2000;

/// Checks the rules that the schema can't say.
///
/// # Errors
///
/// Every problem, each with its path in the document.
pub(crate) fn check(object: &FakeLogSource) -> Result<ResolvedSource, Refusal> {
    ResolvedSource::check(object.clone()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Refusal::new("Invalid", lines.join("; "))
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

    /// What it says, as its author wrote it.
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

    /// The lines a second that one pod should write, surges left out.
    pub(crate) fn lines_per_second(self) -> f64 {
        if self.0.suspended {
            return 0.0;
        }
        self.0.generators.iter().map(Generator::lines_per_second).sum()
    }

    /// The reference by which a child says whose it is: the garbage collector deletes it with the
    /// source.
    pub(crate) fn controller_reference(self) -> Option<OwnerReference> {
        self.0.document().controller_owner_ref(&())
    }

    /// A reference of an object that another controller controls: deleted with the source, too.
    pub(crate) fn owner_reference(self) -> Option<OwnerReference> {
        self.0.document().owner_ref(&())
    }
}

impl Refusal {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST_MESSAGE {
            let end = message.floor_char_boundary(LONGEST_MESSAGE);
            message.truncate(end);
            message.push_str(" ...");
        }
        Self { reason, message }
    }
}

/// The like of a reference.
pub(crate) fn place_of<K: Resource>(reference: &ObjectRef<K>) -> String {
    format!("{}/{}", reference.namespace.as_deref().unwrap_or_default(), reference.name)
}

/// Where a source is, for messages.
pub(crate) fn place(metadata: &ObjectMeta) -> String {
    let part = |part: &Option<String>| part.as_deref().unwrap_or_default().to_owned();
    format!("{}/{}", part(&metadata.namespace), part(&metadata.name))
}
