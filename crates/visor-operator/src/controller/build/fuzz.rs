//! Fuzzing with mutated documents: parts are removed, swapped and replaced. Every document must end
//! in a message, or in pods that have no more privileges than a source can ask for.

use proptest::{prelude::*, sample::Index, test_runner::Config};
use serde_json::{Value, json};
use visor_api::FakeLogSource;

use super::{Settings, children, container};
use crate::{
    labels::GENERATOR,
    source::{self, ValidSource},
};

/// A document that uses every field.
fn full_document() -> Value {
    json!({
        "apiVersion": "visor.dev/v1alpha1", "kind": "FakeLogSource",
        "metadata": {"name": "shop", "namespace": "web", "uid": "1", "generation": 1},
        "spec": {
            "replicas": 2, "workload": "Deployment", "seed": 7, "timeZone": "Europe/Berlin",
            "generators": [
                {"name": "web", "access": {"format": "Custom", "logFormat": "%h %t \"%r\" %>s"},
                 "streams": [{"name": "a", "kind": "Access", "interval": {"rate": {"linesPerSecond": 50}}}],
                 "output": {"file": {"path": "access.log", "rotation": {"maxSize": "1Mi", "keep": 5}}}},
                {"name": "errors", "error": {}, "output": {"stdout": {}}},
            ],
            "volume": {"emptyDir": {"sizeLimit": "64Mi"}},
            "podTemplate": {
                "labels": {"team": "logs"}, "annotations": {"note": "hello"},
                "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
                "resources": {"limits": {"memory": "64Mi"}}, "priorityClassName": "low",
                "containers": [{"name": "collector", "image": "collector:1",
                    "securityContext": {"runAsUser": 1}, "env": [{"name": "A", "value": "b"}],
                    "volumeMounts": [{"name": "configuration", "mountPath": "/etc/collector"}]}],
                "volumes": [{"name": "configuration", "configMap": {"name": "other"}},
                            {"name": "keys", "secret": {"secretName": "keys"}}],
                "imagePullSecrets": [{"name": "registry"}],
                "initContainers": [{"name": "first", "image": "collector:1"}],
                "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname"}]}},
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
                    "whenUnsatisfiable": "ScheduleAnyway"}],
                "schedulerName": "own", "runtimeClassName": "runc",
                "serviceAccountName": "collector", "terminationGracePeriodSeconds": 60,
                "securityContext": {"runAsUser": 7, "fsGroup": 8,
                    "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]},
                "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
                "dnsConfig": {"nameservers": ["10.0.0.2"]},
                "env": [{"name": "VISOR_LOG", "value": "info"}],
                "envFrom": [{"configMapRef": {"name": "other"}}],
            },
        },
    })
}

const WORDS: &[&str] = &[
    "",
    "shop",
    "visor",
    "prepare",
    "logs",
    "document",
    "../../etc",
    "/",
    "/etc/shadow",
    "$(HOME)",
    "a\0b",
    "\u{202e}",
    "%{",
    "1e999",
    "-1",
    "9223372036854775808",
    "{{.}}",
    "Job",
    "DaemonSet",
    "Sidecar",
    "StatefulSet",
    "app.kubernetes.io/instance",
    "kube-system",
    "cluster-admin",
];

