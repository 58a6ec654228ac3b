//! Rules for what lines consist of: formats, weighted choices, ranges and networks.

use super::{messages, timing::reversed};
use crate::{
    log_format::{Item, NamedDirective, Namespace},
    message::shown,
    network, nginx_log_format,
    parsed::{Meaning, Parsed},
    problem::{Path, Problem},
    source::{
        AccessFormat, AccessLog, Choice, Clients, ErrorFormat, ErrorLog, Format, RequestChoices,
        Weight,
    },
};

/// The limit of httpd for a request line and for a header (`LimitRequestLine`,
/// `LimitRequestFieldSize`).
const MAX_FIELD_BYTES: usize = 8190;

pub(crate) fn access_log(path: &Path, log: &AccessLog, problems: &mut Vec<Problem>) {
    let (format, nginx) = (log.log_format.as_ref(), log.nginx_log_format.as_ref());
    let is_apache = log.format == AccessFormat::Custom;
    let is_nginx = log.format == AccessFormat::NginxCustom;
    let apache_messages = (messages::FORMAT_MISSING, messages::FORMAT_UNUSED);
    let nginx_messages = (messages::NGINX_FORMAT_MISSING, messages::NGINX_FORMAT_UNUSED);
    format_string(&path.field("logFormat"), format, is_apache, apache_messages, problems);
    format_string(&path.field("nginxLogFormat"), nginx, is_nginx, nginx_messages, problems);
    request_choices(path, &log.content, problems);
    directives(path, log, &log.content, problems);
}

/// The string of a custom format: it is there if the format is chosen, and only then.
fn format_string<T: Meaning>(
    path: &Path,
    text: Option<&Parsed<T>>,
    is_chosen: bool,
    (missing, unused): (&str, &str),
    problems: &mut Vec<Problem>,
) {
    let message = match (is_chosen, text) {
        (true, Some(text)) => text.meaning().err(),
        (true, None) => Some(missing),
        (false, Some(_)) => Some(unused),
        (false, None) => None,
    };
    problems.extend(message.map(|message| Problem::new(path.clone(), message)));
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
        Some(near) => format!("`logFormat` has no `{directive}`; did you mean the name `{near}`?"),
        None => format!("`logFormat` has no `{directive}`; add it there, or remove these values"),
    })
}

/// The most similar name in the format, if one is similar.
fn nearest<'a>(name: &str, named: &[(Namespace, &'a str)]) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(name, other);
    let near = named.iter().map(|(_, other)| *other).min_by_key(|other| distance(other))?;
    (distance(near) <= near.len() / 3).then_some(near)
}

pub(crate) fn error_log(path: &Path, log: &ErrorLog, problems: &mut Vec<Problem>) {
    let is_custom = log.format == Some(ErrorFormat::Custom);
    let messages = (messages::ERROR_FORMAT_MISSING, messages::FORMAT_UNUSED);
    let format = log.error_log_format.as_ref();
    format_string(&path.field("errorLogFormat"), format, is_custom, messages, problems);
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
    weights(&networks, clients.networks.iter().map(|choice| choice.weight), problems);
    for (index, choice) in clients.networks.iter().enumerate() {
        if let Err(message) = choice.value.meaning() {
            problems.push(Problem::new(networks.index(index).field("value"), message));
        }
    }
    let drawn = clients.networks.iter().filter(|choice| choice.weight.get() > 0);
    let Some(drawn) = drawn.map(|choice| choice.value.known()).collect::<Option<Vec<_>>>() else {
        return;
    };
    let available = network::count_hosts(drawn.iter().copied());
    if !drawn.is_empty() && u128::from(clients.pool.get().get()) > available {
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
    weights: impl ExactSizeIterator<Item = Weight>,
    problems: &mut Vec<Problem>,
) {
    let is_empty = weights.len() == 0;
    if !is_empty && weights.into_iter().all(|weight| weight.get() == 0) {
        problems.push(Problem::new(path.clone(), messages::ALL_WEIGHTS_ZERO));
    }
}
