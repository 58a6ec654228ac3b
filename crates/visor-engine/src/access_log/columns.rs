//! Lines as columns: what a format and its facts make together.
//!
//! A column is a fact with the text behind it, ready for each value that the fact can have. So a line
//! is little more than one copy for each column, and which bytes are copied is what was drawn. A fact
//! that is the same in every request is no column but part of the text around it, and facts of one
//! draw that stand side by side are one column.

use std::{mem, sync::Arc};

use super::{
    cells::Cells,
    facts::{Fact, Pick},
    request::{Own, Request},
};
use crate::{
    stamp::AccessStamp,
    text::{Line, Lines, Text},
};

/// The longest text that has a cell.
const WIDEST: usize = 256;

/// The columns of a line. Streams of one format and one content share them.
#[derive(Debug)]
pub struct Columns {
    all: Box<[Column]>,
    stamps: Box<[AccessStamp]>,
    uses: Uses,
}

/// One enumeration for all, so that what a column is takes one decision.
#[derive(Debug)]
enum Column {
    /// A fact, in cells that its longest text fits.
    Of32(Pick, Cells<32>),
    Of64(Pick, Cells<64>),
    Of128(Pick, Cells<128>),
    Of256(Pick, Cells<WIDEST>),
    /// A fact of which some text is longer than any cell.
    Longer(Pick, Box<[Text]>),
    /// Text that is the same in every line, where there is no column in front to have it.
    Text(Text),
    /// When the request began, by the stamp of this number.
    Begin(usize),
    /// When it ended.
    End(usize),
    /// A number of the request's own, and the text behind it.
    Own {
        own: Own,
        after: Text,
    },
    /// Columns that only some statuses have.
    Conditional(Box<Conditional>),
}

#[derive(Debug)]
struct Conditional {
    /// For each exchange, whether its status has them.
    admitted: Box<[bool]>,
    columns: Box<[Column]>,
}

/// Which draws show in a line; the others needn't be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a draw of its own")]
pub struct Uses {
    /// The user.
    pub user: bool,
    /// The page that the request came from.
    pub referer: bool,
    /// The user agent.
    pub user_agent: bool,
    /// The virtual host.
    pub virtual_host: bool,
    /// The kind of TLS.
    pub tls: bool,
    /// How long it took, and when it began: a line is written when its request ends.
    pub duration: bool,
    /// The process, the thread, the port, and what became of the connection.
    pub connection: bool,
    /// The bytes received.
    pub bytes_in: bool,
    /// What no other request has.
    pub id: bool,
}

/// Writes the lines of one stream.
#[derive(Debug, Clone)]
pub struct Writer {
    columns: Arc<Columns>,
    /// The stream's own, for they keep the text of the second that they are in.
    stamps: Box<[AccessStamp]>,
}

impl Writer {
    /// A writer of these columns.
    pub fn new(columns: Arc<Columns>) -> Self {
        Self { stamps: columns.stamps.clone(), columns }
    }

    /// Which draws show in a line.
    #[inline]
    pub fn uses(&self) -> Uses {
        self.columns.uses
    }

