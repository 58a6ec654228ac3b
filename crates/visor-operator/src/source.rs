//! A source as the operator works with it: one that has passed every rule. Only `ValidSource` is
//! built into children, so nothing can be built from a document that nobody has checked.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, api::ObjectMeta, runtime::reflector::ObjectRef};
use visor_api::{FakeLogSource, rules, source::FakeLogSourceSpec};

/// A source without a problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValidSource<'a> {
    object: &'a FakeLogSource,
}

/// Why a source can't be acted on: the reason of the condition, and a message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A condition's message is at most 32,768 bytes (metav1.Condition); a person reads far less.
const LONGEST_MESSAGE: usize = 2000;

impl<'a> ValidSource<'a> {
    /// Checks the rules that the schema can't say.
    ///
    /// # Errors
    ///
    /// Every problem, each with its path in the document.
    pub(crate) fn check(object: &'a FakeLogSource) -> Result<Self, Refusal> {
        let problems = rules::check(object);
        if problems.is_empty() {
            return Ok(Self { object });
        }
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Err(Refusal::new("Invalid", lines.join("; ")))
    }

    pub(crate) fn metadata(self) -> &'a ObjectMeta {
        &self.object.metadata
    }

    pub(crate) fn name(self) -> &'a str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(self) -> &'a str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn uid(self) -> &'a str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(crate) fn spec(self) -> &'a FakeLogSourceSpec {
        &self.object.spec
    }

    /// The reference by which a child says whose it is: the garbage collector deletes it with the
    /// source.
    pub(crate) fn controller_reference(self) -> Option<OwnerReference> {
        self.object.controller_owner_ref(&())
    }

    /// A reference of an object that another controller controls: deleted with the source, too.
    pub(crate) fn owner_reference(self) -> Option<OwnerReference> {
        self.object.owner_ref(&())
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