/// A value to insert.
fn hostile_value() -> impl Strategy<Value = Value> {
    let shapes = vec![
        Value::Null,
        json!({}),
        json!([]),
        json!([[[[]]]]),
        json!({"hostPath": {"path": "/"}}),
        json!({"persistentVolumeClaim": {"claimName": "somebody-elses"}}),
        json!({"persistentVolumeClaim": {"size": "1e30"}}),
        json!({"privileged": true, "runAsUser": 0, "allowPrivilegeEscalation": true}),
        json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
        json!({"procMount": "Unmasked", "seccompProfile": {"type": "Unconfined"}}),
        json!([{"containerPort": 80, "hostPort": 80}]),
        json!({"httpGet": {"port": 80, "host": "metadata"}}),
        json!([{"name": "visor", "image": "evil", "securityContext": {"privileged": true}}]),
        json!([{"name": "logs", "secret": {"secretName": "a"}}]),
        json!([{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
        json!({"app.kubernetes.io/instance": "other", "visor.dev/source-uid": "2"}),
        json!({"lines": 1}),
        json!("x".repeat(70_000)),
    ];
    prop_oneof![
        prop::sample::select(WORDS).prop_map(|word| json!(word)),
        prop::sample::select(shapes),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|yes| json!(yes)),
        ".{0,40}".prop_map(|text| json!(text)),
    ]
}

/// A mutation of a document.
#[derive(Debug, Clone)]
enum Mutation {
    /// Another value of the same type, which the schema accepts.
    Vary(Index, &'static str, i64),
    Replace(Index, Value),
    Remove(Index),
    /// Copies one value over another.
    Copy(Index, Index),
    /// Adds a field.
    Add(Index, String, Value),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let names = [
        "serviceAccountName",
        "hostNetwork",
        "hostPID",
        "automountServiceAccountToken",
        "securityContext",
        "hostPath",
        "volume",
        "stopAfter",
        "initContainers",
        "serviceAccountName",
        "affinity",
        "env",
        "suspend",
        "restartPolicy",
        "envFrom",
    ];
    let name = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    let vary = (any::<Index>(), prop::sample::select(WORDS), -3..2000_i64);
    let mutation = prop_oneof![
        8 => vary.prop_map(|(at, word, number)| Mutation::Vary(at, word, number)),
        4 => (any::<Index>(), hostile_value()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        2 => any::<Index>().prop_map(Mutation::Remove),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Copy(from, to)),
        2 => (any::<Index>(), name, hostile_value())
            .prop_map(|(at, name, value)| Mutation::Add(at, name, value)),
    ];
    prop::collection::vec(mutation, 1..4)
}

/// The JSON pointers of all values in a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    if !at.is_empty() {
        found.push(at.to_owned());
    }
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                pointers(
                    member,
                    &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    found,
                );
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{number}"), found);
            }
        }
        _ => {}
    }
}

fn mutate(document: &mut Value, mutation: Mutation) {
    let mut all = Vec::new();
    pointers(&document["spec"], "/spec", &mut all);
    let pointer_at = |at: &Index| at.get(&all).clone();
    match mutation {
        Mutation::Vary(at, word, number) => match document.pointer_mut(&pointer_at(&at)) {
            Some(Value::String(text)) => word.clone_into(text),
            Some(Value::Bool(yes)) => *yes = !*yes,
            Some(there @ Value::Number(_)) => *there = json!(number),
            _ => {}
        },
        Mutation::Replace(at, value) => {
            if let Some(there) = document.pointer_mut(&pointer_at(&at)) {
                *there = value;
            }
        }
        Mutation::Remove(at) => {
            let at = pointer_at(&at);
            let (above, key) = at.rsplit_once('/').unwrap();
            match document.pointer_mut(above) {
                Some(Value::Object(members)) => drop(members.remove(key)),
                Some(Value::Array(items)) => drop(items.remove(key.parse().unwrap())),
                _ => {}
            }
        }
        Mutation::Copy(from, to) => {
            let copy = document.pointer(&pointer_at(&from)).cloned().unwrap_or_default();
            if let Some(there) = document.pointer_mut(&pointer_at(&to)) {
                *there = copy;
            }
        }
        Mutation::Add(at, name, value) => {
            if let Some(Value::Object(members)) = document.pointer_mut(&pointer_at(&at)) {
                members.insert(name, value);
            }
        }
    }
}

/// Whether a pod complies with the baseline Pod Security Standard, and doesn't run as root.
fn complies_with_baseline(spec: &Value) -> Result<(), TestCaseError> {
    let known = [
        "affinity",
        "automountServiceAccountToken",
        "containers",
        "dnsConfig",
        "enableServiceLinks",
        "hostAliases",
        "imagePullSecrets",
        "initContainers",
        "nodeSelector",
        "priorityClassName",
        "restartPolicy",
        "runtimeClassName",
        "schedulerName",
        "securityContext",
        "serviceAccountName",
        "terminationGracePeriodSeconds",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
    ];
    for field in spec.as_object().unwrap().keys() {
        prop_assert!(known.contains(&field.as_str()), "{field} is not covered by this test");
    }
    for volume in spec["volumes"].as_array().unwrap() {
        prop_assert!(volume.get("hostPath").is_none(), "{volume}");
    }
    let context = &spec["securityContext"];
    prop_assert!(context["runAsUser"] != 0 && context["runAsNonRoot"] != false, "{context}");
    prop_assert!(!context.to_string().contains("\"Unconfined\""), "{context}");
    let all = ["containers", "initContainers"].map(|list| spec[list].as_array());
    for one in all.into_iter().flatten().flatten() {
        let text = one.to_string();
        for never in ["\"hostPort\":8", "\"host\":", "\"Unconfined\"", "SYS_ADMIN", "Unmasked"] {
            prop_assert!(!text.contains(never), "{never}: {text}");
        }
        let context = &one["securityContext"];
        prop_assert!(context["privileged"] != true, "{context}");
        prop_assert!(context["runAsUser"] != 0 && context["runAsNonRoot"] != false, "{context}");
    }
    Ok(())
}

