//! What a document weighs is what comes out: the empirical distributions of every field of content
//! over seeded lines, the independence of streams, and the sameness of bytes.
//!
//! Seeds are fixed, so each test has the same result in every run. A p-value below one in a thousand
//! fails.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};

use statrs::distribution::{ChiSquared, ContinuousCDF};
use visor_api::ResolvedSource;
use visor_engine::{log, random::Seed, simulate::Merge, stream::Stream, text::Lines, time::Time};

const LINES: usize = 20_000;

/// The streams of this generator (JSON).
fn streams(generator: &str, seed: u64) -> Vec<Stream> {
    let generator: serde_json::Value = serde_json::from_str(generator).unwrap();
    let source = serde_json::json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "test"},
        "spec": {"generators": [generator]},
    });
    let source = ResolvedSource::check(serde_json::from_value(source).unwrap()).unwrap();
    let named = log::Source::new(source.time_zone.clone(), Seed::new(seed))
        .streams(&source.generators[0])
        .unwrap();
    named.into_iter().map(|stream| stream.start(Time::EPOCH)).collect()
}

fn lines(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut out = Lines::default();
    (0..count).for_each(|_| stream.write(0, &mut out));
    let text = String::from_utf8(out.as_bytes().to_vec()).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

/// Pearson's test of counts against expected ones: the chance of a fit as bad as this.
fn p_value(cells: &[(f64, f64)], degrees: usize) -> f64 {
    let statistic: f64 = cells.iter().map(|(seen, wanted)| (seen - wanted).powi(2) / wanted).sum();
    ChiSquared::new(degrees as f64).unwrap().sf(statistic)
}

fn counts<'a>(values: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, f64> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0.0) += 1.0);
    counts
}

/// Values are drawn in proportion to their weights, and no others are drawn.
fn assert_drawn(what: &str, values: &[&str], weights: &[(&str, f64)]) {
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let seen = counts(values.iter().copied());
    let known: Vec<&str> = weights.iter().map(|(value, _)| *value).collect();
    assert!(seen.keys().all(|value| known.contains(value)), "{what}: {seen:?}");
    let cells: Vec<(f64, f64)> = weights
        .iter()
        .filter(|(_, weight)| *weight > 0.0)
        .map(|(value, weight)| {
            (seen.get(value).copied().unwrap_or(0.0), weight / total * values.len() as f64)
        })
        .collect();
    let p = p_value(&cells, cells.len() - 1);
    assert!(p > 0.001, "{what}: p = {p}: {seen:?}");
}

#[test]
fn every_field_of_a_request_is_drawn_as_its_weights_say() {
    let generator = r#"{"name": "web", "access": {
        "format": "Custom",
        "logFormat": "%u\t%m\t%U%q\t%H\t%>s\t%{Referer}i\t%{User-Agent}i\t%v\t%{X}i",
        "users": [{"value": "-", "weight": 8}, {"value": "frank", "weight": 2}],
        "methods": [{"value": "GET", "weight": 60}, {"value": "POST", "weight": 20}, {"value": "BREW", "weight": 5}],
        "targets": [{"value": "/a?b=c", "weight": 5}, {"value": "/b", "weight": 1}, {"value": "/never", "weight": 0}],
        "protocols": [{"value": "HTTP/1.1", "weight": 3}, {"value": "HTTP/2.0"}],
        "statuses": [{"value": 200, "weight": 70}, {"value": 404, "weight": 20}, {"value": 503, "weight": 10}],
        "referers": [{"value": "-", "weight": 4}, {"value": "https://shop.example/"}],
        "userAgents": [{"value": "one", "weight": 1}, {"value": "two", "weight": 2}, {"value": "three", "weight": 3}],
        "virtualHosts": [{"value": "a.example", "weight": 9}, {"value": "b.example"}],
        "directives": [{"directive": "%{x}i", "values": [{"value": "7", "weight": 7}, {"value": "3", "weight": 3}]}]
    }, "streams": [{"name": "requests", "kind": "Access"}]}"#;
    let lines = lines(&mut streams(generator, 5)[0], LINES);
    let fields: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let wanted: [(&str, &[(&str, f64)]); 9] = [
        ("users", &[("-", 8.0), ("frank", 2.0)]),
        ("methods", &[("GET", 60.0), ("POST", 20.0), ("BREW", 5.0)]),
        ("targets", &[("/a?b=c", 5.0), ("/b", 1.0), ("/never", 0.0)]),
        ("protocols", &[("HTTP/1.1", 3.0), ("HTTP/2.0", 1.0)]),
        ("statuses", &[("200", 70.0), ("404", 20.0), ("503", 10.0)]),
        ("referers", &[("-", 4.0), ("https://shop.example/", 1.0)]),
        ("user agents", &[("one", 1.0), ("two", 2.0), ("three", 3.0)]),
        ("virtual hosts", &[("a.example", 9.0), ("b.example", 1.0)]),
        ("directives", &[("7", 7.0), ("3", 3.0)]),
    ];
    for (column, (what, weights)) in wanted.into_iter().enumerate() {
        let values: Vec<&str> = fields.iter().map(|fields| fields[column]).collect();
        assert_drawn(what, &values, weights);
    }
}

