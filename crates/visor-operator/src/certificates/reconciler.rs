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
use rustls::pki_types::CertificateDer;
use tracing::info;

use crate::metrics::{Metrics, Write};

use super::{
    action::{CertificateAction, DesiredCertificates, StoredCertificates, next_action},
    authority::{Authority, AuthorityError},
    managed::CertificateSettings,
    store::{self, Changes},
    trust::{self, Configuration},
    x509::UnixSeconds,
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
    #[error(transparent)]
    Authority(#[from] AuthorityError),
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
    /// The CA that the API server was last seen to trust, and since when.
    trusted: Option<(CertificateDer<'static>, UnixSeconds)>,
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
        let desired = DesiredCertificates::new(
            names,
            settings.certificate_validity,
            settings.authority_validity,
        );
        Self { secrets, configurations, settings, desired, metrics, trusted: None }
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
        let trusted = trust::trusted(configurations);
        let stored = store::read(found.secret.as_ref(), trusted.as_deref().unwrap_or_default());
        let bundle = trusted.map(|trusted| {
            let text = found.secret.as_ref().map_or(&[][..], store::bundle);
            let mut bundle = trust::read(configurations, trusted, text);
            bundle.since = self.trusted_since(&stored, configurations, now);
            bundle
        });
        next_action(&stored, bundle.as_ref(), &self.desired, now)
    }

    /// Since when the API server has been seen to trust the current CA.
    fn trusted_since(
        &mut self,
        stored: &StoredCertificates,
        configurations: &[DynamicObject],
        now: UnixSeconds,
    ) -> Option<UnixSeconds> {
        let before = self.trusted.take();
        let present = &stored.authorities.first()?.certificate;
        if trust::is_trusted(configurations, present) {
            let same = before.filter(|(authority, _)| authority == present);
            let since = same.map_or(now, |(_, since)| since);
            self.trusted = Some((present.clone(), since));
            return Some(since);
        }
        None
    }

    async fn execute(
        &self,
        step: CertificateAction,
        found: ObservedObjects,
        now: UnixSeconds,
    ) -> Result<(), WriteError> {
        let ObservedObjects { secret, configurations, indexes } = found;
        let CertificateSettings { certificate_validity, authority_validity, names, .. } =
            &self.settings;
        let mut changes = Changes::default();
        match step {
            CertificateAction::Wait(_) => return Ok(()),
            CertificateAction::Publish => {
                let Some(secret) = secret else { return Ok(()) };
                return self.publish(store::bundle(&secret), &configurations, &indexes).await;
            }
            CertificateAction::CreateAuthority { stored, sign } => {
                info!(user_container = stored.len(), "created a CA for the webhook's certificates");
                let authority = Authority::create(now, *authority_validity)?;
                changes.authorities([&authority.certificate].into_iter().chain(&stored));
                changes.authority_key(authority.key());
                if sign {
                    changes.certificate(authority.sign(names, now, *certificate_validity)?);
                }
            }
            CertificateAction::IssueCertificate => {
                info!("issued a certificate for the webhook");
                let secret = secret.as_ref().ok_or(AuthorityError::Unreadable)?;
                let authority = store::authority(secret)?;
                changes.certificate(authority.sign(names, now, *certificate_validity)?);
            }
            CertificateAction::DropOldAuthorities => {
                info!("removed the previous CAs");
                let secret = secret.as_ref().ok_or(AuthorityError::Unreadable)?;
                changes.authorities([&store::authority(secret)?.certificate]);
            }
        }
        let is_new = secret.is_none();
        let secret = changes.to(secret, &self.settings.secret);
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
