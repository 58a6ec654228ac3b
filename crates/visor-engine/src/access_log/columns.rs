//! Columns: a format and the fields of its requests, compiled.
//!
//! A column is a field with the literal text after it, precomputed for each value of the field. So
//! a line is little more than one copy for each column, and the draw selects what is copied. A
//! constant field is part of the text around it, and adjacent fields of one draw share a column.

use std::{mem, sync::Arc};

use super::{
    cells::Cells,
    fields::{Draw, RequestField},
    request::{PerRequestField, Request},
};
use crate::{
    stamp::AccessStamp,
    text::{Line, Lines, Text},
};

/// The maximum length of a text in a cell.
const MAX_WIDTH: usize = 256;

/// The columns of a line. Streams with the same format and model share them.
#[derive(Debug)]
pub struct Columns {
    all: Box<[Column]>,
    stamps: Box<[AccessStamp]>,
    needed: NeededDraws,
}

/// One enum for all, so that a column needs a single branch.
#[derive(Debug)]
enum Column {
    /// A field, in cells for its longest text.
    Of32(Draw, Cells<32>),
    Of64(Draw, Cells<64>),
    Of128(Draw, Cells<128>),
    Of256(Draw, Cells<MAX_WIDTH>),
    /// A field with a text that is longer than any cell.
    Longer(Draw, Box<[Text]>),
    /// Literal text without a preceding column.
    Text(Text),
    /// The start of the request, by the stamp with this index.
    Begin(usize),
    /// Its end.
    End(usize),
    /// A per-request field, and the text after it.
    PerRequestField {
        per_request: PerRequestField,
        after: Text,
    },
    /// Columns that only some statuses have.
    Conditional(Box<Conditional>),
}

#[derive(Debug)]
struct Conditional {
    /// For each exchange, whether its status has these columns.
    admitted: Box<[bool]>,
    columns: Box<[Column]>,
}

/// Which draws a format needs; the others are not made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a draw of its own")]
pub struct NeededDraws {
    /// The user.
    pub user: bool,
    /// The referer.
    pub referer: bool,
    /// The user agent.
    pub user_agent: bool,
    /// The virtual host.
    pub virtual_host: bool,
    /// The kind of TLS.
    pub tls: bool,
    /// The duration, and the start: a line is written when its request ends.
    pub duration: bool,
    /// The process, the thread, the port, and the connection status.
    pub connection: bool,
    /// The bytes received.
    pub bytes_in: bool,
    /// A unique id.
    pub id: bool,
}

/// Writes the lines of one stream.
#[derive(Debug, Clone)]
pub struct LineWriter {
    columns: Arc<Columns>,
    /// Not shared, because a stamp caches the text of its second.
    stamps: Box<[AccessStamp]>,
    malformed: Option<MalformedWriter>,
}

/// Writes the lines of malformed requests. There are few, so their stamps are created with the first.
#[derive(Debug, Clone)]
struct MalformedWriter {
    columns: Arc<Columns>,
    stamps: Option<Box<[AccessStamp]>>,
}

impl LineWriter {
    /// Creates a writer for these columns, and for those of malformed requests, if there are some.
    pub fn new(columns: Arc<Columns>, malformed: Option<Arc<Columns>>) -> Self {
        let malformed = malformed.map(|columns| MalformedWriter { columns, stamps: None });
        Self { stamps: columns.stamps.clone(), columns, malformed }
    }

    /// Which draws the format needs.
    #[inline]
    pub fn needed(&self) -> NeededDraws {
        self.columns.needed
    }

    /// Writes the line of a request, newline included.
    #[inline]
    pub fn write(&mut self, request: &Request<'_>, lines: &mut Lines) {
        if request.is_malformed
            && let Some(malformed) = &mut self.malformed
        {
            return malformed.write(request, lines);
        }
        write_all(&self.columns.all, request, &mut self.stamps, lines.line()).keep();
    }
}

impl MalformedWriter {
    #[inline(never)]
    fn write(&mut self, request: &Request<'_>, lines: &mut Lines) {
        let columns = &self.columns;
        let stamps = self.stamps.get_or_insert_with(|| columns.stamps.clone());
        write_all(&columns.all, request, stamps, lines.line()).keep();
    }
}

