//! The headless Service of a source: it makes the pods' metrics discoverable, and gives the pods of
//! a `StatefulSet` stable DNS names.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{container, metadata};
use crate::{
    labels::{self, METRICS_PORT},
    source::ValidSource,
};

pub(super) fn headless(source: ValidSource<'_>) -> Service {
    Service {
        metadata: metadata(source),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            // The metrics of a pod that isn't ready say why.
            publish_not_ready_addresses: Some(true),
            selector: Some(labels::selector(source)),
            ports: Some(vec![ServicePort {
                name: Some(container::METRICS_PORT_NAME.to_owned()),
                port: METRICS_PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(container::METRICS_PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
