//! Every privilege, in every field that needs it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn spec(more: &Value) -> FakeLogSourceSpec {
    let mut spec = json!({"generators": [{"name": "web", "access": {}}]});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

/// A source with a container that has this, too.
fn container(more: &Value) -> Value {
    let mut container = json!({"name": "collector", "image": "collector:1"});
    for (key, value) in more.as_object().unwrap() {
        container[key] = value.clone();
    }
    json!({"podTemplate": {"containers": [container]}})
}

fn context(context: &Value) -> Value {
    container(&json!({"securityContext": context}))
}

fn template(more: &Value) -> Value {
    json!({"podTemplate": more})
}

/// A part of a spec, the privilege that it needs, and its field.
type Case = (Value, Privilege, &'static str);

fn cases() -> Vec<Case> {
    let security_contexts = PRIVILEGES.iter().map(|(text, field)| {
        let said: Value = serde_json::from_str(text).unwrap();
        (context(&said), Privilege::PrivilegedContainers, *field)
    });
    let all = cases_of_pods().into_iter().chain(cases_of_what_the_pods_have());
    let all = all.chain(cases_of_containers());
    all.chain(security_contexts).collect()
}

/// A security context, and its field that needs a privilege.
const PRIVILEGES: [(&str, &str); 10] = [
    (r#"{"privileged": true}"#, "securityContext.privileged"),
    (r#"{"capabilities": {"add": ["CHOWN", "SYS_ADMIN"]}}"#, "securityContext.capabilities.add"),
    (r#"{"capabilities": {"add": ["ALL"]}}"#, "securityContext.capabilities.add"),
    (r#"{"procMount": "Unmasked"}"#, "securityContext.procMount"),
    (r#"{"seccompProfile": {"type": "Unconfined"}}"#, "securityContext.seccompProfile.type"),
    (r#"{"appArmorProfile": {"type": "Unconfined"}}"#, "securityContext.appArmorProfile.type"),
    (r#"{"seLinuxOptions": {"type": "spc_t"}}"#, "securityContext.seLinuxOptions.type"),
    (r#"{"seLinuxOptions": {"user": "root"}}"#, "securityContext.seLinuxOptions.user"),
    (r#"{"seLinuxOptions": {"role": "r"}}"#, "securityContext.seLinuxOptions.role"),
    (r#"{"windowsOptions": {"hostProcess": true}}"#, "securityContext.windowsOptions"),
];

fn cases_of_pods() -> Vec<Case> {
    vec![
        (json!({"volume": {"hostPath": {"path": "/"}}}), Privilege::HostPath, "volume.hostPath"),
        (
            json!({"volume": {"persistentVolumeClaim": {}}}),
            Privilege::PersistentVolumeClaims,
            "volume.persistentVolumeClaim",
        ),
        (json!({"workload": "DaemonSet"}), Privilege::NodePlacement, "workload"),
        (template(&json!({"nodeSelector": {"a": "b"}})), Privilege::NodePlacement, "nodeSelector"),
        (
            template(&json!({"tolerations": [{"operator": "Exists"}]})),
            Privilege::NodePlacement,
            "tolerations",
        ),
        (
            template(&json!({"priorityClassName": "system-node-critical"})),
            Privilege::PriorityClasses,
            "priorityClassName",
        ),
        (
            template(&json!({"imagePullSecrets": [{"name": "s"}]})),
            Privilege::Secrets,
            "imagePullSecrets",
        ),
        (
            template(&json!({"volumes": [{"name": "s", "secret": {"secretName": "s"}}]})),
            Privilege::Secrets,
            "volumes[0].secret",
        ),
        (
            template(&json!({"annotations":
                {"container.apparmor.security.beta.kubernetes.io/visor": "unconfined"}})),
            Privilege::PrivilegedContainers,
            "annotations[",
        ),
        (
            template(&json!({"annotations":
                {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}})),
            Privilege::PrivilegedContainers,
            "annotations[",
        ),
    ]
}

fn cases_of_what_the_pods_have() -> Vec<Case> {
    let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let placed = |field: &str, value: Value| template(&json!({field: value}));
    let context = |context: Value| template(&json!({"securityContext": context}));
    vec![
        (placed("affinity", json!({})), Privilege::NodePlacement, "affinity"),
        (
            placed(
                "topologySpreadConstraints",
                json!([{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
            ),
            Privilege::NodePlacement,
            "topologySpreadConstraints",
        ),
        (placed("schedulerName", json!("own")), Privilege::NodePlacement, "schedulerName"),
        (placed("runtimeClassName", json!("runc")), Privilege::NodePlacement, "runtimeClassName"),
        (
            placed("serviceAccountName", json!("deployer")),
            Privilege::ServiceAccounts,
            "serviceAccountName",
        ),
        (
            placed("automountServiceAccountToken", json!(true)),
            Privilege::ServiceAccounts,
            "automountServiceAccountToken",
        ),
        (
            placed("env", json!([{"name": "A", "valueFrom": secret}])),
            Privilege::Secrets,
            "podTemplate.env[0].valueFrom.secretKeyRef",
        ),
        (
            placed("envFrom", json!([{"secretRef": {"name": "s"}}])),
            Privilege::Secrets,
            "podTemplate.envFrom[0].secretRef",
        ),
        (
            context(json!({"runAsUser": 0})),
            Privilege::RootContainers,
            "podTemplate.securityContext.runAsUser",
        ),
        (
            context(json!({"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})),
            Privilege::PrivilegedContainers,
            "podTemplate.securityContext.sysctls[0]",
        ),
        (
            context(json!({"seccompProfile": {"type": "Unconfined"}})),
            Privilege::PrivilegedContainers,
            "podTemplate.securityContext.seccompProfile.type",
        ),
        (
            template(&json!({"initContainers": [{"name": "first"}]})),
            Privilege::Containers,
            "initContainers",
        ),
    ]
}

fn cases_of_containers() -> Vec<Case> {
    let get = json!({"httpGet": {"port": 80, "host": "metadata"}});
    let connect = json!({"tcpSocket": {"port": 80, "host": "10.0.0.1"}});
    vec![
        (container(&json!({})), Privilege::Containers, "containers"),
        (
            container(&json!({"env": [{"name": "A", "valueFrom":
                {"secretKeyRef": {"name": "s", "key": "k"}}}]})),
            Privilege::Secrets,
            "env[0].valueFrom.secretKeyRef",
        ),
        (
            container(&json!({"envFrom": [{"secretRef": {"name": "s"}}]})),
            Privilege::Secrets,
            "envFrom[0].secretRef",
        ),
        (
            container(&json!({"ports": [{"containerPort": 80, "hostPort": 80}]})),
            Privilege::HostPorts,
            "ports[0].hostPort",
        ),
        (
            container(&json!({"ports": [{"containerPort": 80, "hostIP": "0.0.0.0"}]})),
            Privilege::HostPorts,
            "ports[0].hostIP",
        ),
        (
            container(&json!({"volumeDevices": [{"name": "logs", "devicePath": "/dev/x"}]})),
            Privilege::PrivilegedContainers,
            "volumeDevices",
        ),
        (
            container(&json!({"volumeMounts": [{"name": "logs", "mountPath": "/logs",
                "mountPropagation": "Bidirectional"}]})),
            Privilege::PrivilegedContainers,
            "volumeMounts[0].mountPropagation",
        ),
        (
            container(&json!({"livenessProbe": get})),
            Privilege::PrivilegedContainers,
            "livenessProbe",
        ),
        (
            container(&json!({"readinessProbe": connect})),
            Privilege::PrivilegedContainers,
            "readinessProbe",
        ),
        (container(&json!({"startupProbe": get})), Privilege::PrivilegedContainers, "startupProbe"),
        (
            container(&json!({"lifecycle": {"postStart": get}})),
            Privilege::PrivilegedContainers,
            "lifecycle.postStart",
        ),
        (
            container(&json!({"lifecycle": {"preStop": connect}})),
            Privilege::PrivilegedContainers,
            "lifecycle.preStop",
        ),
        (context(&json!({"runAsUser": 0})), Privilege::RootContainers, "securityContext.runAsUser"),
        (
            context(&json!({"runAsNonRoot": false})),
            Privilege::RootContainers,
            "securityContext.runAsNonRoot",
        ),
    ]
}

fn only(forbidden: Privilege) -> Policy {
    Policy { allowed: Privilege::value_variants().to_vec(), forbidden: vec![forbidden] }
}

#[test]
fn each_gain_is_found_where_it_is_and_nowhere_else() {
    for (more, privilege, field) in cases() {
        let spec = spec(&more);
        // An additional container needs this privilege, whatever its fields.
        let has = |field| more.pointer(field).is_some();
        let has_container = has("/podTemplate/containers") || has("/podTemplate/initContainers");
        for other in Privilege::value_variants() {
            let result = only(*other).check(&spec);
            let expected =
                *other == privilege || (has_container && *other == Privilege::Containers);
            assert_eq!(result.is_err(), expected, "{more} {other:?}");
        }
        let message = only(privilege).check(&spec).unwrap_err().message;
        let (path, _) = message.split_once(": ").unwrap();
        assert!(path.starts_with("spec.") && path.contains(field), "{message}");
        assert!(message.contains(&format!("--forbid {}", privilege.name())), "{message}");
    }
}

#[test]
fn what_lifts_an_author_above_a_pod_s_is_forbidden_unless_it_is_allowed() {
    for (more, privilege, _) in cases() {
        let (spec, policy) = (spec(&more), Policy::default());
        let result = policy.check(&spec);
        assert_eq!(result.is_err(), privilege.is_forbidden_by_default(), "{more}");
        if let Err(rejection) = result {
            let flag = format!("--allow {}", privilege.name());
            assert!(rejection.message.contains(&flag), "{}", rejection.message);
        }
        let allowing = Policy { allowed: vec![privilege], forbidden: Vec::new() };
        assert_eq!(allowing.check(&spec), Ok(()), "{more}");
        let both = Policy { allowed: vec![privilege], forbidden: vec![privilege] };
        assert!(both.check(&spec).is_err(), "{more}");
    }
}

#[test]
fn what_a_pod_s_author_may_have_is_let_through() {
    for harmless in [
        json!({"replicas": 3, "volume": {"emptyDir": {}}}),
        template(&json!({"annotations": {
            "container.apparmor.security.beta.kubernetes.io/visor": "runtime/default", "a": "b"}})),
        container(&json!({"ports": [{"containerPort": 80, "hostPort": 0}],
            "livenessProbe": {"httpGet": {"port": 80}}, "env": [{"name": "A", "value": "b"}],
            "lifecycle": {"preStop": {"exec": {"command": ["true"]}}}})),
        template(&json!({"securityContext": {"runAsUser": 7, "fsGroup": 8,
            "supplementalGroups": [9], "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}],
            "seLinuxOptions": {"type": "container_t"}}, "terminationGracePeriodSeconds": 60,
            "env": [{"name": "VISOR_LOG", "value": "info"}], "dnsConfig": {"nameservers": ["10.0.0.1"]},
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]})),
        context(&json!({"runAsUser": 1, "runAsNonRoot": true, "privileged": false,
            "procMount": "Default", "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
            "seLinuxOptions": {"type": "container_t", "level": "s0:c1"}})),
    ] {
        assert_eq!(Policy::default().check(&spec(&harmless)), Ok(()), "{harmless}");
    }
}

#[test]
fn only_what_is_forbidden_can_be_allowed() {
    let names: Vec<_> = allowable().map(|value| value.get_name().to_owned()).collect();
    for privilege in Privilege::value_variants() {
        assert_eq!(names.contains(&privilege.name()), privilege.is_forbidden_by_default());
    }
}

/// Each has a case above, and a row in docs/security.md.
#[test]
fn every_privilege_is_tested_and_documented() {
    let tested: BTreeSet<String> =
        cases().into_iter().map(|(_, privilege, _)| privilege.name()).collect();
    let all: BTreeSet<String> =
        Privilege::value_variants().iter().map(|privilege| privilege.name()).collect();
    assert_eq!(tested, all);
    // The documentation is not available to builds, only to tests.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
    let page = std::fs::read_to_string(path).unwrap();
    for privilege in Privilege::value_variants() {
        let word = if privilege.is_forbidden_by_default() { "allow" } else { "forbid" };
        let name = privilege.name();
        let mut rows = page.lines().filter(|line| line.starts_with('|'));
        let row = rows.find(|row| row.contains(&format!("| `{word}`: `{name}` |")));
        assert!(row.is_some(), "docs/security.md has no row that ends with `{word}`: `{name}`");
    }
}
