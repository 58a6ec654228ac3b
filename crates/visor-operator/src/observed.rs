//! What a workload and its pods say of themselves, in one form for every kind of workload. Pure:
//! from objects that the cache has.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};
use kube::{ResourceExt, core::DynamicObject};
use serde_json::Value;

use crate::{build::GENERATOR, children::ChildKind};

/// A workload as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Pods that there should be.
    pub(crate) desired: i32,
    /// Pods that there are.
    pub(crate) replicas: i32,
    /// Pods that write, or have written all they should.
    pub(crate) ready: i32,
    /// Whether all pods are of the newest template, and no others are left.
    pub(crate) settled: bool,
    /// How a Job ended.
    pub(crate) ended: Option<Ended>,
    /// What is in the way of pods that aren't ready, for people.
    pub(crate) trouble: Option<String>,
    /// Pods that should be there and aren't.
    pub(crate) missing: i32,
    /// Why nothing of it changes any more, for people: somebody has paused it.
    pub(crate) paused: Option<&'static str>,
    /// A Job's pods that have failed, while it tries again.
    pub(crate) retries: i32,
    /// What a Job waits for although all lines are written, for people.
    pub(crate) waits_for: Option<String>,
}

/// How a Job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Finished,
    Failed(String),
}

/// Looks at a workload and the pods of its source.
pub(crate) fn workload(
    kind: ChildKind,
    object: &DynamicObject,
    pods: &[impl AsRef<Pod>],
) -> Observed {
    let spec = Numbers(object.data.get("spec"));
    let status = Numbers(object.data.get("status"));
    let seen = status.get("observedGeneration") >= object.metadata.generation.unwrap_or(0);
    let live = || pods.iter().map(AsRef::as_ref).filter(|pod| !is_over(pod));
    let paused = |field: &str| object.data.pointer(field) == Some(&Value::Bool(true));
    let mut observed = match kind {
        ChildKind::DaemonSet => {
            // Its controller doesn't say on how many nodes they should be before it could make one.
            let desired = status.int("desiredNumberScheduled").max(i32::from(!seen));
            let replicas = status.int("currentNumberScheduled");
            Observed {
                desired,
                replicas,
                ready: status.int("numberReady"),
                settled: seen
                    && status.int("updatedNumberScheduled") >= desired
                    && replicas == desired,
                missing: desired - replicas,
                ..Observed::default()
            }
        }
        ChildKind::Job => {
            let succeeded = status.int("succeeded");
            let ended = ended(object);
            let desired = spec.int("completions");
            let active = status.int("active");
            let written = live().filter(|pod| has_written(pod)).count();
            let ready = live().filter(|pod| is_ready(pod) || has_written(pod)).count();
            let with_those_that_ended =
                |count: usize| i32::try_from(count).unwrap_or(i32::MAX).saturating_add(succeeded);
            let waits = ended.is_none() && with_those_that_ended(written) >= desired;
            let ready = with_those_that_ended(ready);
            Observed {
                desired,
                replicas: active,
                ready,
                settled: ended.is_some() || active + succeeded > 0,
                missing: if ended.is_some() { 0 } else { desired - active - succeeded },
                retries: if ended.is_some() || ready >= desired { 0 } else { status.int("failed") },
                waits_for: live().filter(|_| waits).find_map(still_runs),
                paused: paused("/spec/suspend").then_some("the Job is suspended"),
                ended,
                ..Observed::default()
            }
        }
        _ => {
            let desired = spec.int("replicas");
            let replicas = status.int("replicas");
            Observed {
                desired,
                replicas,
                ready: status.int("readyReplicas"),
                settled: seen && status.int("updatedReplicas") >= desired && replicas == desired,
                missing: desired - replicas,
                paused: paused("/spec/paused").then_some("the Deployment is paused"),
                ..Observed::default()
            }
        }
    };
    observed.trouble = live().find_map(pod_trouble).or_else(|| workload_trouble(object));
    observed
}

