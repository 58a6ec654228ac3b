//! The leader's work from end to end, against an API server in this process, in simulated time: what it
//! does about each source, and about each answer that the server may give.

use std::sync::Arc;

use clap::Parser;
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::*;
use crate::{
    api_client::{RequestLayer, Throttle},
    cli::{Cli, Command},
    controller::{build::Settings, publish::EventPublisher},
    metrics::Metrics,
    policy::Policy,
    test_server::{Failure, Key, TestServer},
};

/// How long a condition may take, in simulated time.
const PATIENCE: Duration = Duration::from_mins(10);
const NOTHING: [&str; 0] = [];
const OPERATOR: &str = "visor-system/visor-operator";

/// A leader that works until it is stopped.
struct Leader {
    stop: oneshot::Sender<()>,
    work: JoinHandle<()>,
    metrics: Arc<Metrics>,
}

impl Leader {
    fn start(server: &TestServer) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let throttle = Some(Arc::new(Throttle::default()));
        let layer = RequestLayer { metrics: Arc::clone(&metrics), throttle, fence: None };
        let client = server.client_with(&layer);
        let arguments = ["visor-operator", "run", "--image", "visor:test"];
        let Command::Run(options) = Cli::try_parse_from(arguments).unwrap().command else {
            unreachable!()
        };
        let settings = Settings {
            image: "visor:test".to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            user: Some(65532),
            native_sidecars: true,
            pod_monitors: false,
            policy: Policy::default(),
            operator: OPERATOR.to_owned(),
        };
        let work = ControllerInputs {
            event_publisher: EventPublisher::new(client.clone(), "one"),
            client,
            metrics: Arc::clone(&metrics),
            settings,
            injector: None,
            options: *options,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let work = tokio::spawn(run_controllers(work, async {
            stopped.await.ok();
        }));
        Self { stop, work, metrics }
    }

    /// Stops as after a signal: what is in progress is finished.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.work.await.unwrap();
    }
}

fn source(replicas: u32) -> Value {
    json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "shop", "namespace": "web"},
        "spec": {"replicas": replicas, "generators": [{"name": "web", "access": {}, "streams": [
            {"name": "visits", "kind": "Access", "interval": {"fixed": "1s"}},
        ]}]},
    })
}

fn key(plural: &str) -> Key {
    Key::new(plural, "web", "shop")
}

/// Waits for a condition.
async fn wait_for<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a condition of the source has this status and reason.
async fn wait_for_condition(server: &TestServer, type_: &str, status: &str, reason: &str) -> Value {
    let what = format!("{type_} {status} {reason}");
    wait_for(&what, || {
        let source = server.get(&key("fakelogsources"))?;
        let conditions = source["status"]["conditions"].as_array()?.clone();
        let found = conditions.into_iter().find(|condition| condition["type"] == type_)?;
        (found["status"] == status && found["reason"] == reason).then_some(found)
    })
    .await
}

async fn wait_for_child(server: &TestServer, plural: &str) -> Value {
    wait_for(plural, || server.get(&key(plural))).await
}

/// The workload's controller has done its work.
fn roll_out(server: &TestServer, replicas: u32) {
    let generation = server.get(&key("deployments")).unwrap()["metadata"]["generation"].clone();
    server.merge(
        &key("deployments"),
        &json!({"status": {
            "observedGeneration": generation, "replicas": replicas, "readyReplicas": replicas,
            "updatedReplicas": replicas,
        }}),
    );
}