#[test]
fn sizes_and_durations_are_drawn_from_their_ranges_as_their_weights_say() {
    let generator = r#"{"name": "web", "access": {
        "format": "Custom", "logFormat": "%B %D",
        "methods": [{"value": "GET"}], "statuses": [{"value": 200}],
        "sizes": [{"min": 100, "max": 103, "weight": 4}, {"min": 5000, "max": 5000, "weight": 1}],
        "durations": [{"min": "1ms", "max": "2ms", "weight": 1}, {"min": "1s", "max": "1s", "weight": 3}]
    }, "streams": [{"name": "requests", "kind": "Access"}]}"#;
    let lines = lines(&mut streams(generator, 5)[0], LINES);
    let pairs: Vec<(&str, &str)> = lines.iter().map(|line| line.split_once(' ').unwrap()).collect();
    let sizes: Vec<&str> = pairs.iter().map(|(size, _)| *size).collect();
    let even = [("100", 1.0), ("101", 1.0), ("102", 1.0), ("103", 1.0), ("5000", 1.0)];
    assert_drawn("sizes", &sizes, &even);
    let class = |micros: &str| match micros.parse::<u64>().unwrap() {
        1_000..=2_000 => "short",
        1_000_000 => "long",
        other => panic!("a duration of {other} microseconds"),
    };
    let durations: Vec<&str> = pairs.iter().map(|(_, micros)| class(micros)).collect();
    assert_drawn("durations", &durations, &[("short", 1.0), ("long", 3.0)]);
}

#[test]
fn messages_are_drawn_as_their_weights_say() {
    let generator = r#"{"name": "errors", "error": {}, "streams": [{"name": "warn", "kind": "Warn",
        "messages": [{"value": "one", "weight": 5}, {"value": "two", "weight": 2, "client": true}]}]}"#;
    let lines = lines(&mut streams(generator, 9)[0], LINES);
    let last: Vec<&str> = lines.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_drawn("messages", &last, &[("one", 5.0), ("two", 2.0)]);
    let with_client = lines.iter().filter(|line| line.contains("[client "));
    assert!(with_client.clone().count() > 0 && with_client.into_iter().all(|l| l.ends_with("two")));
}

