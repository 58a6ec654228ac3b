//! For tests: as much of an API server as the operator uses, in this process. It keeps objects of any
//! kind with uids, versions and generations, selects and watches them, and fails where a test says so.
//! What is applied is merged: which manager owns a field is not known, and nothing is admitted,
//! defaulted or collected. What a real one does beyond that is tested in a cluster (`tests/e2e`).

mod objects;
mod request;
mod selector;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use axum::{
    body::Body,
    http::{Response, StatusCode, header::RETRY_AFTER},
    response::IntoResponse,
};
use futures::stream;
use http_body_util::BodyExt;
use kube::{Client, client::Body as ClientBody};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

pub(crate) use objects::Key;
use objects::Objects;
use request::{Call, Request};

/// A server; its clones are the same one.
#[derive(Clone)]
pub(crate) struct TestServer {
    state: Arc<Mutex<State>>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    objects: Objects,
    failures: Vec<Failure>,
    requests: Vec<String>,
}

/// What the server answers to some requests, instead of doing what they ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    /// The requests, as [`TestServer::take_requests`] has them.
    pub(crate) of: &'static str,
    /// How many of them.
    pub(crate) times: usize,
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: &'static str,
    /// The reason of a cause in the details.
    pub(crate) cause: Option<&'static str>,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Failure {
    /// The next one of these requests fails.
    pub(crate) const fn once(of: &'static str, code: u16, reason: &'static str) -> Self {
        Self { of, times: 1, code, reason, message: "no", cause: None, retry_after: None }
    }
}

