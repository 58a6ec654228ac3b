//! An access log of a document: its rules and its default streams. Pure.

use visor_logs::{access_format::TokenPlace, resolved};

use super::{AccessFormat, AccessLog, Format, RequestChoices, notes};
use crate::{
    log_format::{Directive, Field, Item, NamedDirective, Namespace, TimeFormat},
    message::shown,
    messages, nginx_log_format,
    problem::{Notes, Path, Problem},
    source::{
        Generator, HeartbeatStyle, Release, Stream, StreamKind,
        choice::rules::{self, weights},
        log::{Common, Log, format_string},
    },
};

impl Log for AccessLog {
    fn check(&self, path: &Path, problems: &mut Vec<Problem>) {
        let (format, nginx) = (self.log_format.as_ref(), self.nginx_log_format.as_ref());
        let is_apache = self.format == AccessFormat::Custom;
        let is_nginx = self.format == AccessFormat::NginxCustom;
        let apache_messages = (messages::FORMAT_MISSING, messages::FORMAT_UNUSED);
        let nginx_messages = (messages::NGINX_FORMAT_MISSING, messages::NGINX_FORMAT_UNUSED);
        format_string(&path.field("logFormat"), format, is_apache, apache_messages, problems);
        format_string(&path.field("nginxLogFormat"), nginx, is_nginx, nginx_messages, problems);
        self.content.check(path, problems);
        directives(path, self, &self.content, problems);
    }

    fn check_stream(&self, path: &Path, stream: &Stream, problems: &mut Vec<Problem>) {
        let mut add = |path: Path, message: &str| problems.push(Problem::new(path, message));
        if stream.kind.is_level() {
            let message = "an access log has no levels; use Access or Heartbeat, or move the \
                           stream to a generator with `error`";
            add(path.field("kind"), message);
        }
        if stream.kind == StreamKind::Heartbeat
            && stream.heartbeat.is_some_and(|style| style != HeartbeatStyle::Message)
            && !stream.messages.is_empty()
        {
            let message = "this style has no message; use Message, or remove `messages`";
            add(path.field("heartbeat"), message);
        }
        for (index, message) in stream.messages.iter().enumerate() {
            let path = path.field("messages").index(index);
            if message.module.is_some() {
                add(path.field("module"), "only an error log has modules; remove it");
            }
            if message.client {
                let message = "only an error log has clients in its messages; remove it";
                add(path.field("client"), message);
            }
        }
    }

    fn check_generator(
        &self,
        path: &Path,
        generator: &Generator,
        common: Common,
        problems: &mut Vec<Problem>,
    ) {
        for (index, stream) in generator.streams.iter().enumerate() {
            if let Some(content) = &stream.access {
                let path = path.field("streams").index(index).field("access");
                directives(&path, self, content, problems);
            }
        }
        if common.tokens {
            self.check_tokens(path, generator, problems);
        }
        if common.release == Some(Release::V2_2_34) {
            unknown_directives(&path.field("access").field("logFormat"), self, problems);
        }
    }

    fn notes(&self, path: &Path, generator: &Generator, common: Common, notes: &mut Notes<'_>) {
        notes::choices(path, self, generator, notes);
        notes::malformed_requests(path, self, generator, common.release, notes);
    }

    fn has_local_time(&self) -> bool {
        match self.resolved_format() {
            Some(Format::LogFormat(format)) => format.items.iter().any(is_local_time),
            Some(Format::Nginx(format)) => format.items.iter().any(is_local_variable),
            Some(Format::Foreign(_)) => false,
            None => true,
        }
    }

    fn default_streams(&self) -> &'static [(&'static str, StreamKind)] {
        &[("heartbeat", StreamKind::Heartbeat), ("requests", StreamKind::Access)]
    }

    fn resolve(&self, generator: &Generator, common: Common) -> Option<resolved::Log> {
        Some(resolved::Log::Access(Box::new(self.resolved(generator, common)?)))
    }
}

impl AccessLog {
    /// Lines that have no room for a token.
    fn check_tokens(&self, path: &Path, generator: &Generator, problems: &mut Vec<Problem>) {
        let log = path.field("access");
        let Some(format) = self.resolved_format() else { return };
        let Some(place) = self.token_place(&format) else {
            let field = match self.format {
                AccessFormat::Custom => "logFormat",
                AccessFormat::NginxCustom => "nginxLogFormat",
                _ => "format",
            };
            let message = "its lines have no room for a token: neither the request target, nor the \
                           referer, nor `%{UNIQUE_ID}e`; add one of them without a condition, or \
                           leave tokens out";
            return problems.push(Problem::new(log.field(field), message));
        };
        let streams = path.field("streams");
        let mut add = |path: Path, what: &str| {
            let message =
                format!("{what} has no room for a token; remove this, or leave tokens out");
            problems.push(Problem::new(path, message));
        };
        if self.content.malformed_requests == Some(true) {
            add(log.field("malformedRequests"), "a malformed request");
        }
        for (index, stream) in generator.streams.iter().enumerate() {
            let path = streams.index(index);
            if stream.access.as_ref().is_some_and(|own| own.malformed_requests == Some(true)) {
                add(path.field("access").field("malformedRequests"), "a malformed request");
            }
            if stream.heartbeat == Some(HeartbeatStyle::InternalDummyConnection)
                && place == TokenPlace::Target
            {
                add(path.field("heartbeat"), "`OPTIONS *`");
            }
        }
    }
}