fn reasons(server: &TestServer) -> Vec<String> {
    let events = server.all("events");
    events.iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The requests since the last time, without those of watches.
fn requests(server: &TestServer) -> Vec<String> {
    let mut requests = server.take_requests();
    requests.retain(|request| !request.starts_with("WATCH") && !request.starts_with("LIST"));
    requests
}

#[tokio::test(start_paused = true)]
async fn a_source_becomes_children_and_their_state_its_status() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let uid = server.put(source(2))["metadata"]["uid"].clone();
    for plural in ["configmaps", "services", "deployments"] {
        let child = wait_for_child(&server, plural).await;
        let owner = &child["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["uid"], &owner["controller"]), (&uid, &json!(true)), "{plural}");
        assert_eq!(child["metadata"]["annotations"]["visor.dev/operator"], OPERATOR);
    }
    assert_eq!(server.get(&key("deployments")).unwrap()["spec"]["replicas"], 2);
    wait_for_condition(&server, "Ready", "False", "PodsNotReady").await;
    roll_out(&server, 2);
    let ready = wait_for_condition(&server, "Ready", "True", "Ready").await;
    assert_eq!(ready["message"], "2 of 2 pods are ready");
    wait_for("an event", || (reasons(&server) == ["Ready"]).then_some(())).await;
    let status = server.get(&key("fakelogsources")).unwrap()["status"].clone();
    assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(2), &json!(2)));

    // As long as nothing changes, nothing is asked for.
    sleep(Duration::from_mins(2)).await;
    server.take_requests();
    sleep(Duration::from_hours(1)).await;
    assert_eq!(requests(&server), NOTHING);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_the_child_that_it_is_about() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    server.put(source(1));
    wait_for_child(&server, "deployments").await;
    roll_out(&server, 1);
    wait_for_condition(&server, "Ready", "True", "Ready").await;
    sleep(Duration::from_mins(1)).await;
    server.take_requests();

    server.merge(&key("fakelogsources"), &json!({"spec": {"replicas": 3}}));
    wait_for("three replicas", || {
        (server.get(&key("deployments"))?["spec"]["replicas"] == 3).then_some(())
    })
    .await;
    wait_for_condition(&server, "Ready", "False", "PodsNotReady").await;
    let all = requests(&server);
    let children: Vec<_> = all
        .iter()
        .filter(|request| request.starts_with("PATCH") && !request.ends_with("status"))
        .collect();
    // The fields of the creation become those of an apply first.
    assert_eq!(children, ["PATCH deployments"; 2], "{all:?}");

    // Somebody else has changed it.
    roll_out(&server, 3);
    wait_for_condition(&server, "Ready", "True", "Ready").await;
    server.merge(&key("deployments"), &json!({"spec": {"replicas": 7}}));
    wait_for("three replicas again", || {
        (server.get(&key("deployments"))?["spec"]["replicas"] == 3).then_some(())
    })
    .await;
    // Somebody has deleted it.
    let before = server.get(&key("services")).unwrap()["metadata"]["uid"].clone();
    server.delete(&key("services"));
    let after = wait_for_child(&server, "services").await;
    assert_ne!(after["metadata"]["uid"], before);
    leader.stop().await;
}

/// What the server rejects is reported with its message, and tried again.
#[tokio::test(start_paused = true)]
async fn a_rejection_is_reported_and_tried_again() {
    for (code, said, reason) in [
        (403, "Forbidden", "Forbidden"),
        (422, "Invalid", "RejectedByAPIServer"),
        (400, "BadRequest", "RejectedByAPIServer"),
    ] {
        let server = TestServer::new();
        let leader = Leader::start(&server);
        let failure = Failure::once("POST deployments", code, said);
        server.fail(Failure { message: "exceeded quota", ..failure });
        server.put(source(1));
        let rejected = wait_for_condition(&server, "Accepted", "False", reason).await;
        let message = "the API server rejected the Deployment: exceeded quota";
        assert_eq!(rejected["message"], message);
        assert_eq!(reasons(&server), [reason]);
        wait_for_child(&server, "deployments").await;
        wait_for_condition(&server, "Accepted", "True", "Valid").await;
        leader.stop().await;
    }
}

/// What may succeed a moment later is tried again, and reported only if it keeps failing.
#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_and_reported_if_it_lasts() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let failure = Failure::once("POST deployments", 500, "InternalError");
    server.fail(Failure { times: 3, ..failure });
    server.put(source(1));
    wait_for_child(&server, "deployments").await;
    wait_for_condition(&server, "Accepted", "True", "Valid").await;
    assert!(reasons(&server).is_empty(), "{:?}", reasons(&server));
    leader.stop().await;

    let server = TestServer::new();
    let leader = Leader::start(&server);
    server.fail(Failure { times: 12, message: "etcd is away", ..failure });
    server.put(source(1));
    let failed = wait_for_condition(&server, "Accepted", "False", "ReconcileError").await;
    assert!(failed["message"].as_str().unwrap().contains("etcd is away"), "{failed}");
    wait_for_condition(&server, "Accepted", "True", "Valid").await;
    leader.stop().await;
}

/// A server that is overloaded says when it wants to be asked again.
#[tokio::test(start_paused = true)]
async fn an_overloaded_server_has_its_pause() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let failure = Failure::once("POST configmaps", 429, "TooManyRequests");
    server.fail(Failure { retry_after: Some(30), ..failure });
    server.put(source(1));
    wait_for("the answer", || {
        server.take_requests().contains(&"POST configmaps".to_owned()).then_some(())
    })
    .await;
    let begin = Instant::now();
    sleep(Duration::from_secs(29)).await;
    assert_eq!(requests(&server), NOTHING);
    wait_for_child(&server, "deployments").await;
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
    leader.stop().await;
}

