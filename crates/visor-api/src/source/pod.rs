//! The pods of a source. `visor run` reads these fields and leaves them to the operator.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvFromSource, EnvVar,
        HostAlias, LocalObjectReference, PodDNSConfig, PodSecurityContext, ResourceRequirements,
        SecretVolumeSource, Toleration, TopologySpreadConstraint,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NAME_PATTERN;

/// The port of every pod that the generator serves its metrics on.
pub const METRICS_PORT: i32 = 9464;
/// The containers that the operator puts into pods: the generator, and the one before it that makes
/// a directory of the node ready.
pub const RESERVED_CONTAINERS: [&str; 2] = ["visor", "prepare"];
/// The volumes that the operator puts into pods: where file outputs live, and the document.
pub const RESERVED_VOLUMES: [&str; 2] = ["logs", "document"];
/// The environment variable of the generator that the operator sets: the pod's name.
pub const RESERVED_VARIABLE: &str = "VISOR_IDENTITY";

/// The volume where file outputs live. Exactly one of its fields is set.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Volume {
    /// A directory that lives as long as the pod.
    EmptyDir(EmptyDirVolume),
    /// A claim. With a StatefulSet each pod has one of its own.
    PersistentVolumeClaim(PersistentVolumeClaim),
    /// A directory of the node, where the operator's administrator allows it (`--allow HostPath`).
    HostPath(HostPathVolume),
}

/// A directory that lives as long as the pod.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDirVolume {
    /// The most it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Quantity>,
}

/// A claim: an existing one by its name, or one to be made.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PersistentVolumeClaim {
    /// The name of a claim that exists. Absent: one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: Option<String>,
    /// The storage class of a claim that is made. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// The size of a claim that is made. Absent: 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// How a claim that is made may be mounted.
    #[serde(default)]
    pub access_mode: VolumeAccessMode,
}

/// How a claim may be mounted.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VolumeAccessMode {
    /// By the pods of one node.
    #[default]
    ReadWriteOnce,
    /// By the pods of many nodes, where the storage can do that.
    ReadWriteMany,
    /// By one pod.
    ReadWriteOncePod,
}

/// A directory of the node.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HostPathVolume {
    /// The directory; made if it isn't there.
    #[schemars(length(min = 1, max = 4096), regex(pattern = "^/"))]
    pub path: String,
}

/// What the pods have besides the generator.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// More labels of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// More annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The taints that the pods bear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// On which nodes the pods rather run, or must, beside or apart from which other pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods are spread over nodes, zones and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The scheduler that places the pods. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,
    /// The runtime class of the pods. Absent: the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// The service account of the pods, for containers that ask the API server, such as a collector
    /// that adds what it knows of pods. Absent: the namespace's default, without its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Whether the containers beside the generator get the account's token. The generator never
    /// does. Absent: if `serviceAccountName` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// The security context of the pods. What it leaves out is as the restricted Pod Security
    /// Standard has it, with the user and group of the operator's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// How long pods that are deleted have to end. Absent: 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub termination_grace_period_seconds: Option<i64>,
    /// Names and addresses that are added to the pods' `/etc/hosts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub host_aliases: Vec<HostAlias>,
    /// The name servers and search domains of the pods, beside the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<PodDNSConfig>,
    /// More environment variables of the generator's container, such as `VISOR_LOG`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
    /// `ConfigMap`s and Secrets whose keys are environment variables of the generator's container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub env_from: Vec<EnvFromSource>,
    /// What the generator's container asks for and may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Containers that run and end before the generator begins: they see the same volume. One with
    /// `restartPolicy: Always` goes on running beside it (Kubernetes 1.29 and later).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub init_containers: Vec<Container>,
    /// Containers beside the generator, such as a log collector: they see the same volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub containers: Vec<Container>,
    /// Volumes that these containers mount, such as a collector's configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub volumes: Vec<PodVolume>,
    /// The secrets of registries that the images of all containers are pulled with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

/// A volume of the pods. Exactly one of its fields beside the name is set.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [
    {"required": ["configMap"]}, {"required": ["secret"]}, {"required": ["emptyDir"]}
]))]
pub struct PodVolume {
    /// A name, unique within the pod: lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// The keys of a ConfigMap as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// The keys of a Secret as files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// A directory that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
}