#[inline]
fn write_all<'l>(
    columns: &[Column],
    request: &Request<'_>,
    stamps: &mut [AccessStamp],
    mut line: Line<'l>,
) -> Line<'l> {
    for column in columns {
        line = column.write(request, stamps, line);
    }
    line
}

impl Column {
    /// The column of a field with these texts.
    fn of(draw_of: Draw, texts: &[Vec<u8>]) -> Self {
        match longest(texts) {
            0..=32 => Self::Of32(draw_of, Cells::new(texts)),
            33..=64 => Self::Of64(draw_of, Cells::new(texts)),
            65..=128 => Self::Of128(draw_of, Cells::new(texts)),
            129..=MAX_WIDTH => Self::Of256(draw_of, Cells::new(texts)),
            _ => Self::Longer(draw_of, texts.iter().map(|text| Text::new(text)).collect()),
        }
    }

    #[inline]
    fn write<'l>(
        &self,
        request: &Request<'_>,
        stamps: &mut [AccessStamp],
        mut line: Line<'l>,
    ) -> Line<'l> {
        match self {
            Self::Of32(draw_of, cells) => cells.write(request.draws.get(*draw_of), &mut line),
            Self::Of64(draw_of, cells) => cells.write(request.draws.get(*draw_of), &mut line),
            Self::Of128(draw_of, cells) => cells.write(request.draws.get(*draw_of), &mut line),
            Self::Of256(draw_of, cells) => cells.write(request.draws.get(*draw_of), &mut line),
            Self::Longer(draw_of, texts) => line.put(&texts[request.draws.get(*draw_of)]),
            Self::Text(text) => line.put(text),
            Self::Begin(stamp) => stamps[*stamp].write(request.time, &mut line),
            Self::End(stamp) => stamps[*stamp].write(request.end(), &mut line),
            Self::PerRequestField { per_request, after } => {
                line = per_request.write(request, line);
                line.put(after);
            }
            Self::Conditional(conditional) => return conditional.write(request, stamps, line),
        }
        line
    }
}

impl Conditional {
    #[inline(never)]
    fn write<'l>(
        &self,
        request: &Request<'_>,
        stamps: &mut [AccessStamp],
        mut line: Line<'l>,
    ) -> Line<'l> {
        if !self.admitted.get(request.draws.get(Draw::EXCHANGE)).is_some_and(|admitted| *admitted) {
            line.push(b'-');
            return line;
        }
        write_all(&self.columns, request, stamps, line)
    }
}

/// Builds columns from left to right.
#[derive(Debug, Default)]
pub(super) struct Builder {
    columns: Vec<Draft>,
    stamps: Vec<AccessStamp>,
    needed: NeededDraws,
}

/// A column to which text may still be appended.
#[derive(Debug)]
enum Draft {
    RequestField { draw_of: Draw, texts: Vec<Vec<u8>> },
    Text(Vec<u8>),
    Begin(usize),
    End(usize),
    PerRequestField { per_request: PerRequestField, after: Vec<u8> },
    Conditional(Box<Conditional>),
}

/// The start or the end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestTime {
    Begin,
    End,
}

impl Builder {
    /// Literal text.
    pub(super) fn text(&mut self, text: &[u8]) {
        match self.columns.last_mut() {
            Some(Draft::RequestField { texts, .. }) if longest(texts) + text.len() <= MAX_WIDTH => {
                for value in texts {
                    value.extend_from_slice(text);
                }
            }
            Some(Draft::Text(before) | Draft::PerRequestField { after: before, .. }) => {
                before.extend_from_slice(text);
            }
            Some(Draft::Begin(stamp) | Draft::End(stamp)) => {
                self.stamps[*stamp].followed_by(text);
            }
            None | Some(Draft::RequestField { .. } | Draft::Conditional(_)) => {
                self.columns.push(Draft::Text(text.to_vec()));
            }
        }
    }

