//! The authorities that the API server trusts when it calls the webhook: `caBundle` in each webhook
//! of the configuration. Nothing else of the configuration is ours to change.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration},
};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use super::{
    plan::{Bundle, Trusted},
    store,
};

/// The authorities that at least one webhook trusts; none if there is no webhook.
pub(super) fn trusted(configuration: &MutatingWebhookConfiguration) -> Option<Vec<Trusted>> {
    let mut trusted = Vec::new();
    let webhooks = webhooks(configuration);
    for authority in webhooks.iter().flat_map(|webhook| store::authorities(bundle(webhook))) {
        if !trusted.contains(&authority) {
            trusted.push(authority);
        }
    }
    (!webhooks.is_empty()).then_some(trusted)
}

/// Whether every webhook trusts an authority.
pub(super) fn is_trusted(
    configuration: &MutatingWebhookConfiguration,
    authority: &CertificateDer<'static>,
) -> bool {
    webhooks(configuration).iter().all(|webhook| {
        store::authorities(bundle(webhook)).iter().any(|known| known.certificate == *authority)
    })
}

/// How the configuration is, beside the authorities that are kept.
pub(super) fn read(
    configuration: &MutatingWebhookConfiguration,
    authorities: Vec<Trusted>,
    kept: &[u8],
) -> Bundle {
    let is_kept = webhooks(configuration).iter().all(|webhook| bundle(webhook) == kept);
    Bundle { authorities, is_kept, since: None }
}

/// A strategic merge patch: webhooks are merged by their names. It names the version that was read,
/// so that none is brought back that was removed meanwhile.
pub(super) fn patch(configuration: &MutatingWebhookConfiguration, kept: &[u8]) -> Value {
    let bundle = ByteString(kept.to_vec());
    let webhooks = webhooks(configuration).iter();
    let webhooks: Vec<Value> = webhooks
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    let version = &configuration.metadata.resource_version;
    json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks})
}

fn webhooks(configuration: &MutatingWebhookConfiguration) -> &[MutatingWebhook] {
    configuration.webhooks.as_deref().unwrap_or_default()
}

fn bundle(webhook: &MutatingWebhook) -> &[u8] {
    webhook.client_config.ca_bundle.as_ref().map_or(&[], |bundle| bundle.0.as_slice())
}
