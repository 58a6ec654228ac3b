//! The types of a `FakeLogSource`: what a person writes, field by field.
//!
//! They follow the Kubernetes API conventions (lists of named objects, `PascalCase` enums, no
//! floats, every number and list bounded, defaults in the schema) and Apache's own names for
//! Apache's things. The doc comments are what `kubectl explain` and the field reference show.

mod access_log;
mod choice;
mod error_log;
mod interval;
mod output;
mod pod;
mod status;
mod stream;

pub(crate) use access_log::Definition;
pub use access_log::{
    AccessContent, AccessFormat, AccessLog, DirectiveValues, ForeignFormat, Format,
};
pub use choice::{Choice, Clients, Distribution, DurationRange, Resource, SizeRange, StatusChoice};
pub use error_log::{DOCUMENT_ROOT, ErrorFormat, ErrorLog, Mpm};
pub use interval::{Exponential, Interval, Normal, Rate, Surge, Uniform, Unlimited};
pub use output::{Compression, FileOutput, Output, Rotation, RotationMethod, StandardStream};
pub use pod::{
    EmptyDirVolume, HostPathVolume, METRICS_PORT, PersistentVolumeClaim, PodTemplate, PodVolume,
    RESERVED_CONTAINERS, RESERVED_VARIABLE, RESERVED_VOLUMES, Volume, VolumeAccessMode,
};
pub use status::FakeLogSourceStatus;
pub use stream::{HeartbeatStyle, Message, Stream, StreamKind};

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoEnumIterator;

use crate::quantity::Duration;

/// A source of fake but faithful Apache logs: generators that all run at once, each with streams
/// of lines that all run at once.
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
        description = "Whether the source does what it was asked to."
    ),
    printcolumn(
        name = "Replicas",
        type_ = "integer",
        json_path = ".status.replicas",
        description = "How many pods there are."
    ),
    printcolumn(
        name = "Rate",
        type_ = "string",
        json_path = ".status.rate",
        description = "Lines a second of all pods."
    ),
    printcolumn(
        name = "Lines",
        type_ = "integer",
        json_path = ".status.lines",
        description = "Lines that were written since the source was created."
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
        description = "Why the source is ready, or what is missing.",
        priority = 1
    ),
    printcolumn(
        name = "Configured",
        type_ = "string",
        json_path = ".status.configuredRate",
        description = "Lines a second that the source asks for.",
        priority = 1
    ),
    printcolumn(
        name = "Counted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Counted\")].status",
        description = "Whether Lines is all that had been written when the pods were last asked.",
        priority = 1
    ),
    printcolumn(
        name = "Bytes",
        type_ = "integer",
        json_path = ".status.bytes",
        description = "Bytes of these lines.",
        priority = 1
    ),
    printcolumn(
        name = "Workload",
        type_ = "string",
        json_path = ".status.workload",
        description = "What runs the pods.",
        priority = 1
    ),
    doc = "A source of fake but faithful Apache logs: generators that all run at once, each with streams of lines that all run at once.",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct FakeLogSourceSpec {
    /// How many pods write the logs, each with lines of its own. A laptop's `visor run` is one.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// What runs the pods. Absent: a Job if the source ends by itself (`stopAfter`), else a
    /// Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,

    /// The seed of everything random: the same seed writes the same bytes. Absent: drawn at start,
    /// and logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seed: Option<i64>,

    /// The time zone of the time stamps, by its name in the IANA database, such as
    /// `Europe/Berlin`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,

    /// Stop writing, but keep the pods, the files and the metrics. Later lines go on from there.
    #[serde(default)]
    pub suspend: bool,

    /// When the source ends by itself, whichever comes first. Absent: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<StopAfter>,

    /// The logs to write. All run at once.
    #[schemars(
        length(min = 1, max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub generators: Vec<Generator>,

    /// Where file outputs live in a pod: a volume mounted at /var/log/visor. Absent: an emptyDir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,

    /// What the pods have besides the generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

/// What runs the pods of a source.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// Interchangeable pods.
    Deployment,
    /// Pods with a stable name and, if wished, a claim of their own each.
    StatefulSet,
    /// One pod a node.
    DaemonSet,
    /// Pods that end; for sources with `stopAfter`.
    Job,
    /// No pods of the source's own: the generator is put into pods that ask for it, by the label
    /// `visor.dev/inject: "true"` and the annotation `visor.dev/source` with this source's name.
    Sidecar,
}

/// When a source ends by itself: after so many lines in all, after a time, or whichever comes
/// first.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StopAfter {
    /// Lines of all generators together (of each replica).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lines: Option<i64>,

    /// Time since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// One log: an access log or an error log, its streams of lines, and where they go.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("oneOf" = [{"required": ["access"]}, {"required": ["error"]}]))]
pub struct Generator {
    /// A name, unique within the source: lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,

    /// An access log (exactly one of `access` and `error`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessLog>,

    /// An error log (exactly one of `access` and `error`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorLog>,

    /// The kinds of line in this log, each on a clock of its own. Absent: those of the default
    /// server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub streams: Vec<Stream>,

    /// Where the lines go.
    #[serde(default)]
    pub output: Output,
}

/// Which log a generator writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "camelCase")]
pub enum LogKind {
    /// Requests.
    Access,
    /// Messages.
    Error,
}

/// The log that a generator is given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Log<'a> {
    Access(&'a AccessLog),
    Error(&'a ErrorLog),
}

impl LogKind {
    /// The field of a generator that says so.
    pub(crate) fn field(self) -> &'static str {
        self.into()
    }

    /// The kind for which this holds, if it's one alone.
    pub(crate) fn only(is_given: impl Fn(Self) -> bool) -> Option<Self> {
        let mut given = Self::iter().filter(|kind| is_given(*kind));
        given.next().filter(|_| given.next().is_none())
    }
}

impl Generator {
    /// The log of this kind, if it's given.
    pub(crate) fn log(&self, kind: LogKind) -> Option<Log<'_>> {
        match kind {
            LogKind::Access => self.access.as_ref().map(Log::Access),
            LogKind::Error => self.error.as_ref().map(Log::Error),
        }
    }

    /// The kind of its log; `None` where the document doesn't say, or says several.
    pub(crate) fn log_kind(&self) -> Option<LogKind> {
        LogKind::only(|kind| self.log(kind).is_some())
    }
}

/// What a name within a source looks like: a DNS label, as Kubernetes names are.
pub const NAME_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

impl FakeLogSourceSpec {
    /// How many pods there are where nothing is said.
    pub const DEFAULT_REPLICAS: i32 = 1;
}

fn one() -> i32 {
    FakeLogSourceSpec::DEFAULT_REPLICAS
}

fn utc() -> String {
    "UTC".to_owned()
}
