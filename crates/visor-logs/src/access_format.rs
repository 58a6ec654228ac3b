//! The formats of an access log by their names, and what these mean. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, VariantNames};

use crate::{
    log_format::LogFormat,
    nginx_log_format::{self, NginxLogFormat},
};

/// The formats of an access log: Apache's, by their nicknames, nginx's, and others.
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
    /// One JSON object per line, with the field names of the Elastic Common Schema and times in UTC
    Json,
    /// The format string in `logFormat`
    Custom,
    /// nginx's predefined format `combined`: `$remote_addr - $remote_user [$time_local] "$request"
    /// $status $body_bytes_sent "$http_referer" "$http_user_agent"`
    NginxCombined,
    /// The format string in `nginxLogFormat`
    NginxCustom,
}

/// A format that LogFormat can't express, because its escaping or its optional fields differ from
/// Apache's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForeignFormat {
    /// [`AccessFormat::Json`]
    Json,
}

/// A valid format.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Format {
    /// One of Apache's LogFormat directive.
    LogFormat(LogFormat),
    /// One of nginx's `log_format` directive.
    Nginx(NginxLogFormat),
    /// Another one.
    Foreign(ForeignFormat),
}

/// The meaning of a format's name.
pub enum Definition {
    /// A string of Apache's LogFormat directive.
    LogFormat(&'static str),
    /// The string in the document.
    Custom,
    /// A string of nginx's `log_format` directive.
    Nginx(&'static str),
    /// The string in the document.
    NginxCustom,
    /// Another one.
    Foreign(ForeignFormat),
}

impl AccessFormat {
    /// Whether it is one of nginx.
    pub const fn is_of_nginx(self) -> bool {
        matches!(self, Self::NginxCombined | Self::NginxCustom)
    }

    /// The meaning of the name. The strings are those of httpd's default configuration.
    pub const fn definition(self) -> Definition {
        Definition::LogFormat(match self {
            Self::Common => r#"%h %l %u %t "%r" %>s %b"#,
            Self::Combined => r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#,
            Self::CombinedIo => r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %I %O"#,
            Self::VhostCombined => {
                r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#
            }
            Self::Json => return Definition::Foreign(ForeignFormat::Json),
            Self::Custom => return Definition::Custom,
            Self::NginxCombined => return Definition::Nginx(nginx_log_format::COMBINED),
            Self::NginxCustom => return Definition::NginxCustom,
        })
    }
}
