//! Notes about choices of an access log and of its streams that have no effect. Pure.

use super::{AccessLog, DirectiveValues, Format, RequestChoices};
use crate::{
    log_format::{Field, Item, NamedDirective, Namespace},
    nginx_log_format,
    problem::{Notes, Path},
    source::{Generator, Release, StreamKind},
};

/// The choices of an access log and of its streams.
pub(super) fn choices(path: &Path, log: &AccessLog, generator: &Generator, note: &mut Notes<'_>) {
    let written = log.resolved_format().map(|format| Written::by(&format));
    let check = |path: &Path, choices: &RequestChoices, note: &mut Notes<'_>| {
        if let Some(written) = &written {
            unwritten(path, log, written, choices, note);
        }
        sizes(path, choices, note);
        repeated(path, choices, note);
    };
    let own = path.field("access");
    check(&own, &log.content, note);
    let mut requests = Vec::new();
    for (index, stream) in generator.streams.iter().enumerate() {
        if stream.kind == StreamKind::Access {
            requests.push(stream);
        }
        if let Some(choices) = &stream.access {
            check(&path.field("streams").index(index).field("access"), choices, note);
        }
    }
    for (list, is_set) in LISTS {
        if !is_set(&log.content) || generator.streams.is_empty() {
            continue;
        }
        if requests.is_empty() {
            note.add(own.field(list), "the generator has no stream of kind Access");
        } else if requests.iter().all(|stream| stream.access.as_ref().is_some_and(is_set)) {
            let why = format!("every Access stream has its own `{list}`");
            note.add(own.field(list), why);
        }
    }
}

/// Malformed requests of a release or of a format that has none.
pub(super) fn malformed_requests(
    path: &Path,
    log: &AccessLog,
    generator: &Generator,
    release: Option<Release>,
    note: &mut Notes<'_>,
) {
    let why = match release {
        _ if log.format.is_of_nginx() => "malformed requests are those of httpd",
        Some(Release::V2_2_34) => "there are malformed requests for releases from 2.4.59 on",
        _ => return,
    };
    let streams = generator.streams.iter().enumerate();
    let of_streams = streams.filter_map(|(index, stream)| {
        Some((path.field("streams").index(index), stream.access.as_ref()?))
    });
    for (path, choices) in [(path.clone(), &log.content)].into_iter().chain(of_streams) {
        if choices.malformed_requests == Some(true) {
            let path = path.field("access").field("malformedRequests");
            note.add(path, why);
        }
    }
}

type IsSet = fn(&RequestChoices) -> bool;

/// The lists of choices for requests.
const LISTS: [(&str, IsSet); 12] = [
    ("clients", |choices| choices.clients.is_some()),
    ("users", |choices| !choices.users.is_empty()),
    ("methods", |choices| !choices.methods.is_empty()),
    ("targets", |choices| !choices.targets.is_empty()),
    ("protocols", |choices| !choices.protocols.is_empty()),
    ("statuses", |choices| !choices.statuses.is_empty()),
    ("sizes", |choices| !choices.sizes.is_empty()),
    ("referers", |choices| !choices.referers.is_empty()),
    ("userAgents", |choices| !choices.user_agents.is_empty()),
    ("virtualHosts", |choices| !choices.virtual_hosts.is_empty()),
    ("durations", |choices| !choices.durations.is_empty()),
    ("directives", |choices| !choices.directives.is_empty()),
];

/// The lists that the lines of a format show, directly or by a number that depends on them.
struct Written(Vec<&'static str>);

impl Written {
    fn by(format: &Format) -> Self {
        match format {
            Format::Foreign(_) => Self(LISTS.iter().map(|(list, _)| *list).collect()),
            Format::LogFormat(format) => {
                // Values of directives that the format doesn't have are problems, not notes.
                let own = ["directives"].into_iter();
                Self(own.chain(format.items.iter().flat_map(lists_of)).collect())
            }
            Format::Nginx(format) => {
                let own = ["directives"].into_iter();
                Self(own.chain(format.items.iter().flat_map(lists_of_variable)).collect())
            }
        }
    }

    fn has(&self, list: &str) -> bool {
        self.0.contains(&list)
    }
}

/// The lists on which the bytes received depend.
const OF_BYTES_RECEIVED: [&str; 8] = [
    "sizes",
    "targets",
    "methods",
    "statuses",
    "protocols",
    "referers",
    "userAgents",
    "virtualHosts",
];

/// The lists that an item of a format shows.
fn lists_of(item: &Item) -> Vec<&'static str> {
    let Item::Directive(directive) = item else { return Vec::new() };
    let mut lists = match &directive.field {
        Field::RemoteHost | Field::ClientAddress => vec!["clients"],
        Field::RemoteUser => vec!["users"],
        Field::RequestLine => vec!["methods", "targets", "protocols"],
        Field::Method => vec!["methods"],
        Field::Path | Field::Query | Field::Filename => vec!["targets"],
        Field::Protocol => vec!["protocols"],
        // Targets and methods of the default server have statuses of their own.
        Field::Status => vec!["statuses", "methods", "targets"],
        // A status or a HEAD request may leave out the body.
        Field::BodyBytes | Field::BodyBytesOrDash | Field::BytesOut => {
            vec!["sizes", "targets", "methods", "statuses"]
        }
        Field::BytesIn | Field::BytesTransferred => OF_BYTES_RECEIVED.to_vec(),
        Field::Time { end: false, .. } | Field::Duration(_) | Field::TimeToFirstByte => {
            vec!["durations"]
        }
        Field::ServerName | Field::VirtualHost => vec!["virtualHosts"],
        Field::Named(..) => item.named().map_or_else(Vec::new, |(namespace, name)| {
            lists_of_name(namespace, &name.to_ascii_lowercase())
        }),
        _ => Vec::new(),
    };
    if directive.condition.is_some() {
        lists.push("statuses");
    }
    lists
}