/// In a namespace that is being deleted nothing can be created, and nothing is to be reported.
#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_being_deleted_is_left_alone() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let failure = Failure::once("POST configmaps", 403, "Forbidden");
    server.fail(Failure { times: 4, cause: Some("NamespaceTerminating"), ..failure });
    server.put(source(1));
    let begin = Instant::now();
    sleep(Duration::from_secs(40)).await;
    // Now, after 15 and after 30 seconds.
    let created = |requests: &[String]| {
        requests.iter().filter(|request| *request == "POST configmaps").count()
    };
    let all = requests(&server);
    assert_eq!(created(&all), 3, "{all:?}");
    assert!(!all.iter().any(|request| request.ends_with("/status")), "{all:?}");
    assert_eq!(reasons(&server), NOTHING);
    wait_for_child(&server, "deployments").await;
    assert!(begin.elapsed() >= Duration::from_mins(1), "{:?}", begin.elapsed());
    leader.stop().await;
}

/// Between the cache and a request an object may be replaced or deleted.
#[tokio::test(start_paused = true)]
async fn an_object_that_changes_meanwhile_is_looked_at_again() {
    for (code, reason) in [(404, "NotFound"), (409, "Conflict")] {
        let server = TestServer::new();
        let leader = Leader::start(&server);
        server.put(source(1));
        wait_for_child(&server, "deployments").await;
        wait_for_condition(&server, "Accepted", "True", "Valid").await;
        server.fail(Failure::once("PATCH deployments", code, reason));
        server.fail(Failure::once("PATCH fakelogsources/status", code, reason));
        server.merge(&key("fakelogsources"), &json!({"spec": {"replicas": 3}}));
        wait_for("three replicas", || {
            (server.get(&key("deployments"))?["spec"]["replicas"] == 3).then_some(())
        })
        .await;
        roll_out(&server, 3);
        wait_for_condition(&server, "Ready", "True", "Ready").await;
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_is_never_touched() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "shop", "namespace": "web", "labels": {"theirs": "true"}},
        "spec": {"clusterIP": "10.0.0.1"},
    });
    let before = server.put(theirs);
    server.put(source(1));
    let conflict = wait_for_condition(&server, "Accepted", "False", "NameConflict").await;
    let message = conflict["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("Service `shop` already exists"), "{message}");
    sleep(Duration::from_mins(1)).await;
    assert_eq!(server.get(&key("services")), Some(before));
    server.delete(&key("services"));
    wait_for_child(&server, "deployments").await;
    wait_for_condition(&server, "Accepted", "True", "Valid").await;
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_breaks_a_rule_says_so_until_it_is_mended() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let mut invalid = source(1);
    invalid["spec"]["generators"][0]["streams"][0]["kind"] = "Error".into();
    server.put(invalid);
    wait_for_condition(&server, "Accepted", "False", "Invalid").await;
    wait_for_condition(&server, "Stalled", "True", "Invalid").await;
    assert!(server.all("deployments").is_empty());
    // It waits for its author.
    sleep(Duration::from_mins(1)).await;
    server.take_requests();
    sleep(Duration::from_hours(1)).await;
    assert_eq!(requests(&server), NOTHING);
    server.put(source(1));
    wait_for_condition(&server, "Accepted", "True", "Valid").await;
    // The schema accepts it, and no source can be read from it.
    server.merge(&key("fakelogsources"), &json!({"spec": {"replicas": "many"}}));
    wait_for_condition(&server, "Accepted", "False", "Malformed").await;
    leader.stop().await;
}

