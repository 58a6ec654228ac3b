//! After its first lines, a stream allocates nothing for a line.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use visor_api::ResolvedSource;
use visor_engine::{log, random::Seed, stream::Stream, text::Lines, time::Time};

fn stream(generator: &Value) -> Stream {
    let source = json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "test"},
        "spec": {"generators": [generator]},
    });
    let source = ResolvedSource::check(serde_json::from_value(source).unwrap()).unwrap();
    let streams =
        log::Source::new(source.time_zone.clone(), Seed::new(1)).streams(&source.generators[0]);
    streams.unwrap().into_iter().next().unwrap().start(Time::EPOCH)
}

/// How often a stream allocates in the lines after its first ones. They are all of one second: each
/// new second is rendered again.
fn allocations(generator: &Value) -> u64 {
    let mut stream = stream(generator);
    let mut out = Lines::default();
    // Room for the longest line.
    (0..200).for_each(|_| stream.write_at(Time::EPOCH, &mut out));
    let mut write = |lines: u32| {
        (0..lines).for_each(|_| {
            out.clear();
            stream.write_at(Time::EPOCH, &mut out);
        });
    };
    write(2_000);
    allocation_counter::measure(|| write(2_000)).count_total
}

#[test]
fn a_line_allocates_nothing() {
    let custom = "%h %a %u %t %{%Y}t %r %m %U%q %H %>s %B %b %I %O %D %T %v %p %P %{tid}P %{hextid}P %k %X %L \
                  %{X}i %{X-Request-Id}i %{UNIQUE_ID}e %{SSL_PROTOCOL}x %{Content-Type}o %f";
    let custom = json!({
        "format": "Custom",
        "logFormat": custom,
        "durations": [{"min": "1ms", "max": "1ms"}],
    });
    let access =
        |log: Value, stream: Value| json!({"name": "web", "access": log, "streams": [stream]});
    let requests = json!({"name": "requests", "kind": "Access"});
    let beat = |style: &str| json!({"name": "beat", "kind": "Heartbeat", "heartbeat": style});
    let error = |kind: &str| {
        let stream = json!({"name": "messages", "kind": kind});
        json!({"name": "web", "error": {}, "streams": [stream]})
    };
    for generator in [
        access(json!({"format": "Combined"}), requests.clone()),
        access(json!({"format": "VhostCombined"}), requests.clone()),
        access(json!({"format": "Json"}), requests.clone()),
        access(custom, requests),
        access(json!({}), beat("KubeProbe")),
        access(json!({}), beat("InternalDummyConnection")),
        access(json!({}), beat("Message")),
        error("Error"),
        error("Debug"),
        error("Heartbeat"),
    ] {
        assert_eq!(allocations(&generator), 0, "{generator}");
    }
}
