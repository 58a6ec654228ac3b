//! What is rejected, and what is filled in.

use serde_json::{Value, json};

use super::*;

fn source(spec: Value) -> FakeLogSource {
    let mut document = json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "shop"},
    });
    document["spec"] = spec;
    serde_json::from_value(document).unwrap()
}

fn with_access(access: &Value, streams: &Value) -> FakeLogSource {
    source(json!({"generators": [{"name": "web", "access": access, "streams": streams}]}))
}

/// The paths of the problems.
fn paths(source: FakeLogSource) -> Vec<String> {
    let problems = ResolvedSource::check(source).err().unwrap_or_default();
    problems.iter().map(|problem| problem.path.to_string()).collect()
}

#[test]
fn what_the_rules_reject_is_not_resolved() {
    let all = json!([]);
    for (access, path) in [
        (json!({"users": [{"value": "ada", "weight": 0}]}), "users"),
        (json!({"clients": {"networks": [{"value": "shop"}]}}), "clients.networks[0].value"),
        (json!({"format": "Custom", "logFormat": "%Q"}), "logFormat"),
        (json!({"format": "Custom"}), "logFormat"),
    ] {
        let wanted = format!("spec.generators[0].access.{path}");
        assert_eq!(paths(with_access(&access, &all)), [wanted], "{access}");
    }
    let generators = json!([{"name": "web", "access": {}}]);
    for (field, value, path) in [
        ("timeZone", json!("Europe/Atlantis"), "spec.timeZone"),
        ("generators", json!([{"name": "web"}]), "spec.generators[0]"),
    ] {
        let mut spec = json!({"generators": generators});
        spec[field] = value;
        assert_eq!(paths(source(spec)), [path], "{field}");
    }
}

/// The schema rejects them first, but objects are deserialized without it, too.
#[test]
fn a_number_that_violates_its_schema_is_not_deserialized() {
    for (path, value) in [
        ("/spec/seed", json!(-1)),
        ("/spec/stopAfter/lines", json!(0)),
        ("/spec/generators/0/access/statuses/0/value", json!(99_999)),
        ("/spec/generators/0/access/statuses/0/weight", json!(-1)),
        ("/spec/generators/0/access/sizes/0/min", json!(-5)),
        ("/spec/generators/0/access/targets/0/size", json!(-1)),
        ("/spec/generators/0/access/clients/pool", json!(0)),
        ("/spec/generators/0/streams/0/interval/rate/linesPerSecond", json!(-7)),
        ("/spec/generators/0/streams/0/surges/0/factor", json!(-1)),
        ("/spec/generators/0/output/file/rotation/keep", json!(1001)),
    ] {
        let mut document = json!({
            "apiVersion": "visor.dev/v1alpha1",
            "kind": "FakeLogSource",
            "metadata": {"name": "shop"},
            "spec": {"seed": 1, "stopAfter": {"lines": 1}, "generators": [{
                "name": "web",
                "access": {
                    "statuses": [{"value": 200, "weight": 1}],
                    "sizes": [{"min": 1, "max": 2}],
                    "targets": [{"value": "/", "size": 1}],
                    "clients": {"pool": 1},
                },
                "streams": [{
                    "name": "readers",
                    "kind": "Access",
                    "interval": {"rate": {"linesPerSecond": 1}},
                    "surges": [{"every": "1h", "duration": "1m", "factor": 1}],
                }],
                "output": {"file": {"path": "a.log", "rotation": {"maxSize": "1Mi", "keep": 1}}},
            }]},
        });
        crate::document::from_json(document.clone()).unwrap();
        *document.pointer_mut(path).unwrap() = value;
        let problem = crate::document::from_json(document).unwrap_err();
        // Fields that are flattened into an access log have its path.
        assert!(path.starts_with(&problem.path.to_json_pointer()), "{problem}");
        assert!(problem.message.contains("is not from"), "{problem}");
    }
}

#[test]
fn what_a_document_leaves_out_is_filled_in() {
    let source = source(json!({"generators": [
        {"name": "web", "access": {"users": [{"value": "ada"}]}, "streams": [
            {"name": "plain", "kind": "Access"},
            {"name": "own", "kind": "Access", "access": {"methods": [{"value": "GET"}]}},
            {"name": "life", "kind": "Heartbeat"},
        ]},
        {"name": "daemon", "error": {}},
    ]}));
    let source = ResolvedSource::check(source).unwrap();
    assert_eq!((source.workload, source.is_finite()), (Workload::Deployment, false));
    let Log::Access(log) = &source.generators[0].log else { panic!("it is an access log") };
    let [plain, own, life] = &log.streams[..] else { panic!("it has three streams") };
    assert_eq!(plain.lines, AccessLine::Request(None));
    // Fields that a stream doesn't set are those of the log.
    let AccessLine::Request(Some(own)) = &own.lines else { panic!("it has requests of its own") };
    assert_eq!(own.users, log.requests.users);
    assert!(own.methods.is_some() && log.requests.methods.is_none());
    assert_eq!(life.lines, AccessLine::Heartbeat(Heartbeat::KubeProbe));
    let wanted =
        Interval::Uniform(Uniform { min: Duration::from_secs(1), max: Duration::from_secs(3) });
    assert_eq!(life.timing.interval, wanted);
    let Log::Error(log) = &source.generators[1].log else { panic!("it is an error log") };
    let names: Vec<_> = log.streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(names, ["notice", "info", "warn", "error"]);
}
