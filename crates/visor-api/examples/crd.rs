//! Prints the custom resource definition of `FakeLogSource` as YAML: what a cluster is told by
//! `kubectl apply -f manifests/crd/visor.dev_fakelogsources.yaml`. `make generate` writes that file.

use std::{
    error::Error,
    io::{self, Write},
};

use kube::CustomResourceExt;
use visor_api::FakeLogSource;

fn main() -> Result<(), Box<dyn Error>> {
    // Through JSON, so that the keys are in one order on every machine.
    let definition = serde_json::to_value(FakeLogSource::crd())?;
    let mut text = String::from("# Generated from crates/visor-api by `make generate`.\n");
    serde_saphyr::to_fmt_writer(&mut text, &definition)?;
    Ok(io::stdout().write_all(text.as_bytes())?)
}
