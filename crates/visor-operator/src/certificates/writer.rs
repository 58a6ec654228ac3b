//! The one operator that acts carries out the plan: it writes the Secret and the configuration's
//! `caBundle`, one step after the other. Every step is decided by what the server says now, and is
//! refused if somebody else was quicker; then it is looked at again.

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
    authority::{Authority, AuthorityError},
    keep::Settings,
    plan::{Kept, Step, Wanted, plan},
    store::{self, Changes},
    trust::{self, Configuration},
    x509::Moment,
};

/// Who writes the `caBundle`: it is a field of ours in an object that somebody else installs.
const FIELD_MANAGER: &str = "visor-operator-certificates";
/// No way from any state to the one that is wished takes more steps.
const MOST_STEPS: usize = 8;

/// Why it must be tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the API server: {0}")]
    Server(#[from] kube::Error),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error("they are changed by somebody else all the time")]
    Restless,
}

impl WriteError {
    /// Somebody was quicker, which is no fault.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Server(kube::Error::Api(answer)) if answer.code == 409)
    }
}

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looked {
    /// When to look again.
    pub(super) again: Moment,
    /// Whether something was written.
    pub(super) wrote: bool,
}

/// Keeps the Secret and the configurations as they should be.
pub(super) struct Writer {
    secrets: Api<Secret>,
    configurations: Vec<(Api<DynamicObject>, Configuration)>,
    settings: Settings,
    wish: Wanted,
    metrics: Arc<Metrics>,
    /// The authority that the API server was seen to trust last, and since when.
    trusted: Option<(CertificateDer<'static>, Moment)>,
}

/// What the server says.
struct Found {
    secret: Option<Secret>,
    /// Those that there are, and where they can be written.
    configurations: Vec<DynamicObject>,
    places: Vec<usize>,
}

impl Writer {
    pub(super) fn new(
        secrets: Api<Secret>,
        client: &Client,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Self {
        let configurations = settings.configurations.iter().map(|configuration| {
            let api = Api::all_with(client.clone(), &configuration.resource());
            (api, configuration.clone())
        });
        let configurations = configurations.collect();
        let names = settings.names.iter().cloned();
        let wish = Wanted::new(names, settings.certificate_validity, settings.authority_validity);
        Self { secrets, configurations, settings, wish, metrics, trusted: None }
    }

    /// Looks, and does what is to be done, until there is nothing to be done.
    pub(super) async fn look(&mut self, now: impl Fn() -> Moment) -> Result<Looked, WriteError> {
        for steps in 0..MOST_STEPS {
            let found = self.find().await?;
            let now = now();
            let step = self.decide(&found, now);
            if let Step::Wait(again) = step {
                return Ok(Looked { again, wrote: steps > 0 });
            }
            self.take(step, found, now).await?;
        }
        Err(WriteError::Restless)
    }

    async fn find(&self) -> Result<Found, WriteError> {
        let secret = self.secrets.get_opt(&self.settings.secret).await?;
        let mut found = Found { secret, configurations: Vec::new(), places: Vec::new() };
        for (place, (api, configuration)) in self.configurations.iter().enumerate() {
            if let Some(object) = api.get_opt(configuration.name()).await? {
                found.configurations.push(object);
                found.places.push(place);
            }
        }
        Ok(found)
    }

    fn decide(&mut self, found: &Found, now: Moment) -> Step {
        let configurations = &found.configurations;
        let trusted = trust::trusted(configurations);
        let kept = store::read(found.secret.as_ref(), trusted.as_deref().unwrap_or_default());
        let bundle = trusted.map(|trusted| {
            let text = found.secret.as_ref().map_or(&[][..], store::bundle);
            let mut bundle = trust::read(configurations, trusted, text);
            bundle.since = self.trusted_since(&kept, configurations, now);
            bundle
        });
        plan(&kept, bundle.as_ref(), &self.wish, now)
    }

    /// Since when the API server was seen to trust the present authority.
    fn trusted_since(
        &mut self,
        kept: &Kept,
        configurations: &[DynamicObject],
        now: Moment,
    ) -> Option<Moment> {
        let before = self.trusted.take();
        let present = &kept.authorities.first()?.certificate;
        if trust::is_trusted(configurations, present) {
            let same = before.filter(|(authority, _)| authority == present);
            let since = same.map_or(now, |(_, since)| since);
            self.trusted = Some((present.clone(), since));
            return Some(since);
        }
        None
    }

    async fn take(&self, step: Step, found: Found, now: Moment) -> Result<(), WriteError> {
        let Found { secret, configurations, places } = found;
        let Settings { certificate_validity, authority_validity, names, .. } = &self.settings;
        let mut changes = Changes::default();
        match step {
            Step::Wait(_) => return Ok(()),
            Step::Publish => {
                let Some(secret) = secret else { return Ok(()) };
                return self.publish(store::bundle(&secret), &configurations, &places).await;
            }
            Step::Found { kept, sign } => {
                info!(beside = kept.len(), "a new authority for the webhook's certificates");
                let authority = Authority::make(now, *authority_validity)?;
                changes.authorities([&authority.certificate].into_iter().chain(&kept));
                changes.authority_key(authority.key());
                if sign {
                    changes.certificate(authority.sign(names, now, *certificate_validity)?);
                }
            }
            Step::Sign => {
                info!("a new certificate for the webhook");
                let secret = secret.as_ref().ok_or(AuthorityError::Unreadable)?;
                let authority = store::authority(secret)?;
                changes.certificate(authority.sign(names, now, *certificate_validity)?);
            }
            Step::Retire => {
                info!("the authorities before the present one are trusted no longer");
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
        self.metrics.wrote("Secret", Write::Apply);
        Ok(())
    }

    /// Writes the bundle into each configuration that says something else.
    async fn publish(
        &self,
        bundle: &[u8],
        configurations: &[DynamicObject],
        places: &[usize],
    ) -> Result<(), WriteError> {
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        for (configuration, place) in configurations.iter().zip(places) {
            if trust::trusts(configuration, bundle) {
                continue;
            }
            let (api, known) = &self.configurations[*place];
            let kind = known.resource().kind;
            info!(
                kind,
                name = configuration.name_any(),
                "the webhook's authorities are written into its configuration"
            );
            let patch = Patch::Strategic(trust::patch(configuration, bundle));
            api.patch(known.name(), &parameters, &patch).await?;
            self.metrics.wrote(&kind, Write::Apply);
        }
        Ok(())
    }
}

/// The moment that it is.
pub(super) fn now() -> Moment {
    Timestamp::now().as_second()
}

/// How long from one moment to another, within what is worth waiting: the clock may be set.
pub(super) fn until(again: Moment, now: Moment) -> Duration {
    const LONGEST: u64 = 600;
    let seconds = u64::try_from(again.saturating_sub(now)).unwrap_or(0);
    Duration::from_secs(seconds.clamp(1, LONGEST))
}
