//! The formats of an access log: how a document names them, and what each of them is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, VariantNames};

use crate::log_format::LogFormat;

/// The formats of an access log: Apache's by its own nicknames, and others.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    EnumString,
    VariantNames,
)]
#[strum(ascii_case_insensitive)]
pub enum AccessFormat {
    /// `%h %l %u %t "%r" %>s %b`
    Common,
    /// Common and ` "%{Referer}i" "%{User-Agent}i"`
    #[default]
    Combined,
    /// Combined and ` %I %O`
    CombinedIo,
    /// `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`
    VhostCombined,
    /// A JSON object a line, with the names of the Elastic Common Schema and times in UTC.
    Json,
    /// The string in `logFormat`.
    Custom,
}

/// A format that no LogFormat can say, because it escapes or leaves out what Apache doesn't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignFormat {
    /// [`AccessFormat::Json`]
    Json,
}

/// A format, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Format {
    /// One of Apache's LogFormat directive.
    LogFormat(LogFormat),
    /// None of Apache's.
    Foreign(ForeignFormat),
}

/// What the name of a format stands for.
pub(crate) enum Definition {
    /// A string of Apache's LogFormat directive.
    LogFormat(&'static str),
    /// The string of the document.
    Custom,
    /// None of Apache's.
    Foreign(ForeignFormat),
}

impl AccessFormat {
    /// What the name stands for. The strings are those of httpd's own configuration.
    pub(crate) const fn definition(self) -> Definition {
        Definition::LogFormat(match self {
            Self::Common => r#"%h %l %u %t "%r" %>s %b"#,
            Self::Combined => r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#,
            Self::CombinedIo => r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O"#,
            Self::VhostCombined => {
                r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#
            }
            Self::Json => return Definition::Foreign(ForeignFormat::Json),
            Self::Custom => return Definition::Custom,
        })
    }
}