impl TestServer {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), version: watch::Sender::new(1) }
    }

    /// A client of this server.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// A client of this server whose requests pass through a layer.
    pub(crate) fn client_with<L>(&self, layer: &L) -> Client
    where
        L: Layer<Self>,
        L::Service: Service<http::Request<ClientBody>, Response = Response<Body>> + Send + 'static,
        <L::Service as Service<http::Request<ClientBody>>>::Future: Send,
        <L::Service as Service<http::Request<ClientBody>>>::Error: Into<BoxError>,
    {
        Client::new(layer.layer(self.clone()), "default")
    }

    /// Has requests fail.
    pub(crate) fn fail(&self, failure: Failure) {
        self.state().failures.push(failure);
    }

    /// The requests since the last time, such as `POST deployments` or `PATCH fakelogsources/status`.
    /// Watches are `WATCH`.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// Creates or replaces an object, as one of its users.
    pub(crate) fn put(&self, object: Value) -> Value {
        let key = Key::of_object(&object);
        self.change(|objects| objects.put(key, object))
    }

    /// Merges a change into an object, its status included.
    ///
    /// # Panics
    ///
    /// If there is no such object.
    pub(crate) fn merge(&self, key: &Key, change: &Value) -> Value {
        self.change(|objects| {
            let mut object = objects.get(key).unwrap_or_else(|| panic!("no {key:?}")).clone();
            json_patch::merge(&mut object, change);
            objects.put(key.clone(), object)
        })
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, key: &Key) {
        self.change(|objects| objects.remove(key));
    }

    /// An object.
    pub(crate) fn get(&self, key: &Key) -> Option<Value> {
        self.state().objects.get(key).cloned()
    }

    /// The objects of a kind, by the plural of its name.
    pub(crate) fn all(&self, plural: &str) -> Vec<Value> {
        let state = self.state();
        let all = state.objects.all().filter(|(key, _)| key.plural == plural);
        all.map(|(_, object)| object.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes objects, and has the watches send that.
    fn change<R>(&self, change: impl FnOnce(&mut Objects) -> R) -> R {
        let mut state = self.state();
        let result = change(&mut state.objects);
        let version = state.objects.version();
        drop(state);
        self.version.send_replace(version);
        result
    }

    async fn answer(self, request: http::Request<ClientBody>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let request = Request::read(&head, &body);
        let name = request.to_string();
        let failure = {
            let mut state = self.state();
            state.requests.push(name.clone());
            let failures = &mut state.failures;
            let at = failures.iter().position(|failure| failure.of == name && failure.times > 0);
            at.map(|at| {
                failures[at].times -= 1;
                failures[at]
            })
        };
        if let Some(failure) = failure {
            return failure.into_response();
        }
        let answer = match request.call {
            Call::Watch { since } => return self.watch(request, since),
            Call::Get => self.get(&request.key).ok_or(NOT_FOUND),
            Call::List => Ok(self.list(&request)),
            Call::Create => self.create(&request),
            Call::Replace | Call::Merge | Call::Apply => self.write(&request),
            Call::Delete => self.delete_once(&request),
        };
        match answer {
            Ok(object) => axum::Json(object).into_response(),
            Err(failure) => failure.into_response(),
        }
    }

    fn list(&self, request: &Request) -> Value {
        let state = self.state();
        let selected = state.objects.all().filter(|(key, object)| request.selects(key, object));
        let items: Vec<&Value> = selected.map(|(_, object)| object).collect();
        let version = state.objects.version().to_string();
        json!({"metadata": {"resourceVersion": version}, "items": items})
    }

    fn create(&self, request: &Request) -> Result<Value, Failure> {
        let mut object = request.body.clone();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = Key { name, ..request.key.clone() };
        if self.get(&key).is_some() {
            return Err(ALREADY_EXISTS);
        }
        note_manager(&mut object, request);
        Ok(self.change(|objects| objects.put(key, object)))
    }

    /// A write of an object that is there, or, if it is applied, of a new one.
    fn write(&self, request: &Request) -> Result<Value, Failure> {
        let Request { call, key, body, .. } = request;
        let present = match (self.get(key), call) {
            (Some(present), _) => present,
            (None, Call::Apply) if !request.is_of_status() => json!({}),
            (None, _) => return Err(NOT_FOUND),
        };
        for field in ["uid", "resourceVersion"] {
            let (wanted, has) = (&body["metadata"][field], &present["metadata"][field]);
            if !wanted.is_null() && wanted != has {
                return Err(CONFLICT);
            }
        }
        let mut object = present.clone();
        if request.is_of_status() {
            object["status"].clone_from(&body["status"]);
        } else if *call == Call::Replace {
            object.clone_from(body);
        } else {
            json_patch::merge(&mut object, body);
        }
        note_manager(&mut object, request);
        Ok(self.change(|objects| objects.put(key.clone(), object)))
    }

    fn delete_once(&self, request: &Request) -> Result<Value, Failure> {
        let present = self.get(&request.key).ok_or(NOT_FOUND)?;
        let wanted = &request.body["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != present["metadata"]["uid"] {
            return Err(CONFLICT);
        }
        self.delete(&request.key);
        Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
    }

    /// What happens after a version, until its client has enough.
    fn watch(self, request: Request, since: u64) -> Response<Body> {
        let versions = self.version.subscribe();
        let lines = stream::unfold(
            (self, request, versions, since),
            move |(server, request, mut versions, since)| async move {
                let until = *versions.wait_for(|version| *version > since).await.ok()?;
                let mut lines = String::new();
                for (key, event) in server.state().objects.events_since(since) {
                    if request.selects(key, &event["object"]) {
                        lines.extend([event.to_string(), "\n".to_owned()]);
                    }
                }
                Some((Ok::<_, Infallible>(lines), (server, request, versions, until)))
            },
        );
        Body::from_stream(lines).into_response()
    }
}

const NOT_FOUND: Failure = Failure::once("", 404, "NotFound");
const ALREADY_EXISTS: Failure = Failure::once("", 409, "AlreadyExists");
const CONFLICT: Failure = Failure::once("", 409, "Conflict");

/// Notes who has written, and when.
fn note_manager(object: &mut Value, request: &Request) {
    let Some(manager) = request.manager() else { return };
    let operation = if request.call == Call::Apply { "Apply" } else { "Update" };
    let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
    let mut entry = json!({"manager": manager, "operation": operation, "time": now});
    if request.is_of_status() {
        entry["subresource"] = "status".into();
    }
    let is_same = |one: &Value| {
        ["manager", "operation", "subresource"].iter().all(|field| one[field] == entry[field])
    };
    let known = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let others = known.into_iter().filter(|one| !is_same(one));
    let all: Vec<Value> = others.chain([entry.clone()]).collect();
    object["metadata"]["managedFields"] = all.into();
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response<Body> {
        let Self { code, reason, message, cause, retry_after, .. } = self;
        let causes: Vec<Value> = cause.iter().map(|cause| json!({"reason": cause})).collect();
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code, "details": {"causes": causes},
        });
        let mut answer = (StatusCode::from_u16(code).unwrap(), axum::Json(status)).into_response();
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

impl Service<http::Request<ClientBody>> for TestServer {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<ClientBody>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.answer(request).await) })
    }
}
