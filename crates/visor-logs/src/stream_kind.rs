//! The kinds of line. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

/// The kind of line that a stream writes.
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
    /// A heartbeat
    Heartbeat,
    /// A request
    Access,
    /// An error of level emerg
    Emerg,
    /// An error of level alert
    Alert,
    /// An error of level crit
    Crit,
    /// An error of level error
    Error,
    /// An error of level warn
    Warn,
    /// An error of level notice
    Notice,
    /// An error of level info
    Info,
    /// An error of level debug
    Debug,
    /// An error of level trace1
    Trace1,
    /// An error of level trace2
    Trace2,
    /// An error of level trace3
    Trace3,
    /// An error of level trace4
    Trace4,
    /// An error of level trace5
    Trace5,
    /// An error of level trace6
    Trace6,
    /// An error of level trace7
    Trace7,
    /// An error of level trace8
    Trace8,
}

impl StreamKind {
    /// The kind's name in lower case: for a level, httpd's name. It is the value of the metrics'
    /// label `kind`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether it is a level of httpd's error log.
    pub const fn is_level(self) -> bool {
        !matches!(self, Self::Heartbeat | Self::Access)
    }

    /// The number of the level, as httpd counts: 0 for emerg, 7 for debug, 15 for trace8.
    pub const fn severity(self) -> u8 {
        (self as u8).saturating_sub(Self::Emerg as u8)
    }

    /// Whether it is a level of trace, which httpd 2.2 doesn't have.
    pub fn is_trace(self) -> bool {
        self >= Self::Trace1
    }
}
