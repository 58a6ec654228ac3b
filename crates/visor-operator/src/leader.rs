//! Leader election by a Lease (coordination.k8s.io/v1), as in Kubernetes' own controllers.
//!
//! The leader renews the Lease every third of its duration. A candidate acquires it when it has not
//! changed for a whole duration by the candidate's own clock, so clocks need not agree. Every write
//! has the resourceVersion that was read, so if two candidates write, one fails.
//!
//! The leader measures its time from *before* a renewal was sent. If none has succeeded for two
//! thirds of the duration, it stops while the Lease is still its own, whether the API server can be
//! reached or not; and it sends no request after that (see [`Fence`]).
//!
//! `docs/decisions` says why no library is used.

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

use claim::{Decision, Observation};
pub(crate) use fence::Fence;

/// A candidate for leadership.
#[derive(Clone)]
pub(crate) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    /// Blocks writes while this operator isn't the leader.
    fence: Fence,
}

/// The leadership, until [`Leadership::lost`] returns.
pub(crate) struct Leadership {
    candidate: Candidate,
    lease: Lease,
    /// When the last successful renewal was sent.
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

    /// Waits until this operator has acquired the Lease.
    pub(crate) async fn acquire(&self) -> Leadership {
        info!(lease = self.name, identity = self.identity, "waiting for the Lease");
        let mut observed = Observation::default();
        loop {
            match self.try_acquire(&mut observed).await {
                Ok(Ok((lease, renewed))) => {
                    info!(lease = self.name, identity = self.identity, "became leader");
                    self.fence.open_until(renewed + self.renew_deadline());
                    return Leadership { candidate: self.clone(), lease, renewed };
                }
                Ok(Err(wait)) => sleep(wait).await,
                Err(error) => {
                    warn!(lease = self.name, %error, "cannot acquire the Lease; will retry");
                    sleep(self.retry_period()).await;
                }
            }
        }
    }

    /// Acquires the Lease if it is free; otherwise returns how long to wait.
    async fn try_acquire(
        &self,
        observed: &mut Observation,
    ) -> kube::Result<Result<(Lease, Instant), Duration>> {
        let lease = self.api.get_opt(&self.name).await?;
        let asked = Instant::now();
        let decision = observed.decide(lease.as_ref(), &self.identity, self.retry_period(), asked);
        let written = match (decision, lease) {
            (Decision::Wait(wait), _) => return Ok(Err(wait)),
            (Decision::Acquire, None) => {
                self.api.create(&PostParams::default(), &self.claimed(Lease::default())).await
            }
            (Decision::Acquire, Some(lease)) => self.replace(&self.claimed(lease)).await,
        };
        match written {
            Ok(lease) => Ok(Ok((lease, asked))),
            // Another candidate was faster.
            Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(Err(self.retry_period())),
            Err(error) => Err(error),
        }
    }

    /// The Lease as this operator acquires it.
    fn claimed(&self, lease: Lease) -> Lease {
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

    /// How long the leader may act without a successful renewal.
    fn renew_deadline(&self) -> Duration {
        self.duration * 2 / 3
    }
}

impl Leadership {
    /// Renews the Lease as long as possible, and returns why it failed. From then on this operator
    /// isn't the leader.
    pub(crate) async fn lost(&mut self) -> String {
        loop {
            let deadline = self.renewed + self.candidate.renew_deadline();
            sleep_until(self.renewed + self.candidate.renew_period()).await;
            if let Err(why) = self.renew(deadline).await {
                self.candidate.fence.close();
                return why;
            }
        }
    }

    /// Renews the Lease once, with retries until the deadline.
    async fn renew(&mut self, deadline: Instant) -> Result<(), String> {
        let mut last_error = String::from("no answer");
        while Instant::now() < deadline {
            let asked = Instant::now();
            let claimed_lease = self.candidate.claimed(self.lease.clone());
            match timeout(deadline - asked, self.candidate.replace(&claimed_lease)).await {
                Ok(Ok(lease)) => {
                    debug!(lease = self.candidate.name, "renewed");
                    self.lease = lease;
                    self.renewed = asked;
                    self.candidate.fence.open_until(asked + self.candidate.renew_deadline());
                    return Ok(());
                }
                Ok(Err(kube::Error::Api(answer))) if matches!(answer.code, 404 | 409) => {
                    self.recheck().await?;
                }
                Ok(Err(error)) => {
                    warn!(lease = self.candidate.name, %error, "cannot renew the Lease; will retry");
                    last_error = error.to_string();
                    sleep(self.candidate.retry_period().min(deadline - asked)).await;
                }
                Err(_) => {}
            }
        }
        let seconds = self.candidate.renew_deadline().as_secs_f64();
        Err(format!("the Lease has not been renewed for {seconds:.0} s: {last_error}"))
    }

    /// The Lease has changed since this operator wrote it. If this operator still holds it (the
    /// response to a write was lost), it continues.
    async fn recheck(&mut self) -> Result<(), String> {
        match self.candidate.api.get_opt(&self.candidate.name).await {
            Ok(Some(lease)) => {
                let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
                if holder == Some(&self.candidate.identity) {
                    self.lease = lease;
                    return Ok(());
                }
                Err(format!("the Lease is held by {}", holder.unwrap_or("nobody")))
            }
            Ok(None) => Err("the Lease was deleted".to_owned()),
            // Unknown; the deadline decides.
            Err(error) => {
                let name = &self.candidate.name;
                warn!(lease = name, %error, "cannot read the Lease; will retry");
                sleep(self.candidate.retry_period()).await;
                Ok(())
            }
        }
    }

