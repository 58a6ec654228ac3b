//! Test fixtures of several modules: plans of documents, an output buffer, and an event loop.

use std::{path::Path, rc::Rc, sync::Arc};

use serde_json::{Value, json};
use tokio::{runtime, task::LocalSet};
use visor_api::ResolvedSource;

use crate::{
    clock::Clock,
    metrics::Metrics,
    output::{Cancellation, Destination, FileLocation, OutputWriter, SharedOutputWriter},
    output_buffer::{OutputBuffer, RetryLimit},
    plan::{CarryOver, Plan, Settings},
    write_threads::WriteThreads,
};

/// The source with this spec.
pub(crate) fn source(spec: &Value) -> ResolvedSource {
    let document = json!({
        "apiVersion": "visor.dev/v1alpha1",
        "kind": "FakeLogSource",
        "metadata": {"name": "shop"},
        "spec": spec,
    });
    ResolvedSource::check(serde_json::from_value(document).unwrap()).unwrap()
}

/// The plan of a source with this spec, whose files are below this directory.
pub(crate) fn plan(spec: &Value, directory: &Path) -> Plan {
    let settings = Settings { output_dir: directory.to_owned(), ..Settings::default() };
    Plan::new(&[source(spec)], &settings, &mut CarryOver::default()).unwrap()
}

/// A stream (JSON) that writes a line every so often.
pub(crate) fn every(interval: &str) -> Value {
    json!({"name": "requests", "kind": "Access", "interval": {"fixed": interval}})
}

/// An output buffer that writes to this file, once its [`write`](OutputBuffer::write) runs; and for how long it
/// tries.
pub(crate) fn output_buffer(
    path: &Path,
    metrics: &Metrics,
    clock: &Rc<Clock>,
) -> (Rc<OutputBuffer>, Arc<RetryLimit>) {
    let retry_limit = Arc::new(RetryLimit::default());
    retry_limit.set(None);
    let target = Destination::File(FileLocation::new(Path::new(""), path));
    let output = OutputWriter::new(target, None, Cancellation::new().unwrap());
    let output_buffer = OutputBuffer::new(
        "access.log",
        (SharedOutputWriter::new(output), None),
        WriteThreads::default(),
        (Arc::clone(&retry_limit), Arc::default()),
        metrics.output("access.log"),
        Rc::clone(clock),
    );
    (Rc::new(output_buffer), retry_limit)
}

/// Runs a test on an event loop of its own, whose time advances whenever there is nothing to do.
pub(crate) fn on_a_loop(test: impl Future<Output = ()>) {
    let runtime =
        runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}
