//! The workload that runs the pods: a Deployment, a `StatefulSet`, a `DaemonSet` or a Job.

use k8s_openapi::{
    api::{
        apps::v1::{
            DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, Deployment, DeploymentSpec,
            DeploymentStrategy, RollingUpdateDeployment, RollingUpdateStatefulSetStrategy,
            StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy,
        },
        batch::v1::{Job, JobSpec},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use serde_json::json;
use visor_api::source::{Volume, VolumeAccessMode, Workload};

use super::{
    BuildError, Settings, annotate, child,
    children::{Child, ChildKind},
    claim, container, metadata, pod,
};
use crate::{hash, labels, source::ValidSource};

/// The backoff limit of a Job. Each pod that fails has already written lines, so there are few
/// retries: a source that can't run should report that soon.
const JOB_BACKOFF_LIMIT: i32 = 3;

const ROLLING_UPDATE: &str = "RollingUpdate";

pub(super) fn of(
    source: ValidSource<'_>,
    settings: &Settings,
    document_hash: &str,
) -> Result<Option<Child>, BuildError> {
    Ok(Some(match source.workload() {
        Workload::Deployment => child(ChildKind::Deployment, &deployment(source, settings))?,
        Workload::StatefulSet => child(ChildKind::StatefulSet, &stateful_set(source, settings)?)?,
        Workload::DaemonSet => child(ChildKind::DaemonSet, &daemon_set(source, settings))?,
        Workload::Job => child(ChildKind::Job, &job(source, settings, document_hash))?,
        // The pods belong to other workloads.
        Workload::Sidecar => return Ok(None),
    }))
}

fn deployment(source: ValidSource<'_>, settings: &Settings) -> Deployment {
    Deployment {
        metadata: metadata(source),
        spec: Some(DeploymentSpec {
            replicas: Some(source.spec().replicas),
            selector: selector(source),
            strategy: Some(strategy(source)),
            template: pod::template(source, settings),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// The update strategy. All fields are set, so that the server removes those of the other strategy,
/// which it doesn't accept next to it.
fn strategy(source: ValidSource<'_>) -> DeploymentStrategy {
    let quarter = || Some(IntOrString::String("25%".to_owned()));
    match &source.spec().volume {
        // Such a claim can't be mounted on two nodes. In a rolling update the new pod would wait for the
        // old one, and the old one for the new one. The access mode of an existing claim isn't known.
        Some(Volume::PersistentVolumeClaim(claim))
            if claim.claim_name.is_some()
                || claim.access_mode != VolumeAccessMode::ReadWriteMany =>
        {
            DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }
        }
        _ => DeploymentStrategy {
            type_: Some(ROLLING_UPDATE.to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: quarter(),
                max_unavailable: quarter(),
            }),
        },
    }
}

fn stateful_set(source: ValidSource<'_>, settings: &Settings) -> Result<StatefulSet, BuildError> {
    let claims = super::claim_to_create(source)
        .map(|claim| vec![claim::template(source, container::LOGS_VOLUME, claim)]);
    let mut metadata = metadata(source);
    annotate(
        &mut metadata,
        labels::IMMUTABLE_HASH,
        hash::of_value(&serde_json::to_value(&claims)?),
    );
    Ok(StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(source.spec().replicas),
            selector: selector(source),
            service_name: Some(source.name().to_owned()),
            // The pods of a source need no order.
            pod_management_policy: Some("Parallel".to_owned()),
            template: pod::template(source, settings),
            volume_claim_templates: claims,
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some(ROLLING_UPDATE.to_owned()),
                rolling_update: Some(RollingUpdateStatefulSetStrategy {
                    partition: Some(0),
                    ..RollingUpdateStatefulSetStrategy::default()
                }),
            }),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    })
}

fn daemon_set(source: ValidSource<'_>, settings: &Settings) -> DaemonSet {
    DaemonSet {
        metadata: metadata(source),
        spec: Some(DaemonSetSpec {
            selector: selector(source),
            template: pod::template(source, settings),
            update_strategy: Some(DaemonSetUpdateStrategy {
                type_: Some(ROLLING_UPDATE.to_owned()),
                ..DaemonSetUpdateStrategy::default()
            }),
            ..DaemonSetSpec::default()
        }),
        ..DaemonSet::default()
    }
}

fn job(source: ValidSource<'_>, settings: &Settings, document_hash: &str) -> Job {
    let spec = source.spec();
    // The source's own fields rather than the built template: a new version of the operator or of
    // the image must not rerun a Job that has finished.
    let relevant = json!({
        "replicas": spec.replicas,
        "volume": spec.volume,
        "podTemplate": spec.pod_template,
    });
    let mut metadata = metadata(source);
    annotate(&mut metadata, labels::IMMUTABLE_HASH, hash::of_value(&relevant));
    annotate(&mut metadata, labels::DOCUMENT_HASH, document_hash.to_owned());
    Job {
        metadata,
        spec: Some(JobSpec {
            parallelism: Some(spec.replicas),
            completions: Some(spec.replicas),
            backoff_limit: Some(JOB_BACKOFF_LIMIT),
            suspend: Some(false),
            template: pod::template(source, settings),
            ..JobSpec::default()
        }),
        ..Job::default()
    }
}

fn selector(source: ValidSource<'_>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels::selector(source)), ..LabelSelector::default() }
}
