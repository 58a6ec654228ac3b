//! What runs the pods: a Deployment, a `StatefulSet`, a `DaemonSet` or a Job.

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

use super::{BuildError, Settings, annotate, child, claim, container, hash, labels, metadata, pod};
use crate::{
    children::{Child, ChildKind},
    source::ValidSource,
};

/// How often a Job tries again with a new pod. Each pod that fails has written lines already, so
/// few: a source that can't run should say so soon.
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
        // Somebody else's runs the pods.
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

/// How pods are replaced. Of each strategy all fields are said, so that the server removes those of the
/// other, which it doesn't allow beside it.
fn strategy(source: ValidSource<'_>) -> DeploymentStrategy {
    let quarter = || Some(IntOrString::String("25%".to_owned()));
    match &source.spec().volume {
        // Pods of two nodes can't have such a claim at once, and a new pod would wait for the old one,
        // which waits for the new one. Of a claim that exists already nothing is known.
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
    let claims = super::claim_to_make(source)
        .map(|wish| vec![claim::template(source, container::LOGS_VOLUME, wish)]);
    let mut metadata = metadata(source);
    annotate(&mut metadata, labels::IMMUTABLE, hash::of_value(&serde_json::to_value(&claims)?));
    Ok(StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(source.spec().replicas),
            selector: selector(source),
            service_name: Some(source.name().to_owned()),
            // Sources have no order among their pods.
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
    // What the person wishes of the pods, not what we make of it: another version of the operator,
    // or of the image, must not start a Job again that has ended.
    let wishes = json!({
        "replicas": spec.replicas,
        "volume": spec.volume,
        "podTemplate": spec.pod_template,
    });
    let mut metadata = metadata(source);
    annotate(&mut metadata, labels::IMMUTABLE, hash::of_value(&wishes));
    annotate(&mut metadata, labels::DOCUMENT, document_hash.to_owned());
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
