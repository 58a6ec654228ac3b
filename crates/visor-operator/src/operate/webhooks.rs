//! Starts the webhooks: their caches, their certificate, their server. Every operator does, leader
//! or not.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use futures::future;
use kube::Client;
use tokio::{select, sync::watch, time::sleep};
use tracing::{info, warn};
use visor_http::{Readiness, ServerHandle};

use crate::{
    admission::{
        server,
        validator::{self, Validator},
    },
    api_client::ApiCapabilities,
    certificates::{self, Configuration, Resolver},
    cli::{Run, SidecarForm},
    controller::build::Settings,
    injector::{self, Form, Injector, InjectorCache},
    metrics::Metrics,
};

/// The interval of checks whether there is a certificate.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a leader has to create the first certificate.
const LEADER_TIMEOUT: Duration = Duration::from_secs(3);

/// What the webhooks share with the rest of the operator.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: Settings,
    pub(super) api_capabilities: ApiCapabilities,
    /// For lookups, which are throttled separately.
    pub(super) asking: Client,
    /// The operator's own namespace.
    pub(super) namespace: String,
    pub(super) is_leader: watch::Receiver<bool>,
}

/// The webhooks that run.
pub(super) struct Webhooks {
    /// The injector, if injection is enabled.
    pub(super) injector: Option<Arc<Injector>>,
    /// Their server.
    pub(super) server: ServerHandle,
}

/// Starts the enabled webhooks, in tasks that run until the end of the process.
///
/// # Errors
///
/// If the address can't be listened on.
pub(super) fn start(
    options: &Run,
    shared: Shared,
    readiness: Arc<Readiness>,
) -> anyhow::Result<Webhooks> {
    let resolver = certificate(options, &shared);
    let Shared { client, metrics, settings, api_capabilities, asking, namespace, .. } = shared;
    let mut router = Router::new();
    if options.validate {
        let policy = settings.policy.clone();
        let validator = Validator::new(policy, asking.clone(), Arc::clone(&metrics));
        router = router.merge(validator::router(Arc::new(validator)));
    }
    let injector = options.inject.then(|| {
        let (injector_cache, watching) = InjectorCache::watch(&client, asking, &metrics);
        tokio::spawn(watching);
        let sidecar_form_of = sidecar_form_of(options.sidecar_form, api_capabilities);
        info!(?sidecar_form_of, "sidecar injection is enabled");
        Arc::new(Injector::new(injector_cache, metrics, settings, sidecar_form_of, namespace))
    });
    if let Some(injector) = &injector {
        router = router.merge(injector::router(Arc::clone(injector)));
    }
    let (address, handle) = server::serve(options.webhook_listen, Arc::clone(&resolver), router)
        .with_context(|| {
            let address = options.webhook_listen;
            format!("cannot listen on {address}; choose another address with --webhook-listen")
        })?;
    info!(%address, "webhook listening");

    let injector_cache = injector.as_ref().map(|injector| Arc::clone(&injector.cache));
    tokio::spawn(async move {
        let certificate = async {
            while !resolver.is_loaded() {
                sleep(CHECK_INTERVAL).await;
            }
        };
        let synced = async {
            if let Some(injector_cache) = injector_cache {
                injector_cache.synced().await;
            }
        };
        future::join(synced, certificate).await;
        readiness.set(true);
        info!("webhook ready");
    });
    Ok(Webhooks { injector, server: handle })
}

/// The certificate, which will be loaded: from a directory, or the operator's own.
fn certificate(options: &Run, shared: &Shared) -> Arc<Resolver> {
    let counted = Arc::clone(&shared.metrics);
    let resolver = Arc::new(Resolver::new(move |expires| counted.certificate_ends(expires)));
    if let Some(directory) = &options.webhook_certificate_directory {
        tokio::spawn(certificates::follow_files(directory.clone(), Arc::clone(&resolver)));
        return resolver;
    }
    let name = || options.webhook_configuration.clone();
    let mutating = options.inject.then(|| Configuration::Mutating(name()));
    let validating = options.validate.then(|| Configuration::Validating(name()));
    let certificate_settings = certificates::CertificateSettings {
        secret: options.webhook_secret.clone(),
        configurations: mutating.into_iter().chain(validating).collect(),
        names: certificates::names(&options.webhook_service, &shared.namespace),
        namespace: shared.namespace.clone(),
        certificate_validity: options.webhook_certificate_validity,
        authority_validity: options.webhook_authority_validity,
    };
    let may_write_certificates =
        may_write_certificates(shared.is_leader.clone(), Arc::clone(&resolver));
    let metrics = Arc::clone(&shared.metrics);
    let client = shared.client.clone();
    tokio::spawn(certificates::manage(
        client,
        certificate_settings,
        may_write_certificates,
        Arc::clone(&resolver),
        metrics,
    ));
    resolver
}

/// Whether this operator reconciles the certificates: if it is the leader, or if nobody else has
/// created any. The leader may be of an earlier release without an injector, and would wait for
/// this operator to become ready, which waits for a certificate. Two writers don't harm each other.
fn may_write_certificates(
    mut is_leader: watch::Receiver<bool>,
    resolver: Arc<Resolver>,
) -> watch::Receiver<bool> {
    let (may_write_certificates, written) = watch::channel(*is_leader.borrow());
    tokio::spawn(async move {
        let mut waited = pin!(sleep(LEADER_TIMEOUT));
        loop {
            select! {
                changed = is_leader.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    may_write_certificates.send_replace(*is_leader.borrow());
                }
                () = &mut waited, if !waited.is_elapsed() => {
                    if !resolver.is_loaded() {
                        info!("no other operator has created a certificate for the webhook; creating one");
                        may_write_certificates.send_replace(true);
                    }
                }
            }
        }
    });
    written
}

/// The configured form of sidecars, if the API server supports it.
fn sidecar_form_of(desired: SidecarForm, api_capabilities: ApiCapabilities) -> Form {
    match (desired, api_capabilities.native_sidecars) {
        (SidecarForm::Plain, _) | (SidecarForm::Auto, false) => Form::Plain,
        (SidecarForm::Auto | SidecarForm::Native, true) => Form::Native,
        (SidecarForm::Native, false) => {
            warn!("this API server has no native sidecars; injecting plain containers");
            Form::Plain
        }
    }
}
