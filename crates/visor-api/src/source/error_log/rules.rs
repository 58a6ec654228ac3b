//! An error log of a document: its rules, its default streams, and its validated form. Pure.

use visor_logs::resolved;

use super::{ErrorFormat, ErrorLog, Mpm};
use crate::{
    error_log_format::Value,
    messages,
    problem::{Notes, Path, Problem},
    source::{
        Generator, Message, Release, Stream, StreamKind,
        choice::{
            resolve::{choices, texts},
            rules,
        },
        log::{Common, Log, format_string, streams},
    },
};

impl Log for ErrorLog {
    fn check(&self, path: &Path, problems: &mut Vec<Problem>) {
        let is_custom = self.format == Some(ErrorFormat::Custom);
        let messages = (messages::ERROR_FORMAT_MISSING, messages::FORMAT_UNUSED);
        let format = self.error_log_format.as_ref();
        format_string(&path.field("errorLogFormat"), format, is_custom, messages, problems);
        if let Some(pool) = &self.clients {
            pool.check(&path.field("clients"), problems);
        }
        rules::choices(&path.field("referers"), &self.referers, problems);
    }

    fn check_stream(&self, path: &Path, stream: &Stream, problems: &mut Vec<Problem>) {
        let mut add = |path: Path, message: &str| problems.push(Problem::new(path, message));
        if stream.kind == StreamKind::Access {
            let message = "an error log has no Access streams; use a level such as Info or Error, \
                           or move the stream to a generator with `access`";
            add(path.field("kind"), message);
        }
        if stream.kind == StreamKind::Heartbeat && stream.heartbeat.is_some() {
            add(path.field("heartbeat"), "only an access log has heartbeat styles; remove it");
        }
    }

    fn check_generator(
        &self,
        path: &Path,
        generator: &Generator,
        common: Common,
        problems: &mut Vec<Problem>,
    ) {
        let release = self.release(common.release);
        if let Some(format) = self.format
            && !format.is_of(release)
        {
            let message = format!(
                "httpd {} has the format {}; remove this, or change `server.release`",
                release.name(),
                ErrorFormat::of(release).name(),
            );
            problems.push(Problem::new(path.field("error").field("format"), message));
        }
        if release == Release::V2_2_34 {
            levels(path, generator, problems);
        }
    }

    fn notes(&self, path: &Path, generator: &Generator, common: Common, notes: &mut Notes<'_>) {
        let release = self.release(common.release);
        let has_own_messages =
            |stream: &Stream| stream.kind == StreamKind::Heartbeat || !stream.messages.is_empty();
        let all_own =
            !generator.streams.is_empty() && generator.streams.iter().all(has_own_messages);
        let messages = || generator.streams.iter().flat_map(|stream| &stream.messages);
        let has_clients =
            !all_own || messages().any(|message| message.client && message.weight.get() > 0);
        let of_log = path.field("error");
        if self.clients.is_some() && !has_clients {
            notes.add(of_log.field("clients"), "no message is about a client (`client: true`)");
        }
        if !self.referers.is_empty() && !has_clients {
            notes.add(of_log.field("referers"), "no message is about a client (`client: true`)");
        }
        let format = self.resolved_format(release);
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
        if self.clients.is_some() && has_clients && !has_item(shows_clients) {
            notes.add(of_log.field("clients"), "`errorLogFormat` has no item that shows it");
        }
        if !self.referers.is_empty() && has_clients && !has_item(shows_referers) {
            notes.add(of_log.field("referers"), "`errorLogFormat` has no item that shows it");
        }
        if self.document_root != ErrorLog::default().document_root && all_own {
            let why = "every stream has its own `messages`, which name their files themselves";
            notes.add(of_log.field("documentRoot"), why);
        }
        if release != Release::V2_2_34 {
            return;
        }
        if self.mpm != Mpm::default() && all_own {
            let why = "lines of httpd 2.2 have no process and no thread";
            notes.add(of_log.field("mpm"), why);
        }
        for (index, stream) in generator.streams.iter().enumerate() {
            let path = path.field("streams").index(index).field("messages");
            for (index, message) in stream.messages.iter().enumerate() {
                if message.module.is_some() {
                    let why = "lines of httpd 2.2 don't name the module";
                    notes.add(path.index(index).field("module"), why);
                }
            }
        }
    }

    fn has_local_time(&self) -> bool {
        let format = self.resolved_format(Release::PRESENT);
        format.is_none_or(|format| {
            format.items.iter().any(|item| matches!(item.value, Value::Time(_)))
        })
    }

    fn default_streams(&self) -> &'static [(&'static str, StreamKind)] {
        &[
            ("notice", StreamKind::Notice),
            ("info", StreamKind::Info),
            ("warn", StreamKind::Warn),
            ("error", StreamKind::Error),
        ]
    }

    fn resolve(&self, generator: &Generator, common: Common) -> Option<resolved::Log> {
        let release = self.release(common.release);
        let message = |message: &Message| {
            let (text, module) = (message.value.clone(), message.module.clone());
            Some(resolved::Message { text, module, client: message.client })
        };
        Some(resolved::Log::Error(resolved::ErrorLog {
            release,
            format: self.resolved_format(release)?,
            tokens: common.tokens,
            mpm: self.mpm,
            clients: (&self.clients.clone().unwrap_or_default()).into(),
            document_root: self.document_root.clone(),
            referers: texts(&self.referers),
            streams: streams(generator, |stream| choices(&stream.messages, message)),
        }))
    }
}

/// Levels that 2.2.34 doesn't have.
fn levels(path: &Path, generator: &Generator, problems: &mut Vec<Problem>) {
    for (index, stream) in generator.streams.iter().enumerate() {
        if stream.kind.is_trace() {
            let path = path.field("streams").index(index).field("kind");
            let message = "httpd 2.2 has no levels of trace; use Debug, or a release of 2.4";
            problems.push(Problem::new(path, message));
        }
    }
}
