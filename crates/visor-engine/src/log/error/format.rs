//! Compiles an `ErrorLogFormat` and the fields of a message into columns, with httpd's escaping.
//!
//! Each item is written as its `log_...` function in httpd's `server/log.c` writes it, and dropped
//! with its field as `do_errorlog_format` does it.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use visor_logs::error_log_format::{ErrorLogFormat, Item, Value};

use super::{
    fields::{MessageFields, Part, RequestFields},
    message::{Message, PerMessageField},
};
use crate::{
    escape::error_log_item,
    line::{Builder, Columns, Draw, Field, Moment, NeededDraws},
    server,
    stamp::Stamp,
    text::Lines,
};

/// The size of httpd's buffer (`MAX_STRING_LEN`, less the terminating byte).
const BUFFER: usize = 8191;

/// Compiles the messages of a log. They share stamps, and the texts of fields.
#[derive(Debug)]
pub struct Formatter<'a> {
    format: &'a ErrorLogFormat,
    builder: Builder<PerMessageField>,
    /// The stamp of each item that is a time.
    stamps: Vec<Option<usize>>,
}

/// A step of writing a line.
#[derive(Debug)]
enum Step<'a> {
    /// A field of the format starts: if it has no room in a long line, it is dropped.
    FieldStart,
    Text(Cow<'a, [u8]>),
    Field(&'a Field<'a>),
    /// An address, and the colon before its port.
    Address(&'a Field<'a>),
    PerMessage(PerMessageField),
    Time(usize),
    Message,
    /// A value that only some lines have, and what follows in either case.
    Optional {
        field: &'a Field<'a>,
        present: Vec<Step<'a>>,
        absent: Vec<Step<'a>>,
    },
}

/// The state of `do_errorlog_format`.
#[derive(Debug, Default)]
struct State<'a> {
    steps: Vec<Step<'a>>,
    /// The number of steps before the current field.
    field_start: usize,
    /// Whether the rest of the field is skipped.
    is_skipping: bool,
    /// Which optional values the lines have.
    known: Vec<(Draw, bool)>,
}

impl<'a> Formatter<'a> {
    /// A formatter for this format, with times in this zone.
    pub fn new(format: &'a ErrorLogFormat, zone: &TimeZone) -> Self {
        let mut builder = Builder::of_many();
        let stamps = format.items.iter().map(|item| match &item.value {
            Value::Time(time) => Some(builder.add_stamp(Stamp::new(time.clone(), zone.clone()))),
            _ => None,
        });
        Self { format, stamps: stamps.collect(), builder }
    }

    /// The columns of a message.
    pub fn columns(&mut self, fields: &MessageFields<'_>) -> Columns<PerMessageField> {
        let steps = self.arrange(0, State::default(), fields);
        self.builder.line(BUFFER, |columns| add_all(&steps, fields, columns))
    }

    /// The writer of the messages.
    pub fn finish(self) -> LineWriter {
        let (stamps, needed) = self.builder.finish_many();
        LineWriter { stamps, needed }
    }

