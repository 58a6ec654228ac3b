//! What the tests of several modules need: plans made of documents, an outlet, and a loop.

use std::{path::Path, rc::Rc, sync::Arc};

use serde_json::{Value, json};
use tokio::{runtime, task::LocalSet};
use visor_api::ResolvedSource;

use crate::{
    clock::Clock,
    metrics::Metrics,
    outlet::{Outlet, Persistence},
    plan::{Memory, Plan, Settings},
    sink::{FilePlace, Patience, SharedSink, Sink, Target},
    writers::Writers,
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
    Plan::new(&[source(spec)], &settings, &mut Memory::default()).unwrap()
}

/// A stream (JSON) that writes a line every so often.
pub(crate) fn every(interval: &str) -> Value {
    json!({"name": "requests", "kind": "Access", "interval": {"fixed": interval}})
}

/// An outlet that writes into this file, once its [`write`](Outlet::write) runs; and for how long it
/// tries.
pub(crate) fn outlet(
    path: &Path,
    metrics: &Metrics,
    clock: &Rc<Clock>,
) -> (Rc<Outlet>, Arc<Persistence>) {
    let persistence = Arc::new(Persistence::default());
    persistence.set(None);
    let target = Target::File(FilePlace::new(Path::new(""), path));
    let sink = Sink::new(target, None, Patience::new().unwrap());
    let outlet = Outlet::new(
        "access.log",
        (SharedSink::new(sink), None),
        Writers::default(),
        Arc::clone(&persistence),
        metrics.output("access.log"),
        Rc::clone(clock),
    );
    (Rc::new(outlet), persistence)
}

/// Runs a test on an event loop of its own, whose time goes on as fast as there is nothing to do.
pub(crate) fn on_a_loop(test: impl Future<Output = ()>) {
    let runtime =
        runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}
