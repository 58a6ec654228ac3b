//! What runs the pods: a Deployment, a `StatefulSet`, a `DaemonSet` or a Job.

use k8s_openapi::{
    api::{
        apps::v1::{
            DaemonSet, DaemonSetSpec, Deployment, DeploymentSpec, StatefulSet, StatefulSetSpec,
        },
        batch::v1::{Job, JobSpec},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde_json::json;
use visor_api::source::Workload;

use super::{BuildError, Settings, annotate, child, claim, container, hash, labels, metadata, pod};
use crate::{
    children::{Child, ChildKind},
    source::ValidSource,
};

/// How often a Job tries again with a new pod. Each pod that fails has written lines already, so
/// few: a source that can't run should say so soon.
const JOB_BACKOFF_LIMIT: i32 = 3;

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
            template: pod::template(source, settings),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
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
            template: pod::template(source, settings),
            ..JobSpec::default()
        }),
        ..Job::default()
    }
}

fn selector(source: ValidSource<'_>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels::selector(source)), ..LabelSelector::default() }
}
