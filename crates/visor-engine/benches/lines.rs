//! Lines a second and bytes a second per format, in memory, on one core; beside a floor that only
//! copies the same bytes.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use visor_api::source::{
    AccessFormat, AccessLog, ErrorFormat, ErrorLog, Generator, Output, Stream as Spec, StreamKind,
};
use visor_engine::{generator, random::Seed, stream::Stream, text::Lines};

/// About as many lines as the program's buffers hold: a quarter of a mebibyte.
const LINES: u64 = 1_000;

fn stream(access: Option<AccessLog>, error: Option<ErrorLog>) -> Stream {
    let kind = if access.is_some() { StreamKind::Access } else { StreamKind::Error };
    let generator = Generator {
        name: "bench".to_owned(),
        access,
        error,
        streams: vec![Spec::ordinary("lines", kind)],
        output: Output::default(),
    };
    let zone = generator::time_zone("UTC").expect("UTC is a time zone");
    let streams = generator::streams(&generator, &zone, Seed::new(1)).expect("ordinary contents");
    streams.into_iter().next().expect("one stream").start(0)
}

/// Writes lines a microsecond apart, as a stream at a million lines a second does.
fn write_lines(stream: &mut Stream, time: &mut i64, out: &mut Lines) {
    out.clear();
    for _ in 0..LINES {
        *time += 1_000;
        stream.write_at(*time, out);
    }
}

fn lines(criterion: &mut Criterion) {
    let access = |format, log_format: Option<&str>| {
        let log_format = log_format.map(ToOwned::to_owned);
        stream(Some(AccessLog { format, log_format, ..AccessLog::default() }), None)
    };
    let error = |format| stream(None, Some(ErrorLog { format, ..ErrorLog::default() }));
    let custom = r#"%a %{%Y-%m-%dT%H:%M:%S}t.%{msec_frac}t %m "%U%q" %>s %B %D %X "%{Referer}i""#;
    let formats = [
        ("common", access(AccessFormat::Common, None)),
        ("combined", access(AccessFormat::Combined, None)),
        ("combinedio", access(AccessFormat::CombinedIo, None)),
        ("vhost_combined", access(AccessFormat::VhostCombined, None)),
        ("custom", access(AccessFormat::Custom, Some(custom))),
        ("error_2.4", error(ErrorFormat::Httpd24)),
        ("error_2.2", error(ErrorFormat::Httpd22)),
    ];
    for (name, mut stream) in formats {
        let mut time = 1_700_000_000_000_000_000;
        let mut out = Lines::default();
        write_lines(&mut stream, &mut time, &mut out);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::ElementsAndBytes { elements: LINES, bytes: out.len() as u64 });
        group.bench_function(BenchmarkId::from_parameter("lines"), |bencher| {
            bencher.iter(|| write_lines(&mut stream, &mut time, &mut out));
        });
        let lines: Vec<Box<[u8]>> =
            out.as_bytes().split_inclusive(|b| *b == b'\n').map(Into::into).collect();
        let mut copy = Vec::with_capacity(out.len());
        group.bench_function(BenchmarkId::from_parameter("copying the same lines"), |bencher| {
            bencher.iter(|| {
                copy.clear();
                for line in &lines {
                    copy.extend_from_slice(line);
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, lines);
criterion_main!(benches);