    /// Writes the line of a request, newline included.
    #[inline]
    pub fn write(&mut self, request: &Request<'_>, lines: &mut Lines) {
        write_all(&self.columns.all, request, &mut self.stamps, lines.line()).keep();
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
    /// The column of a fact with these texts.
    fn of(pick: Pick, texts: &[Vec<u8>]) -> Self {
        match longest(texts) {
            0..=32 => Self::Of32(pick, Cells::new(texts)),
            33..=64 => Self::Of64(pick, Cells::new(texts)),
            65..=128 => Self::Of128(pick, Cells::new(texts)),
            129..=WIDEST => Self::Of256(pick, Cells::new(texts)),
            _ => Self::Longer(pick, texts.iter().map(|text| Text::new(text)).collect()),
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
            Self::Of32(pick, cells) => cells.write(request.picks.get(*pick), &mut line),
            Self::Of64(pick, cells) => cells.write(request.picks.get(*pick), &mut line),
            Self::Of128(pick, cells) => cells.write(request.picks.get(*pick), &mut line),
            Self::Of256(pick, cells) => cells.write(request.picks.get(*pick), &mut line),
            Self::Longer(pick, texts) => line.put(&texts[request.picks.get(*pick)]),
            Self::Text(text) => line.put(text),
            Self::Begin(stamp) => stamps[*stamp].write(request.time, &mut line),
            Self::End(stamp) => stamps[*stamp].write(request.end(), &mut line),
            Self::Own { own, after } => {
                line = own.write(request, line);
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
        if !self.admitted.get(request.picks.get(Pick::EXCHANGE)).is_some_and(|admitted| *admitted) {
            line.push(b'-');
            return line;
        }
        write_all(&self.columns, request, stamps, line)
    }
}

/// Columns in the making: a format says them from left to right.
#[derive(Debug, Default)]
pub(super) struct Builder {
    columns: Vec<Draft>,
    stamps: Vec<AccessStamp>,
    uses: Uses,
}

/// A column that may still get more text at its end.
#[derive(Debug)]
enum Draft {
    Fact { pick: Pick, texts: Vec<Vec<u8>> },
    Text(Vec<u8>),
    Begin(usize),
    End(usize),
    Own { own: Own, after: Vec<u8> },
    Conditional(Box<Conditional>),
}

/// Which end of a request a stamp tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Begin,
    End,
}

impl Builder {
    /// Text that is the same in every line.
    pub(super) fn text(&mut self, text: &[u8]) {
        match self.columns.last_mut() {
            Some(Draft::Fact { texts, .. }) if longest(texts) + text.len() <= WIDEST => {
                for own in texts {
                    own.extend_from_slice(text);
                }
            }
            Some(Draft::Text(before) | Draft::Own { after: before, .. }) => {
                before.extend_from_slice(text);
            }
            Some(Draft::Begin(stamp) | Draft::End(stamp)) => {
                self.stamps[*stamp].followed_by(text);
            }
            None | Some(Draft::Fact { .. } | Draft::Conditional(_)) => {
                self.columns.push(Draft::Text(text.to_vec()));
            }
        }
    }

    /// A fact, each of whose values is written as this says.
    pub(super) fn fact(&mut self, fact: &Fact<'_>, write: impl Fn(&[u8]) -> Vec<u8>) {
        self.uses.note(fact.pick);
        let mut texts: Vec<Vec<u8>> = fact.values.iter().map(|value| write(value)).collect();
        if let [only] = &texts[..] {
            return self.text(only);
        }
        match self.columns.last_mut() {
            Some(Draft::Fact { pick, texts: before })
                if *pick == fact.pick && longest(before) + longest(&texts) <= WIDEST =>
            {
                for (before, own) in before.iter_mut().zip(&mut texts) {
                    before.append(own);
                }
            }
            _ => self.columns.push(Draft::Fact { pick: fact.pick, texts }),
        }
    }

    /// When the request began or ended.
    pub(super) fn time(&mut self, moment: Moment, stamp: AccessStamp) {
        let number = self.stamps.len();
        self.stamps.push(stamp);
        match moment {
            Moment::Begin => {
                self.uses.duration = true;
                self.columns.push(Draft::Begin(number));
            }
            Moment::End => self.columns.push(Draft::End(number)),
        }
    }

    /// A number of the request's own.
    pub(super) fn own(&mut self, own: Own) {
        self.uses.note_own(own);
        self.columns.push(Draft::Own { own, after: Vec::new() });
    }

    /// What `add` adds, for those exchanges alone that are admitted; for the others `-`.
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
            uses: self.uses,
        }
    }
}

impl Draft {
    fn finish(self) -> Column {
        match self {
            Self::Fact { pick, texts } => Column::of(pick, &texts),
            Self::Text(text) => Column::Text(Text::new(&text)),
            Self::Begin(stamp) => Column::Begin(stamp),
            Self::End(stamp) => Column::End(stamp),
            Self::Own { own, after } => Column::Own { own, after: Text::new(&after) },
            Self::Conditional(conditional) => Column::Conditional(conditional),
        }
    }
}

impl Uses {
    fn note(&mut self, pick: Pick) {
        match pick {
            Pick::USER => self.user = true,
            Pick::REFERER => self.referer = true,
            Pick::USER_AGENT => self.user_agent = true,
            Pick::VIRTUAL_HOST => self.virtual_host = true,
            Pick::TLS => self.tls = true,
            _ => {}
        }
    }

    fn note_own(&mut self, own: Own) {
        match own {
            Own::Duration(_) | Own::TimeToFirstByte => self.duration = true,
            Own::BytesIn | Own::BytesTransferred => self.bytes_in = true,
            Own::UniqueId | Own::Uuid => self.id = true,
            Own::RemotePort
            | Own::ProcessId
            | Own::ThreadId
            | Own::ThreadIdHexadecimal
            | Own::KeepAliveRequests
            | Own::ConnectionStatus => self.connection = true,
            Own::BodyBytesOrDash | Own::BodyBytes | Own::BytesOut => {}
        }
    }
}

