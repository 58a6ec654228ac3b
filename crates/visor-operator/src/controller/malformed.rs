//! An object that the schema accepts but that isn't a source, such as one with a duration beyond all
//! bounds: its status says why.

use kube::{
    Api,
    api::ApiResource,
    core::{DynamicObject, error_boundary::InvalidObject},
    runtime::controller::Action,
};
use serde_json::Value;
use visor_api::{FakeLogSource, source::FakeLogSourceStatus};

use super::{Context, ReconcileError, requeue_after, status::StatusInputs};
use crate::{pods::owner::SourceIdentity, source::Rejection};

impl Context {
    /// Reports why an object isn't a source.
    ///
    /// # Errors
    ///
    /// If it can't be read, or its status not be written.
    pub(super) async fn reconcile_malformed(
        &self,
        invalid: &InvalidObject,
    ) -> Result<Action, ReconcileError> {
        let metadata = &invalid.metadata;
        let resource = ApiResource::erase::<FakeLogSource>(&());
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let asked = api.get_opt(metadata.name.as_deref().unwrap_or_default()).await;
        let Some(object) = asked.map_err(ReconcileError::Read)? else {
            return Ok(Action::await_change());
        };
        let old = object.data.get("status").cloned().unwrap_or_default();
        let old: Option<FakeLogSourceStatus> = serde_json::from_value(old).ok();
        let json = serde_json::to_value(&object).unwrap_or(Value::Null);
        let rejection = match visor_api::document::from_json(json) {
            Err(problem) => Rejection::new("Malformed", problem.to_string()),
            // It has been corrected meanwhile; the next reconciliation handles it.
            Ok(_) => return Ok(Action::await_change()),
        };
        let identity = SourceIdentity::of(metadata, None);
        let inputs = StatusInputs {
            generation: metadata.generation.unwrap_or(0),
            source: Err(&rejection),
            workload: self.observe(metadata, &identity).await.workload,
            totals: None,
        };
        Ok(requeue_after(self.update_status(metadata, old.as_ref(), &inputs).await?))
    }
}
