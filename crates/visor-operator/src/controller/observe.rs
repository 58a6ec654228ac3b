//! What there is of a source: its pods, its workload, and whether another operator manages it.

pub(crate) mod cache;
mod failed_creates;
pub(crate) mod other_operators;
pub(crate) mod workload;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt, api::ObjectMeta, core::DynamicObject};
use tracing::{info, warn};
use visor_api::{FakeLogSource, source::Workload};

use super::{Context, RETRY_REJECTED, build::children::ChildKind, status};
use crate::{labels::OPERATOR_ANNOTATION, pods::owner::SourceIdentity};
use workload::Observed;

/// The workload of a source as it is.
#[derive(Default)]
pub(super) struct ObservedWorkload {
    /// The existing workload, if there is one.
    pub(super) workload: Option<(Workload, Observed)>,
    /// When to look again: nothing reports when more is known.
    pub(super) look_again: Option<Duration>,
}

impl Context {
    /// Counts the lines of a source's pods from now on.
    pub(super) fn begin_counting(&self, source: &FakeLogSource, identity: &SourceIdentity) {
        let saved = source.status.as_ref().map(status::saved_counts).unwrap_or_default();
        let labeled = self.cache.pods_labelled(identity);
        let is_of = |pod: &Pod, source: &SourceIdentity| self.cache.is_of(pod, source);
        self.sources.begin_counting(identity, saved, &labeled, is_of);
    }

    /// The other operator that manages a source, as long as it is active.
    pub(super) async fn other_operator(&self, source: &ObjectMeta) -> Option<String> {
        let operator = self.operator_of_children(source)?;
        if self.other_operators.is_active(&operator).await {
            return Some(operator);
        }
        info!(operator, "taking over from an operator that is no longer active");
        None
    }

    /// The other operator that is named on the children of a source.
    fn operator_of_children(&self, source: &ObjectMeta) -> Option<String> {
        let (namespace, name) = (source.namespace.as_deref()?, source.name.as_deref()?);
        let child = self.cache.child(ChildKind::ConfigMap, namespace, name)?;
        let mut owners = child.owner_references().iter();
        let is_of_it = owners.any(|owner| Some(&owner.uid) == source.uid.as_ref());
        let operator = child.annotations().get(OPERATOR_ANNOTATION)?;
        (is_of_it && *operator != self.settings.operator).then(|| operator.clone())
    }

    /// The pods of a source: those that belong to it, and those that are counted already, because
    /// their controllers may have been deleted before them.
    pub(super) fn pods_of(&self, source: &SourceIdentity) -> Vec<Arc<Pod>> {
        let mut pods = self.cache.pods_labelled(source);
        pods.retain(|pod| self.sources.counts_pod(pod) || self.cache.is_of(pod, source));
        pods
    }

    /// The workload of a source, or the pods into which it is injected.
    pub(super) async fn observe(
        &self,
        source: &ObjectMeta,
        identity: &SourceIdentity,
    ) -> ObservedWorkload {
        let pods = self.pods_of(identity);
        if identity.is_sidecar {
            let workload = Some((Workload::Sidecar, workload::sidecars(&pods)));
            return ObservedWorkload { workload, look_again: None };
        }
        let Some((workload, kind, object)) = self.own_workload(source) else {
            return ObservedWorkload::default();
        };
        let mut observed = workload::workload(kind, &object, &pods);
        let is_stale = self.sources.of(source, |state| state.children.is_stale(kind, &object));
        observed.up_to_date &= !is_stale;
        let mut look_again = None;
        if observed.missing > 0 && observed.problem.is_none() {
            if failed_creates::should_have_pods(&object, Timestamp::now()) {
                look_again = Some(RETRY_REJECTED);
                match failed_creates::last_message(&self.client, &object).await {
                    Ok(rejection) => observed.problem = rejection,
                    Err(error) => warn!(%error, "cannot list the events of the workload"),
                }
            } else {
                look_again = Some(failed_creates::CREATE_TIME.unsigned_abs());
            }
        }
        ObservedWorkload { workload: Some((workload, observed)), look_again }
    }

    /// The workload that the source controls, unless it is being deleted.
    fn own_workload(&self, source: &ObjectMeta) -> Option<(Workload, ChildKind, DynamicObject)> {
        let (namespace, name) = (source.namespace.as_deref()?, source.name.as_deref()?);
        self.cache.kinds().find_map(|kind| {
            let workload = kind.workload()?;
            let object = self.cache.child(kind, namespace, name)?;
            let owners = object.metadata.owner_references.iter().flatten();
            let is_ours =
                owners.map(|owner| Some(&owner.uid)).any(|uid| uid == source.uid.as_ref());
            let stays = object.metadata.deletion_timestamp.is_none();
            (is_ours && stays).then_some((workload, kind, object))
        })
    }
}
