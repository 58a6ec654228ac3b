//! Test fixtures of several modules: plans of documents, an output buffer, and an event loop.

use std::{path::Path, rc::Rc, sync::Arc};

use serde_json::{Value, json};
use tokio::{runtime, task::LocalSet};
use visor_api::ResolvedSource;

use crate::{
    metrics::Metrics,
    output::{Address, Buffer, FileLocation, OutputPlan, Outputs, Writer},
    plan::{CarryOver, Plan, Settings},
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

/// An output that is this file, with a buffer and the writer that is to be run.
pub(crate) fn output(path: &Path, metrics: &Arc<Metrics>) -> (Arc<Outputs>, Rc<Buffer>, Writer) {
    let outputs = Arc::new(Outputs::new(Arc::clone(metrics)).unwrap());
    outputs.set_retry_limit(None);
    let plan = OutputPlan {
        name: "access.log".to_owned(),
        address: Address::File(FileLocation::new(Path::new(""), path)),
        rotation: None,
    };
    let (buffer, writer) = outputs.buffer(&plan, &Arc::default());
    (outputs, Rc::new(buffer), writer.unwrap())
}

/// Runs a test on an event loop of its own, whose time advances whenever there is nothing to do.
pub(crate) fn on_a_loop(test: impl Future<Output = ()>) {
    let runtime =
        runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}
