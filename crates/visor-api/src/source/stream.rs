//! A stream: one kind of line, with a law of time and a content of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::quantity::Duration;

use super::{
    NAME_PATTERN, access_log::AccessContent, choice::one, interval::Interval, interval::Surge,
};

/// One kind of line in a log. Its clock and its content are its own; nothing is promised between
/// two streams.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// A name, unique within the generator: lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,

    /// What kind of line: Heartbeat in any log, Access in an access log, a level of httpd in an
    /// error log.
    pub kind: StreamKind,

    /// The law of the time between two lines. Absent: one that suits the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,

    /// How long after its start the stream's first line is due; 0s is at once. Absent: after one
    /// interval, as if a line had just been written, or half of one where all are the same. Not for
    /// an unlimited stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<Duration>,

    /// Times of more lines, or of fewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub surges: Vec<Surge>,

    /// The messages of a heartbeat or of a level. Absent: httpd's own of that level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub messages: Vec<Message>,

    /// How a heartbeat looks in an access log. Absent: Message if there are messages, else
    /// KubeProbe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatStyle>,

    /// What this Access stream's requests are made of where they differ from the generator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessContent>,
}

/// What kind of line a stream writes.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum StreamKind {
    /// A sign of life.
    Heartbeat,
    /// A request.
    Access,
    /// An error of level emerg.
    Emerg,
    /// An error of level alert.
    Alert,
    /// An error of level crit.
    Crit,
    /// An error of level error.
    Error,
    /// An error of level warn.
    Warn,
    /// An error of level notice.
    Notice,
    /// An error of level info.
    Info,
    /// An error of level debug.
    Debug,
    /// An error of level trace1.
    Trace1,
    /// An error of level trace2.
    Trace2,
    /// An error of level trace3.
    Trace3,
    /// An error of level trace4.
    Trace4,
    /// An error of level trace5.
    Trace5,
    /// An error of level trace6.
    Trace6,
    /// An error of level trace7.
    Trace7,
    /// An error of level trace8.
    Trace8,
}

impl StreamKind {
    /// The kind's name in lower case: for a level, httpd's own name of it. The metrics' label
    /// `kind` has this value.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is a level of httpd's error log.
    pub const fn is_level(self) -> bool {
        !matches!(self, Self::Heartbeat | Self::Access)
    }
}

/// A message that is drawn as often as its weight says.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The text. In an access log it takes the place of the request line.
    #[schemars(length(min = 1, max = 8000))]
    pub value: String,
    /// How often, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: i32,
    /// The httpd module that says it (error log), such as `core` or `authz_core`. Absent: core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z0-9_]+$"))]
    pub module: Option<String>,
    /// Whether it is about a client's connection (error log): `[client ADDRESS:PORT]`.
    #[serde(default)]
    pub client: bool,
}

/// How a heartbeat looks in an access log.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatStyle {
    /// A kubelet's probe: `"GET /healthz HTTP/1.1" 200 ... "kube-probe/1.33"`.
    KubeProbe,
    /// httpd's wake-up call to itself: `"OPTIONS * HTTP/1.0" 200 ... (internal dummy connection)"`.
    InternalDummyConnection,
    /// A line with nothing but the message: `- - - [time] "HEARTBEAT" - -`. No parser of Apache's
    /// formats takes it.
    Message,
}