/// The pods of others that have a source's generator: as many as there are is as many as there
/// should be.
pub(crate) fn guests(pods: &[impl AsRef<Pod>]) -> Observed {
    let live = || pods.iter().map(AsRef::as_ref).filter(|pod| !is_over(pod));
    let writing = live().filter(|pod| {
        let state = generator(pod).and_then(|generator| generator.state.as_ref());
        state.is_some_and(|state| state.running.is_some())
    });
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let (all, ready) = (count(live().count()), count(writing.count()));
    Observed {
        desired: all,
        replicas: all,
        ready,
        settled: true,
        trouble: live().find_map(guest_trouble),
        ..Observed::default()
    }
}

/// What keeps a generator from running in somebody else's pod.
fn guest_trouble(pod: &Pod) -> Option<String> {
    if let Some(unplaced) = unplaced(pod) {
        return Some(unplaced);
    }
    let trouble = container_trouble(generator(pod)?)?;
    Some(format!("pod {}, container {GENERATOR}: {trouble}", pod.name_any()))
}

/// The container that writes the lines, once its node has told of it.
pub(crate) fn generator(pod: &Pod) -> Option<&ContainerStatus> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    // In somebody else's pod it may be an init container that goes on running.
    let mut containers = containers.chain(status.init_container_statuses.iter().flatten());
    containers.find(|status| status.name == GENERATOR)
}

/// Whether all containers of a pod have ended for good.
pub(crate) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn is_ready(pod: &Pod) -> bool {
    condition(pod.status.as_ref(), "Ready").is_some_and(|(status, _)| status == "True")
}

/// The status and the message of one of a pod's conditions.
fn condition<'a>(status: Option<&'a PodStatus>, type_: &str) -> Option<(&'a str, &'a str)> {
    let conditions = status?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == type_)?;
    Some((&found.status, found.message.as_deref().unwrap_or_default()))
}

/// What keeps a pod from writing; `None` if it writes, or nothing is known.
fn pod_trouble(pod: &Pod) -> Option<String> {
    if is_ready(pod) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if let Some(unplaced) = unplaced(pod) {
        return Some(unplaced);
    }
    let name = pod.name_any();
    let unready = || containers(pod).filter(|container| !container.ready);
    let stopped = unready().find_map(|container| Some((container, container_trouble(container)?)));
    let (container, trouble) = stopped.or_else(|| {
        unready().find_map(|container| Some((container, probe_trouble(container)?.to_owned())))
    })?;
    Some(format!("pod {name}, container {}: {trouble}", container.name))
}

/// Why a pod is on no node.
fn unplaced(pod: &Pod) -> Option<String> {
    match condition(pod.status.as_ref(), "PodScheduled") {
        Some(("False", message)) => {
            Some(format!("pod {} can't be placed on a node: {message}", pod.name_any()))
        }
        _ => None,
    }
}

/// All containers that a node has told of, in their order.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let first = status.init_container_statuses.iter().flatten();
        first.chain(status.container_statuses.iter().flatten())
    })
}

/// Which probe a container that runs hasn't passed.
fn probe_trouble(container: &ContainerStatus) -> Option<&'static str> {
    container.state.as_ref()?.running.as_ref()?;
    Some(match container.started {
        Some(false) => "its startup probe has not succeeded yet",
        _ => "its readiness probe does not succeed",
    })
}

/// Whether a pod's generator has written all that it should.
fn has_written(pod: &Pod) -> bool {
    generator(pod)
        .and_then(|generator| generator.state.as_ref()?.terminated.as_ref())
        .is_some_and(|ended| ended.exit_code == 0)
}

/// A container beside the generator that still runs.
fn still_runs(pod: &Pod) -> Option<String> {
    let running = containers(pod).find(|container| {
        container.name != GENERATOR
            && container.state.as_ref().is_some_and(|state| state.running.is_some())
    })?;
    Some(format!("container {} of pod {}", running.name, pod.name_any()))
}

fn container_trouble(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref();
    let last = container.last_state.as_ref().and_then(exit);
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        if matches!(reason, "ContainerCreating" | "PodInitializing") {
            return None;
        }
        let message = waiting.message.as_deref().or(last.as_deref()).unwrap_or_default();
        return Some(format!("{reason}: {message}"));
    }
    state.and_then(exit).or(last)
}

