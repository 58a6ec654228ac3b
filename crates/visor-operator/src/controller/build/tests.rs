//! Snapshots of children, and their invariants.

use serde_json::{Value, json};
use visor_api::{
    ResolvedSource,
    document::{self, Input},
};

use super::*;
use crate::{controller::apply::compare, labels::GENERATOR};

const SETTINGS: Settings = Settings {
    image: String::new(),
    image_pull_policy: String::new(),
    user: Some(65532),
    native_sidecars: true,
    pod_monitors: false,
    policy: crate::policy::Policy { allowed: Vec::new(), forbidden: Vec::new() },
    operator: String::new(),
};

fn settings() -> Settings {
    Settings {
        image: "visor:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        operator: "visor-system/visor-operator".to_owned(),
        ..SETTINGS
    }
}

/// A source as the API server would hand it out.
fn source(spec: &str) -> ResolvedSource {
    let spec = spec.replace('\n', "\n  ");
    let text = format!(
        "apiVersion: visor.dev/v1alpha1\nkind: FakeLogSource\n\
         metadata: {{name: shop, namespace: web}}\nspec:\n  {spec}\n"
    );
    let input = Input { name: "test".to_owned(), text };
    as_object(&document::read(&[input]).unwrap().sources.remove(0))
}

/// A source as it is when an API server has taken it.
fn as_object(source: &ResolvedSource) -> ResolvedSource {
    let mut object = source.document().clone();
    object.metadata.namespace = Some("web".to_owned());
    object.metadata.uid = Some("b2a7c0de".to_owned());
    ResolvedSource::check(object).unwrap()
}

fn build_with(spec: &str, settings: &Settings) -> Children {
    let source = source(spec);
    children(ValidSource::of(&source), settings).unwrap()
}

pub(crate) fn build(spec: &str) -> Children {
    build_with(spec, &settings())
}