    /// A field; `write` formats each of its values.
    pub(super) fn field(&mut self, field: &RequestField<'_>, write: impl Fn(&[u8]) -> Vec<u8>) {
        self.needed.note(field.draw_of);
        let mut texts: Vec<Vec<u8>> = field.values.iter().map(|value| write(value)).collect();
        if let [only] = &texts[..] {
            return self.text(only);
        }
        match self.columns.last_mut() {
            Some(Draft::RequestField { draw_of, texts: before })
                if *draw_of == field.draw_of && longest(before) + longest(&texts) <= MAX_WIDTH =>
            {
                for (before, value) in before.iter_mut().zip(&mut texts) {
                    before.append(value);
                }
            }
            _ => self.columns.push(Draft::RequestField { draw_of: field.draw_of, texts }),
        }
    }

    /// The time of the start or the end of the request.
    pub(super) fn time(&mut self, which: RequestTime, stamp: AccessStamp) {
        let number = self.stamps.len();
        self.stamps.push(stamp);
        match which {
            RequestTime::Begin => {
                self.needed.duration = true;
                self.columns.push(Draft::Begin(number));
            }
            RequestTime::End => self.columns.push(Draft::End(number)),
        }
    }

    /// A per-request field.
    pub(super) fn per_request(&mut self, per_request: PerRequestField) {
        self.needed.note_per_request(per_request);
        self.columns.push(Draft::PerRequestField { per_request, after: Vec::new() });
    }

    /// What `add` adds, for the admitted exchanges only; `-` for the others.
    pub(super) fn only_if(&mut self, admitted: Box<[bool]>, add: impl FnOnce(&mut Self)) {
        let before = mem::take(&mut self.columns);
        add(self);
        let columns = mem::replace(&mut self.columns, before);
        let columns = columns.into_iter().map(Draft::finish).collect();
        self.columns.push(Draft::Conditional(Box::new(Conditional { admitted, columns })));
    }

    /// The columns.
    pub(super) fn finish(self) -> Columns {
        Columns {
            all: self.columns.into_iter().map(Draft::finish).collect(),
            stamps: self.stamps.into(),
            needed: self.needed,
        }
    }
}

impl Draft {
    fn finish(self) -> Column {
        match self {
            Self::RequestField { draw_of, texts } => Column::of(draw_of, &texts),
            Self::Text(text) => Column::Text(Text::new(&text)),
            Self::Begin(stamp) => Column::Begin(stamp),
            Self::End(stamp) => Column::End(stamp),
            Self::PerRequestField { per_request, after } => {
                Column::PerRequestField { per_request, after: Text::new(&after) }
            }
            Self::Conditional(conditional) => Column::Conditional(conditional),
        }
    }
}

impl NeededDraws {
    fn note(&mut self, draw_of: Draw) {
        match draw_of {
            Draw::USER => self.user = true,
            Draw::REFERER => self.referer = true,
            Draw::USER_AGENT => self.user_agent = true,
            Draw::VIRTUAL_HOST | Draw::HOST => self.virtual_host = true,
            Draw::TLS => self.tls = true,
            _ => {}
        }
    }

    fn note_per_request(&mut self, per_request: PerRequestField) {
        match per_request {
            PerRequestField::Duration(_) | PerRequestField::TimeToFirstByte => self.duration = true,
            PerRequestField::BytesIn | PerRequestField::BytesTransferred => self.bytes_in = true,
            PerRequestField::UniqueId | PerRequestField::Uuid => self.id = true,
            PerRequestField::RemotePort
            | PerRequestField::ProcessId
            | PerRequestField::ThreadId
            | PerRequestField::ThreadIdHexadecimal
            | PerRequestField::KeepAliveRequests
            | PerRequestField::ConnectionStatus => self.connection = true,
            PerRequestField::BodyBytesOrDash
            | PerRequestField::BodyBytes
            | PerRequestField::BytesOut => {}
        }
    }
}

