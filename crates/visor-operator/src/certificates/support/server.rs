//! For tests: as much of an API server as keeping certificates takes. It has one Secret and one
//! webhook configuration, versions and watches.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use futures::stream;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::certificates::x509;

/// Shared by all who talk to it.
#[derive(Clone)]
pub(in crate::certificates) struct Server {
    objects: Arc<Mutex<Objects>>,
    version: watch::Sender<u64>,
    /// Whose client this is.
    who: &'static str,
}

#[derive(Default)]
struct Objects {
    present: HashMap<Kind, Value>,
    /// What happened, each with the version that it made.
    events: Vec<(u64, Kind, Value)>,
    /// Another client writes just before the next write is handled.
    interfere: bool,
    writes: Vec<(&'static str, &'static str)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Secret,
    Configuration,
}

type Shared = State<(Server, Kind)>;

impl Server {
    /// With a configuration, and without a Secret.
    pub(in crate::certificates) fn new() -> Self {
        let server = Self { objects: Arc::default(), version: watch::Sender::new(1), who: "" };
        server.install();
        server
    }

    /// The configuration as it is installed: webhooks without a bundle.
    pub(in crate::certificates) fn install(&self) {
        let webhook = |name: &str| {
            json!({
                "name": name,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {"service": {"name": "a", "namespace": "b", "path": "/inject"}},
            })
        };
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "visor"},
            "webhooks": [webhook("pods.visor.dev"), webhook("namespaces.visor.dev")],
        });
        self.put(Kind::Configuration, "MODIFIED", configuration);
    }

    pub(in crate::certificates) fn delete_secret(&self) {
        let secret = self.objects().present[&Kind::Secret].clone();
        self.put(Kind::Secret, "DELETED", secret);
    }

    pub(in crate::certificates) fn interfere(&self) {
        self.objects().interfere = true;
    }

    /// Who wrote what since the last time.
    pub(in crate::certificates) fn writes(&self) -> Vec<(&'static str, &'static str)> {
        std::mem::take(&mut self.objects().writes)
    }

    /// A text of the Secret.
    pub(in crate::certificates) fn secret(&self, key: &str) -> Option<Vec<u8>> {
        let secret = self.objects().present.get(&Kind::Secret)?.clone();
        let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(secret).unwrap();
        secret.data?.remove(key).map(|text| text.0)
    }

    /// The authorities that the webhooks trust, if they are of one mind.
    pub(in crate::certificates) fn bundle(
        &self,
    ) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        let configuration = self.objects().present[&Kind::Configuration].clone();
        let bundle = |number: usize| {
            let bundle = &configuration["webhooks"][number]["clientConfig"]["caBundle"];
            let bundle: Option<k8s_openapi::ByteString> =
                serde_json::from_value(bundle.clone()).unwrap();
            bundle.map(|bundle| x509::from_pem(&bundle.0)).unwrap_or_default()
        };
        if bundle(0) == bundle(1) { bundle(0) } else { vec![] }
    }

    pub(in crate::certificates) fn client(&self, who: &'static str) -> Client {
        let server = Self { who, ..self.clone() };
        let secrets = "/api/v1/namespaces/visor-system/secrets";
        let configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        let secrets = Router::new()
            .route(secrets, get(list).post(create))
            .route(&format!("{secrets}/{{name}}"), get(read).put(replace))
            .with_state((server.clone(), Kind::Secret));
        let configurations = Router::new()
            .route(configurations, get(list))
            .route(&format!("{configurations}/{{name}}"), get(read).patch(patch))
            .with_state((server, Kind::Configuration));
        Client::new(secrets.merge(configurations), "visor-system")
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    /// Changes an object, or deletes it.
    fn put(&self, kind: Kind, event: &str, mut object: Value) -> Value {
        let mut objects = self.objects();
        let version = *self.version.borrow() + 1;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let event_json = json!({"type": event, "object": object});
        objects.events.push((version, kind, event_json));
        if event == "DELETED" {
            objects.present.remove(&kind);
        } else {
            objects.present.insert(kind, object.clone());
        }
        drop(objects);
        self.version.send_replace(version);
        object
    }

    /// Rejects a write with an outdated resource version.
    fn check(&self, kind: Kind, written: &Value, what: &'static str) -> Result<(), Box<Response>> {
        let interfere = std::mem::take(&mut self.objects().interfere);
        let present = self.objects().present.get(&kind).cloned();
        let present = match present {
            Some(present) if interfere => Some(self.put(kind, "MODIFIED", present)),
            present => present,
        };
        let version =
            |object: &Value| object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        if present.as_ref().and_then(version) != version(written) {
            return Err(Box::new(rejection(StatusCode::CONFLICT)));
        }
        self.objects().writes.push((self.who, what));
        Ok(())
    }
}