fn is_harmless(source: &FakeLogSource, settings: &Settings) -> Result<(), TestCaseError> {
    let resolved = match source::check(source) {
        Ok(resolved) => resolved,
        Err(rejection) => {
            prop_assert!(!rejection.message.is_empty() && rejection.message.len() < 2100);
            return Ok(());
        }
    };
    let built = children(ValidSource::of(&resolved), settings).unwrap();
    let is_allowed = settings.policy.check(&source.spec).is_ok();
    for child in built.objects {
        prop_assert_eq!(child.object.metadata.name.as_deref(), Some("shop"));
        prop_assert_eq!(child.object.metadata.namespace.as_deref(), Some("web"));
        let owners = child.object.metadata.owner_references.as_deref().unwrap_or_default();
        prop_assert!(owners.iter().any(|owner| owner.uid == "1"));
        let Some(pod) = child.object.data.pointer("/spec/template") else { continue };
        let spec = &pod["spec"];
        if is_allowed {
            complies_with_baseline(spec)?;
        }
        for never in ["hostNetwork", "hostPID", "hostIPC", "nodeName"] {
            prop_assert!(spec.get(never).is_none(), "{never}");
        }
        let asked = source.spec.pod_template.as_ref();
        let account = asked.and_then(|template| template.service_account_name.as_deref());
        prop_assert_eq!(spec["serviceAccountName"].as_str(), account);
        let token = asked.and_then(|template| template.automount_service_account_token);
        let token = token.unwrap_or(account.is_some());
        prop_assert_eq!(&spec["automountServiceAccountToken"], &json!(token));
        prop_assert_eq!(&pod["metadata"]["labels"]["visor.dev/source-uid"], &json!("1"));
        let kinds = ["configMap", "secret", "emptyDir", "persistentVolumeClaim", "hostPath"];
        for volume in spec["volumes"].as_array().unwrap() {
            let (name, kind) = (&volume["name"], volume.as_object().unwrap().keys());
            let kind: Vec<_> = kind.filter(|key| *key != "name").collect();
            prop_assert!(kind.iter().all(|kind| kinds.contains(&kind.as_str())), "{volume}");
            // Only the log volume may be a hostPath.
            prop_assert!(volume.get("hostPath").is_none() || name == container::LOGS_VOLUME);
        }
        let all = ["containers", "initContainers"].map(|list| spec[list].as_array());
        let all: Vec<_> = all.into_iter().flatten().flatten().collect();
        let ours: Vec<_> = all.iter().filter(|one| one["image"] == settings.image).collect();
        prop_assert!(ours.iter().any(|one| one["name"] == GENERATOR));
        let mut names: Vec<_> = all.iter().map(|one| one["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), all.len());
        for one in ours {
            let context = &one["securityContext"];
            prop_assert_eq!(&context["allowPrivilegeEscalation"], &json!(false));
            prop_assert_eq!(&context["capabilities"]["drop"], &json!(["ALL"]));
            prop_assert!(context.get("privileged").is_none());
            let may_be_root = one["name"] == container::PREPARE;
            if is_allowed {
                prop_assert_eq!(&context["runAsNonRoot"], &json!(!may_be_root));
            }
            let mounts = one["volumeMounts"].as_array().unwrap();
            let hidden =
                mounts.iter().any(|mount| mount["mountPath"] == container::TOKEN_DIRECTORY);
            prop_assert!(hidden || !token, "no container of ours has the token");
        }
    }
    Ok(())
}

proptest! {
    // Run with PROPTEST_CASES=100000 for more cases.
    #![proptest_config(Config { max_shrink_iters: 200, ..Config::default() })]

    #[test]
    fn every_document_ends_in_a_message_or_in_pods_without_further_privileges(
        mutations in mutations(), native_sidecars in any::<bool>(), pod_monitors in any::<bool>(),
    ) {
        let mut document = full_document();
        for mutation in mutations {
            mutate(&mut document, mutation);
        }
        let settings = Settings {
            image: "visor:1".to_owned(),
            image_pull_policy: "Never".to_owned(),
            user: Some(65532),
            native_sidecars,
            pod_monitors,
            policy: crate::policy::Policy::default(),
            operator: "a/b".to_owned(),
        };
        match serde_json::from_value::<FakeLogSource>(document.clone()) {
            Ok(source) => is_harmless(&source, &settings)?,
            // Reported as Malformed, by the document reader.
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                if let Err(problem) = visor_api::document::from_json(document) {
                    prop_assert!(!problem.to_string().is_empty());
                }
            }
        }
    }
}
