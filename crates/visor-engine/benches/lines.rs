//! Lines per second in memory, on one core, of each format; next to floors that draw nothing and copy
//! what is there already. The contenders take turns, so that whatever else the machine does hits all
//! of them.
//!
//!     cargo bench --package visor-engine --bench lines                 JSON, as bench/run reads it
//!     cargo bench --package visor-engine --bench lines -- combined 9   seconds a line in nine rounds of
//!                                                this format, and no floor

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a benchmark")]

use std::{hint::black_box, time::Instant};

use serde_json::{Value, json};
use visor_api::ResolvedSource;
use visor_engine::{log, random::Seed, stream::Stream, text::Lines, time::Time};

/// About as many lines as fit a quarter of a mebibyte.
const LINES: usize = 1_000;
/// So often they are written in a round.
const REPEATS: usize = 40;
const ROUNDS: usize = 25;
const FIRST: i64 = 1_700_000_000_000_000_000;

/// Who writes the lines of a format.
struct Contenders {
    name: &'static str,
    stream: Stream,
    time: i64,
    out: Lines,
    /// Lines as the stream writes them, each in one piece.
    whole: Vec<Vec<Vec<u8>>>,
    /// The same ones in the pieces that a Combined line has.
    pieces: Option<Vec<Vec<Vec<u8>>>>,
    copy: Vec<u8>,
}

/// What a round took, in seconds for a line.
#[derive(Default)]
struct Times {
    visor: Vec<f64>,
    whole: Vec<f64>,
    pieces: Vec<f64>,
}

fn main() {
    // Cargo also passes `--bench`.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut all = contenders();
    if let [format, rounds] = &words[..] {
        let chosen = all.iter_mut().find(|one| one.name == format).expect("a format's name");
        let rounds = 0..rounds.parse().expect("a number of rounds");
        let times: Vec<f64> = rounds.map(|_| seconds_a_line(|| chosen.write())).collect();
        println!("{}", json!(times));
        return;
    }
    let mut times: Vec<Times> = all.iter().map(|_| Times::default()).collect();
    for _ in 0..ROUNDS {
        for (one, times) in all.iter_mut().zip(&mut times) {
            times.visor.push(seconds_a_line(|| one.write()));
            times.whole.push(seconds_a_line(|| copy(&one.whole, &mut one.copy)));
            if let Some(pieces) = &one.pieces {
                times.pieces.push(seconds_a_line(|| copy(pieces, &mut one.copy)));
            }
        }
    }
    let found = all.iter().zip(&times).map(|(one, times)| {
        json!({
            "format": one.name,
            "bytesALine": one.out.len() / LINES,
            "visor": times.visor,
            "wholeLines": times.whole,
            "pieces": times.pieces,
        })
    });
    println!("{}", found.collect::<Value>());
}

fn contenders() -> Vec<Contenders> {
    let custom = r#"%a %{%Y-%m-%dT%H:%M:%S}t.%{msec_frac}t %m "%U%q" %>s %B %D %X "%{Referer}i""#;
    let custom = json!({"format": "Custom", "logFormat": custom});
    let access = |name, format: &str| Contenders::new(name, "access", &json!({"format": format}));
    let error = |name, format: &str| Contenders::new(name, "error", &json!({"format": format}));
    vec![
        access("common", "Common"),
        access("combined", "Combined"),
        access("combinedio", "CombinedIo"),
        access("vhost_combined", "VhostCombined"),
        Contenders::new("custom", "access", &custom),
        access("json", "Json"),
        error("error_2.4", "Httpd24"),
        error("error_2.2", "Httpd22"),
    ]
}

impl Contenders {
    fn new(name: &'static str, log: &str, fields: &Value) -> Self {
        let kind = if log == "access" { "Access" } else { "Error" };
        let mut contenders = Self {
            name,
            stream: stream(kind, log, fields),
            time: FIRST,
            out: Lines::default(),
            whole: Vec::new(),
            pieces: None,
            copy: Vec::new(),
        };
        contenders.write();
        let lines: Vec<Vec<u8>> =
            contenders.out.as_bytes().split_inclusive(|b| *b == b'\n').map(Vec::from).collect();
        if name == "combined" {
            contenders.pieces = Some(lines.iter().map(|line| eleven_pieces(line)).collect());
        }
        contenders.whole = lines.into_iter().map(|line| vec![line]).collect();
        contenders
    }

    /// Writes lines a microsecond apart, as a stream at a million lines per second does.
    fn write(&mut self) {
        for _ in 0..REPEATS {
            self.out.clear();
            for _ in 0..LINES {
                self.time += 1_000;
                self.stream.write_at(Time::from_nanos(self.time), &mut self.out);
            }
            black_box(self.out.as_bytes());
        }
    }
}

/// The one stream of this generator.
fn stream(kind: &str, log: &str, fields: &Value) -> Stream {
    let generator = json!({
        "name": "bench",
        log: fields,
        "streams": [{"name": "lines", "kind": kind}],
    });
    let source = serde_json::from_value(json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "bench"},
        "spec": {"generators": [generator]},
    }));
    let source = ResolvedSource::check(source.expect("a source")).expect("no problem");
    let streams = log::Source::new(source.time_zone.clone(), Seed::new(1))
        .streams(source.generators.first().expect("one generator"));
    streams.expect("contents").into_iter().next().expect("one stream").start(Time::EPOCH)
}

/// Client, user, time, zone, method, target, protocol, status, size, referer and user agent of a
/// Combined line, each with what stands behind it.
fn eleven_pieces(line: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let words: Vec<&[u8]> = line.split_inclusive(|byte| *byte == b' ').collect();
    for (number, word) in words.into_iter().enumerate() {
        match pieces.last_mut() {
            // The name by identd is always `-`, and a user agent has spaces.
            Some(last) if number == 1 || number > 11 => last.extend_from_slice(word),
            _ => pieces.push(word.to_vec()),
        }
    }
    // A malformed request has fewer.
    assert!(pieces.len() <= 11, "{}", String::from_utf8_lossy(line));
    pieces
}

/// Copies lines piece by piece.
fn copy(lines: &[Vec<Vec<u8>>], out: &mut Vec<u8>) {
    for _ in 0..REPEATS {
        out.clear();
        for line in lines {
            for piece in line {
                out.extend_from_slice(piece);
            }
        }
        black_box(out.as_slice());
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are a few thousand lines")]
fn seconds_a_line(write: impl FnOnce()) -> f64 {
    let started = Instant::now();
    write();
    started.elapsed().as_secs_f64() / (LINES * REPEATS) as f64
}
