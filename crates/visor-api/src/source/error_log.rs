//! An error log: its format, and the subjects of its messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::choice::{Choice, Clients};
use crate::{error_log_format::ErrorLogFormat, parsed::Parsed, release::Release};

/// An error log.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ErrorLog {
    /// The format of the lines. Default: that of `server.release`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<ErrorFormat>,

    /// The format string if `format` is Custom, as in Apache's ErrorLogFormat directive: `[%{cu}t]
    /// [%-m:%l] %E: [client\ %a] %M`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub error_log_format: Option<Parsed<ErrorLogFormat>>,

    /// The multi-processing module (MPM). Prefork has no threads: in lines of 2.4.59 it has no `:tid`,
    /// in later ones that of the process.
    #[serde(default)]
    pub mpm: Mpm,

    /// The clients' addresses (`[client ADDRESS:PORT]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,

    /// The directory of the files that messages are about.
    #[serde(default = "document_root")]
    #[schemars(length(min = 1, max = 4096), regex(pattern = "^/"))]
    pub document_root: String,

    /// The referers of requests (`, referer: PAGE`). The value `-` is a request without one. Default:
    /// those of the default server for httpd's messages, none for configured ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub referers: Vec<Choice>,
}

impl ErrorLog {
    /// The release of httpd whose messages these are, if the source has this one configured.
    pub fn release(&self, configured: Option<Release>) -> Release {
        configured.unwrap_or_else(|| self.format.unwrap_or_default().latest_release())
    }

    /// The format of its lines in this release; `None` if its string is missing or not a format.
    pub(crate) fn resolved_format(&self, release: Release) -> Option<ErrorLogFormat> {
        let format = match (self.format, &self.error_log_format) {
            (Some(ErrorFormat::Custom), text) => text.as_ref()?.known()?.clone(),
            _ => ErrorLogFormat::default_of(release).ok()?,
        };
        Some(format.understood_by(release))
    }
}

impl Default for ErrorLog {
    fn default() -> Self {
        Self {
            format: None,
            error_log_format: None,
            mpm: Mpm::default(),
            clients: None,
            document_root: document_root(),
            referers: Vec::new(),
        }
    }
}

/// The formats of an error log: what httpd writes by default, or one of its ErrorLogFormat directive.
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
    IntoStaticStr,
    VariantNames,
)]
#[strum(ascii_case_insensitive)]
pub enum ErrorFormat {
    /// `[Www Mon DD HH:MM:SS.uuuuuu YYYY] [module:level] [pid P:tid T] ... [client IP:PORT] MESSAGE`
    #[default]
    Httpd24,
    /// `[Www Mon DD HH:MM:SS YYYY] [level] [client IP] MESSAGE`
    Httpd22,
    /// The format string in `errorLogFormat`; httpd 2.4 only
    Custom,
}

impl ErrorFormat {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The format of a release without an ErrorLogFormat.
    pub const fn of(release: Release) -> Self {
        match release {
            Release::V2_2_34 => Self::Httpd22,
            Release::V2_4_59 | Release::V2_4_71 => Self::Httpd24,
        }
    }

    /// The latest release with this format.
    const fn latest_release(self) -> Release {
        match self {
            Self::Httpd22 => Release::V2_2_34,
            Self::Httpd24 | Self::Custom => Release::PRESENT,
        }
    }
}

/// A multi-processing module (MPM) of httpd.
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
pub enum Mpm {
    /// Processes with threads, with a listener thread for idle connections
    #[default]
    Event,
    /// Processes with threads
    Worker,
    /// Processes without threads
    Prefork,
}

/// The default document root.
pub const DOCUMENT_ROOT: &str = "/var/www/html";

fn document_root() -> String {
    DOCUMENT_ROOT.to_owned()
}