/// Messages about a client have the referers and the clients of the log, each as often as its weight
/// says, and others have none.
#[test]
fn referers_and_clients_of_messages_are_drawn_as_their_weights_say() {
    let generator = r#"{"name": "errors", "error": {
            "referers": [{"value": "-", "weight": 6}, {"value": "https://a.example/", "weight": 3}, {"value": "b"}],
            "clients": {"pool": 40, "distribution": "Uniform", "networks": [{"value": "203.0.113.0/24"}]}},
        "streams": [{"name": "error", "kind": "Error", "messages": [{"value": "one", "client": true}, {"value": "two"}]}]}"#;
    let lines = lines(&mut streams(generator, 9)[0], LINES);
    let (with, without): (Vec<&str>, Vec<&str>) =
        lines.iter().map(String::as_str).partition(|line| line.contains("[client "));
    assert!(without.iter().all(|line| line.ends_with("] two")));
    let referer = |line: &&str| line.rsplit_once(" one").unwrap().1.to_owned();
    let referers: Vec<String> = with.iter().map(referer).collect();
    let referers: Vec<&str> = referers.iter().map(String::as_str).collect();
    let weights = [("", 6.0), (", referer: https://a.example/", 3.0), (", referer: b", 1.0)];
    assert_drawn("referers", &referers, &weights);
    let address =
        |line: &&str| line.split("[client ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    let clients: Vec<String> = with.iter().map(address).collect();
    let seen = counts(clients.iter().map(String::as_str));
    assert_eq!(seen.len(), 40, "each of the pool, and nobody else");
    let cells: Vec<(f64, f64)> =
        seen.values().map(|seen| (*seen, clients.len() as f64 / 40.0)).collect();
    let p = p_value(&cells, 39);
    assert!(p > 0.001, "clients: p = {p}");
}

#[test]
fn what_has_no_body_has_no_bytes() {
    let generator = r#"{"name": "web", "access": {"format": "Custom", "logFormat": "%m %>s %b"},
        "streams": [{"name": "requests", "kind": "Access"}]}"#;
    let lines = lines(&mut streams(generator, 1)[0], LINES);
    let bodiless = |line: &&String| {
        line.starts_with("HEAD ") || line.contains(" 304 ") || line.contains(" 204 ")
    };
    assert!(lines.iter().filter(bodiless).count() > 100);
    assert!(lines.iter().filter(bodiless).all(|line| line.ends_with(" -")));
    assert!(lines.iter().all(|line| !line.starts_with("POST ") || !line.contains(" 304 ")));
}

/// Two streams with the same interval and model: a high draw of one says nothing about the draw of the
/// other at the same position, neither for times nor for contents.
#[test]
fn streams_are_independent() {
    let generator = r#"{"name": "web", "access": {"format": "Custom", "logFormat": "%>s",
        "statuses": [{"value": 200}, {"value": 404}]}, "streams": [
        {"name": "a", "kind": "Access", "interval": {"exponential": {"mean": "1s"}}},
        {"name": "b", "kind": "Access", "interval": {"exponential": {"mean": "1s"}}}]}"#;
    let mut both = streams(generator, 77);
    let mut draws = |index: usize| {
        let stream = &mut both[index];
        let mut out = Lines::default();
        let draw = |_| {
            let before = stream.due();
            out.clear();
            stream.write(0, &mut out);
            (stream.due().nanos_since(before) > 693_147_181, out.as_bytes() == b"200\n")
        };
        (0..LINES).map(draw).collect::<Vec<(bool, bool)>>()
    };
    let (a, b) = (draws(0), draws(1));
    let pairs = |of: fn(&(bool, bool)) -> bool| {
        let mut cells = [[0.0; 2]; 2];
        for (one, other) in a.iter().zip(&b) {
            cells[usize::from(of(one))][usize::from(of(other))] += 1.0;
        }
        // All four pairs are equally likely: both draws are as likely high as low.
        let cells: Vec<(f64, f64)> =
            cells.as_flattened().iter().map(|seen| (*seen, LINES as f64 / 4.0)).collect();
        p_value(&cells, 3)
    };
    assert!(pairs(|draw| draw.0) > 0.001, "times: p = {}", pairs(|draw| draw.0));
    assert!(pairs(|draw| draw.1) > 0.001, "contents: p = {}", pairs(|draw| draw.1));
}