impl RequestChoices {
    pub(crate) fn check(&self, path: &Path, problems: &mut Vec<Problem>) {
        if let Some(pool) = &self.clients {
            pool.check(&path.field("clients"), problems);
        }
        for (name, list, may_be_empty) in [
            ("users", &self.users, true),
            ("methods", &self.methods, false),
            ("protocols", &self.protocols, false),
            ("referers", &self.referers, true),
            ("userAgents", &self.user_agents, true),
            ("virtualHosts", &self.virtual_hosts, true),
        ] {
            let path = path.field(name);
            rules::choices(&path, list, problems);
            for (index, choice) in list.iter().enumerate() {
                if choice.value.is_empty() && !may_be_empty {
                    let message = "must not be empty; a request line has three parts";
                    problems.push(Problem::new(path.index(index).field("value"), message));
                }
            }
        }
        let targets = path.field("targets");
        for (index, target) in self.targets.iter().enumerate() {
            rules::length(&targets.index(index).field("value"), &target.value, problems);
        }
        weights(&targets, self.targets.iter().map(|one| one.weight), problems);
        weights(&path.field("statuses"), self.statuses.iter().map(|one| one.weight), problems);
        weights(&path.field("sizes"), self.sizes.iter().map(|one| one.weight), problems);
        for (index, range) in self.sizes.iter().enumerate() {
            if range.min > range.max {
                problems.push(Problem::reversed(
                    &path.field("sizes").index(index),
                    range.min,
                    range.max,
                ));
            }
        }
        weights(&path.field("durations"), self.durations.iter().map(|one| one.weight), problems);
        for (index, range) in self.durations.iter().enumerate() {
            if range.min > range.max {
                problems.push(Problem::reversed(
                    &path.field("durations").index(index),
                    range.min,
                    range.max,
                ));
            }
        }
        for (index, values) in self.directives.iter().enumerate() {
            let path = path.field("directives").index(index).field("values");
            rules::choices(&path, &values.values, problems);
        }
    }
}

/// Values for directives that never take them: the format has no such directive, or the directive
/// has a list of its own. `content` is that of the log, or of one of its streams.
fn directives(path: &Path, log: &AccessLog, content: &RequestChoices, problems: &mut Vec<Problem>) {
    let path = path.field("directives");
    let format = match log.format {
        AccessFormat::Custom | AccessFormat::NginxCustom => log.resolved_format(),
        _ if content.directives.is_empty() => return,
        _ => {
            let message = "only a custom format has directives with values; use \
                           `format: Custom` with `logFormat`, or remove them";
            return problems.push(Problem::new(path, message));
        }
    };
    let Some(format) = format else { return };
    for (index, values) in content.directives.iter().enumerate() {
        let path = path.index(index).field("directive");
        let Some(NamedDirective { namespace, name }) = values.directive.known() else { continue };
        let own_list = match name.to_ascii_lowercase().as_str() {
            _ if *namespace != Namespace::RequestHeader => None,
            "referer" => Some("referers"),
            "user-agent" => Some("userAgents"),
            _ => None,
        };
        let directive = shown(values.directive.as_str());
        if let Some(list) = own_list {
            let message =
                format!("the values of `{directive}` belong in `{list}`; move them there");
            problems.push(Problem::new(path, message));
        } else if let Err(message) = shows(&format, *namespace, name, &directive) {
            problems.push(Problem::new(path, message));
        }
    }
}

/// Whether a format shows what this directive names.
///
/// # Errors
///
/// What to do if it doesn't.
fn shows(format: &Format, namespace: Namespace, name: &str, directive: &str) -> Result<(), String> {
    let named: Vec<_> = match format {
        Format::LogFormat(format) => format.items.iter().filter_map(Item::named).collect(),
        Format::Nginx(format) => {
            let Some(variable) = nginx_log_format::variable_of(namespace, name) else {
                return Err(format!(
                    "nginx has no variable for `{directive}`; remove these values"
                ));
            };
            let is_it = |item: &nginx_log_format::Item| match item {
                nginx_log_format::Item::Variable(name) => *name == variable,
                nginx_log_format::Item::Literal(_) => false,
            };
            return if format.items.iter().any(is_it) {
                Ok(())
            } else {
                Err(format!(
                    "`nginxLogFormat` has no `${variable}`; add it there, or remove these values"
                ))
            };
        }
        Format::Foreign(_) => Vec::new(),
    };
    if named.iter().any(|(n, other)| *n == namespace && other.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    Err(match nearest(name, &named) {
        Some(near) => {
            let near = shown(near);
            format!("`logFormat` has no `{directive}`; did you mean the name `{near}`?")
        }
        None => format!("`logFormat` has no `{directive}`; add it there, or remove these values"),
    })
}

/// The most similar name in the format, if one is similar.
fn nearest<'a>(name: &str, named: &[(Namespace, &'a str)]) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(name, other);
    let near = named.iter().map(|(_, other)| *other).min_by_key(|other| distance(other))?;
    (distance(near) <= near.len() / 3).then_some(near)
}

/// Directives that 2.2.34 doesn't have: it would not start.
fn unknown_directives(path: &Path, log: &AccessLog, problems: &mut Vec<Problem>) {
    let Some(Format::LogFormat(format)) = log.resolved_format() else { return };
    for item in &format.items {
        let Item::Directive(Directive { field, .. }) = item else { continue };
        let name = match field {
            Field::LogId => "%L",
            Field::BytesTransferred => "%S",
            Field::TimeToFirstByte => "%^FB",
            _ => continue,
        };
        let message =
            format!("httpd 2.2.34 has no directive `{name}`; remove it, or use a release of 2.4");
        problems.push(Problem::new(path.clone(), message));
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