    /// Releases the Lease, so that the next leader need not wait.
    pub(crate) async fn release(self) {
        self.candidate.fence.close();
        let mut lease = self.lease;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        let given = timeout(self.candidate.retry_period(), self.candidate.replace(&lease)).await;
        if let Ok(Ok(_)) = given {
            info!(lease = self.candidate.name, "released the Lease");
        } else {
            warn!(lease = self.candidate.name, "cannot release the Lease; it will expire");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Failure, Key, TestServer};

    const DURATION: Duration = Duration::from_secs(15);

    fn candidate(server: &TestServer, identity: &str) -> Candidate {
        let fence = Fence::default();
        Candidate::new(server.client(), "visor", "operator", identity, DURATION, fence)
    }

    fn holder(server: &TestServer) -> String {
        let lease = server.get(&Key::new("leases", "visor", "operator")).unwrap();
        lease["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    }

    /// How long something takes, in seconds.
    async fn seconds<T>(work: impl Future<Output = T>) -> (T, u64) {
        let begin = Instant::now();
        let result = work.await;
        (result, begin.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn one_leads_and_the_next_one_follows_when_it_has_released_the_lease() {
        let server = TestServer::new();
        let (one, two) = (candidate(&server, "one"), candidate(&server, "two"));
        let (mut leadership, took) = seconds(one.acquire()).await;
        assert_eq!((holder(&server).as_str(), took), ("one", 0));
        assert!(one.fence.is_open() && !two.fence.is_open());
        // It is renewed for as long as it is wanted.
        let waiting = tokio::spawn(async move {
            let leadership = two.acquire().await;
            (two, leadership)
        });
        assert!(timeout(Duration::from_hours(1), leadership.lost()).await.is_err());
        assert!(!waiting.is_finished() && one.fence.is_open());
        leadership.release().await;
        assert!(!one.fence.is_open());
        let (followed, took) = seconds(waiting).await;
        let (two, _) = followed.unwrap();
        assert!(two.fence.is_open() && took <= 3, "{took}");
        let lease = server.get(&Key::new("leases", "visor", "operator")).unwrap();
        assert_eq!(lease["spec"]["leaseTransitions"], 2);
    }

    /// One that is gone without a word is waited for, until its Lease has expired.
    #[tokio::test(start_paused = true)]
    async fn one_that_no_longer_renews_is_followed_after_the_duration() {
        let server = TestServer::new();
        let (one, two) = (candidate(&server, "one"), candidate(&server, "two"));
        drop(one.acquire().await);
        let (_, took) = seconds(two.acquire()).await;
        assert!((15..=18).contains(&took), "{took}");
        // Its own clock has closed the fence of the first one long before.
        assert!(!one.fence.is_open());
        assert_eq!(holder(&server), "two");
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_lease_is_taken_or_deleted_has_lost_it() {
        for is_deleted in [true, false] {
            let server = TestServer::new();
            let one = candidate(&server, "one");
            let mut leadership = one.acquire().await;
            let lease = Key::new("leases", "visor", "operator");
            if is_deleted {
                server.delete(&lease);
            } else {
                server.merge(&lease, &serde_json::json!({"spec": {"holderIdentity": "two"}}));
            }
            let (why, took) = seconds(leadership.lost()).await;
            let wanted = if is_deleted { "was deleted" } else { "is held by two" };
            assert!(why.contains(wanted), "{why}");
            assert!(took <= 6 && !one.fence.is_open(), "{took}");
        }
    }

    /// The answer to a renewal was lost: the Lease is another version, and still its own.
    #[tokio::test(start_paused = true)]
    async fn one_whose_answer_was_lost_goes_on() {
        let server = TestServer::new();
        let one = candidate(&server, "one");
        let mut leadership = one.acquire().await;
        let lease = Key::new("leases", "visor", "operator");
        server.merge(&lease, &serde_json::json!({"spec": {"leaseTransitions": 1}}));
        assert!(timeout(Duration::from_mins(5), leadership.lost()).await.is_err());
        assert!(one.fence.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_write_at_once_one_leads() {
        let server = TestServer::new();
        let (one, two) = (candidate(&server, "one"), candidate(&server, "two"));
        // Both have read that there is none.
        server.fail(Failure::once("GET leases", 404, "NotFound"));
        server.fail(Failure::once("GET leases", 404, "NotFound"));
        let (first, second) = (one.acquire(), timeout(Duration::from_secs(10), two.acquire()));
        let (_, second) = tokio::join!(first, second);
        assert!(second.is_err() && !two.fence.is_open());
        assert_eq!(holder(&server), "one");
    }

    /// If the Lease can be neither written nor read, requests have pauses, and the leadership ends at
    /// its deadline.
    #[tokio::test(start_paused = true)]
    async fn a_lease_that_cannot_be_read_is_not_requested_all_the_time() {
        let server = TestServer::new();
        let mut leadership = candidate(&server, "one").acquire().await;
        server.take_requests();
        let many = Failure { times: usize::MAX, ..Failure::once("PUT leases", 409, "Conflict") };
        server.fail(many);
        server.fail(Failure { of: "GET leases", code: 500, reason: "InternalError", ..many });
        let (why, took) = seconds(leadership.lost()).await;
        assert!(why.contains("has not been renewed for 10 s"), "{why}");
        assert!((10..13).contains(&took), "{took}");
        // A write and a read every 2.5 s of the 5 s until the deadline.
        let requests = server.take_requests();
        assert!(requests.len() <= 8, "{requests:?}");
    }
}
