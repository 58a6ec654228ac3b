//! Columns of requests, and of lines that are cut.

use proptest::prelude::*;

use super::{Builder, Draw, Draws, Field, NeededDraws, columns::Column};
use crate::{
    log::access::{
        Request,
        request::{Connection, PerRequestField},
    },
    text::Lines,
    time::Time,
};

const DRAWS: [Draw; 4] = [Draw::CLIENT, Draw::EXCHANGE, Draw::TARGET, Draw::named(1)];

/// A part of a line.
#[derive(Debug, Clone)]
enum Part {
    Text(Vec<u8>),
    /// A field of this draw, with values of these lengths.
    Field(usize, [usize; 3]),
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
            .prop_map(|(draw_of, lengths)| Part::Field(draw_of, lengths)),
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
        let (mut columns, mut wanted) = (Builder::of_one(), Vec::new());
        for part in parts {
            match part {
                Part::Text(text) => {
                    columns.text(&text);
                    wanted.extend(text);
                }
                Part::Field(draw_of, lengths) => {
                    let field = Field::new(DRAWS[draw_of], values(lengths));
                    columns.field(&field, |value| [value, b"."].concat());
                    wanted.extend_from_slice(&values(lengths)[numbers[draw_of]]);
                    wanted.push(b'.');
                }
                Part::Constant(text) => {
                    columns.field(&Field::only(Draw::USER, text.clone()), <[u8]>::to_vec);
                    wanted.extend(text);
                }
                Part::BodyBytes => {
                    columns.per_record(PerRequestField::BodyBytes);
                    wanted.extend_from_slice(b"4711");
                }
                Part::Conditional(lengths) => {
                    let field = Field::new(Draw::EXCHANGE, values(lengths));
                    let add = |columns: &mut Builder<PerRequestField>| {
                        columns.text(b"<");
                        columns.field(&field, <[u8]>::to_vec);
                    };
                    let admitted = [false, true, true].into();
                    columns.if_admitted(Draw::EXCHANGE, admitted, add, |columns| {
                        columns.text(b"-");
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
        let mut format = columns.finish();
        format.columns.write(&request(&draws), &mut format.stamps, &mut lines);
        prop_assert_eq!(
            String::from_utf8_lossy(lines.as_bytes()),
            String::from_utf8_lossy(&wanted)
        );
    }
}

#[test]
fn what_hangs_together_is_one_column_and_what_never_changes_is_none() {
    let field = |draw_of, values: [&'static [u8]; 2]| Field::new(draw_of, values);
    let mut columns = Builder::<PerRequestField>::of_one();
    columns.text(b"begin ");
    columns.field(&Field::only(Draw::CLIENT, b"-".as_slice()), <[u8]>::to_vec);
    columns.field(&field(Draw::TARGET, [b"/a", b"/b"]), <[u8]>::to_vec);
    columns.text(b" ");
    columns.field(&field(Draw::TARGET, [b"?c", b""]), <[u8]>::to_vec);
    columns.field(&field(Draw::USER, [b"frank", b"-"]), <[u8]>::to_vec);
    columns.text(b"\n");
    let format = columns.finish();
    assert!(
        matches!(
            &*format.columns.all,
            [Column::Text(_), Column::Of32(Draw::TARGET, _), Column::Of32(Draw::USER, _)]
        ),
        "{format:?}"
    );
    assert_eq!(format.needed, NeededDraws { user: true, ..NeededDraws::default() });
}
