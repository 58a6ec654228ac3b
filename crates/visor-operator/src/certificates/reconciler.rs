//! The leader's part: it writes the Secret and the `caBundle` of the configurations, one action
//! after the other. Each action is decided from the current state of the server, and is rejected if
//! an object has changed meanwhile; then the state is read again.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use tracing::info;

use crate::metrics::{Metrics, Write};

use super::{
    action::{
        Certificate, CertificateAction, DesiredCertificates, Since, StoredCertificates, next_action,
    },
    certificate::CertificateAndKey,
    managed::CertificateSettings,
    store::{self, Change},
    trust::{self, Configuration},
    x509::{UnixSeconds, from_pem},
};

/// The field manager of `caBundle`: our field in an object that something else installs.
const CERTIFICATES_FIELD_MANAGER: &str = "visor-operator-certificates";
/// No state is more actions away from the desired one.
const MAX_ACTIONS: usize = 8;

/// Why a reconciliation failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("API server: {0}")]
    Server(#[from] kube::Error),
    #[error("cannot create a certificate: {0}")]
    Create(#[from] rcgen::Error),
    #[error("the Secret or the webhook configurations keep changing")]
    Contended,
}

impl WriteError {
    /// An object has changed meanwhile, which is no fault.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Server(kube::Error::Api(answer)) if answer.code == 409)
    }
}

/// The result of a reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reconciled {
    /// When to reconcile again.
    pub(super) next_check: UnixSeconds,
    /// Whether something was written.
    pub(super) has_finished: bool,
}

/// Keeps the Secret and the webhook configurations up to date.
pub(super) struct CertificateReconciler {
    secrets: Api<Secret>,
    configurations: Vec<(Api<DynamicObject>, Configuration)>,
    settings: CertificateSettings,
    desired: DesiredCertificates,
    metrics: Arc<Metrics>,
    /// The newest certificate that all webhooks were last seen to trust, and since when.
    trusted: Option<(Certificate, UnixSeconds)>,
    /// The certificate that the Secret was last seen to have, and since when.
    serving: Option<(Certificate, UnixSeconds)>,
}

/// The current state.
struct ObservedObjects {
    secret: Option<Secret>,
    /// The configurations that exist, and their indexes in the settings.
    configurations: Vec<DynamicObject>,
    indexes: Vec<usize>,
}

impl CertificateReconciler {
    pub(super) fn new(
        secrets: Api<Secret>,
        client: &Client,
        settings: CertificateSettings,
        metrics: Arc<Metrics>,
    ) -> Self {
        let configurations = settings.configurations.iter().map(|configuration| {
            let api = Api::all_with(client.clone(), &configuration.resource());
            (api, configuration.clone())
        });
        let configurations = configurations.collect();
        let names = settings.names.iter().cloned();
        let desired = DesiredCertificates::new(names, settings.certificate_validity);
        let (trusted, serving) = (None, None);
        Self { secrets, configurations, settings, desired, metrics, trusted, serving }
    }

    /// Carries out actions until none is left.
    pub(super) async fn reconcile(
        &mut self,
        now: impl Fn() -> UnixSeconds,
    ) -> Result<Reconciled, WriteError> {
        for steps in 0..MAX_ACTIONS {
            let found = self.read_objects().await?;
            let now = now();
            let step = self.decide(&found, now);
            if let CertificateAction::Wait(next_check) = step {
                return Ok(Reconciled { next_check, has_finished: steps > 0 });
            }
            self.execute(step, found, now).await?;
        }
        Err(WriteError::Contended)
    }

    async fn read_objects(&self) -> Result<ObservedObjects, WriteError> {
        let secret = self.secrets.get_opt(&self.settings.secret).await?;
        let mut found = ObservedObjects { secret, configurations: Vec::new(), indexes: Vec::new() };
        for (index, (api, configuration)) in self.configurations.iter().enumerate() {
            if let Some(object) = api.get_opt(configuration.name()).await? {
                found.configurations.push(object);
                found.indexes.push(index);
            }
        }
        Ok(found)
    }

    fn decide(&mut self, found: &ObservedObjects, now: UnixSeconds) -> CertificateAction {
        let configurations = &found.configurations;
        let stored = store::read(found.secret.as_ref());
        let text = found.secret.as_ref().map_or(&[][..], store::bundle);
        let bundle = trust::read(configurations, text, stored.serving.as_ref(), now);
        let since = self.observe(&stored, configurations, now);
        next_action(&stored, bundle.as_ref(), since, &self.desired, now)
    }