/// How a container ended, if it did and that wasn't well.
fn exit(state: &ContainerState) -> Option<String> {
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("ended");
    (ended.exit_code != 0).then(|| format!("{reason} with exit code {}", ended.exit_code))
}

/// Why a workload has no pods, where it says so.
fn workload_trouble(object: &DynamicObject) -> Option<String> {
    let failure = find_condition(object, "ReplicaFailure")?;
    Some(failure.get("message")?.as_str()?.to_owned())
}

fn ended(job: &DynamicObject) -> Option<Ended> {
    if find_condition(job, "Complete").is_some() {
        return Some(Ended::Finished);
    }
    let failed = find_condition(job, "Failed")?;
    let message = failed.get("message").and_then(Value::as_str).unwrap_or_default();
    Some(Ended::Failed(message.to_owned()))
}

/// A condition of a workload that is True.
fn find_condition<'a>(object: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let conditions = object.data.get("status")?.get("conditions")?.as_array()?;
    conditions.iter().find(|condition| {
        condition.get("type").and_then(Value::as_str) == Some(type_)
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// A part of an object whose numbers are 0 where they are missing, as Kubernetes leaves them out.
struct Numbers<'a>(Option<&'a Value>);

impl Numbers<'_> {
    fn get(&self, field: &str) -> i64 {
        self.0.and_then(|object| object.get(field)).and_then(Value::as_i64).unwrap_or(0)
    }

    fn int(&self, field: &str) -> i32 {
        i32::try_from(self.get(field)).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn pod(value: Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_deployment_is_settled_when_the_newest_pods_are_all_there_is() {
        let deployment = |updated: i32, replicas: i32, seen: i32| {
            let object = object(json!({
                "metadata": {"generation": 3},
                "spec": {"replicas": 2},
                "status": {"replicas": replicas, "readyReplicas": 2,
                           "updatedReplicas": updated, "observedGeneration": seen},
            }));
            workload(ChildKind::Deployment, &object, &[] as &[Arc<Pod>])
        };
        assert!(deployment(2, 2, 3).settled);
        assert!(!deployment(1, 2, 3).settled);
        assert!(!deployment(2, 3, 3).settled);
        assert!(!deployment(2, 2, 2).settled);
        assert_eq!(deployment(2, 2, 3).ready, 2);
    }

    #[test]
    fn a_job_counts_pods_that_have_finished_as_ready() {
        let job = object(json!({
            "spec": {"completions": 2, "parallelism": 2},
            "status": {"succeeded": 1, "active": 1},
        }));
        let ready = pod(json!({"status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
        }}));
        let observed = workload(ChildKind::Job, &job, &[ready]);
        assert_eq!((observed.desired, observed.replicas, observed.ready), (2, 1, 2));
        assert_eq!(observed.ended, None);
    }

    #[test]
    fn a_job_that_failed_says_why() {
        let job = object(json!({"status": {"conditions": [
            {"type": "Failed", "status": "True", "message": "it has reached its limit"},
        ]}}));
        let observed = workload(ChildKind::Job, &job, &[] as &[Arc<Pod>]);
        assert_eq!(observed.ended, Some(Ended::Failed("it has reached its limit".to_owned())));
    }

    #[test]
    fn the_trouble_of_a_pod_is_told() {
        let deployment = object(json!({"spec": {"replicas": 1}}));
        let cases = [
            (
                json!({"conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes fit"},
                ]}),
                "pod shop-1 can't be placed on a node: 0/1 nodes fit",
            ),
            (
                json!({"containerStatuses": [{
                    "name": "visor", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                    "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
                }]}),
                "pod shop-1, container visor: ErrImagePull: not found",
            ),
            (
                json!({"containerStatuses": [{
                    "name": "visor", "ready": false, "restartCount": 1, "image": "", "imageID": "",
                    "state": {"running": {}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                }]}),
                "pod shop-1, container visor: OOMKilled with exit code 137",
            ),
        ];
        for (status, expected) in cases {
            let pod = pod(json!({"metadata": {"name": "shop-1"}, "status": status}));
            let observed = workload(ChildKind::Deployment, &deployment, &[pod]);
            assert_eq!(observed.trouble.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_pod_that_runs_and_is_not_ready_says_which_probe() {
        let deployment = object(json!({"spec": {"replicas": 1}}));
        for (started, expected) in [
            (false, "its startup probe has not succeeded yet"),
            (true, "its readiness probe does not succeed"),
        ] {
            let pod = pod(json!({"metadata": {"name": "shop-1"}, "status": {"containerStatuses": [
                {"name": "visor", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                 "state": {"running": {}}},
                {"name": "collector", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                 "started": started, "state": {"running": {}}},
            ]}}));
            let observed = workload(ChildKind::Deployment, &deployment, &[pod]);
            let expected = format!("pod shop-1, container collector: {expected}");
            assert_eq!(observed.trouble, Some(expected));
        }
    }

    #[test]
    fn an_injected_pod_that_can_not_be_placed_is_told() {
        let pod = pod(json!({"metadata": {"name": "shop-1"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes fit"},
        ]}}));
        let observed = guests(&[pod]);
        assert_eq!((observed.desired, observed.ready), (1, 0));
        assert_eq!(
            observed.trouble.as_deref(),
            Some("pod shop-1 can't be placed on a node: 0/1 nodes fit")
        );
    }

    #[test]
    fn pods_that_are_missing_are_counted_for_every_workload() {
        let none: &[Arc<Pod>] = &[];
        for (kind, value, missing) in [
            (
                ChildKind::StatefulSet,
                json!({"spec": {"replicas": 3}, "status": {"replicas": 1}}),
                2,
            ),
            (ChildKind::Deployment, json!({"spec": {"replicas": 1}, "status": {}}), 1),
            (
                ChildKind::DaemonSet,
                json!({"status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 2}}),
                0,
            ),
            (
                ChildKind::DaemonSet,
                json!({"status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 0}}),
                2,
            ),
            (ChildKind::DaemonSet, json!({"metadata": {"generation": 1}, "status": {}}), 1),
            (
                ChildKind::Job,
                json!({"spec": {"completions": 3}, "status": {"active": 1, "succeeded": 1}}),
                1,
            ),
            (
                ChildKind::Job,
                json!({"spec": {"completions": 3}, "status": {"conditions": [
                    {"type": "Failed", "status": "True"}]}}),
                0,
            ),
        ] {
            assert_eq!(workload(kind, &object(value.clone()), none).missing, missing, "{value}");
        }
    }

    #[test]
    fn a_job_tells_of_its_retries_and_of_what_it_waits_for() {
        let none: &[Arc<Pod>] = &[];
        let job = |status: Value| object(json!({"spec": {"completions": 1}, "status": status}));
        assert_eq!(workload(ChildKind::Job, &job(json!({"failed": 2})), none).retries, 2);
        let ended = json!({"failed": 2, "conditions": [{"type": "Complete", "status": "True"}]});
        assert_eq!(workload(ChildKind::Job, &job(ended), none).retries, 0);

        let container = |name: &str, state: Value| {
            json!({"name": name, "ready": false, "restartCount": 0, "image": "", "imageID": "",
                   "state": state})
        };
        let pod = pod(json!({"metadata": {"name": "shop-1"}, "status": {"phase": "Running",
        "containerStatuses": [
            container("visor", json!({"terminated": {"exitCode": 0}})),
            container("collector", json!({"running": {}})),
        ]}}));
        let observed = workload(ChildKind::Job, &job(json!({"active": 1, "failed": 1})), &[pod]);
        assert_eq!(observed.waits_for.as_deref(), Some("container collector of pod shop-1"));
        assert_eq!((observed.ready, observed.retries), (1, 0));
    }

    #[test]
    fn a_workload_that_somebody_has_paused_says_so() {
        let none: &[Arc<Pod>] = &[];
        for (kind, field) in [(ChildKind::Deployment, "paused"), (ChildKind::Job, "suspend")] {
            let paused = |yes: bool| {
                let object = object(json!({"spec": {field: yes}}));
                workload(kind, &object, none).paused.is_some()
            };
            assert!(paused(true) && !paused(false));
        }
    }
}
