//! Starts the webhooks: what they know, their certificate, their server. Every operator does, whether
//! it leads or not.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use futures::future;
use kube::Client;
use tokio::{select, sync::watch, time::sleep};
use tracing::{info, warn};
use visor_http::Readiness;

use crate::{
    build::Settings,
    certificates::{self, Configuration, Resolver},
    cli::{Run, SidecarForm},
    cluster::Abilities,
    inject::{self, Form, Injector, Known},
    metrics::Metrics,
    validate::{self, Validator},
    webhook,
};

/// The pause between two looks whether there is a certificate.
const PAUSE: Duration = Duration::from_millis(100);

/// How long somebody who leads has to make a first certificate.
const NOBODY: Duration = Duration::from_secs(3);

/// What the webhooks share with the rest of the operator.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: Settings,
    pub(super) abilities: Abilities,
    /// For what isn't known, apart from all else that is asked.
    pub(super) asking: Client,
    /// The operator's own namespace.
    pub(super) namespace: String,
    pub(super) leads: watch::Receiver<bool>,
}

/// Starts the webhooks that are wished for, in tasks of their own that end with the program. Returns
/// the injector, if there is one.
///
/// # Errors
///
/// When the address can't be listened on.
pub(super) fn start(
    options: &Run,
    shared: Shared,
    readiness: Arc<Readiness>,
) -> anyhow::Result<Option<Arc<Injector>>> {
    let resolver = certificate(options, &shared);
    let Shared { client, metrics, settings, abilities, asking, namespace, .. } = shared;
    let mut router = Router::new();
    if options.validate {
        let policy = settings.policy.clone();
        let validator = Validator::new(policy, asking.clone(), Arc::clone(&metrics));
        router = router.merge(validate::router(Arc::new(validator)));
    }
    let injector = options.inject.then(|| {
        let (known, watching) = Known::watch(&client, asking, &metrics);
        tokio::spawn(watching);
        let form = form(options.sidecar_form, abilities);
        info!(?form, "generators are put into pods that ask for it");
        Arc::new(Injector::new(known, metrics, settings, form, namespace))
    });
    if let Some(injector) = &injector {
        router = router.merge(inject::router(Arc::clone(injector)));
    }
    let address = webhook::serve(options.webhook_listen, Arc::clone(&resolver), router)
        .with_context(|| {
            let address = options.webhook_listen;
            format!("cannot listen on {address}; choose another --webhook-listen")
        })?;
    info!(%address, "the webhook is listening");

    let known = injector.as_ref().map(|injector| Arc::clone(&injector.known));
    tokio::spawn(async move {
        let certificate = async {
            while !resolver.is_loaded() {
                sleep(PAUSE).await;
            }
        };
        let synced = async {
            if let Some(known) = known {
                known.synced().await;
            }
        };
        future::join(synced, certificate).await;
        readiness.set(true);
        info!("the webhook is ready");
    });
    Ok(injector)
}

/// The certificate, which is there in a while: somebody else's, or one of the operator's own.
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
    let kept = certificates::Settings {
        secret: options.webhook_secret.clone(),
        configurations: mutating.into_iter().chain(validating).collect(),
        names: certificates::names(&options.webhook_service, &shared.namespace),
        namespace: shared.namespace.clone(),
        certificate_validity: options.webhook_certificate_validity,
        authority_validity: options.webhook_authority_validity,
    };
    let writes = writes(shared.leads.clone(), Arc::clone(&resolver));
    let metrics = Arc::clone(&shared.metrics);
    let client = shared.client.clone();
    tokio::spawn(certificates::keep(client, kept, writes, Arc::clone(&resolver), metrics));
    resolver
}

/// Whether this operator is to write certificates: if it leads, or if nobody has written any. The one
/// that leads may be of an earlier release, without an injector, and would wait for this one to be
/// ready, as this one for a certificate. Two that write don't harm each other.
fn writes(mut leads: watch::Receiver<bool>, resolver: Arc<Resolver>) -> watch::Receiver<bool> {
    let (writes, written) = watch::channel(*leads.borrow());
    tokio::spawn(async move {
        let mut waited = pin!(sleep(NOBODY));
        loop {
            select! {
                changed = leads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    writes.send_replace(*leads.borrow());
                }
                () = &mut waited, if !waited.is_elapsed() => {
                    if !resolver.is_loaded() {
                        info!("nobody has made a certificate for the webhook; making one");
                        writes.send_replace(true);
                    }
                }
            }
        }
    });
    written
}

/// The form that was asked for, if the server can have it.
fn form(wished: SidecarForm, abilities: Abilities) -> Form {
    match (wished, abilities.native_sidecars) {
        (SidecarForm::Plain, _) | (SidecarForm::Auto, false) => Form::Plain,
        (SidecarForm::Auto | SidecarForm::Native, true) => Form::Native,
        (SidecarForm::Native, false) => {
            warn!(
                "this server has no native sidecars, and pods with one would never start: plain ones it is"
            );
            Form::Plain
        }
    }
}