    /// The steps of the items from this one on.
    fn arrange<'f>(
        &self,
        first: usize,
        mut state: State<'f>,
        fields: &'f MessageFields<'f>,
    ) -> Vec<Step<'f>>
    where
        'a: 'f,
    {
        for (index, item) in self.format.items.iter().enumerate().skip(first) {
            if item.starts_field {
                // As in httpd, a field that was dropped goes on being the current one.
                if !std::mem::take(&mut state.is_skipping) {
                    state.field_start = state.steps.len();
                }
                state.steps.push(Step::FieldStart);
            }
            if item.value == Value::Message {
                state.steps.push(Step::Message);
                continue;
            }
            if state.is_skipping {
                continue;
            }
            if item.level > fields.severity {
                state.drop_field();
                continue;
            }
            let steps = self.steps(index, item, fields);
            match &steps[..] {
                [] if item.is_hyphen_if_empty => state.steps.push(Step::Text(b"-".into())),
                [] => state.drop_field(),
                [Step::Field(field)] if !item.is_hyphen_if_empty && is_optional(field) => {
                    let known = state.known.iter().find(|(draw_of, _)| *draw_of == field.draw_of);
                    match known {
                        Some((_, true)) => state.steps.extend(steps),
                        Some((_, false)) => state.drop_field(),
                        None => {
                            let rest = state.split_off(field.draw_of);
                            let [mut present, mut absent] = rest;
                            present.steps.push(Step::Field(field));
                            absent.drop_field();
                            state.steps.push(Step::Optional {
                                field,
                                present: self.arrange(index + 1, present, fields),
                                absent: self.arrange(index + 1, absent, fields),
                            });
                            return state.steps;
                        }
                    }
                }
                _ => state.steps.extend(steps),
            }
        }
        state.steps
    }

    /// The steps of an item; none if it is empty.
    fn steps<'f>(
        &self,
        index: usize,
        item: &'f Item,
        fields: &'f MessageFields<'f>,
    ) -> Vec<Step<'f>> {
        let text = |text: &'f str| Step::Text(text.as_bytes().into());
        let per_message = |field| vec![Step::PerMessage(field)];
        let of_request = |field| fields.request.as_ref().map(|_| Step::PerMessage(field));
        let of_connection = |field| fields.client.map(|_| Step::PerMessage(field));
        let only = |step: Option<Step<'f>>| step.into_iter().collect();
        match &item.value {
            Value::Literal(literal) if literal.is_empty() => Vec::new(),
            Value::Literal(literal) => vec![text(literal)],
            Value::Message => vec![Step::Message],
            Value::ClientAddress => only(fields.client.map(Step::Field)),
            Value::ClientAddressAndPort => fields.client.map_or_else(Vec::new, |client| {
                let port = Step::PerMessage(PerMessageField::ClientPort);
                vec![Step::Address(client), port]
            }),
            Value::LocalAddressAndPort => fields.client.map_or_else(Vec::new, |_| {
                let address = format!("{}:{}", server::ADDRESS, server::PORT);
                vec![Step::Text(address.into_bytes().into())]
            }),
            Value::Environment(name) if name == "UNIQUE_ID" => {
                only(of_request(PerMessageField::UniqueId))
            }
            Value::Environment(_) | Value::Note(_) => Vec::new(),
            Value::SystemError => only(fields.errno.map(|(number, words)| {
                Step::Text(format!("({number}){words}").into_bytes().into())
            })),
            Value::Source => only(
                fields
                    .source
                    .map(|(file, line)| Step::Text(format!("{file}({line})").into_bytes().into())),
            ),
            Value::RequestHeader(name) => {
                only(fields.request.as_ref().and_then(|request| header(name, request, fields)))
            }
            Value::KeepAliveRequests => only(of_connection(PerMessageField::KeepAliveRequests)),
            Value::Level => vec![text(fields.level)],
            // `mod_unique_id` provides it.
            Value::RequestLogId => only(of_request(PerMessageField::UniqueId)),
            Value::OnlyConnectionLogId if fields.request.is_some() => Vec::new(),
            Value::ConnectionLogId | Value::OnlyConnectionLogId => {
                only(of_connection(PerMessageField::ConnectionLogId))
            }
            Value::Module => only(fields.module.map(text)),
            Value::ProcessId => per_message(PerMessageField::ProcessId),
            Value::ThreadId => only(fields.thread_id.map(Step::PerMessage)),
            Value::KernelThreadId => per_message(fields.kernel_thread_id),
            Value::Time(_) => only(self.stamps[index].map(Step::Time)),
            Value::VirtualHost => vec![Step::Field(fields.virtual_host)],
            Value::ServerName => {
                only(fields.request.as_ref().map(|request| Step::Field(request.host)))
            }
        }
    }
}

/// The header of a request.
fn header<'f>(
    name: &str,
    request: &RequestFields<'f>,
    fields: &'f MessageFields<'f>,
) -> Option<Step<'f>> {
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    let field = match () {
        () if is("Referer") => request.referer,
        () if is("User-Agent") => Some(request.user_agent),
        () if is("Host") => Some(request.host),
        () if is("X-Forwarded-For") => fields.client,
        () if is("X-Request-Id") => return Some(Step::PerMessage(PerMessageField::Uuid)),
        () => None,
    };
    field.filter(|field| !field.values.iter().all(|value| is_absent(value))).map(Step::Field)
}