/// Adding a stream leaves the lines of the others as they were.
#[test]
fn a_stream_s_lines_do_not_depend_on_its_neighbours() {
    let generator =
        |streams: &str| format!(r#"{{"name": "web", "access": {{}}, "streams": [{streams}]}}"#);
    let requests = r#"{"name": "requests", "kind": "Access"}"#;
    let alone = lines(&mut streams(&generator(requests), 3)[0], 100);
    let more = format!(r#"{{"name": "first", "kind": "Heartbeat"}}, {requests}"#);
    assert_eq!(lines(&mut streams(&generator(&more), 3)[1], 100), alone);
}

/// The logs of a source are of one server: they name the same processes and clients, and as many threads.
#[test]
fn the_logs_of_a_server_agree_about_it() {
    let access = r#"{"name": "web", "access": {"format": "Custom", "logFormat": "%P %{tid}P %a",
        "clients": {"distribution": "Uniform"}}, "streams": [{"name": "requests", "kind": "Access"}, {"name": "life", "kind": "Heartbeat"}]}"#;
    let error = r#"{"name": "daemon", "error": {"clients": {"distribution": "Uniform"}},
        "streams": [{"name": "e", "kind": "Error"}]}"#;
    let mut of_access = streams(access, 5);
    let [mut processes, mut threads, mut clients] = [const { BTreeSet::new() }; 3];
    for line in lines(&mut of_access[0], LINES) {
        let [process, thread, client] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        processes.insert(process.to_owned());
        threads.insert(thread.to_owned());
        clients.insert(client.to_owned());
    }
    // Heartbeats are served like other requests.
    for line in lines(&mut of_access[1], 100) {
        assert!(processes.contains(line.split(' ').next().unwrap()), "{line}");
    }
    let [mut of_error, mut their_threads, mut their_clients] = [const { BTreeSet::new() }; 3];
    let part = |line: &str, before: &str, after: &str| {
        let (_, rest) = line.split_once(before)?;
        Some(rest.split_once(after)?.0.to_owned())
    };
    for line in lines(&mut streams(error, 5)[0], LINES) {
        let Some(client) = part(&line, "[client ", "] ") else { continue };
        of_error.insert(part(&line, "[pid ", ":").unwrap());
        their_threads.insert(part(&line, ":tid ", "]").unwrap());
        their_clients.insert(client.rsplit_once(':').unwrap().0.to_owned());
    }
    assert_eq!((processes.len(), threads.len()), (4, 100));
    assert_eq!((processes, clients), (of_error, their_clients));
    // httpd writes the IDs of POSIX to access logs, those of the kernel to error logs.
    assert_eq!(their_threads.len(), 100);
}

/// The bytes of a seed on every machine. If a change of the defaults changes them, update the
/// snapshot and the changelog. The snapshot has the first lines, and a hash of all.
#[test]
fn the_bytes_of_a_seed_are_the_same_everywhere() {
    const SHOWN: usize = 12;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut shown = String::new();
    for generator in [
        r#"{"name": "web", "access": {"format": "CombinedIo"}}"#,
        r#"{"name": "errors", "error": {}, "streams": [
            {"name": "error", "kind": "Error", "interval": {"normal": {"mean": "5ms", "standardDeviation": "4ms"}}},
            {"name": "trace", "kind": "Trace4", "interval": {"exponential": {"mean": "3ms"}}}]}"#,
    ] {
        let mut merge = Merge::new(streams(generator, 42));
        let mut out = Lines::default();
        for _ in 0..5_000 {
            assert_eq!(merge.write(Time::MAX, 1, &mut out), 1);
        }
        for byte in out.as_bytes() {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let text = std::str::from_utf8(out.as_bytes()).unwrap();
        shown.extend(text.split_inclusive('\n').take(SHOWN));
    }
    insta::assert_snapshot!(format!("{shown}FNV-1a of all 10,000 lines: {hash}"));
}
