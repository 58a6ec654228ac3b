//! The metric with the version.

use prometheus::{IntGaugeVec, Opts, Registry};

/// Registers the metric with this name.
///
/// # Errors
///
/// If the name is taken.
pub fn register(registry: &Registry, name: &str) -> prometheus::Result<()> {
    let build = IntGaugeVec::new(Opts::new(name, "Build information; always 1."), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(build))
}