/// As long as another operator renews its Lease, its sources are left to it.
#[tokio::test(start_paused = true)]
async fn the_sources_of_another_operator_are_left_to_it() {
    let server = TestServer::new();
    let uid = server.put(source(1))["metadata"]["uid"].clone();
    server.put(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "shop", "namespace": "web",
            "labels": {"app.kubernetes.io/managed-by": "visor-operator"},
            "annotations": {"visor.dev/operator": "other/visor-operator"},
            "ownerReferences": [{
                "apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource", "name": "shop",
                "uid": uid, "controller": true,
            }],
        },
    }));
    let lease = |holder: &str| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "visor-operator", "namespace": "other"},
            "spec": {
                "holderIdentity": holder, "leaseDurationSeconds": 3600,
                "renewTime": jiff::Timestamp::now().strftime("%FT%T.%6fZ").to_string(),
            },
        })
    };
    server.put(lease("two"));
    let leader = Leader::start(&server);
    wait_for("an event", || (reasons(&server) == ["OtherOperator"]).then_some(())).await;
    sleep(Duration::from_mins(5)).await;
    assert!(server.all("deployments").is_empty());
    server.put(lease(""));
    wait_for_child(&server, "deployments").await;
    let document = server.get(&key("configmaps")).unwrap();
    assert_eq!(document["metadata"]["annotations"]["visor.dev/operator"], OPERATOR);
    leader.stop().await;
}

/// A pod of the source, whose generator has written so many lines and been restarted so often.
fn pod(server: &TestServer, uid: &Value, number: u32, restarts: u32, lines: u64) -> Value {
    let report = json!({"lines": lines, "bytes": lines * 100, "ended": true}).to_string();
    let terminated = json!({
        "containerID": format!("container-{restarts}"), "exitCode": 0, "message": report,
        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T01:00:00Z",
    });
    let controller = server.get(&key("deployments")).unwrap()["metadata"]["uid"].clone();
    let replica_set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": "shop-1", "namespace": "web",
            "labels": {"app.kubernetes.io/managed-by": "visor-operator"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "shop", "uid": controller,
                "controller": true,
            }],
        },
    });
    let replica_set = server
        .get(&Key::new("replicasets", "web", "shop-1"))
        .unwrap_or_else(|| server.put(replica_set));
    server.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("shop-1-{number}"), "namespace": "web",
            "labels": {"visor.dev/source": "shop", "visor.dev/source-uid": uid},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-1",
                "uid": replica_set["metadata"]["uid"], "controller": true,
            }],
        },
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "visor", "image": "visor:test", "imageID": "", "ready": false,
            "restartCount": restarts, "containerID": format!("container-{restarts}"),
            "state": {"terminated": terminated},
        }]},
    }))
}

async fn wait_for_lines(server: &TestServer, lines: u64) {
    wait_for(&format!("{lines} lines"), || {
        (server.get(&key("fakelogsources"))?["status"]["lines"] == lines).then_some(())
    })
    .await;
}

/// The counts go on with the next leader, whatever has happened in between.
#[tokio::test(start_paused = true)]
async fn counts_go_on_over_restarts_of_pods_and_of_leaders() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let uid = server.put(source(2))["metadata"]["uid"].clone();
    wait_for_child(&server, "deployments").await;
    pod(&server, &uid, 1, 0, 1_000);
    wait_for_lines(&server, 1_000).await;
    pod(&server, &uid, 1, 1, 500);
    pod(&server, &uid, 2, 0, 70);
    wait_for_lines(&server, 1_570).await;
    leader.stop().await;

    // Without a leader: another container of a pod, and a pod that goes.
    pod(&server, &uid, 1, 2, 8);
    server.delete(&Key::new("pods", "web", "shop-1-2"));
    let leader = Leader::start(&server);
    wait_for_lines(&server, 1_578).await;
    server.delete(&Key::new("pods", "web", "shop-1-1"));
    sleep(Duration::from_mins(5)).await;
    wait_for_lines(&server, 1_578).await;
    let page = leader.metrics.render().unwrap();
    assert!(page.contains("visor_operator_queue_depth 0\n"), "{page}");
    leader.stop().await;
}

/// A status that can't be written, an event that can't be published: both are tried again.
#[tokio::test(start_paused = true)]
async fn a_report_that_fails_is_made_again() {
    let server = TestServer::new();
    let leader = Leader::start(&server);
    let failure = Failure::once("PATCH fakelogsources/status", 500, "InternalError");
    server.fail(Failure { times: 3, ..failure });
    server.fail(Failure::once("POST events", 403, "Forbidden"));
    let mut invalid = source(1);
    invalid["spec"]["generators"][0]["streams"][0]["kind"] = "Error".into();
    server.put(invalid.clone());
    wait_for_condition(&server, "Accepted", "False", "Invalid").await;
    assert!(reasons(&server).is_empty());
    // The next change of the status is an occasion.
    invalid["spec"]["generators"][0]["streams"][0]["name"] = "other".into();
    server.put(invalid);
    wait_for("an event", || (reasons(&server) == ["Invalid"]).then_some(())).await;
    leader.stop().await;
}
