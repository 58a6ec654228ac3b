//! One operator acts, and the others stand by: by a Lease (coordination.k8s.io/v1), in the way of
//! Kubernetes' own controllers.
//!
//! The holder renews the Lease every third of its duration. Whoever stands by takes it when it has
//! not changed for a whole duration by the watch of the one who stands by, so clocks need not agree.
//! Every write names the version of the Lease it is about, so of two that take it one fails.
//!
//! The holder counts its own time from *before* a renewal was asked for. If none has succeeded for
//! two thirds of the duration, it stops acting while the Lease still is its own, whether the API
//! server can be reached or not; and no request of its goes out after that (see [`Fence`]).
//!
//! Why not a library: `docs/decisions` says.

mod claim;
mod fence;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use claim::{Observation, Step};
pub(crate) use fence::Fence;

/// An operator that would act.
#[derive(Clone)]
pub(crate) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    /// What lets through what it writes while it leads.
    fence: Fence,
}

/// An operator that acts, until [`Leadership::lost`] says otherwise.
pub(crate) struct Leadership {
    candidate: Candidate,
    lease: Lease,
    /// When the renewal that is in force was asked for.
    renewed: Instant,
}

impl Candidate {
    pub(crate) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        duration: Duration,
        fence: Fence,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            duration,
            fence,
        }
    }

    /// Waits until the Lease is this operator's.
    pub(crate) async fn lead(&self) -> Leadership {
        info!(lease = self.name, identity = self.identity, "standing by");
        let mut seen = Observation::default();
        loop {
            match self.attempt(&mut seen).await {
                Ok(Ok((lease, renewed))) => {
                    info!(lease = self.name, identity = self.identity, "acting");
                    self.fence.open_until(renewed + self.grace());
                    return Leadership { candidate: self.clone(), lease, renewed };
                }
                Ok(Err(wait)) => sleep(wait).await,
                Err(error) => {
                    warn!(lease = self.name, %error, "the Lease can't be had; trying again");
                    sleep(self.retry_period()).await;
                }
            }
        }
    }

    /// Takes the Lease if it is free; otherwise says how long to wait.
    async fn attempt(
        &self,
        seen: &mut Observation,
    ) -> kube::Result<Result<(Lease, Instant), Duration>> {
        let lease = self.api.get_opt(&self.name).await?;
        let asked = Instant::now();
        let step = seen.step(lease.as_ref(), &self.identity, self.retry_period(), asked);
        let written = match (step, lease) {
            (Step::Wait(wait), _) => return Ok(Err(wait)),
            (Step::Take, None) => {
                self.api.create(&PostParams::default(), &self.taken(Lease::default())).await
            }
            (Step::Take, Some(lease)) => self.replace(&self.taken(lease)).await,
        };
        match written {
            Ok(lease) => Ok(Ok((lease, asked))),
            // Somebody was quicker.
            Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(Err(self.retry_period())),
            Err(error) => Err(error),
        }
    }

    /// The Lease as it is when this operator has taken it.
    fn taken(&self, lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.unwrap_or_default();
        let same = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..lease.metadata },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
                acquire_time: if same { before.acquire_time } else { Some(now.clone()) },
                renew_time: Some(now),
                lease_transitions: Some(if same { transitions } else { transitions + 1 }),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn replace(&self, lease: &Lease) -> kube::Result<Lease> {
        self.api.replace(&self.name, &PostParams::default(), lease).await
    }

    fn retry_period(&self) -> Duration {
        self.duration / 6
    }

    fn renew_period(&self) -> Duration {
        self.duration / 3
    }

    /// How long a leader may act without a renewal.
    fn grace(&self) -> Duration {
        self.duration * 2 / 3
    }
}

impl Leadership {
    /// Renews the Lease as long as it can, and returns why it can't any more. From then on this
    /// operator must not act.
    pub(crate) async fn lost(&mut self) -> String {
        loop {
            let deadline = self.renewed + self.candidate.grace();
            sleep_until(self.renewed + self.candidate.renew_period()).await;
            if let Err(why) = self.renew(deadline).await {
                self.candidate.fence.close();
                return why;
            }
        }
    }

    /// Renews the Lease once, and tries until the deadline.
    async fn renew(&mut self, deadline: Instant) -> Result<(), String> {
        let mut last_error = String::from("no answer");
        while Instant::now() < deadline {
            let asked = Instant::now();
            let wished = self.candidate.taken(self.lease.clone());
            match timeout(deadline - asked, self.candidate.replace(&wished)).await {
                Ok(Ok(lease)) => {
                    debug!(lease = self.candidate.name, "renewed");
                    self.lease = lease;
                    self.renewed = asked;
                    self.candidate.fence.open_until(asked + self.candidate.grace());
                    return Ok(());
                }
                Ok(Err(kube::Error::Api(answer))) if matches!(answer.code, 404 | 409) => {
                    self.look_again().await?;
                }
                Ok(Err(error)) => {
                    warn!(lease = self.candidate.name, %error, "not renewed; trying again");
                    last_error = error.to_string();
                    sleep(self.candidate.retry_period().min(deadline - asked)).await;
                }
                Err(_) => {}
            }
        }
        let seconds = self.candidate.grace().as_secs_f64();
        Err(format!("not renewed for {seconds:.0} s: {last_error}"))
    }

    /// The Lease isn't as this operator left it. If it is its own all the same (an answer was lost on
    /// its way), it goes on.
    async fn look_again(&mut self) -> Result<(), String> {
        match self.candidate.api.get_opt(&self.candidate.name).await {
            Ok(Some(lease)) => {
                let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
                if holder == Some(&self.candidate.identity) {
                    self.lease = lease;
                    return Ok(());
                }
                Err(format!("it is held by {}", holder.unwrap_or("nobody")))
            }
            Ok(None) => Err("it was deleted".to_owned()),
            // Not known; the deadline decides.
            Err(_) => Ok(()),
        }
    }

    /// Gives the Lease back, so that another operator need not wait.
    pub(crate) async fn give_back(self) {
        self.candidate.fence.close();
        let mut lease = self.lease;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        let given = timeout(self.candidate.retry_period(), self.candidate.replace(&lease)).await;
        if let Ok(Ok(_)) = given {
            info!(lease = self.candidate.name, "given back");
        } else {
            warn!(lease = self.candidate.name, "not given back; it will run out");
        }
    }
}
