//! The document that a pod's generator reads: the source without the fields about pods, so that
//! changing those doesn't change the document.

use serde::Serialize;
use visor_api::{
    bounded::Bounded,
    source::{FakeLogSourceSpec, Generator, Server, StopAfter},
};

use crate::source::ValidSource;

/// The name of the document in its `ConfigMap`, and of the file in the pod.
pub(crate) const FILE: &str = "source.yaml";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    time_zone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a Server>,
    suspend: bool,
    #[serde(skip_serializing_if = "<&bool as std::ops::Not>::not")]
    tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_after: Option<&'a StopAfter>,
    generators: &'a [Generator],
}

/// The document as YAML.
///
/// # Errors
///
/// If serialization fails, which a valid source can't cause.
pub(crate) fn yaml(source: ValidSource<'_>) -> Result<String, serde_saphyr::ser::Error> {
    let FakeLogSourceSpec {
        seed,
        time_zone,
        server,
        suspend,
        tokens,
        stop_after,
        generators,
        // These are about pods. Each field is named here, so that none is forgotten.
        replicas: _,
        workload: _,
        volume: _,
        pod_template: _,
    } = source.spec();
    serde_saphyr::to_string(&Document {
        api_version: "visor.dev/v1alpha1",
        kind: "FakeLogSource",
        metadata: Metadata { name: source.name() },
        spec: Spec {
            seed: seed.map(Bounded::get),
            time_zone: time_zone.as_str(),
            server: server.as_ref(),
            suspend: *suspend,
            tokens: *tokens,
            stop_after: stop_after.as_ref(),
            generators,
        },
    })
}
