//! What the operator says of a source: whether it was taken, what runs it, how much was written.
//! Only the operator writes it; `visor run` never reads it. Every field may be missing, so that a
//! status of any version can be read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Workload;

/// What the operator observed of a source. `visor run` ignores it.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct FakeLogSourceStatus {
    /// The `metadata.generation` of the source that the rest of the status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Accepted: whether the source is one that can run. Available: whether its pods are ready
    /// and can write to all of their outputs.
    /// Progressing: whether a change is still being rolled out. Complete (only of a source that
    /// ends by itself): whether it has. Ready: all of it in one word. Stalled (only of a source that
    /// was refused or has failed): True, until somebody changes something. Counted: whether `lines` is
    /// all that had been written when the pods were last asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,

    /// What runs the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,

    /// How many pods there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,

    /// How many pods are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ready_replicas: Option<i32>,

    /// The label selector of the pods, as text: what the scale subresource tells an autoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// The rate that the source asks for, of all pods together, surges left out: `152.3/s` (lines a
    /// second), or `unlimited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_rate: Option<String>,

    /// The rate at which all pods together have been writing lately: `150.1/s` (lines a second).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,

    /// Lines that were written since the source was created, by the pods that there are and those
    /// that are gone, as far as they could tell (see the condition Counted). Never more than were
    /// written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub lines: Option<i64>,

    /// Bytes of these lines, newlines included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub bytes: Option<i64>,

    /// How many pods should have answered when they were last asked for their counts, and didn't:
    /// what they have written since they last did is missing in `lines` and `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub silent_pods: Option<i32>,

    /// How many pods said when they were last asked that they can't write to some output of theirs.
    /// The condition Available says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub failing_pods: Option<i32>,

    /// How many containers ended without a last word of all that they wrote, for they were killed:
    /// what each wrote last is missing in `lines` and `bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub killed_containers: Option<i64>,

    /// From what an operator that starts goes on counting: of each pod twelve digits of a hash of
    /// its uid, the number of its present container, from 0, and the part of `lines` and `bytes`
    /// that this one wrote, if it hasn't ended. `over` in place of them: no other will start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_pods: Option<Vec<String>>,
}
