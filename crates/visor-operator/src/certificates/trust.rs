//! The CAs that the API server trusts when it calls the webhooks: `caBundle` in each webhook of
//! their configurations. Nothing else in these objects is changed.

use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
    },
};
use kube::core::{ApiResource, DynamicObject};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use super::{
    action::{Bundle, Trusted},
    store,
};

/// A webhook configuration by its kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Configuration {
    Mutating(String),
    Validating(String),
}

impl Configuration {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Mutating(name) | Self::Validating(name) => name,
        }
    }

    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Mutating(_) => "MutatingWebhookConfiguration",
            Self::Validating(_) => "ValidatingWebhookConfiguration",
        }
    }

    pub(super) fn resource(&self) -> ApiResource {
        match self {
            Self::Mutating(_) => ApiResource::erase::<MutatingWebhookConfiguration>(&()),
            Self::Validating(_) => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
        }
    }
}

/// The CAs that at least one webhook trusts; `None` if there is no webhook.
pub(super) fn trusted(configurations: &[DynamicObject]) -> Option<Vec<Trusted>> {
    let mut trusted = Vec::new();
    let mut any = false;
    for webhook in configurations.iter().flat_map(webhooks) {
        any = true;
        for authority in store::authorities(&bundle(webhook)) {
            if !trusted.contains(&authority) {
                trusted.push(authority);
            }
        }
    }
    any.then_some(trusted)
}

/// Whether every webhook trusts a CA.
pub(super) fn is_trusted(
    configurations: &[DynamicObject],
    authority: &CertificateDer<'static>,
) -> bool {
    configurations.iter().flat_map(webhooks).all(|webhook| {
        store::authorities(&bundle(webhook)).iter().any(|known| known.certificate == *authority)
    })
}

/// The state of the configurations' bundles.
pub(super) fn read(
    configurations: &[DynamicObject],
    authorities: Vec<Trusted>,
    stored: &[u8],
) -> Bundle {
    let is_current = configurations.iter().all(|configuration| trusts(configuration, stored));
    Bundle { authorities, is_current, since: None }
}

/// Whether every webhook of a configuration trusts exactly these CAs.
pub(super) fn trusts(configuration: &DynamicObject, stored: &[u8]) -> bool {
    webhooks(configuration).all(|webhook| bundle(webhook) == stored)
}

/// A strategic merge patch: webhooks are merged by name. It has the resourceVersion that was read,
/// so that it doesn't bring back a webhook that has been removed.
pub(super) fn patch(configuration: &DynamicObject, stored: &[u8]) -> Value {
    let bundle = ByteString(stored.to_vec());
    let webhooks: Vec<Value> = webhooks(configuration)
        .map(|webhook| json!({"name": webhook["name"], "clientConfig": {"caBundle": bundle}}))
        .collect();
    let version = &configuration.metadata.resource_version;
    json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks})
}

fn webhooks(configuration: &DynamicObject) -> impl Iterator<Item = &Value> {
    configuration.data.get("webhooks").and_then(Value::as_array).into_iter().flatten()
}

fn bundle(webhook: &Value) -> Vec<u8> {
    let text = webhook.pointer("/clientConfig/caBundle").cloned().unwrap_or_default();
    serde_json::from_value::<ByteString>(text).map(|bundle| bundle.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> DynamicObject {
        let webhooks: Vec<Value> = bundles
            .iter()
            .enumerate()
            .map(|(number, bundle)| {
                let bundle = bundle.map(|text| ByteString(text.as_bytes().to_vec()));
                json!({"name": format!("{number}.visor.dev"), "clientConfig": {"caBundle": bundle}})
            })
            .collect();
        serde_json::from_value(json!({
            "metadata": {"name": "visor", "resourceVersion": "7"}, "webhooks": webhooks,
        }))
        .unwrap()
    }

    #[test]
    fn all_webhooks_of_both_kinds_are_looked_at() {
        let (stored, none) = (configuration(&[Some("a"), Some("a")]), configuration(&[None]));
        assert!(trusts(&stored, b"a") && !trusts(&none, b"a"));
        assert!(read(std::slice::from_ref(&stored), vec![], b"a").is_current);
        assert!(!read(&[stored.clone(), none.clone()], vec![], b"a").is_current);
        assert_eq!(trusted(&[]), None);
        assert_eq!(trusted(&[configuration(&[])]), None);
        assert_eq!(trusted(&[stored, none.clone()]), Some(vec![]), "none of them can be read");
        let patch = patch(&none, b"b");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let bundle = json!(ByteString(b"b".to_vec()));
        assert_eq!(
            patch["webhooks"],
            json!([{"name": "0.visor.dev", "clientConfig": {"caBundle": bundle}}])
        );
        let kinds =
            [Configuration::Mutating("a".to_owned()), Configuration::Validating("b".to_owned())];
        assert_eq!(
            kinds.map(|kind| kind.resource().plural),
            ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
        );
    }
}