/// Whether only some lines have a value.
fn is_optional(field: &Field<'_>) -> bool {
    field.values.iter().any(|value| is_absent(value))
}

/// httpd writes an empty header as an absent one.
fn is_absent(value: &[u8]) -> bool {
    matches!(value, b"" | b"-")
}

impl State<'_> {
    /// Drops the current field, and the rest of it.
    fn drop_field(&mut self) {
        self.steps.truncate(self.field_start);
        self.is_skipping = true;
    }

    /// Leaves the steps before the current field, and returns what follows them, once with a value of
    /// this draw and once without.
    fn split_off(&mut self, draw_of: Draw) -> [Self; 2] {
        let steps = self.steps.split_off(self.field_start);
        let known = |has_value| [&self.known[..], &[(draw_of, has_value)]].concat();
        [
            Self { steps, known: known(true), ..Self::default() },
            Self { known: known(false), ..Self::default() },
        ]
    }
}

/// Adds the columns of steps.
fn add_all(steps: &[Step<'_>], fields: &MessageFields<'_>, columns: &mut Builder<PerMessageField>) {
    for step in steps {
        match step {
            Step::FieldStart => columns.part_start(),
            Step::Text(text) => columns.text(text),
            Step::Field(field) => columns.field(field, escaped),
            Step::Address(field) => columns.field(field, |address| [address, b":"].concat()),
            Step::PerMessage(field) => columns.per_record(*field),
            Step::Time(stamp) => columns.stamp(Moment::End, *stamp),
            Step::Message => columns.whole(|columns| {
                for part in &fields.text {
                    match part {
                        Part::Text(text) => columns.text(&error_log_item(text)),
                        Part::Field(field) => columns.field(field, error_log_item),
                        Part::PerMessage(field) => columns.per_record(*field),
                    }
                }
            }),

            Step::Optional { field, present, absent } => {
                if let Some(before) = text_before(present)
                    && absent.is_empty()
                    && !columns.is_cut()
                {
                    // One column, which is empty without a value.
                    columns.field(field, |value| match value {
                        value if is_absent(value) => Vec::new(),
                        value => [before.clone(), error_log_item(value)].concat(),
                    });
                    continue;
                }
                let admitted = field.values.iter().map(|value| !is_absent(value)).collect();
                columns.if_admitted(
                    field.draw_of,
                    admitted,
                    |columns| add_all(present, fields, columns),
                    |columns| add_all(absent, fields, columns),
                );
            }
        }
    }
}

/// The text before a field, if these steps are nothing else.
fn text_before(steps: &[Step<'_>]) -> Option<Vec<u8>> {
    let (Step::Field(_), before) = steps.split_last()? else { return None };
    let texts = before.iter().map(|step| match step {
        Step::FieldStart => Some(&b""[..]),
        Step::Text(text) => Some(&**text),
        _ => None,
    });
    Some(texts.collect::<Option<Vec<_>>>()?.concat())
}

/// A value as it is written; `-` if it is absent.
fn escaped(value: &[u8]) -> Vec<u8> {
    if value.is_empty() { b"-".to_vec() } else { error_log_item(value) }
}

/// Writes the lines of one stream.
#[derive(Debug, Clone)]
pub struct LineWriter {
    stamps: Box<[Stamp]>,
    needed: NeededDraws,
}

impl LineWriter {
    /// Which draws the format needs.
    #[inline]
    pub fn needed(&self) -> NeededDraws {
        self.needed
    }

    /// Writes the line of a message, newline included.
    #[inline]
    pub fn write(
        &mut self,
        columns: &Columns<PerMessageField>,
        message: &Message<'_>,
        lines: &mut Lines,
    ) {
        columns.write_within(BUFFER, message, &mut self.stamps, lines);
    }
}

#[cfg(test)]
mod tests;
