//! Rules for what lines consist of: formats, weighted choices, ranges and networks.

use super::{messages, timing::reversed};
use crate::{
    error_log_format::{self, ErrorLogFormat},
    log_format::{self, Field, Item, Namespace},
    message::{one_line, shown},
    network, nginx_log_format,
    problem::{Path, Problem},
    source::{
        AccessFormat, AccessLog, Choice, Clients, Definition, ErrorFormat, ErrorLog, Format,
        Release, RequestChoices,
    },
};

/// The limit of httpd for a request line and for a header (`LimitRequestLine`,
/// `LimitRequestFieldSize`).
const MAX_FIELD_BYTES: usize = 8190;

pub(crate) fn access_log(path: &Path, log: &AccessLog, problems: &mut Vec<Problem>) {
    if let Err((field, message)) = format(log) {
        problems.push(Problem::new(path.field(field), message));
    }
    request_choices(path, &log.content, problems);
    directives(path, log, &log.content, problems);
}

/// The format of an access log.
///
/// # Errors
///
/// What is wrong with `logFormat` or `nginxLogFormat`, and which of them.
pub(crate) fn format(log: &AccessLog) -> Result<Format, (&'static str, String)> {
    let definition = log.format.definition();
    if log.log_format.is_some() && !matches!(definition, Definition::Custom) {
        return Err(("logFormat", messages::FORMAT_UNUSED.to_owned()));
    }
    if log.nginx_log_format.is_some() && !matches!(definition, Definition::NginxCustom) {
        return Err(("nginxLogFormat", messages::NGINX_FORMAT_UNUSED.to_owned()));
    }
    let apache = |text: &str| match log_format::parse(text) {
        Ok(format) => Ok(Format::LogFormat(format)),
        Err(error) => Err(("logFormat", one_line(&error.to_string()))),
    };
    let nginx = |text: &str| match nginx_log_format::parse(text) {
        Ok(format) => Ok(Format::Nginx(format)),
        Err(error) => Err(("nginxLogFormat", one_line(&error.to_string()))),
    };
    match (definition, &log.log_format, &log.nginx_log_format) {
        (Definition::LogFormat(text), ..) => apache(text),
        (Definition::Custom, Some(text), _) => apache(text),
        (Definition::Custom, None, _) => Err(("logFormat", messages::FORMAT_MISSING.to_owned())),
        (Definition::Nginx(text), ..) => nginx(text),
        (Definition::NginxCustom, _, Some(text)) => nginx(text),
        (Definition::NginxCustom, _, None) => {
            Err(("nginxLogFormat", messages::NGINX_FORMAT_MISSING.to_owned()))
        }
        (Definition::Foreign(foreign), ..) => Ok(Format::Foreign(foreign)),
    }
}

/// The format of an error log of this release.
///
/// # Errors
///
/// What is wrong with `errorLogFormat`.
pub(crate) fn error_format(log: &ErrorLog, release: Release) -> Result<ErrorLogFormat, String> {
    let format = match (log.format, &log.error_log_format) {
        (Some(ErrorFormat::Custom), None) => return Err(messages::ERROR_FORMAT_MISSING.to_owned()),
        (Some(ErrorFormat::Custom), Some(text)) => error_log_format::parse(text),
        (_, Some(_)) => return Err(messages::FORMAT_UNUSED.to_owned()),
        (_, None) => ErrorLogFormat::default_of(release),
    };
    let format = format.map_err(|error| one_line(&error.to_string()))?;
    Ok(format.understood_by(release))
}

/// Values for directives that never take them: the format has no such directive, or the directive
/// has a list of its own. `content` is that of the log, or of one of its streams.
pub(super) fn directives(
    path: &Path,
    log: &AccessLog,
    content: &RequestChoices,
    problems: &mut Vec<Problem>,
) {
    let path = path.field("directives");
    let format = match log.format {
        AccessFormat::Custom | AccessFormat::NginxCustom => format(log),
        _ if content.directives.is_empty() => return,
        _ => {
            let message = "only a custom format has directives with values; use \
                           `format: Custom` with `logFormat`, or remove them";
            return problems.push(Problem::new(path, message));
        }
    };
    let Ok(format) = format else { return };
    for (index, values) in content.directives.iter().enumerate() {
        let path = path.index(index).field("directive");
        let Ok(parsed) = log_format::parse(&values.directive) else { continue };
        let Some((namespace, name)) = parsed.items.first().and_then(named) else { continue };
        let own_list = match name.to_ascii_lowercase().as_str() {
            _ if namespace != Namespace::RequestHeader => None,
            "referer" => Some("referers"),
            "user-agent" => Some("userAgents"),
            _ => None,
        };
        let directive = shown(&values.directive);
        if let Some(list) = own_list {
            let message =
                format!("the values of `{directive}` belong in `{list}`; move them there");
            problems.push(Problem::new(path, message));
        } else if let Err(message) = shows(&format, namespace, name, &directive) {
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
        Format::LogFormat(format) => format.items.iter().filter_map(named).collect(),
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
        Some(near) => format!("`logFormat` has no `{directive}`; did you mean the name `{near}`?"),
        None => format!("`logFormat` has no `{directive}`; add it there, or remove these values"),
    })
}

