//! What tests make of documents.

use visor_api::ResolvedSource;
use visor_logs::resolved::Generator;

use crate::{log, random::Seed, text::Lines, time::Time};

/// The generator of this document.
pub(crate) fn generator(document: &serde_json::Value) -> Generator {
    let source = serde_json::json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "test"},
        "spec": {"generators": [document]},
    });
    let source = ResolvedSource::check(serde_json::from_value(source).unwrap()).unwrap();
    source.generators.into_iter().next().unwrap()
}

/// The first lines of the one stream of a generator's document.
pub(crate) fn lines(document: &serde_json::Value, count: usize) -> Vec<String> {
    let mut source = log::Source::new(jiff::tz::TimeZone::UTC, Seed::new(1));
    let streams = source.streams(&generator(document));
    let mut stream = streams.unwrap().into_iter().next().unwrap().start(Time::EPOCH);
    let mut out = Lines::default();
    (0..count).for_each(|_| stream.write(0, &mut out));
    let text = std::str::from_utf8(out.as_bytes()).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}
