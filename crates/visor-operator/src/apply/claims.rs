//! The claims that a `StatefulSet` has made for its pods. Its template can't be changed, and claims that
//! there are stay as they were when it is made anew; so they are looked at here. One that is to be larger
//! is asked for more; what can't be changed in a claim is said.

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
    source::{PersistentVolumeClaim as Wish, Workload},
};

use super::{Applier, ApplyError, failed};
use crate::{
    build::{self, labels::MANAGER},
    children::ChildKind,
    metrics::Write,
    source::{Refusal, ValidSource},
};

/// What to do about a claim.
#[derive(Debug, PartialEq)]
enum Step {
    Keep,
    /// It is to ask for so much.
    Grow(Quantity),
    /// It can't be what is wished, for this reason.
    Refuse(String),
}

impl Applier {
    /// Has the claims of a source's pods be what the source says now.
    ///
    /// # Errors
    ///
    /// At the first that can't be.
    pub(super) async fn put_claims_right(&self, source: ValidSource<'_>) -> Result<(), ApplyError> {
        let Some(wish) = build::claim_to_make(source) else { return Ok(()) };
        if source.workload() != Workload::StatefulSet {
            return Ok(());
        }
        for claim in self.cache.claims_of_pods(source.namespace(), source.name(), source.uid()) {
            match step(wish, &claim) {
                Step::Keep => {}
                Step::Grow(size) => self.grow(source, &claim, &size).await?,
                Step::Refuse(why) => {
                    let refusal = Refusal::new("ClaimUnchanged", why);
                    return Err(ApplyError::Refused(refusal));
                }
            }
        }
        Ok(())
    }

    async fn grow(
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
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), source.namespace());
        let written = api.patch(&claim.name_any(), &parameters, &Patch::Merge(patch)).await;
        written.map_err(failed("growing", kind, source))?;
        self.metrics.wrote(kind.name(), Write::Apply);
        Ok(())
    }
}

fn step(wish: &Wish, claim: &PersistentVolumeClaim) -> Step {
    let Some(spec) = &claim.spec else { return Step::Keep };
    let name = claim.name_any();
    let remedy = "delete the claim (its data goes with it) and its pod, or take the change back";
    let class = spec.storage_class_name.as_deref().unwrap_or_default();
    if let Some(wished) = wish.storage_class_name.as_deref().filter(|wished| *wished != class) {
        return Step::Refuse(format!(
            "claim {name} is of the storage class `{class}`, and can't be made one of `{wished}`; {remedy}"
        ));
    }
    let wished = build::claim_spec(wish);
    if spec.access_modes != wished.access_modes {
        let modes = |modes: &Option<Vec<String>>| modes.clone().unwrap_or_default().join(", ");
        return Step::Refuse(format!(
            "claim {name} may be mounted {}, which can't be made {}; {remedy}",
            modes(&spec.access_modes),
            modes(&wished.access_modes)
        ));
    }
    let storage = |spec: &k8s_openapi::api::core::v1::PersistentVolumeClaimSpec| {
        spec.resources.as_ref()?.requests.as_ref()?.get("storage").cloned()
    };
    let (Some(has), Some(size)) = (storage(spec), storage(&wished)) else { return Step::Keep };
    match amount(&has).cmp(&amount(&size)) {
        std::cmp::Ordering::Equal => Step::Keep,
        std::cmp::Ordering::Less => Step::Grow(size),
        std::cmp::Ordering::Greater => Step::Refuse(format!(
            "claim {name} asks for {}, and no claim can be made smaller ({}); {remedy}",
            has.0, size.0
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_grows_and_what_it_can_not_be_is_said() {
        let wish = |text: &str| -> Wish { serde_json::from_str(text).unwrap() };
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": "logs-shop-0"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                     "resources": {"requests": {"storage": "1Gi"}}},
        }))
        .unwrap();
        let step = |text: &str| super::step(&wish(text), &claim);
        for same in ["{}", r#"{"size": "1024Mi"}"#, r#"{"storageClassName": "fast"}"#] {
            assert_eq!(step(same), Step::Keep, "{same}");
        }
        assert_eq!(step(r#"{"size": "2Gi"}"#), Step::Grow(Quantity("2Gi".to_owned())));
        for (other, part) in [
            (r#"{"size": "1023Mi"}"#, "asks for 1Gi, and no claim can be made smaller"),
            (r#"{"storageClassName": "slow"}"#, "`fast`, and can't be made one of `slow`"),
            (r#"{"accessMode": "ReadWriteMany"}"#, "ReadWriteOnce, which can't be made"),
        ] {
            let Step::Refuse(why) = step(other) else { panic!("{other}") };
            assert!(why.contains(part) && why.contains("logs-shop-0"), "{why}");
        }
    }
}