/// The name in an item of a format, with its namespace.
pub(crate) fn named(item: &Item) -> Option<(Namespace, &str)> {
    let Item::Directive(directive) = item else { return None };
    let Field::Named(namespace, name) = &directive.field else { return None };
    Some((*namespace, name))
}

/// The most similar name in the format, if one is similar.
fn nearest<'a>(name: &str, named: &[(Namespace, &'a str)]) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(name, other);
    let near = named.iter().map(|(_, other)| *other).min_by_key(|other| distance(other))?;
    (distance(near) <= near.len() / 3).then_some(near)
}

pub(crate) fn error_log(path: &Path, log: &ErrorLog, problems: &mut Vec<Problem>) {
    if let Err(message) = error_format(log, Release::PRESENT) {
        problems.push(Problem::new(path.field("errorLogFormat"), message));
    }
    if let Some(pool) = &log.clients {
        clients(&path.field("clients"), pool, problems);
    }
    choices(&path.field("referers"), &log.referers, problems);
}

pub(crate) fn request_choices(path: &Path, content: &RequestChoices, problems: &mut Vec<Problem>) {
    if let Some(pool) = &content.clients {
        clients(&path.field("clients"), pool, problems);
    }
    for (name, list, may_be_empty) in [
        ("users", &content.users, true),
        ("methods", &content.methods, false),
        ("protocols", &content.protocols, false),
        ("referers", &content.referers, true),
        ("userAgents", &content.user_agents, true),
        ("virtualHosts", &content.virtual_hosts, true),
    ] {
        let path = path.field(name);
        choices(&path, list, problems);
        for (index, choice) in list.iter().enumerate() {
            if choice.value.is_empty() && !may_be_empty {
                let message = "must not be empty; a request line has three parts";
                problems.push(Problem::new(path.index(index).field("value"), message));
            }
        }
    }
    let targets = path.field("targets");
    for (index, target) in content.targets.iter().enumerate() {
        length(&targets.index(index).field("value"), &target.value, problems);
    }
    weights(&targets, content.targets.iter().map(|one| one.weight), problems);
    weights(&path.field("statuses"), content.statuses.iter().map(|one| one.weight), problems);
    weights(&path.field("sizes"), content.sizes.iter().map(|one| one.weight), problems);
    for (index, range) in content.sizes.iter().enumerate() {
        if range.min > range.max {
            problems.push(reversed(&path.field("sizes").index(index), range.min, range.max));
        }
    }
    weights(&path.field("durations"), content.durations.iter().map(|one| one.weight), problems);
    for (index, range) in content.durations.iter().enumerate() {
        if range.min > range.max {
            problems.push(reversed(&path.field("durations").index(index), range.min, range.max));
        }
    }
    for (index, values) in content.directives.iter().enumerate() {
        let path = path.field("directives").index(index).field("values");
        choices(&path, &values.values, problems);
    }
}

fn clients(path: &Path, clients: &Clients, problems: &mut Vec<Problem>) {
    let networks = path.field("networks");
    choices(&networks, &clients.networks, problems);
    let mut drawn = Vec::new();
    let mut are_valid = true;
    for (index, choice) in clients.networks.iter().enumerate() {
        match network::parse(&choice.value) {
            Ok(network) if choice.weight > 0 => drawn.push(network),
            Ok(_) => {}
            Err(message) => {
                problems.push(Problem::new(networks.index(index).field("value"), message));
                are_valid = false;
            }
        }
    }
    let available = network::count_hosts(&drawn);
    let is_too_small = u128::try_from(clients.pool).is_ok_and(|pool| pool > available);
    if are_valid && !drawn.is_empty() && is_too_small {
        let message = format!(
            "the networks have {available} different addresses, which is less than {}; use larger \
             networks, or a pool of at most {available}",
            clients.pool
        );
        problems.push(Problem::new(path.field("pool"), message));
    }
}

fn choices(path: &Path, choices: &[Choice], problems: &mut Vec<Problem>) {
    for (index, choice) in choices.iter().enumerate() {
        length(&path.index(index).field("value"), &choice.value, problems);
    }
    weights(path, choices.iter().map(|choice| choice.weight), problems);
}

/// The length of a request line or a header, which httpd limits in bytes. The schema can only count
/// characters.
fn length(path: &Path, text: &str, problems: &mut Vec<Problem>) {
    let characters = text.chars().count();
    if text.len() > MAX_FIELD_BYTES && characters <= MAX_FIELD_BYTES {
        let message = format!(
            "must have at most {MAX_FIELD_BYTES} bytes; its {characters} characters are {} bytes",
            text.len()
        );
        problems.push(Problem::new(path.clone(), message));
    }
}

/// A list that isn't empty must have a weight above 0.
pub(super) fn weights(
    path: &Path,
    weights: impl ExactSizeIterator<Item = i32>,
    problems: &mut Vec<Problem>,
) {
    let is_empty = weights.len() == 0;
    if !is_empty && weights.into_iter().all(|weight| weight <= 0) {
        problems.push(Problem::new(path.clone(), messages::ALL_WEIGHTS_ZERO));
    }
}
