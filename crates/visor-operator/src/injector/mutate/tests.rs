//! Pods before and after.

use super::*;
use crate::injector::request::NamespaceDefaults;

fn settings() -> Settings {
    Settings {
        image: "visor:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        user: Some(65532),
        native_sidecars: true,
        pod_monitors: false,
        policy: crate::policy::Policy::default(),
        operator: "a/b".to_owned(),
    }
}

const SIDECAR: SidecarSource<'static> =
    SidecarSource { name: "shop", uid: "b2a7c0de", resources: None, limits: &[] };

fn pod(spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": "web-5d8f-", "labels": {"app": "web", "visor.dev/inject": "true"},
            "annotations": {"visor.dev/source": "shop"},
        },
        "spec": spec,
    }))
    .unwrap()
}

/// A pod whose collector tails a volume that the pod owns.
fn web() -> DynamicObject {
    pod(&json!({
        "containers": [{
            "name": "collector", "image": "collector:1",
            "volumeMounts": [{"name": "logs", "mountPath": "/var/log/app/"}],
            "securityContext": {"runAsUser": 1000, "runAsGroup": 2000},
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}},
        }],
        "initContainers": [{"name": "migrate", "image": "web:1"}],
        "volumes": [{"name": "logs", "emptyDir": {}}],
        "aFieldOfTheFuture": {"kept": true},
    }))
}

fn request(volume: Option<&str>) -> InjectionRequest {
    InjectionRequest {
        source: "shop".to_owned(),
        volume: volume.map(str::to_owned),
        resources: None,
    }
}

fn injected(pod: &DynamicObject, volume: Option<&str>, form: Form) -> Result<Value, String> {
    let injected = inject(pod, &request(volume), &SIDECAR, &settings(), form)?;
    Ok(serde_json::to_value(injected.pod).unwrap())
}

