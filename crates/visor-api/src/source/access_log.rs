//! An access log: its format, and what its requests are made of.

mod format;

pub(crate) use format::Definition;
pub use format::{AccessFormat, ForeignFormat, Format};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choice::{Choice, Clients, DurationRange, Resource, SizeRange, StatusChoice};

/// An access log.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AccessLog {
    /// The format of the lines.
    #[serde(default)]
    pub format: AccessFormat,

    /// The format string where `format` is Custom, as Apache's LogFormat directive takes it:
    /// `%h %l %u %t "%r" %>s %b %D`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub log_format: Option<String>,

    /// What the requests are made of.
    #[serde(flatten)]
    pub content: AccessContent,
}

/// What requests are made of: each a list of weighted choices. An absent one is the default
/// server's.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AccessContent {
    /// The clients' addresses (`%h`, `%a`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,

    /// The authenticated users (`%u`). A choice of `-` is a request without one; an empty one is
    /// written `""`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub users: Vec<Choice>,

    /// The request methods (`%m`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub methods: Vec<Choice>,

    /// The request targets (`%U` and `%q`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub resources: Vec<Resource>,

    /// The protocols (`%H`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub protocols: Vec<Choice>,

    /// The status codes (`%>s`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub statuses: Vec<StatusChoice>,

    /// The sizes of the bodies (`%b`) of resources that don't say theirs. Responses that have no
    /// body, such as a 304 or one to a HEAD request, stay without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub sizes: Vec<SizeRange>,

    /// The pages that the requests came from (`%{Referer}i`). A choice of `-` is a request without
    /// one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub referers: Vec<Choice>,

    /// The user agents (`%{User-Agent}i`). A choice of `-` is a request without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub user_agents: Vec<Choice>,

    /// The names of the virtual hosts (`%v`, `%V`, `%{Host}i`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub virtual_hosts: Vec<Choice>,

    /// The times to serve a request (`%D`, `%T`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub durations: Vec<DurationRange>,

    /// The values of other directives of a custom format, such as `%{X-Request-Id}i` or
    /// `%{JSESSIONID}C`. A directive without values is written `-`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["directive"])
    )]
    pub directives: Vec<DirectiveValues>,
}

/// The values of one directive that names a header, a cookie, a note or a variable.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DirectiveValues {
    /// The directive as the format string has it: `%{NAME}i` (request header), `%{NAME}o`
    /// (response header), `%{NAME}C` (cookie), `%{NAME}n` (note), `%{NAME}e` (environment) or
    /// `%{NAME}x` (TLS variable).
    #[schemars(length(min = 5, max = 256), regex(pattern = r"^%\{[^{}]+\}[ioCnex]$"))]
    pub directive: String,
    /// What it is replaced by. A choice of `-` is an absent one.
    #[schemars(length(min = 1, max = 1024))]
    pub values: Vec<Choice>,
}