/// The lists that an item of nginx shows.
fn lists_of_variable(item: &nginx_log_format::Item) -> Vec<&'static str> {
    let nginx_log_format::Item::Variable(name) = item else { return Vec::new() };
    match name.as_str() {
        "remote_addr"
        | "binary_remote_addr"
        | "realip_remote_addr"
        | "http_x_forwarded_for"
        | "proxy_add_x_forwarded_for" => vec!["clients"],
        "remote_user" => vec!["users"],
        "request" => vec!["methods", "targets", "protocols"],
        "request_method" => vec!["methods"],
        "request_uri" | "uri" | "document_uri" | "args" | "query_string" | "is_args"
        | "request_filename" => vec!["targets"],
        "server_protocol" => vec!["protocols"],
        "status" => vec!["statuses", "methods", "targets"],
        "body_bytes_sent" | "bytes_sent" => vec!["sizes", "targets", "methods", "statuses"],
        "request_length" => OF_BYTES_RECEIVED.to_vec(),
        "request_time" | "connection_time" => vec!["durations"],
        "host" | "http_host" | "server_name" => vec!["virtualHosts"],
        "http_referer" => vec!["referers"],
        "http_user_agent" => vec!["userAgents"],
        "sent_http_content_type" => vec!["targets", "statuses", "methods"],
        name if name.starts_with("arg_") => vec!["targets"],
        _ => Vec::new(),
    }
}

fn lists_of_name(namespace: Namespace, name: &str) -> Vec<&'static str> {
    match (namespace, name) {
        (Namespace::RequestHeader, "referer") => vec!["referers"],
        (Namespace::RequestHeader, "user-agent") => vec!["userAgents"],
        (Namespace::RequestHeader, "host") => vec!["virtualHosts"],
        (Namespace::RequestHeader, "x-forwarded-for") => vec!["clients"],
        (Namespace::ResponseHeader, "content-type") => vec!["targets", "statuses", "methods"],
        _ => Vec::new(),
    }
}

/// Lists that the format doesn't show.
fn unwritten(
    path: &Path,
    log: &AccessLog,
    written: &Written,
    choices: &RequestChoices,
    note: &mut Notes<'_>,
) {
    for (list, is_set) in LISTS {
        if is_set(choices) && !written.has(list) {
            let why = match &log.log_format {
                Some(_) => "`logFormat` has no directive that shows it".to_owned(),
                None if log.nginx_log_format.is_some() => {
                    "`nginxLogFormat` has no variable that shows it".to_owned()
                }
                None => format!("the format {:?} doesn't show it", log.format),
            };
            note.add(path.field(list), why);
        }
    }
}

/// Sizes, where every target has its own.
fn sizes(path: &Path, choices: &RequestChoices, note: &mut Notes<'_>) {
    let targets = &choices.targets;
    let all_have_sizes =
        targets.iter().all(|target| target.size.is_some() || target.weight.get() == 0);
    if !choices.sizes.is_empty() && !targets.is_empty() && all_have_sizes {
        note.add(path.field("sizes"), "every target has its own `size`");
    }
}

/// Values of a directive that has values already.
fn repeated(path: &Path, choices: &RequestChoices, note: &mut Notes<'_>) {
    let key = |values: &DirectiveValues| {
        let NamedDirective { namespace, name } = values.directive.known()?;
        Some((*namespace, name.to_ascii_lowercase()))
    };
    let keys: Vec<_> = choices.directives.iter().map(key).collect();
    for (index, one) in keys.iter().enumerate() {
        let first = keys.iter().position(|other| other == one);
        if let Some(first) = first.filter(|first| *first < index && one.is_some()) {
            let why = format!("`directives[{first}]` has values for the same directive");
            note.add(path.field("directives").index(index), why);
        }
    }
}