fn longest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access_log::fields::Draws, access_log::request::Connection, time::Time};
    use proptest::prelude::*;

    const DRAWS: [Draw; 4] = [Draw::CLIENT, Draw::EXCHANGE, Draw::TARGET, Draw::named(1)];

    /// A part of a line.
    #[derive(Debug, Clone)]
    enum Part {
        Text(Vec<u8>),
        /// A field of this draw, with values of these lengths.
        RequestField(usize, [usize; 3]),
        /// A constant field.
        Constant(Vec<u8>),
        BodyBytes,
        /// A field of the exchange, without its first value.
        Conditional([usize; 3]),
    }

    fn part() -> impl Strategy<Value = Part> {
        let text = prop::collection::vec(b'a'..=b'z', 0..80);
        let length = prop_oneof![8 => 0usize..40, 1 => 100usize..300];
        prop_oneof![
            text.clone().prop_map(Part::Text),
            (0..DRAWS.len(), prop::array::uniform3(length.clone()))
                .prop_map(|(draw_of, lengths)| Part::RequestField(draw_of, lengths)),
            text.prop_map(Part::Constant),
            Just(Part::BodyBytes),
            prop::array::uniform3(length).prop_map(Part::Conditional),
        ]
    }

    fn values(lengths: [usize; 3]) -> Vec<Vec<u8>> {
        lengths.iter().zip(b'0'..).map(|(length, byte)| vec![byte; *length]).collect()
    }

    fn request(draws: &Draws) -> Request<'_> {
        Request {
            draws,
            time: Time::EPOCH,
            duration: 0,
            body_bytes: 4_711,
            bytes_in: 0,
            bytes_out: 0,
            connection: Connection::NONE,
            id: 0,
            is_malformed: false,
        }
    }

    proptest! {
        /// In any combination, a line consists of all parts in order.
        #[test]
        fn a_line_is_its_parts(
            parts in prop::collection::vec(part(), 0..12),
            numbers in prop::array::uniform4(0usize..3),
        ) {
            let mut draws = Draws::with_named(2);
            for (draw_of, number) in DRAWS.into_iter().zip(numbers) {
                draws.set(draw_of, number);
            }
            let (mut columns, mut wanted) = (Builder::default(), Vec::new());
            for part in parts {
                match part {
                    Part::Text(text) => {
                        columns.text(&text);
                        wanted.extend(text);
                    }
                    Part::RequestField(draw_of, lengths) => {
                        let field = RequestField::new(DRAWS[draw_of], values(lengths));
                        columns.field(&field, |value| [value, b"."].concat());
                        wanted.extend_from_slice(&values(lengths)[numbers[draw_of]]);
                        wanted.push(b'.');
                    }
                    Part::Constant(text) => {
                        columns.field(&RequestField::only(Draw::USER, text.clone()), <[u8]>::to_vec);
                        wanted.extend(text);
                    }
                    Part::BodyBytes => {
                        columns.per_request(PerRequestField::BodyBytes);
                        wanted.extend_from_slice(b"4711");
                    }
                    Part::Conditional(lengths) => {
                        let field = RequestField::new(Draw::EXCHANGE, values(lengths));
                        columns.only_if([false, true, true].into(), |columns| {
                            columns.text(b"<");
                            columns.field(&field, <[u8]>::to_vec);
                        });
                        match numbers[1] {
                            0 => wanted.push(b'-'),
                            number => {
                                wanted.push(b'<');
                                wanted.extend_from_slice(&values(lengths)[number]);
                            }
                        }
                    }
                }
            }
            let mut lines = Lines::default();
            LineWriter::new(Arc::new(columns.finish()), None).write(&request(&draws), &mut lines);
            prop_assert_eq!(
                String::from_utf8_lossy(lines.as_bytes()),
                String::from_utf8_lossy(&wanted)
            );
        }
    }

    #[test]
    fn what_hangs_together_is_one_column_and_what_never_changes_is_none() {
        let field = |draw_of, values: [&'static [u8]; 2]| RequestField::new(draw_of, values);
        let mut columns = Builder::default();
        columns.text(b"begin ");
        columns.field(&RequestField::only(Draw::CLIENT, b"-".as_slice()), <[u8]>::to_vec);
        columns.field(&field(Draw::TARGET, [b"/a", b"/b"]), <[u8]>::to_vec);
        columns.text(b" ");
        columns.field(&field(Draw::TARGET, [b"?c", b""]), <[u8]>::to_vec);
        columns.field(&field(Draw::USER, [b"frank", b"-"]), <[u8]>::to_vec);
        columns.text(b"\n");
        let columns = columns.finish();
        assert!(
            matches!(
                &*columns.all,
                [Column::Text(_), Column::Of32(Draw::TARGET, _), Column::Of32(Draw::USER, _)]
            ),
            "{columns:?}"
        );
        assert_eq!(columns.needed, NeededDraws { user: true, ..NeededDraws::default() });
    }
}
