//! A stream: one kind of line, with an interval and content of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use visor_logs::{StreamKind, resolved};

use crate::quantity::Duration;

use super::{
    NAME_PATTERN,
    access_log::RequestChoices,
    choice::{Weight, one},
    interval::{Interval, Surge},
};

/// One kind of line in a log. It is independent of all other streams.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// The name, unique within the generator: lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,

    /// The kind of line: Heartbeat in any log, Access in an access log, a level of httpd in an
    /// error log.
    pub kind: StreamKind,

    /// The distribution of the time between two lines. Default: depends on the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,

    /// The time from the start to the first line; 0s is immediately. Default: one interval, as if a
    /// line had just been written, or half of one if it is constant. Not for an unlimited stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_delay: Option<Duration>,

    /// Periods of more lines, or of fewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub surges: Vec<Surge>,

    /// The messages of a heartbeat or of a level. Default: httpd's messages of that level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub messages: Vec<Message>,

    /// The style of a heartbeat in an access log. Default: Message if there are messages, else
    /// KubeProbe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<HeartbeatStyle>,

    /// The choices for the requests of this Access stream. Default: the generator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<RequestChoices>,
}

impl Stream {
    /// When its lines are due, validated.
    pub(crate) fn timing(&self) -> resolved::Timing {
        let configured = self.resolved_interval();
        let surge = |surge: &Surge| resolved::Surge {
            every: surge.every,
            duration: surge.duration,
            factor: surge.factor.get(),
        };
        resolved::Timing {
            lines_per_second: configured.lines_per_second(),
            interval: configured.into(),
            initial_delay: self.initial_delay,
            surges: self.surges.iter().map(surge).collect(),
        }
    }
}

/// A weighted message.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The message. In an access log it replaces the request line.
    #[schemars(length(min = 1, max = 8000))]
    pub value: String,
    /// The weight, in proportion to the sum of the list's weights.
    #[serde(default = "one")]
    pub weight: Weight,
    /// The httpd module that logs it (error log), such as `core` or `authz_core`. Default: core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z0-9_]+$"))]
    pub module: Option<String>,
    /// Whether it is about a client's connection (error log): `[client ADDRESS:PORT]`.
    #[serde(default)]
    pub client: bool,
}

/// The style of a heartbeat in an access log.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatStyle {
    /// A probe of a kubelet: `"GET /healthz HTTP/1.1" 200 ... "kube-probe/1.33"`
    KubeProbe,
    /// httpd's internal dummy connection: `"OPTIONS * HTTP/1.0" 200 ... (internal dummy
    /// connection)"`
    InternalDummyConnection,
    /// Only a message: `- - - [time] "HEARTBEAT" - -`, which parsers of Apache's formats don't
    /// accept
    Message,
}
