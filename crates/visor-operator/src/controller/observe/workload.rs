//! The observed state of a workload and its pods, in one form for every kind of workload. Pure:
//! from cached objects.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};
use kube::{ResourceExt, core::DynamicObject};
use serde_json::Value;

use crate::{
    controller::build::children::ChildKind,
    labels::GENERATOR,
    pods::{generator, is_terminated},
};

/// The observed state of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Desired pods.
    pub(crate) desired: i32,
    /// Existing pods.
    pub(crate) replicas: i32,
    /// Pods that write, or have written all their lines.
    pub(crate) ready: i32,
    /// Whether all pods are of the current template, and no others are left.
    pub(crate) up_to_date: bool,
    /// The result of a Job.
    pub(crate) ended: Option<JobResult>,
    /// Why pods aren't ready, as text.
    pub(crate) problem: Option<String>,
    /// Desired pods that don't exist.
    pub(crate) missing: i32,
    /// Why its pods aren't updated, as text: it has been paused.
    pub(crate) paused: Option<&'static str>,
    /// Failed pods of a Job that is retrying.
    pub(crate) retries: i32,
    /// What a Job waits for although all lines are written, as text.
    pub(crate) waiting_for: Option<String>,
}

/// The result of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobResult {
    Finished,
    Failed(String),
}

/// The observed state of a workload and the pods of its source.
pub(crate) fn workload(
    kind: ChildKind,
    object: &DynamicObject,
    pods: &[impl AsRef<Pod>],
) -> Observed {
    let spec = Numbers(object.data.get("spec"));
    let status = Numbers(object.data.get("status"));
    let seen = status.get("observedGeneration") >= object.metadata.generation.unwrap_or(0);
    let live = || pods.iter().map(AsRef::as_ref).filter(|pod| !is_terminated(pod));
    let paused = |field: &str| object.data.pointer(field) == Some(&Value::Bool(true));
    let mut observed = match kind {
        ChildKind::DaemonSet => {
            // The controller reports the desired number only when it could create a pod.
            let desired = status.int("desiredNumberScheduled").max(i32::from(!seen));
            let replicas = status.int("currentNumberScheduled");
            Observed {
                desired,
                replicas,
                ready: status.int("numberReady"),
                up_to_date: seen
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
            let written = live().filter(|pod| has_finished(pod)).count();
            let ready = live().filter(|pod| is_ready(pod) || has_finished(pod)).count();
            let with_those_that_ended =
                |count: usize| i32::try_from(count).unwrap_or(i32::MAX).saturating_add(succeeded);
            let waits = ended.is_none() && with_those_that_ended(written) >= desired;
            let ready = with_those_that_ended(ready);
            Observed {
                desired,
                replicas: active,
                ready,
                up_to_date: ended.is_some() || active + succeeded > 0,
                missing: if ended.is_some() { 0 } else { desired - active - succeeded },
                retries: if ended.is_some() || ready >= desired { 0 } else { status.int("failed") },
                waiting_for: live().filter(|_| waits).find_map(running_container),
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
                up_to_date: seen && status.int("updatedReplicas") >= desired && replicas == desired,
                missing: desired - replicas,
                paused: paused("/spec/paused").then_some("the Deployment is paused"),
                ..Observed::default()
            }
        }
    };
    observed.problem = live().find_map(pod_problem).or_else(|| workload_problem(object));
    observed
}

/// The observed state of a sidecar source: every pod that has been injected is a desired one.
pub(crate) fn sidecars(pods: &[impl AsRef<Pod>]) -> Observed {
    let live = || pods.iter().map(AsRef::as_ref).filter(|pod| !is_terminated(pod));
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
        up_to_date: true,
        problem: live().find_map(sidecar_problem),
        ..Observed::default()
    }
}

/// Why an injected generator isn't running.
fn sidecar_problem(pod: &Pod) -> Option<String> {
    if let Some(unschedulable) = unschedulable(pod) {
        return Some(unschedulable);
    }
    let problem = container_problem(generator(pod)?)?;
    Some(format!("pod {}, container {GENERATOR}: {problem}", pod.name_any()))
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

/// Why a pod doesn't write; `None` if it does, or nothing is known.
fn pod_problem(pod: &Pod) -> Option<String> {
    if is_ready(pod) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if let Some(unschedulable) = unschedulable(pod) {
        return Some(unschedulable);
    }
    let name = pod.name_any();
    let unready = || containers(pod).filter(|container| !container.ready);
    let stopped = unready().find_map(|container| Some((container, container_problem(container)?)));
    let (container, problem) = stopped.or_else(|| {
        unready().find_map(|container| Some((container, probe_problem(container)?.to_owned())))
    })?;
    Some(format!("pod {name}, container {}: {problem}", container.name))
}

/// Why a pod isn't scheduled.
fn unschedulable(pod: &Pod) -> Option<String> {
    match condition(pod.status.as_ref(), "PodScheduled") {
        Some(("False", message)) => {
            Some(format!("pod {} can't be scheduled: {message}", pod.name_any()))
        }
        _ => None,
    }
}

/// The status of all containers that the kubelet has reported, in order.
fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let first = status.init_container_statuses.iter().flatten();
        first.chain(status.container_statuses.iter().flatten())
    })
}

