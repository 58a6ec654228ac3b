//! Writes the status of a source, if it has changed, and publishes the event of the change.

use std::time::Duration;

use jiff::Timestamp;
use kube::{
    Api,
    api::{ApiResource, ObjectMeta, Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::json;
use tracing::debug;
use visor_api::{FakeLogSource, source::FakeLogSourceStatus};

use super::{StatusInputs, is_urgent, next};
use crate::{
    controller::{Context, ReconcileError, publish},
    labels::FIELD_MANAGER,
    metrics::Write,
    source::namespaced_name,
};

impl Context {
    /// Writes the status if it has changed. If the write has to wait, returns for how long.
    ///
    /// # Errors
    ///
    /// The server's.
    pub(in crate::controller) async fn update_status(
        &self,
        source: &ObjectMeta,
        old: Option<&FakeLogSourceStatus>,
        inputs: &StatusInputs<'_>,
    ) -> Result<Option<Duration>, ReconcileError> {
        let new = next(old, inputs, Timestamp::now());
        if Some(&new) == old {
            return Ok(None);
        }
        let is_urgent = is_urgent(old, &new);
        let wait = |interval| {
            self.sources.of(source, |state| state.status_write.wait(interval, is_urgent))
        };
        if let Some(wait) = wait(self.status_interval) {
            return Ok(Some(wait));
        }
        let resource = ApiResource::erase::<FakeLogSource>(&());
        let namespace = source.namespace.as_deref().unwrap_or_default();
        let name = source.name.as_deref().unwrap_or_default();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            // A precondition: the server rejects the patch if the source has been replaced.
            "metadata": {"name": name, "uid": source.uid},
            "status": new,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch_status(name, &parameters, &Patch::Apply(patch)).await {
            Ok(_) => {
                self.sources.of(source, |state| state.status_write.record());
                self.metrics.record_write(&resource.kind, Write::Status);
            }
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => {
                debug!(source = namespaced_name(source), "the source was deleted");
                return Ok(None);
            }
            Err(error) => return Err(ReconcileError::Status(error)),
        }
        if let Some(event) = publish::for_status_change(old, &new) {
            self.events.publish(source, event).await;
        }
        Ok(None)
    }
}