    /// Notes what is so, and returns since when.
    fn observe(
        &mut self,
        stored: &StoredCertificates,
        configurations: &[DynamicObject],
        now: UnixSeconds,
    ) -> Since {
        let newest = stored.pinned.first();
        let trusted = newest.filter(|newest| trust::is_trusted(configurations, newest));
        self.trusted = since(self.trusted.take(), trusted, now);
        self.serving = since(self.serving.take(), stored.serving.as_ref(), now);
        let time = |noted: &Option<(Certificate, UnixSeconds)>| noted.as_ref().map(|(_, at)| *at);
        Since { trusted: time(&self.trusted), serving: time(&self.serving) }
    }

    async fn execute(
        &self,
        step: CertificateAction,
        found: ObservedObjects,
        now: UnixSeconds,
    ) -> Result<(), WriteError> {
        let ObservedObjects { secret, configurations, indexes } = found;
        let is_new = secret.is_none();
        let mut change = Change::of(secret, &self.settings.secret);
        match step {
            CertificateAction::Wait(_) => return Ok(()),
            CertificateAction::Publish => {
                let secret = change.into_secret();
                return self.publish(store::bundle(&secret), &configurations, &indexes).await;
            }
            CertificateAction::Create { pinned, at_once } => {
                let CertificateSettings { names, certificate_validity, .. } = &self.settings;
                let made = CertificateAndKey::create(names, now, *certificate_validity)?;
                info!(at_once, "created a certificate for the webhook");
                change.pin(from_pem(made.certificate.as_bytes()).iter().chain(&pinned));
                change.store(made, at_once);
            }
            CertificateAction::Promote => {
                info!("the webhook presents its next certificate");
                change.promote();
            }
            CertificateAction::DropOld => {
                info!("the previous certificates of the webhook are no longer trusted");
                let secret = change.into_secret();
                let serving = store::read(Some(&secret)).serving;
                change = Change::of(Some(secret), &self.settings.secret);
                change.pin(serving.iter().map(|serving| &serving.der));
                change.remove_next();
            }
        }
        let secret = change.into_secret();
        let parameters = PostParams::default();
        if is_new {
            self.secrets.create(&parameters, &secret).await?;
        } else {
            self.secrets.replace(&self.settings.secret, &parameters, &secret).await?;
        }
        self.metrics.record_write("Secret", Write::Apply);
        Ok(())
    }

    /// Writes the bundle into each configuration that has another one.
    async fn publish(
        &self,
        bundle: &[u8],
        configurations: &[DynamicObject],
        indexes: &[usize],
    ) -> Result<(), WriteError> {
        let parameters = PatchParams {
            field_manager: Some(CERTIFICATES_FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        for (configuration, index) in configurations.iter().zip(indexes) {
            if trust::trusts(configuration, bundle) {
                continue;
            }
            let (api, known) = &self.configurations[*index];
            let kind = known.resource().kind;
            info!(
                kind,
                name = configuration.name_any(),
                "updated the caBundle of the webhook configuration"
            );
            let patch = Patch::Strategic(trust::patch(configuration, bundle));
            api.patch(known.name(), &parameters, &patch).await?;
            self.metrics.record_write(&kind, Write::Apply);
        }
        Ok(())
    }
}

/// Since when a certificate has been there, if it has been noted before.
fn since(
    noted: Option<(Certificate, UnixSeconds)>,
    present: Option<&Certificate>,
    now: UnixSeconds,
) -> Option<(Certificate, UnixSeconds)> {
    let present = present?;
    let since = noted.filter(|(known, _)| known == present).map_or(now, |(_, since)| since);
    Some((present.clone(), since))
}

/// The current time.
pub(super) fn now() -> UnixSeconds {
    Timestamp::now().as_second()
}

/// The time from `now` to `next_check`, clamped: the clock may be set.
pub(super) fn delay_until(next_check: UnixSeconds, now: UnixSeconds) -> Duration {
    const LONGEST: u64 = 600;
    let seconds = u64::try_from(next_check.saturating_sub(now)).unwrap_or(0);
    Duration::from_secs(seconds.clamp(1, LONGEST))
}
