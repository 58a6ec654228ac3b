//! In every sequence of events, the files from the oldest to the newest contain exactly the
//! accepted lines.

use proptest::{collection::vec, prelude::*};

use super::*;

#[derive(Debug, Clone)]
enum Event {
    /// Lines of these lengths (without their newline).
    Write(Vec<usize>),
    Wait(i64),
    Reopen,
    Restart,
    Reload(Option<Rotation>),
}

fn rotations() -> impl Strategy<Value = Option<Rotation>> {
    let method = prop_oneof![Just(RotationMethod::Rename), Just(RotationMethod::CopyTruncate)];
    let compress = prop_oneof![
        Just((Compression::None, false)),
        Just((Compression::Gzip, false)),
        Just((Compression::Gzip, true)),
    ];
    let size = prop::option::of(60_u64..2000);
    let age = prop::option::of(1_u64..20);
    prop::option::of((size, age, method, compress).prop_map(
        |(size, age, method, (compress, delay_compress))| Rotation {
            max_size: size.map(Size::from_bytes),
            max_age: age.map(Duration::from_secs),
            keep: 1000,
            method,
            compress,
            delay_compress,
        },
    ))
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => vec(0_usize..200, 0..20).prop_map(Event::Write),
        3 => (0_i64..20).prop_map(Event::Wait),
        1 => Just(Event::Reopen),
        1 => Just(Event::Restart),
        1 => rotations().prop_map(Event::Reload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_line_is_lost_doubled_torn_or_moved(
        mut rule in rotations(),
        events in vec(events(), 1..25),
    ) {
        let (_directory, path) = log();
        let mut current = file(&path, rule.clone());
        let (mut now, mut accepted, mut counter) = (0, Vec::new(), 0_u8);
        for event in events {
            match event {
                Event::Write(lengths) => {
                    let mut batch = Vec::new();
                    for length in lengths {
                        counter = (counter + 1) % 26;
                        batch.resize(batch.len() + length, b'a' + counter);
                        batch.push(b'\n');
                    }
                    let written = !batch.is_empty();
                    write(&mut current, &batch, at(now));
                    accepted.extend(batch);
                    if let Some(most) = rule.as_ref().and_then(|rule| rule.max_size)
                        && written
                    {
                        let content = fs::read(&path).unwrap();
                        let one_line = content.split_inclusive(|byte| *byte == b'\n').count() == 1;
                        prop_assert!(content.len() as u64 <= most.as_bytes() || one_line);
                    }
                }
                Event::Wait(seconds) => now += seconds,
                Event::Reopen => current.reopen(),
                Event::Restart => {
                    prop_assert_eq!(current.close().unwrap().cut, 0);
                    current = file(&path, rule.clone());
                }
                Event::Reload(new) => {
                    current.set_rotation(new.clone());
                    rule = new;
                }
            }
        }
        current.close().unwrap();
        prop_assert!(history(&path) == accepted);
        for rotated in (1..).map_while(|number| generation(&path, number)) {
            prop_assert!(rotated.ends_with(b"\n"));
        }
    }
}
