//! The server whose logs a source writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::release::Release;

/// The server whose logs these are.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// The release of httpd: it determines the messages of error logs with their numbers, modules
    /// and source lines, thread IDs, the default format of error logs, the sizes of error pages,
    /// and what the server calls itself. Default: 2.4.71, or 2.2.34 for an error log with the format Httpd22.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}
