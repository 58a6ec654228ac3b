//! The claims that a `StatefulSet` has created for its pods. The claim template is immutable, and
//! existing claims keep their spec when the `StatefulSet` is recreated, so they are reconciled
//! here: a claim is expanded if the source asks for more, and any other change is reported.

use k8s_openapi::{
    api::core::v1::PersistentVolumeClaim, apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use visor_api::{
    amount::amount,
    source::{PersistentVolumeClaim as DesiredClaim, Workload},
};

use super::{Applier, ApplyError, failed};
use crate::{
    controller::build::{self, children::ChildKind},
    labels::FIELD_MANAGER,
    metrics::Write,
    source::{Rejection, ValidSource},
};

/// What to do about a claim.
#[derive(Debug, PartialEq)]
enum ClaimAction {
    Unchanged,
    /// Request this size.
    Expand(Quantity),
    /// It can't become what is desired, for this reason.
    Reject(String),
}

impl Applier {
    /// Brings the claims of a source's pods up to date.
    ///
    /// # Errors
    ///
    /// At the first claim that can't be changed.
    pub(super) async fn ensure_claims(&self, source: ValidSource<'_>) -> Result<(), ApplyError> {
        let Some(desired) = build::claim_to_create(source) else { return Ok(()) };
        if source.workload() != Workload::StatefulSet {
            return Ok(());
        }
        for claim in self.cache.claims_of_pods(source.namespace(), source.name(), source.uid()) {
            match action(desired, &claim) {
                ClaimAction::Unchanged => {}
                ClaimAction::Expand(size) => self.expand(source, &claim, &size).await?,
                ClaimAction::Reject(why) => {
                    let rejection = Rejection::new("ClaimImmutable", why);
                    return Err(ApplyError::Rejected(rejection));
                }
            }
        }
        Ok(())
    }

    async fn expand(
        &self,
        source: ValidSource<'_>,
        claim: &PersistentVolumeClaim,
        size: &Quantity,
    ) -> Result<(), ApplyError> {
        let kind = ChildKind::PersistentVolumeClaim;
        let patch = json!({
            "metadata": {"uid": claim.uid()},
            "spec": {"resources": {"requests": {"storage": size}}},
        });
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), source.namespace());
        let written = api.patch(&claim.name_any(), &parameters, &Patch::Merge(patch)).await;
        written.map_err(failed("expand", kind, source))?;
        self.metrics.record_write(kind.name(), Write::Apply);
        Ok(())
    }
}

fn action(desired: &DesiredClaim, claim: &PersistentVolumeClaim) -> ClaimAction {
    let Some(spec) = &claim.spec else { return ClaimAction::Unchanged };
    let name = claim.name_any();
    let remedy = "delete the claim (this deletes its data) and its pod, or revert the change";
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    if let Some(desired_value) =
        desired.storage_class_name.as_deref().filter(|desired_value| *desired_value != class)
    {
        return ClaimAction::Reject(format!(
            "claim {name} has the storage class `{class}`, which can't be changed to `{desired_value}`; {remedy}"
        ));
    }
    let desired_value = build::claim_spec(desired);
    if spec.access_modes != desired_value.access_modes {
        let modes = |modes: &Option<Vec<String>>| modes.clone().unwrap_or_default().join(", ");
        return ClaimAction::Reject(format!(
            "claim {name} has the access modes {}, which can't be changed to {}; {remedy}",
            modes(&spec.access_modes),
            modes(&desired_value.access_modes)
        ));
    }
    let storage = |spec: &k8s_openapi::api::core::v1::PersistentVolumeClaimSpec| {
        spec.resources.as_ref()?.requests.as_ref()?.get("storage").cloned()
    };
    let (Some(has), Some(size)) = (storage(spec), storage(&desired_value)) else {
        return ClaimAction::Unchanged;
    };
    match amount(&has).cmp(&amount(&size)) {
        std::cmp::Ordering::Equal => ClaimAction::Unchanged,
        std::cmp::Ordering::Less => ClaimAction::Expand(size),
        std::cmp::Ordering::Greater => ClaimAction::Reject(format!(
            "claim {name} requests {}, which can't be reduced to {}; {remedy}",
            has.0, size.0
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_expanded_and_other_changes_are_reported() {
        let desired = |text: &str| -> DesiredClaim { serde_json::from_str(text).unwrap() };
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "logs-shop-0"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                     "resources": {"requests": {"storage": "1Gi"}}},
        }))
        .unwrap();
        let action = |text: &str| super::action(&desired(text), &claim);
        for same in ["{}", r#"{"size": "1024Mi"}"#, r#"{"storageClassName": "fast"}"#] {
            assert_eq!(action(same), ClaimAction::Unchanged, "{same}");
        }
        assert_eq!(action(r#"{"size": "2Gi"}"#), ClaimAction::Expand(Quantity("2Gi".to_owned())));
        for (other, part) in [
            (r#"{"size": "1023Mi"}"#, "requests 1Gi, which can't be reduced to 1023Mi"),
            (r#"{"storageClassName": "slow"}"#, "`fast`, which can't be changed to `slow`"),
            (r#"{"accessMode": "ReadWriteMany"}"#, "ReadWriteOnce, which can't be changed to"),
        ] {
            let ClaimAction::Reject(why) = action(other) else { panic!("{other}") };
            assert!(why.contains(part) && why.contains("logs-shop-0"), "{why}");
        }
    }
}
