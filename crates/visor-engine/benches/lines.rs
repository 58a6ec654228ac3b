//! Lines a second and bytes a second per format, in memory, on one core; beside a floor that only
//! copies the same bytes.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use visor_api::ResolvedSource;
use visor_engine::{generator, random::Seed, stream::Stream, text::Lines, time::Time};

/// About as many lines as the program's buffers hold: a quarter of a mebibyte.
const LINES: u64 = 1_000;

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
    let streams = generator::Source::new(source.time_zone.clone(), Seed::new(1))
        .streams(source.generators.first().expect("one generator"));
    streams.expect("contents").into_iter().next().expect("one stream").start(Time::EPOCH)
}

/// Writes lines a microsecond apart, as a stream at a million lines a second does.
fn write_lines(stream: &mut Stream, time: &mut i64, out: &mut Lines) {
    out.clear();
    for _ in 0..LINES {
        *time += 1_000;
        stream.write_at(Time::from_nanos(*time), out);
    }
}

fn lines(criterion: &mut Criterion) {
    let access = |format: &str| stream("Access", "access", &json!({"format": format}));
    let error = |format: &str| stream("Error", "error", &json!({"format": format}));
    let custom = r#"%a %{%Y-%m-%dT%H:%M:%S}t.%{msec_frac}t %m "%U%q" %>s %B %D %X "%{Referer}i""#;
    let custom = json!({"format": "Custom", "logFormat": custom});
    let formats = [
        ("common", access("Common")),
        ("combined", access("Combined")),
        ("combinedio", access("CombinedIo")),
        ("vhost_combined", access("VhostCombined")),
        ("custom", stream("Access", "access", &custom)),
        ("error_2.4", error("Httpd24")),
        ("error_2.2", error("Httpd22")),
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
