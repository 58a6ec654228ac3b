//! Notes about fields that have no effect, because another field says so: the document is valid, but
//! it doesn't do what its author may expect. Pure.

use crate::{
    error_log_format::Value,
    log_format::{Directive, Field, Item, NamedDirective, Namespace, TimeFormat},
    nginx_log_format,
    problem::{Path, Problem},
    quantity::Duration,
    source::{
        AccessLog, Compression, DirectiveValues, ErrorLog, FakeLogSourceSpec, Format, Generator,
        LogKind, Mpm, Output, PersistentVolumeClaim, PodTemplate, Release, RequestChoices, Stream,
        StreamKind, Volume, VolumeAccessMode, Workload,
    },
};

/// The fields of a source.
pub(super) fn notes(path: &Path, spec: &FakeLogSourceSpec, notes: &mut Vec<Problem>) {
    let mut note = Notes { notes };
    replicas(path, spec, &mut note);
    volume(&path.field("volume"), spec, &mut note);
    if let Some(template) = &spec.pod_template {
        pod_template(&path.field("podTemplate"), template, &mut note);
    }
    if spec.time_zone.as_str() != "UTC" && !spec.generators.iter().any(writes_local_time) {
        note.add(path.field("timeZone"), "no line contains a local time");
    }
    let end = spec.stop_after.as_ref().and_then(|stop| stop.duration);
    for (index, generator) in spec.generators.iter().enumerate() {
        let path = path.field("generators").index(index);
        rotation(&path.field("output"), &generator.output, &mut note);
        if let Some(log) = &generator.access {
            access(&path, log, generator, &mut note);
            malformed_requests(&path, log, generator, spec.release(), &mut note);
        }
        if let Some(log) = &generator.error {
            let release = log.release(spec.release());
            error(&path, log, generator, release, &mut note);
        }
        if let Some(end) = end {
            for (index, stream) in generator.streams.iter().enumerate() {
                after_the_end(&path.field("streams").index(index), stream, end, &mut note);
            }
        }
    }
}

struct Notes<'a> {
    notes: &'a mut Vec<Problem>,
}

impl Notes<'_> {
    fn add(&mut self, path: Path, why: impl std::fmt::Display) {
        self.notes.push(Problem::new(path, format!("has no effect: {why}")));
    }
}

fn replicas(path: &Path, spec: &FakeLogSourceSpec, note: &mut Notes<'_>) {
    let why = match spec.workload {
        Some(Workload::DaemonSet) => "a DaemonSet runs one pod on each node",
        Some(Workload::Sidecar) => "generators are injected into pods of other workloads",
        _ => return,
    };
    if spec.replicas != FakeLogSourceSpec::DEFAULT_REPLICAS {
        note.add(path.field("replicas"), why);
    }
}

fn volume(path: &Path, spec: &FakeLogSourceSpec, note: &mut Notes<'_>) {
    let Some(volume) = &spec.volume else { return };
    let writes_files =
        spec.generators.iter().any(|generator| matches!(generator.output, Output::File(_)));
    let template = spec.pod_template.as_ref();
    let has_containers = template.is_some_and(has_containers);
    if spec.workload != Some(Workload::Sidecar) && !writes_files && !has_containers {
        note.add(path.clone(), "no generator writes a file");
    }
    let Volume::PersistentVolumeClaim(claim) = volume else { return };
    let PersistentVolumeClaim { claim_name, storage_class_name, size, access_mode } = claim;
    let Some(name) = claim_name else { return };
    let path = path.field("persistentVolumeClaim");
    for (field, is_set) in [
        ("storageClassName", storage_class_name.is_some()),
        ("size", size.is_some()),
        ("accessMode", *access_mode != VolumeAccessMode::default()),
    ] {
        if is_set {
            note.add(path.field(field), format!("no claim is created, `{name}` is used"));
        }
    }
}

fn has_containers(template: &PodTemplate) -> bool {
    !template.containers.is_empty() || !template.init_containers.is_empty()
}

fn pod_template(path: &Path, template: &PodTemplate, note: &mut Notes<'_>) {
    if template.automount_service_account_token.is_some() && !has_containers(template) {
        let why = "there are no containers besides the generator, which never has the token";
        note.add(path.field("automountServiceAccountToken"), why);
    }
    let containers = || template.init_containers.iter().chain(&template.containers);
    for (index, volume) in template.volumes.iter().enumerate() {
        let is_mounted = containers()
            .flat_map(|container| container.volume_mounts.iter().flatten())
            .any(|mount| mount.name == volume.name);
        if !is_mounted {
            note.add(path.field("volumes").index(index), "no container mounts this volume");
        }
    }
}