fn shown(pod: &Value) -> String {
    serde_saphyr::to_string(pod).unwrap().replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn a_pod_with_its_own_volume_gets_a_native_sidecar() {
    insta::assert_snapshot!(shown(&injected(&web(), Some("logs"), Form::Native).unwrap()));
}

#[test]
fn a_bare_pod_gets_a_plain_container_and_a_volume() {
    let bare = pod(&json!({"containers": [{"name": "web", "image": "web:1"}]}));
    insta::assert_snapshot!(shown(&injected(&bare, None, Form::Plain).unwrap()));
}

/// Everything that existed is unchanged, in the same order.
#[test]
fn nothing_that_was_there_is_changed() {
    let before = serde_json::to_value(web()).unwrap();
    for form in [Form::Native, Form::Plain] {
        for volume in [None, Some("logs")] {
            let after = injected(&web(), volume, form).unwrap();
            let patch = json_patch::diff(&before, &after);
            for operation in &patch.0 {
                let operation = serde_json::to_value(operation).unwrap();
                assert_eq!(operation["op"], "add", "{operation}");
            }
            assert_eq!(after["spec"]["aFieldOfTheFuture"]["kept"], true);
        }
    }
}

#[test]
fn an_injected_pod_asks_for_nothing_more() {
    let after = inject(&web(), &request(None), &SIDECAR, &settings(), Form::Plain).unwrap().pod;
    let no_defaults = NamespaceDefaults::default();
    let metadata = &after.metadata;
    let (labels, annotations) =
        (metadata.labels.clone().unwrap(), metadata.annotations.clone().unwrap());
    assert_eq!(InjectionRequest::read(&labels, &annotations, &no_defaults), Ok(None));
    // Even if the annotation was removed, there is no second container of that name.
    assert!(inject(&after, &request(None), &SIDECAR, &settings(), Form::Plain).is_err());
}

#[test]
fn the_generator_writes_where_the_pod_mounts_the_volume() {
    let arguments = |pod: &DynamicObject, volume| {
        let after = injected(pod, Some(volume), Form::Plain).unwrap();
        let containers = after["spec"]["containers"].as_array().unwrap();
        let generator = containers.last().unwrap();
        let mounts = generator["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == volume).unwrap();
        let arguments = generator["args"].as_array().unwrap();
        let place = arguments.iter().position(|argument| argument == "--output-dir").unwrap();
        (mount["mountPath"].as_str().unwrap().to_owned(), arguments[place + 1].clone())
    };
    assert_eq!(arguments(&web(), "logs"), ("/var/log/app".to_owned(), "/var/log/app".into()));
    let nowhere = pod(&json!({
        "containers": [{"name": "web"}], "volumes": [{"name": "logs", "emptyDir": {}}],
    }));
    assert_eq!(arguments(&nowhere, "logs").0, "/var/log/visor");
    // Others may write to this one.
    let mut shared = pod(&json!({
        "containers": [{"name": "web"}],
        "volumes": [{"name": "logs", "persistentVolumeClaim": {"claimName": "logs-web-0"}}],
    }));
    assert_eq!(arguments(&shared, "logs").1, "/var/log/visor/$(VISOR_IDENTITY)");
    // A StatefulSet has made this one for this pod.
    shared.metadata.name = Some("web-0".to_owned());
    assert_eq!(arguments(&shared, "logs").1, "/var/log/visor");
}

#[test]
fn resources_are_those_of_the_pod_or_else_of_the_source() {
    let of = |request: &InjectionRequest, sidecar: &SidecarSource<'_>| {
        let pod = inject(&web(), request, sidecar, &settings(), Form::Plain).unwrap().pod;
        pod.data["spec"]["containers"][1]["resources"]["limits"]["memory"].clone()
    };
    let resources =
        |memory: &str| serde_json::from_value(json!({"limits": {"memory": memory}})).unwrap();
    let sources = resources("80Mi");
    let sidecar = SidecarSource { resources: Some(&sources), ..SIDECAR };
    assert_eq!(of(&request(None), &SIDECAR), "64Mi");
    assert_eq!(of(&request(None), &sidecar), "80Mi");
    let own = InjectionRequest { resources: Some(resources("96Mi")), ..request(None) };
    assert_eq!(of(&own, &sidecar), "96Mi");
}

#[test]
fn a_change_of_the_class_is_reported() {
    let resources = serde_json::from_value(json!({"limits": {"memory": "96Mi"}})).unwrap();
    let asking = InjectionRequest { resources: Some(resources), ..request(None) };
    let warning = |request: &InjectionRequest, containers: Value| {
        let pod = pod(&json!({"containers": containers}));
        inject(&pod, request, &SIDECAR, &settings(), Form::Native).unwrap().warning
    };
    let best_effort = json!([{"name": "web"}]);
    let warning_text = warning(&asking, best_effort.clone()).unwrap();
    assert!(warning_text.ends_with("from BestEffort to Burstable"), "{warning_text}");
    assert_eq!(warning(&request(None), best_effort), None);
    let limits = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    assert_eq!(warning(&asking, json!([{"name": "web", "resources": limits}])), None);
}

/// As the user that mounts the volume, even root, and then without capabilities.
#[test]
fn the_generator_runs_as_the_user_that_mounts_the_volume() {
    let context = |user: &Value| {
        let after = injected(
            &pod(&json!({
                "securityContext": {"runAsUser": 7, "fsGroup": 8},
                "containers": [{"name": "web"}, {
                    "name": "app", "securityContext": {"runAsUser": user},
                    "volumeMounts": [{"name": "logs", "mountPath": "/logs"}],
                }],
                "volumes": [{"name": "logs", "emptyDir": {}}],
            })),
            Some("logs"),
            Form::Plain,
        );
        after.unwrap()["spec"]["containers"][2]["securityContext"].clone()
    };
    for (specified, user) in [(Value::Null, 7), (json!(1000), 1000), (json!(0), 0)] {
        let context = context(&specified);
        assert_eq!(context["runAsUser"], user);
        assert_eq!(context["runAsGroup"], Value::Null);
        assert_eq!(context["runAsNonRoot"], user != 0);
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    }
}

/// An init container is often root, for a `chown`; and the generator's own volume needs no user.
#[test]
fn the_generator_is_not_root_because_something_before_it_was() {
    let spec = |pod: Value| {
        json!({
            "securityContext": pod,
            "initContainers": [{
                "name": "chown", "securityContext": {"runAsUser": 0},
                "volumeMounts": [{"name": "logs", "mountPath": "/logs"}],
            }],
            "containers": [{"name": "web", "securityContext": {"runAsUser": 1000}}],
            "volumes": [{"name": "logs", "emptyDir": {}}],
        })
    };
    for (specified, volume, user) in [
        (json!({}), Some("logs"), 65532),
        (json!({"runAsUser": 0}), Some("logs"), 65532),
        (json!({"runAsUser": 7}), Some("logs"), 7),
        (json!({"runAsUser": 0}), None, 65532),
    ] {
        let after = injected(&pod(&spec(specified.clone())), volume, Form::Plain).unwrap();
        let context = &after["spec"]["containers"][1]["securityContext"];
        assert_eq!(context["runAsUser"], user, "{specified}");
        assert_eq!(context["runAsNonRoot"], true);
    }
}

#[test]
fn obstacles_to_injection_are_reported() {
    let rejection = |spec: Value, volume| injected(&pod(&spec), volume, Form::Plain).unwrap_err();
    let containers = json!([{"name": "web"}]);
    let why = rejection(json!({"containers": containers, "os": {"name": "windows"}}), None);
    assert!(why.contains("on Linux only"), "{why}");
    let why = rejection(json!({"containers": [{"name": "visor"}]}), None);
    assert!(why.contains("already has a container `visor`"), "{why}");
    let ports = json!([{"name": "web", "ports": [{"containerPort": 9464}]}]);
    let why = rejection(json!({"containers": ports}), None);
    assert!(why.contains("container `web` uses port 9464"), "{why}");
    let why = rejection(
        json!({"containers": containers, "volumes": [{"name": "a"}, {"name": "b"}]}),
        Some("logs"),
    );
    assert_eq!(why, "the pod has no volume `logs`; its volumes are: a, b");
    let why = rejection(
        json!({"containers": containers, "volumes": [{"name": "visor-logs", "emptyDir": {}}]}),
        None,
    );
    assert!(why.contains("already has a volume `visor-logs`"), "{why}");
    let part = json!([{"name": "web", "volumeMounts": [
        {"name": "logs", "mountPath": "/logs", "subPath": "web"},
    ]}]);
    let why = rejection(
        json!({"containers": part, "volumes": [{"name": "logs", "emptyDir": {}}]}),
        Some("logs"),
    );
    assert!(why.contains("subPath"), "{why}");
    for (path, part) in [
        ("/", "not an absolute path of plain names"),
        ("//", "not an absolute path of plain names"),
        ("/logs/../etc", "not an absolute path of plain names"),
        ("/etc", "contains the generator's document"),
        ("/etc/visor", "uses /etc/visor itself"),
        ("/etc/visor/logs/", "uses /etc/visor itself"),
        ("/dev/shm", "uses /dev itself"),
        ("/var/run/secrets/kubernetes.io/serviceaccount", "uses /var/run"),
    ] {
        let mounted =
            json!([{"name": "web", "volumeMounts": [{"name": "logs", "mountPath": path}]}]);
        let spec = json!({"containers": mounted, "volumes": [{"name": "logs", "emptyDir": {}}]});
        let why = rejection(spec, Some("logs"));
        assert!(why.contains(part) && why.ends_with("mount it elsewhere"), "{path}: {why}");
    }
    let most = json!([{"type": "Pod", "max": {"memory": "150Mi"}}]);
    let most: Vec<LimitRangeItem> = serde_json::from_value(most).unwrap();
    let sidecar = SidecarSource { limits: &most, ..SIDECAR };
    let why = inject(&web(), &request(None), &sidecar, &settings(), Form::Plain).unwrap_err();
    assert!(why.contains("maximum for memory"), "{why}");
}

/// An injected container complies with the restricted Pod Security Standard by itself, because the
/// pod is not ours, and has no probe that could make the pod unready.
#[test]
fn a_guest_asks_nothing_of_its_host() {
    for form in [Form::Native, Form::Plain] {
        let after = injected(&web(), None, form).unwrap();
        let list = if form == Form::Native { "initContainers" } else { "containers" };
        let generator = after["spec"][list].as_array().unwrap().last().unwrap().clone();
        let context = &generator["securityContext"];
        assert_eq!(context["runAsNonRoot"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            assert!(generator.get(probe).is_none(), "{probe}");
        }
    }
}

#[test]
fn a_volume_that_is_never_writable_is_rejected() {
    for (volume, why) in [
        (json!({"configMap": {"name": "a"}}), "is of type configMap"),
        (json!({"secret": {"secretName": "a"}}), "is of type secret"),
        (json!({"downwardAPI": {}}), "is of type downwardAPI"),
        (json!({"projected": {"sources": []}}), "is of type projected"),
        (json!({"image": {"reference": "a"}}), "is of type image"),
        (json!({"persistentVolumeClaim": {"claimName": "a", "readOnly": true}}), "is read-only"),
        (json!({"csi": {"driver": "a", "readOnly": true}}), "is read-only (csi.readOnly)"),
    ] {
        let mut named = volume.clone();
        named["name"] = json!("files");
        let pod = pod(&json!({"containers": [{"name": "web"}], "volumes": [named]}));
        let declined = injected(&pod, Some("files"), Form::Plain).unwrap_err();
        assert!(declined.contains(why), "{declined}");
        // What it has besides is its own.
        assert!(injected(&pod, None, Form::Plain).is_ok());
    }
}

#[test]
fn a_pod_with_the_network_of_its_node_goes_in_without() {
    let pod = |host: bool| pod(&json!({"hostNetwork": host, "containers": [{"name": "web"}]}));
    assert!(injected(&pod(true), None, Form::Plain).unwrap_err().contains("hostNetwork"));
    assert!(injected(&pod(false), None, Form::Plain).is_ok());
}

#[test]
fn a_volume_that_is_added_keeps_no_node() {
    let mut pod = pod(&json!({"containers": [{"name": "web"}]}));
    let kept = |pod: &DynamicObject, volume: Option<&str>| {
        let injected = injected(pod, volume, Form::Plain).unwrap();
        injected["metadata"]["annotations"][labels::SAFE_TO_EVICT].clone()
    };
    assert_eq!(kept(&pod, None), "visor-logs");
    let annotations = pod.metadata.annotations.as_mut().unwrap();
    annotations.insert(labels::SAFE_TO_EVICT.to_owned(), "cache".to_owned());
    assert_eq!(kept(&pod, None), "cache,visor-logs");
    assert_eq!(kept(&web(), Some("logs")), Value::Null, "its own volume is its own affair");
}
