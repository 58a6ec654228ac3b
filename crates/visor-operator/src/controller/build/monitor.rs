//! The `PodMonitor` by which the Prometheus Operator discovers a source's pods.

use serde_json::{Value, json};

use super::{container, metadata};
use crate::{labels, source::ValidSource};

pub(super) fn pod_monitor(source: ValidSource<'_>) -> Value {
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata(source),
        "spec": {
            "selector": {"matchLabels": {labels::SOURCE_LABEL: source.name()}},
            "podMetricsEndpoints": [{"port": container::METRICS_PORT_NAME}],
        },
    })
}