fn rotation(path: &Path, output: &Output, note: &mut Notes<'_>) {
    let Output::File(file) = output else { return };
    let Some(rotation) = &file.rotation else { return };
    let path = path.field("file").field("rotation");
    let is_compressed = rotation.compress != Compression::None;
    if rotation.keep.get() == 0 && is_compressed {
        note.add(path.field("compress"), "with `keep: 0` there are no rotated files");
    }
    if rotation.delay_compress && !is_compressed {
        note.add(path.field("delayCompress"), "rotated files are not compressed");
    } else if rotation.delay_compress && rotation.keep.get() == 1 {
        let why = "with `keep: 1` a rotated file is removed when it would be compressed";
        note.add(path.field("delayCompress"), why);
    }
}

/// Times that a run of this duration doesn't reach.
fn after_the_end(path: &Path, stream: &Stream, end: Duration, note: &mut Notes<'_>) {
    if let Some(delay) = stream.initial_delay.filter(|delay| *delay >= end) {
        let why = format!("no line is due: the source ends after {end}, this is {delay}");
        note.notes.push(Problem::new(path.field("initialDelay"), why));
    }
    for (index, surge) in stream.surges.iter().enumerate() {
        if surge.every >= end {
            let path = path.field("surges").index(index);
            note.add(path, format!("the source ends after {end}, before the first surge"));
        }
    }
}

/// Whether lines of a generator depend on the time zone.
fn writes_local_time(generator: &Generator) -> bool {
    match (&generator.access, &generator.error) {
        (Some(log), None) => match log.resolved_format() {
            Some(Format::LogFormat(format)) => format.items.iter().any(is_local_time),
            Some(Format::Nginx(format)) => format.items.iter().any(is_local_variable),
            Some(Format::Foreign(_)) => false,
            None => true,
        },
        (None, Some(log)) => log.resolved_format(Release::PRESENT).is_none_or(|format| {
            format.items.iter().any(|item| matches!(item.value, Value::Time(_)))
        }),
        _ => true,
    }
}

fn is_local_time(item: &Item) -> bool {
    let Item::Directive(Directive { field: Field::Time { format, .. }, .. }) = item else {
        return false;
    };
    matches!(format, TimeFormat::Clf | TimeFormat::Strftime(_))
}

fn is_local_variable(item: &nginx_log_format::Item) -> bool {
    let nginx_log_format::Item::Variable(name) = item else { return false };
    matches!(name.as_str(), "time_local" | "time_iso8601" | "date_local")
}

/// The choices of an access log and of its streams.
fn access(path: &Path, log: &AccessLog, generator: &Generator, note: &mut Notes<'_>) {
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
fn malformed_requests(
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

/// The subjects of an error log's messages.
fn error(
    path: &Path,
    log: &ErrorLog,
    generator: &Generator,
    release: Release,
    note: &mut Notes<'_>,
) {
    let has_own_messages =
        |stream: &Stream| stream.kind == StreamKind::Heartbeat || !stream.messages.is_empty();
    let all_own = !generator.streams.is_empty() && generator.streams.iter().all(has_own_messages);
    let messages = || generator.streams.iter().flat_map(|stream| &stream.messages);
    let has_clients =
        !all_own || messages().any(|message| message.client && message.weight.get() > 0);
    let of_log = path.field(LogKind::Error.field());
    if log.clients.is_some() && !has_clients {
        note.add(of_log.field("clients"), "no message is about a client (`client: true`)");
    }
    if !log.referers.is_empty() && !has_clients {
        note.add(of_log.field("referers"), "no message is about a client (`client: true`)");
    }
    let format = log.resolved_format(release);
    let has_item = |is_it: fn(&Value) -> bool| {
        let items = format.as_ref().map(|format| &format.items);
        items.is_none_or(|items| items.iter().any(|item| is_it(&item.value)))
    };
    let shows_clients = |value: &Value| match value {
        Value::ClientAddressAndPort | Value::ClientAddress => true,
        Value::RequestHeader(name) => name.eq_ignore_ascii_case("X-Forwarded-For"),
        _ => false,
    };
    let shows_referers = |value: &Value| match value {
        Value::RequestHeader(name) => name.eq_ignore_ascii_case("Referer"),
        _ => false,
    };
    if log.clients.is_some() && has_clients && !has_item(shows_clients) {
        note.add(of_log.field("clients"), "`errorLogFormat` has no item that shows it");
    }
    if !log.referers.is_empty() && has_clients && !has_item(shows_referers) {
        note.add(of_log.field("referers"), "`errorLogFormat` has no item that shows it");
    }
    if log.document_root != ErrorLog::default().document_root && all_own {
        let why = "every stream has its own `messages`, which name their files themselves";
        note.add(of_log.field("documentRoot"), why);
    }
    if release != Release::V2_2_34 {
        return;
    }
    if log.mpm != Mpm::default() && all_own {
        let why = "lines of httpd 2.2 have no process and no thread";
        note.add(of_log.field("mpm"), why);
    }
    for (index, stream) in generator.streams.iter().enumerate() {
        let path = path.field("streams").index(index).field("messages");
        for (index, message) in stream.messages.iter().enumerate() {
            if message.module.is_some() {
                let why = "lines of httpd 2.2 don't name the module";
                note.add(path.index(index).field("module"), why);
            }
        }
    }
}
