//! The types of a `FakeLogSource`, as users write it.
//!
//! They follow the Kubernetes API conventions (lists of named objects, `PascalCase` enums, no
//! floats, every number and list bounded, defaults in the schema) and use Apache's names. The doc
//! comments are the descriptions in `kubectl explain` and in the field reference.

mod access_log;
mod choice;
mod error_log;
mod interval;
mod log;
mod output;
mod pod;
mod server;
mod status;
mod stream;

pub use access_log::{
    AccessFormat, AccessLog, DirectiveValues, ForeignFormat, Format, RequestChoices,
};
pub(crate) use choice::rules::weights;
pub use choice::{
    ByteCount, Choice, Clients, Distribution, DurationRange, NetworkChoice, PoolSize,
    RequestTarget, SizeRange, StatusChoice, Weight,
};
pub use error_log::{DOCUMENT_ROOT, ErrorFormat, ErrorLog, Mpm};
pub use interval::{
    Exponential, Interval, LinesPerSecond, Normal, Rate, Surge, Uniform, Unlimited,
};
pub(crate) use log::{Common, Log};
pub use output::{Compression, FileOutput, Keep, Output, Rotation, RotationMethod, StandardStream};
pub use pod::{
    EmptyDirVolume, HostPathVolume, METRICS_PORT, PersistentVolumeClaim, PodTemplate, PodVolume,
    RESERVED_CONTAINERS, RESERVED_VARIABLE, RESERVED_VOLUMES, Volume, VolumeAccessMode,
};
pub use server::Server;
pub use status::FakeLogSourceStatus;
pub use stream::{HeartbeatStyle, Message, Stream};

use std::num::NonZeroU64;

use jiff::tz::TimeZone;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use visor_logs::{Release, StreamKind};

use crate::{bounded::Bounded, parsed::Parsed, quantity::Duration};

/// A source of fake Apache logs: generators that run concurrently, each with streams of lines that
/// run concurrently.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[kube(
    group = "visor.dev",
    version = "v1alpha1",
    kind = "FakeLogSource",
    plural = "fakelogsources",
    singular = "fakelogsource",
    shortname = "fls",
    category = "visor",
    namespaced,
    status = FakeLogSourceStatus,
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the source is ready."
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "The number of pods."
    ),
    printcolumn(
        name = "Rate",
        type_ = "string",
        json_path = ".status.rate",
        description = "The current rate of all pods in lines per second."
    ),
    printcolumn(
        name = "Lines",
        type_ = "integer",
        json_path = ".status.lines",
        description = "The number of lines written since the source was created."
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The reason of the condition Ready.",
        priority = 1
    ),
    printcolumn(
        name = "Configured",
        type_ = "string",
        json_path = ".status.configuredRate",
        description = "The configured rate of all pods in lines per second.",
        priority = 1
    ),
    printcolumn(
        name = "Exact",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"CountsExact\")].status",
        description = "Whether Lines was exact when the pods were last scraped.",
        priority = 1
    ),
    printcolumn(
        name = "Bytes",
        type_ = "integer",
        json_path = ".status.bytes",
        description = "The number of bytes of these lines.",
        priority = 1
    ),
    printcolumn(
        name = "Workload",
        type_ = "string",
        json_path = ".status.workload",
        description = "The workload of the pods.",
        priority = 1
    ),
    doc = "A source of fake Apache logs: generators that run concurrently, each with streams of lines that run concurrently.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct FakeLogSourceSpec {
    /// The number of pods. Each writes lines of its own. `visor run` is a single one.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// The workload of the pods. Default: a Job if the source ends by itself (`stopAfter`), else a
    /// Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,

    /// The seed of all random numbers: the same seed writes the same bytes. Default: drawn at
    /// start, and logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Bounded<u64, 0, { i64::MAX }>>,

    /// The time zone of the time stamps: a name of the IANA database, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Parsed<TimeZone>,

    /// The server whose logs these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,

    /// Whether each line has a token, by which `visor verify` tells what a collector delivered: in a
    /// parameter `id` of the request target, or of the referer if the format shows no target; behind
    /// a message of an error log as `[unique_id "TOKEN"]`. `%{UNIQUE_ID}e` and the request's
    /// identifier in JSON always are tokens.
    #[serde(default)]
    pub tokens: bool,

    /// Stop writing lines, but keep the pods, files and metrics. Lines continue when this is unset.
    #[serde(default)]
    pub suspend: bool,

    /// When the source ends by itself: at the first limit that is reached. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<StopAfter>,

    /// The logs to write, concurrently.
    #[schemars(
        length(min = 1, max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub generators: Vec<Generator>,

    /// The volume for file outputs in a pod, mounted at /var/log/visor. Default: an emptyDir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,

    /// Pod settings: metadata, scheduling, security, resources, and further containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// The workload of a source's pods.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Interchangeable pods
    Deployment,
    /// Pods with stable names and, optionally, a claim of their own each
    StatefulSet,
    /// One pod on each node
    DaemonSet,
    /// Pods that run to completion; for sources with `stopAfter`
    Job,
    /// No pods of its own: the generator is injected into pods that request it by the label
    /// `visor.dev/inject: "true"` and the annotation `visor.dev/source` with the name of this
    /// source
    Sidecar,
}

/// When a source ends by itself: after a number of lines, after a duration, or whichever comes
/// first.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StopAfter {
    /// The number of lines of all generators together, in each pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Bounded<NonZeroU64, 1, { i64::MAX }>>,

    /// The time since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// One log: an access log or an error log, its streams, and its output.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [{"required": ["access"]}, {"required": ["error"]}]))]
pub struct Generator {
    /// The name, unique within the source: lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,

    /// An access log (exactly one of `access` and `error`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessLog>,

    /// An error log (exactly one of `access` and `error`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorLog>,

    /// The kinds of line in this log, each with a random schedule of its own. Default: those of the
    /// default server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub streams: Vec<Stream>,

    /// The output of the lines.
    #[serde(default)]
    pub output: Output,
}

impl Generator {
    /// The logs that a generator can have: the field of each, and the log if it is set.
    pub(crate) fn logs(&self) -> [(&'static str, Option<&dyn Log>); 2] {
        [
            ("access", self.access.as_ref().map(|log| log as &dyn Log)),
            ("error", self.error.as_ref().map(|log| log as &dyn Log)),
        ]
    }

    /// Its log; `None` if it has none, or several.
    pub(crate) fn log(&self) -> Option<&dyn Log> {
        let mut set = self.logs().into_iter().filter_map(|(_, log)| log);
        set.next().filter(|_| set.next().is_none())
    }
}

/// The pattern of names within a source: a DNS label.
pub const NAME_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

impl FakeLogSourceSpec {
    /// The default number of pods.
    pub const DEFAULT_REPLICAS: i32 = 1;

    /// What all its logs have in common.
    pub(crate) fn common(&self) -> Common {
        Common { release: self.release(), tokens: self.tokens }
    }

    /// The configured release of httpd.
    pub fn release(&self) -> Option<Release> {
        self.server.and_then(|server| server.release)
    }
}

fn one() -> i32 {
    FakeLogSourceSpec::DEFAULT_REPLICAS
}

fn utc() -> Parsed<TimeZone> {
    "UTC".into()
}
