//! Values that are rejected if a document was not validated against the schema.

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
fn a_number_that_violates_its_schema_is_an_error() {
    let all = json!([]);
    for (access, path) in [
        (json!({"statuses": [{"value": 99_999}]}), "statuses[0].value"),
        (json!({"statuses": [{"value": -200}]}), "statuses[0].value"),
        (json!({"users": [{"value": "-"}, {"value": "a", "weight": -1}]}), "users[1].weight"),
        (json!({"sizes": [{"min": -5, "max": 5}]}), "sizes[0].min"),
        (json!({"targets": [{"value": "/", "size": -1}]}), "targets[0].size"),
        (json!({"clients": {"pool": 0}}), "clients.pool"),
        (json!({"clients": {"networks": [{"value": "shop"}]}}), "clients.networks[0].value"),
        (json!({"format": "Custom", "logFormat": "%Q"}), "logFormat"),
    ] {
        let wanted = format!("spec.generators[0].access.{path}");
        assert_eq!(paths(with_access(&access, &all)), [wanted], "{access}");
    }
    for (stream, path) in [
        (json!({"interval": {"rate": {"linesPerSecond": 0}}}), "interval.rate.linesPerSecond"),
        (json!({"interval": {"rate": {"linesPerSecond": -7}}}), "interval.rate.linesPerSecond"),
        (json!({"surges": [{"every": "1h", "duration": "1m", "factor": -1}]}), "surges[0].factor"),
    ] {
        let mut stream = stream;
        stream["name"] = json!("readers");
        stream["kind"] = json!("Access");
        let wanted = format!("spec.generators[0].streams[0].{path}");
        assert_eq!(paths(with_access(&json!({}), &json!([stream]))), [wanted], "{stream}");
    }
    let generators = json!([{"name": "web", "access": {}}]);
    for (field, value, path) in [
        ("seed", json!(-1), "spec.seed"),
        ("stopAfter", json!({"lines": 0}), "spec.stopAfter.lines"),
        ("timeZone", json!("Europe/Atlantis"), "spec.timeZone"),
        ("generators", json!([{"name": "web"}]), "spec.generators[0]"),
    ] {
        let mut spec = json!({"generators": generators});
        spec[field] = value;
        assert_eq!(paths(source(spec)), [path], "{field}");
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
    let wanted = Interval::Uniform(source::Uniform {
        min: Duration::from_secs(1),
        max: Duration::from_secs(3),
    });
    assert_eq!(life.timing.interval, wanted);
    let Log::Error(log) = &source.generators[1].log else { panic!("it is an error log") };
    let names: Vec<_> = log.streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(names, ["notice", "info", "warn", "error"]);
}
