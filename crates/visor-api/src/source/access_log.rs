//! An access log: its format, and the choices for its requests.

mod notes;
mod resolve;
mod rules;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use visor_logs::access_format::{AccessFormat, ForeignFormat, Format};
use visor_logs::access_format::{Definition, TokenPlace};

use super::choice::{Choice, Clients, DurationRange, RequestTarget, SizeRange, StatusChoice};
use crate::{
    log_format::{LogFormat, NamedDirective, Namespace},
    nginx_log_format::NginxLogFormat,
    parsed::{Meaning, Parsed},
};

/// An access log.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AccessLog {
    /// The format of the lines.
    #[serde(default)]
    pub format: AccessFormat,

    /// The format string if `format` is Custom, as in Apache's LogFormat directive: `%h %l %u %t
    /// "%r" %>s %b %D`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub log_format: Option<Parsed<LogFormat>>,

    /// The format string if `format` is `NginxCustom`, as in nginx's `log_format` directive after its
    /// name:
    /// `$remote_addr [$time_local] "$request" $status`, or with another escaping in front of it:
    /// `escape=json {"time":"$time_iso8601"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub nginx_log_format: Option<Parsed<NginxLogFormat>>,

    /// The choices for its requests.
    #[serde(flatten)]
    pub content: RequestChoices,
}

/// The choices for requests: each field of a request has a list of weighted values. The default of
/// each list is the default server's.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestChoices {
    /// Whether one of 250 requests is malformed, as those of scanners are: without a request line
    /// (408), with other bytes instead of one (400), of HTTP/0.9, very long, or too long (414). They
    /// have lines of their own, to which the lists below don't apply. Releases from 2.4.59 on; not in
    /// formats of nginx. Default: true, but false with lists of the document's own or the format
    /// Custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed_requests: Option<bool>,

    /// The clients' addresses (`%h`, `%a`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,

    /// The authenticated users (`%u`). The value `-` is a request without one; an empty one is
    /// written as `""`.
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
    pub targets: Vec<RequestTarget>,

    /// The protocols (`%H`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub protocols: Vec<Choice>,

    /// The status codes (`%>s`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub statuses: Vec<StatusChoice>,

    /// The sizes of response bodies (`%b`) for targets without a size. Responses without a body,
    /// such as a 304 or one to a HEAD request, have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub sizes: Vec<SizeRange>,

    /// The referers (`%{Referer}i`). The value `-` is a request without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub referers: Vec<Choice>,

    /// The user agents (`%{User-Agent}i`). The value `-` is a request without one.
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

    /// The values of further directives of a custom format, such as `%{X-Request-Id}i` or
    /// `%{JSESSIONID}C`; in a format of nginx, these are `$http_x_request_id` and
    /// `$cookie_jsessionid`. A directive without values is written as `-`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["directive"])
    )]
    pub directives: Vec<DirectiveValues>,
}

impl AccessLog {
    /// The format of its lines; `None` if its string is missing or not a format.
    pub(crate) fn resolved_format(&self) -> Option<Format> {
        Some(match self.format.definition() {
            Definition::LogFormat(text) => Format::LogFormat(LogFormat::parse(text).ok()?),
            Definition::Custom => Format::LogFormat(self.log_format.as_ref()?.known()?.clone()),
            Definition::Nginx(text) => Format::Nginx(NginxLogFormat::parse(text).ok()?),
            Definition::NginxCustom => {
                Format::Nginx(self.nginx_log_format.as_ref()?.known()?.clone())
            }
            Definition::Foreign(format) => Format::Foreign(format),
        })
    }
}

impl AccessLog {
    /// Where its lines have room for a token; `None` if they have none.
    pub(crate) fn token_place(&self, format: &Format) -> Option<TokenPlace> {
        let is_own = |values: &DirectiveValues| {
            values.directive.known().is_some_and(|directive| {
                directive.namespace == Namespace::Environment && directive.name == "UNIQUE_ID"
            })
        };
        let has_own = self.content.directives.iter().any(is_own);
        format.token_places().into_iter().find(|place| !has_own || *place != TokenPlace::Id)
    }
}

impl RequestChoices {
    /// Whether some of the requests are malformed.
    pub(crate) fn has_malformed_requests(&self, format: AccessFormat) -> bool {
        let has_no_lists = || {
            let clients = self.clients.clone();
            *self == Self { clients, malformed_requests: None, ..Self::default() }
        };
        let is_default = || format != AccessFormat::Custom && has_no_lists();
        !format.is_of_nginx() && self.malformed_requests.unwrap_or_else(is_default)
    }
}

/// The values of a directive that names a header, a cookie, a note or a variable.
#[derive(Serialize, Deserialize, JsonSchema, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DirectiveValues {
    /// The directive as in the format string: `%{NAME}i` (request header), `%{NAME}o` (response
    /// header), `%{NAME}C` (cookie), `%{NAME}n` (note), `%{NAME}e` (environment variable) or
    /// `%{NAME}x` (TLS variable).
    #[schemars(length(min = 5, max = 256), regex(pattern = r"^%\{[^{}]+\}[ioCnex]$"))]
    pub directive: Parsed<NamedDirective>,
    /// The values. The value `-` is an absent one.
    #[schemars(length(min = 1, max = 1024))]
    pub values: Vec<Choice>,
}
