//! The status of a source: conditions, workload, and counts. The operator writes it; `visor run`
//! ignores it. Every field is optional, so that a status of any version can be read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workload;

/// The observed state of a source. `visor run` ignores it.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FakeLogSourceStatus {
    /// The `metadata.generation` of the source that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Conditions: Accepted (the source is valid and its children can be applied), Available (its
    /// pods are ready and can write to all of their outputs), Progressing (a change is being rolled
    /// out), Complete (only of a source that ends by itself: it has), Ready (the summary), Stalled
    /// (only of a source that was rejected or has failed: nothing changes until somebody changes
    /// it) and CountsExact (`lines` was exact when the pods were last scraped).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,

    /// The workload of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,

    /// The number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// The number of ready pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ready_replicas: Option<i32>,

    /// The label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The configured rate of all pods together, without surges: `152.3/s` (lines per second), or
    /// `unlimited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_rate: Option<String>,

    /// The current rate of all pods together: `150.1/s` (lines per second).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,

    /// The number of lines written since the source was created, by existing and deleted pods, as
    /// far as known (see the condition CountsExact). Never more than were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub lines: Option<i64>,

    /// The number of bytes of these lines, newlines included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub bytes: Option<i64>,

    /// The number of pods that could not be scraped in the last round: the lines that they have
    /// written since their last successful scrape are not in `lines` and `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub unreachable_pods: Option<i32>,

    /// The number of pods that can't write to one of their outputs. The condition Available says
    /// why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub failing_pods: Option<i32>,

    /// The number of containers that were killed before their final report: their last lines are
    /// not in `lines` and `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub killed_containers: Option<i64>,

    /// Internal checkpoint of the counts, for a restarted operator; do not parse. For each pod: a
    /// hash of its uid, the number of its current container, and the lines and bytes of that
    /// container unless it has terminated; `over` if there will be no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_pods: Option<Vec<String>>,
}
