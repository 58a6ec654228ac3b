//! An error log: its format, and the subjects of its messages.

mod rules;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::{Choice, Clients};
use crate::{error_log_format::ErrorLogFormat, parsed::Parsed};
pub use visor_logs::error_format::{DOCUMENT_ROOT, ErrorFormat, Mpm};
use visor_logs::release::Release;

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
        let format = self.format.unwrap_or(ErrorFormat::of(release));
        format.definition(release, self.error_log_format.as_ref().and_then(Parsed::known))
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

fn document_root() -> String {
    DOCUMENT_ROOT.to_owned()
}