fn longest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access_log::facts::Picks, access_log::request::Connection, time::Time};
    use proptest::prelude::*;

    const PICKS: [Pick; 4] = [Pick::CLIENT, Pick::EXCHANGE, Pick::RESOURCE, Pick::named(1)];

    /// What may stand in a line.
    #[derive(Debug, Clone)]
    enum Part {
        Text(Vec<u8>),
        /// The fact of this one of the picks: values of these lengths.
        Fact(usize, [usize; 3]),
        /// One that is the same in every request.
        Constant(Vec<u8>),
        BodyBytes,
        /// The fact of the exchange, but for its first value.
        Conditional([usize; 3]),
    }

    fn part() -> impl Strategy<Value = Part> {
        let text = prop::collection::vec(b'a'..=b'z', 0..80);
        let length = prop_oneof![8 => 0usize..40, 1 => 100usize..300];
        prop_oneof![
            text.clone().prop_map(Part::Text),
            (0..PICKS.len(), prop::array::uniform3(length.clone()))
                .prop_map(|(pick, lengths)| Part::Fact(pick, lengths)),
            text.prop_map(Part::Constant),
            Just(Part::BodyBytes),
            prop::array::uniform3(length).prop_map(Part::Conditional),
        ]
    }

    fn values(lengths: [usize; 3]) -> Vec<Vec<u8>> {
        lengths.iter().zip(b'0'..).map(|(length, byte)| vec![byte; *length]).collect()
    }

    fn request(picks: &Picks) -> Request<'_> {
        Request {
            picks,
            time: Time::EPOCH,
            duration: 0,
            body_bytes: 4_711,
            bytes_in: 0,
            bytes_out: 0,
            connection: Connection::NONE,
            id: 0,
        }
    }

    proptest! {
        /// Whatever stands beside what, a line is all of it in order, written as it should be.
        #[test]
        fn a_line_is_its_parts(
            parts in prop::collection::vec(part(), 0..12),
            numbers in prop::array::uniform4(0usize..3),
        ) {
            let mut picks = Picks::with_named(2);
            for (pick, number) in PICKS.into_iter().zip(numbers) {
                picks.set(pick, number);
            }
            let (mut columns, mut wanted) = (Builder::default(), Vec::new());
            for part in parts {
                match part {
                    Part::Text(text) => {
                        columns.text(&text);
                        wanted.extend(text);
                    }
                    Part::Fact(pick, lengths) => {
                        let fact = Fact::new(PICKS[pick], values(lengths));
                        columns.fact(&fact, |value| [value, b"."].concat());
                        wanted.extend_from_slice(&values(lengths)[numbers[pick]]);
                        wanted.push(b'.');
                    }
                    Part::Constant(text) => {
                        columns.fact(&Fact::only(Pick::USER, text.clone()), <[u8]>::to_vec);
                        wanted.extend(text);
                    }
                    Part::BodyBytes => {
                        columns.own(Own::BodyBytes);
                        wanted.extend_from_slice(b"4711");
                    }
                    Part::Conditional(lengths) => {
                        let fact = Fact::new(Pick::EXCHANGE, values(lengths));
                        columns.only_if([false, true, true].into(), |columns| {
                            columns.text(b"<");
                            columns.fact(&fact, <[u8]>::to_vec);
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
            Writer::new(Arc::new(columns.finish())).write(&request(&picks), &mut lines);
            prop_assert_eq!(
                String::from_utf8_lossy(lines.as_bytes()),
                String::from_utf8_lossy(&wanted)
            );
        }
    }

    #[test]
    fn what_hangs_together_is_one_column_and_what_never_changes_is_none() {
        let fact = |pick, values: [&'static [u8]; 2]| Fact::new(pick, values);
        let mut columns = Builder::default();
        columns.text(b"begin ");
        columns.fact(&Fact::only(Pick::CLIENT, b"-".as_slice()), <[u8]>::to_vec);
        columns.fact(&fact(Pick::RESOURCE, [b"/a", b"/b"]), <[u8]>::to_vec);
        columns.text(b" ");
        columns.fact(&fact(Pick::RESOURCE, [b"?c", b""]), <[u8]>::to_vec);
        columns.fact(&fact(Pick::USER, [b"frank", b"-"]), <[u8]>::to_vec);
        columns.text(b"\n");
        let columns = columns.finish();
        assert!(
            matches!(
                &*columns.all,
                [Column::Text(_), Column::Of32(Pick::RESOURCE, _), Column::Of32(Pick::USER, _)]
            ),
            "{columns:?}"
        );
        assert_eq!(columns.uses, Uses { user: true, ..Uses::default() });
    }
}