/// The probe that a running container hasn't passed.
fn probe_problem(container: &ContainerStatus) -> Option<&'static str> {
    container.state.as_ref()?.running.as_ref()?;
    Some(match container.started {
        Some(false) => "its startup probe has not succeeded yet",
        _ => "its readiness probe fails",
    })
}

/// Whether a pod's generator has written all its lines.
fn has_finished(pod: &Pod) -> bool {
    generator(pod)
        .and_then(|generator| generator.state.as_ref()?.terminated.as_ref())
        .is_some_and(|ended| ended.exit_code == 0)
}

/// A running container next to the generator.
fn running_container(pod: &Pod) -> Option<String> {
    let running = containers(pod).find(|container| {
        container.name != GENERATOR
            && container.state.as_ref().is_some_and(|state| state.running.is_some())
    })?;
    Some(format!("container {} of pod {}", running.name, pod.name_any()))
}

fn container_problem(container: &ContainerStatus) -> Option<String> {
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

/// How a container terminated, if it failed.
fn exit(state: &ContainerState) -> Option<String> {
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("ended");
    (ended.exit_code != 0).then(|| format!("{reason} with exit code {}", ended.exit_code))
}

/// Why a workload has no pods, if it reports that.
fn workload_problem(object: &DynamicObject) -> Option<String> {
    let failure = find_condition(object, "ReplicaFailure")?;
    Some(failure.get("message")?.as_str()?.to_owned())
}

fn ended(job: &DynamicObject) -> Option<JobResult> {
    if find_condition(job, "Complete").is_some() {
        return Some(JobResult::Finished);
    }
    let failed = find_condition(job, "Failed")?;
    let message = failed.get("message").and_then(Value::as_str).unwrap_or_default();
    Some(JobResult::Failed(message.to_owned()))
}

/// A condition of a workload that is True.
fn find_condition<'a>(object: &'a DynamicObject, type_: &str) -> Option<&'a Value> {
    let conditions = object.data.get("status")?.get("conditions")?.as_array()?;
    conditions.iter().find(|condition| {
        condition.get("type").and_then(Value::as_str) == Some(type_)
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// A part of an object in which missing numbers are 0, as Kubernetes omits zeros.
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
        assert!(deployment(2, 2, 3).up_to_date);
        assert!(!deployment(1, 2, 3).up_to_date);
        assert!(!deployment(2, 3, 3).up_to_date);
        assert!(!deployment(2, 2, 2).up_to_date);
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
    fn a_failed_job_has_its_reason() {
        let job = object(json!({"status": {"conditions": [
            {"type": "Failed", "status": "True", "message": "it has reached its limit"},
        ]}}));
        let observed = workload(ChildKind::Job, &job, &[] as &[Arc<Pod>]);
        assert_eq!(observed.ended, Some(JobResult::Failed("it has reached its limit".to_owned())));
    }

    #[test]
    fn the_problem_of_a_pod_is_reported() {
        let deployment = object(json!({"spec": {"replicas": 1}}));
        let cases = [
            (
                json!({"conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes fit"},
                ]}),
                "pod shop-1 can't be scheduled: 0/1 nodes fit",
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
            assert_eq!(observed.problem.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_running_pod_that_is_not_ready_names_the_probe() {
        let deployment = object(json!({"spec": {"replicas": 1}}));
        for (started, expected) in [
            (false, "its startup probe has not succeeded yet"),
            (true, "its readiness probe fails"),
        ] {
            let pod = pod(json!({"metadata": {"name": "shop-1"}, "status": {"containerStatuses": [
                {"name": "visor", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                 "state": {"running": {}}},
                {"name": "collector", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                 "started": started, "state": {"running": {}}},
            ]}}));
            let observed = workload(ChildKind::Deployment, &deployment, &[pod]);
            let expected = format!("pod shop-1, container collector: {expected}");
            assert_eq!(observed.problem, Some(expected));
        }
    }

    #[test]
    fn an_injected_pod_that_cannot_be_scheduled_is_reported() {
        let pod = pod(json!({"metadata": {"name": "shop-1"}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes fit"},
        ]}}));
        let observed = sidecars(&[pod]);
        assert_eq!((observed.desired, observed.ready), (1, 0));
        assert_eq!(
            observed.problem.as_deref(),
            Some("pod shop-1 can't be scheduled: 0/1 nodes fit")
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
    fn retries_and_running_containers_of_a_job_are_reported() {
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
        assert_eq!(observed.waiting_for.as_deref(), Some("container collector of pod shop-1"));
        assert_eq!((observed.ready, observed.retries), (1, 0));
    }

    #[test]
    fn a_paused_workload_is_reported() {
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