/// All objects, without what changes with every version of Visor.
fn shown(children: &Children) -> String {
    let text: Vec<_> = children
        .objects
        .iter()
        .map(|child| serde_saphyr::to_string(&child.object).unwrap())
        .collect();
    text.join("---\n").replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

fn child(children: &Children, kind: ChildKind) -> Value {
    let child = children.objects.iter().find(|child| child.kind == kind).unwrap();
    serde_json::to_value(&child.object).unwrap()
}

const ONE_LOG: &str = "generators: [{name: web, access: {}}]";
const ONE_FILE: &str = "generators: [{name: web, access: {}, output: {file: {path: access.log}}}]";
const COLLECTOR: &str = "\
podTemplate:
  labels: {team: logs}
  annotations: {note: hello}
  nodeSelector: {disk: ssd}
  tolerations: [{key: dedicated, operator: Exists}]
  priorityClassName: low
  imagePullSecrets: [{name: registry}]
  resources: {limits: {memory: 64Mi}}
  volumes: [{name: configuration, configMap: {name: rsyslog}}]
  containers:
  - name: rsyslog
    image: rsyslog:1
    volumeMounts: [{name: configuration, mountPath: /etc/rsyslog.d}]";

#[test]
fn the_smallest_source() {
    insta::assert_snapshot!(shown(&build(ONE_LOG)));
}

#[test]
fn a_stateful_set_with_claims_and_a_collector() {
    let spec = format!(
        "{ONE_FILE}\nreplicas: 3\nworkload: StatefulSet\n\
         volume: {{persistentVolumeClaim: {{size: 2Gi, storageClassName: fast}}}}\n{COLLECTOR}"
    );
    insta::assert_snapshot!(shown(&build(&spec)));
}

/// With any user.
#[test]
fn what_a_pod_has_of_its_own_user_is_of_all_that_is_made_for_it() {
    let spec = format!(
        "{ONE_FILE}\nvolume: {{hostPath: {{path: /logs}}}}\npodTemplate:\n\
         \x20 securityContext: {{runAsUser: 7, runAsGroup: 8, supplementalGroups: [9]}}\n\
         \x20 serviceAccountName: collector\n\
         \x20 env: [{{name: VISOR_LOG, value: info}}]\n\
         \x20 initContainers: [{{name: first, image: a}}]\n\
         \x20 containers: [{{name: second, image: a}}]"
    );
    let pod = child(&build(&spec), ChildKind::Deployment)["spec"]["template"]["spec"].clone();
    let context = &pod["securityContext"];
    assert_eq!((&context["runAsUser"], &context["fsGroup"]), (&json!(7), &json!(65532)));
    assert_eq!(context["supplementalGroups"], json!([9]));
    let [prepare, first] = &pod["initContainers"].as_array().unwrap()[..] else { panic!("{pod}") };
    assert_eq!(prepare["args"][2], "7:8");
    assert_eq!(first["volumeMounts"][0]["name"], "logs");
    let [generator, second] = &pod["containers"].as_array().unwrap()[..] else { panic!("{pod}") };
    assert_eq!(generator["securityContext"]["runAsUser"], 7);
    assert_eq!(generator["env"][1], json!({"name": "VISOR_LOG", "value": "info"}));
    // The token is in the containers of the person's alone.
    assert_eq!(pod["automountServiceAccountToken"], true);
    let hides = |container: &Value| {
        let mounts = container["volumeMounts"].as_array().unwrap().iter();
        mounts.filter(|mount| mount["mountPath"] == container::TOKEN_DIRECTORY).count() == 1
    };
    assert!(hides(prepare) && hides(generator) && !hides(first) && !hides(second));
}

#[test]
fn a_deployment_is_recreated_where_two_pods_can_not_have_its_claim() {
    for (volume, strategy) in [
        ("emptyDir: {}", "RollingUpdate"),
        ("persistentVolumeClaim: {}", "Recreate"),
        ("persistentVolumeClaim: {claimName: theirs}", "Recreate"),
        ("persistentVolumeClaim: {accessMode: ReadWriteOncePod}", "Recreate"),
        ("persistentVolumeClaim: {accessMode: ReadWriteMany}", "RollingUpdate"),
    ] {
        let built = build(&format!("{ONE_FILE}\nvolume: {{{volume}}}"));
        let said = child(&built, ChildKind::Deployment)["spec"]["strategy"].clone();
        assert_eq!(said["type"], strategy, "{volume}");
        assert_eq!(said.get("rollingUpdate").is_some(), strategy == "RollingUpdate", "{volume}");
    }
}

#[test]
fn a_daemon_set_on_a_directory_of_its_nodes() {
    let spec =
        format!("{ONE_FILE}\nworkload: DaemonSet\nvolume: {{hostPath: {{path: /var/log/shop}}}}");
    insta::assert_snapshot!(shown(&build(&spec)));
}

/// With any volume that the pods share.
#[test]
fn a_container_beside_sees_its_own_pod_s_part_of_a_shared_volume() {
    let mounts = "volumeMounts: [{name: logs, mountPath: /logs}, \
                  {name: logs, mountPath: /old, subPath: 'a$(b)'}, \
                  {name: logs, mountPath: /new, subPathExpr: $(DAY), subPath: ''}, \
                  {name: own, mountPath: /own, subPath: x}]";
    let of = |volume: &str, mounts: &str| {
        let spec = format!(
            "{ONE_FILE}\nvolume: {volume}\npodTemplate: {{volumes: [{{name: own, emptyDir: {{}}}}], \
             containers: [{{name: c, image: c, env: [{{name: VISOR_IDENTITY, value: ../x}}], {mounts}}}]}}"
        );
        let built = build(&spec);
        let pod = serde_json::to_value(&built.objects.last().unwrap().object).unwrap();
        pod["spec"]["template"]["spec"]["containers"][1].clone()
    };
    for volume in ["{hostPath: {path: /}}", "{persistentVolumeClaim: {claimName: all}}"] {
        let collector = of(volume, mounts);
        let parts: Vec<_> = collector["volumeMounts"].as_array().unwrap().iter().collect();
        let expressions: Vec<_> = parts.iter().map(|mount| &mount["subPathExpr"]).collect();
        let part = "$(VISOR_IDENTITY)";
        assert_eq!(expressions[0], part);
        assert_eq!(expressions[1], &format!("{part}/a$$(b)"));
        assert_eq!(expressions[2], &format!("{part}/$(DAY)"));
        assert!(parts[..3].iter().all(|mount| mount.get("subPath").is_none()));
        assert_eq!((&parts[3]["subPath"], expressions[3]), (&"x".into(), &Value::Null));
        assert_eq!(collector["env"].as_array().unwrap().len(), 1);
        assert_eq!(collector["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
        assert_eq!(of(volume, "tty: false")["volumeMounts"][0]["subPathExpr"], part);
    }
    let collector = of("{emptyDir: {}}", "tty: false");
    assert!(collector["volumeMounts"][0].get("subPathExpr").is_none());
}

#[test]
fn a_job_with_a_collector_that_keeps_running() {
    let spec = format!("{ONE_FILE}\nstopAfter: {{lines: 100}}\n{COLLECTOR}");
    insta::assert_snapshot!(shown(&build(&spec)));
}

#[test]
fn pods_that_share_a_claim_write_into_directories_of_their_own() {
    let spec = format!("{ONE_FILE}\nreplicas: 2\nvolume: {{persistentVolumeClaim: {{}}}}");
    let children = build(&spec);
    assert_eq!(
        child(&children, ChildKind::PersistentVolumeClaim)["spec"]["resources"]["requests"]["storage"],
        "1Gi"
    );
    let deployment = child(&children, ChildKind::Deployment);
    let pod = &deployment["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&Value::from("/var/log/visor/$(VISOR_IDENTITY)")), "{arguments:?}");
    assert_eq!(pod["volumes"][1]["persistentVolumeClaim"]["claimName"], "shop");

    let existing = build(
        &spec.replace("persistentVolumeClaim: {}", "persistentVolumeClaim: {claimName: mine}"),
    );
    assert!(existing.objects.iter().all(|child| child.kind != ChildKind::PersistentVolumeClaim));
}

#[test]
fn a_server_that_knows_no_native_sidecars_gets_ordinary_containers() {
    let spec = format!("{ONE_FILE}\nstopAfter: {{lines: 100}}\n{COLLECTOR}");
    let old = build_with(&spec, &Settings { native_sidecars: false, ..settings() });
    let pod = &child(&old, ChildKind::Job)["spec"]["template"]["spec"];
    assert_eq!(pod["containers"].as_array().unwrap().len(), 2);
    assert!(pod.get("initContainers").is_none());
}

#[test]
fn a_pod_monitor_is_created_if_enabled() {
    let children = build_with(ONE_LOG, &Settings { pod_monitors: true, ..settings() });
    let monitor = child(&children, ChildKind::PodMonitor);
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "visor-metrics");
    assert_eq!(monitor["spec"]["selector"]["matchLabels"]["visor.dev/source"], "shop");
}

/// Fields about lines must not change the pods, or they would be replaced.
#[test]
fn what_is_generated_is_none_of_the_pods() {
    let workload = |children: &Children| children.objects.last().unwrap().object.clone();
    let one = build(&format!("{ONE_FILE}\nseed: 1"));
    for other in [
        format!("{ONE_FILE}\nseed: 2\nsuspend: true\ntimeZone: Europe/Berlin"),
        format!("{}\nseed: 1", ONE_FILE.replace("access: {}", "access: {format: Common}")),
    ] {
        let other = build(&other);
        assert_ne!(one.document_hash, other.document_hash);
        assert_eq!(workload(&one), workload(&other));
    }
    let more = build(&format!("{ONE_FILE}\nseed: 1\nreplicas: 2"));
    assert_eq!(one.document_hash, more.document_hash, "and what is about pods, none of the lines");
}

#[test]
fn the_document_of_a_pod_means_what_the_source_means() {
    let lines = "seed: 42\ntimeZone: Europe/Berlin\nsuspend: true\ntokens: true\n\
                 server: {release: 2.4.59}\nstopAfter: {lines: 5}\n\
                 generators:\n- name: web\n  access: {format: Custom, logFormat: '%h \"%r\" %>s'}\n\
                 \x20 streams:\n  - {name: a, kind: Access, interval: {uniform: {min: 5ms, max: 1s}}}\n";
    let pods = "replicas: 3\nworkload: Job\nvolume: {emptyDir: {}}\n";
    let config_map = child(&build(&format!("{lines}{pods}")), ChildKind::ConfigMap);
    let text = config_map["data"]["source.yaml"].as_str().unwrap().to_owned();
    let read =
        document::read(&[Input { name: "document".to_owned(), text }]).unwrap().sources.remove(0);
    assert_eq!(read.document().spec, source(lines).document().spec);
}

#[test]
fn every_sample_can_be_built_and_is_what_is_applied() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/samples");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.push(format!("{directory}/collector/source.yaml").into());
    files.retain(|path| path.is_file());
    assert!(files.len() >= 9, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let input = Input { name: file.display().to_string(), text };
        let source = as_object(&document::read(&[input]).unwrap().sources.remove(0));
        let children = children(ValidSource::of(&source), &settings()).unwrap();
        for child in &children.objects {
            assert_eq!(child.object.metadata.name.as_ref(), Some(&source.name));
            assert_eq!(child.object.types.as_ref().unwrap().kind, child.kind.name());
            // What was applied is no drift when it comes back with more in it.
            let mut live = child.object.data.clone();
            live["spec"]["addedByTheServer"] = Value::from(1);
            assert!(compare::contains(&live, &child.object.data), "{}", child.kind.name());
        }
        assert!(children.objects.last().unwrap().kind.is_workload());
    }
}

/// These names are reserved in documents.
#[test]
fn the_names_that_are_reserved_are_those_of_our_own() {
    let containers = [GENERATOR, container::PREPARE];
    assert_eq!(visor_api::source::RESERVED_CONTAINERS, containers);
    let volumes = [container::LOGS_VOLUME, container::DOCUMENT_VOLUME];
    assert_eq!(visor_api::source::RESERVED_VOLUMES, volumes);
}

/// The restricted Pod Security Standard
/// (<https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>), for all but
/// `hostPath`: the baseline standard forbids that volume.
#[test]
fn pods_meet_the_restricted_pod_security_standard() {
    let volumes =
        ["", "volume: {persistentVolumeClaim: {}}", "volume: {emptyDir: {sizeLimit: 1Gi}}"];
    for volume in volumes {
        for workload in ["Deployment", "StatefulSet", "DaemonSet", "Job\nstopAfter: {lines: 1}"] {
            for collector in ["", COLLECTOR] {
                let spec = format!("{ONE_FILE}\nworkload: {workload}\n{volume}\n{collector}");
                let children = build(&spec);
                let workload =
                    serde_json::to_value(&children.objects.last().unwrap().object).unwrap();
                assert_restricted(&workload["spec"]["template"]["spec"]);
            }
        }
    }
}

fn assert_restricted(pod: &Value) {
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod.get(name).is_none());
    }
    let allowed = ["configMap", "emptyDir", "persistentVolumeClaim", "secret", "name"];
    for volume in pod["volumes"].as_array().unwrap() {
        assert!(volume.as_object().unwrap().keys().all(|key| allowed.contains(&key.as_str())));
    }
    let containers = pod["containers"].as_array().unwrap();
    let init_containers = pod["initContainers"].as_array();
    for container in containers.iter().chain(init_containers.into_iter().flatten()) {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
        assert_eq!(context["capabilities"]["drop"], Value::from(vec!["ALL"]), "{container}");
        assert!(context["capabilities"].get("add").is_none());
        assert!(context.get("privileged").is_none());
        assert_ne!(context["runAsUser"], 0);
    }
}