fn rejection(status: StatusCode) -> Response {
    let reason = if status == StatusCode::CONFLICT { "Conflict" } else { "NotFound" };
    let code = status.as_u16();
    let body = json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code});
    (status, body.to_string()).into_response()
}

async fn read(State((server, kind)): Shared) -> Response {
    let present = server.objects().present.get(&kind).cloned();
    present.map_or_else(
        || rejection(StatusCode::NOT_FOUND),
        |object| object.to_string().into_response(),
    )
}

async fn create(State((server, kind)): Shared, body: Bytes) -> Response {
    let object: Value = serde_json::from_slice(&body).unwrap();
    match server.check(kind, &object, "create") {
        Ok(()) => server.put(kind, "ADDED", object).to_string().into_response(),
        Err(rejection) => *rejection,
    }
}

async fn replace(State((server, kind)): Shared, body: Bytes) -> Response {
    let object: Value = serde_json::from_slice(&body).unwrap();
    match server.check(kind, &object, "replace") {
        Ok(()) => server.put(kind, "MODIFIED", object).to_string().into_response(),
        Err(rejection) => *rejection,
    }
}

/// A parameter of a query, as it is written.
fn of<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A strategic merge of webhooks by their names.
async fn patch(State((server, kind)): Shared, RawQuery(query): RawQuery, body: Bytes) -> Response {
    assert_eq!(of(query.as_deref(), "fieldManager"), Some("visor-operator-certificates"));
    let patch: Value = serde_json::from_slice(&body).unwrap();
    if let Err(rejection) = server.check(kind, &patch, "patch") {
        return *rejection;
    }
    let mut object = server.objects().present[&kind].clone();
    for change in patch["webhooks"].as_array().unwrap() {
        let webhooks = object["webhooks"].as_array_mut().unwrap();
        let webhook = webhooks.iter_mut().find(|webhook| webhook["name"] == change["name"]);
        webhook.unwrap()["clientConfig"]["caBundle"] = change["clientConfig"]["caBundle"].clone();
    }
    server.put(kind, "MODIFIED", object).to_string().into_response()
}

/// What there is; or, as a watch, what happens after that.
async fn list(State((server, kind)): Shared, RawQuery(query): RawQuery) -> Response {
    let query = query.as_deref();
    assert!(of(query, "fieldSelector").unwrap().starts_with("metadata.name%3D"));
    if of(query, "watch").is_none() {
        let items: Vec<Value> = server.objects().present.get(&kind).cloned().into_iter().collect();
        let version = server.version.borrow().to_string();
        let list = json!({"metadata": {"resourceVersion": version}, "items": items});
        return list.to_string().into_response();
    }
    let since: u64 = of(query, "resourceVersion").unwrap().parse().unwrap();
    let versions = server.version.subscribe();
    let lines = stream::unfold(
        (server, versions, since),
        move |(server, mut versions, since)| async move {
            versions.wait_for(|version| *version > since).await.ok()?;
            let until = *versions.borrow();
            let mut lines = String::new();
            for (version, of, event) in &server.objects().events {
                if *version > since && *of == kind {
                    lines.extend([event.to_string(), "\n".to_owned()]);
                }
            }
            Some((Ok::<_, Infallible>(lines), (server, versions, until)))
        },
    );
    Body::from_stream(lines).into_response()
}
