//! Certificates on their way from the plan to a handshake: real ones, against as much of an API
//! server as that takes. That no step is too early is tested by `action`.

use super::Configuration;
use super::{
    reconciler::{CertificateReconciler, Reconciled},
    support::{NAME, Signer, connect, server::Server},
    x509::UnixSeconds,
    *,
};
use crate::metrics::Metrics;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use visor_http::ListenAddress;

const BEGIN: UnixSeconds = 1_800_000_000;
const DAY: UnixSeconds = 86_400;

fn settings() -> CertificateSettings {
    CertificateSettings {
        namespace: "visor-system".to_owned(),
        secret: "visor-webhook".to_owned(),
        configurations: vec![Configuration::Mutating("visor".to_owned())],
        names: names("visor-webhook", "visor-system"),
        certificate_validity: Duration::from_hours(90 * 24),
        authority_validity: Duration::from_hours(365 * 24),
    }
}

fn reconciler(server: &Server) -> CertificateReconciler {
    let client = server.client("one");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "visor-system");
    CertificateReconciler::new(secrets, &client, settings(), Arc::new(Metrics::new().unwrap()))
}

/// Whether an API server that trusts these authorities would be content with the Secret's
/// certificate.
fn is_trusted(server: &Server, trusted: &[CertificateDer<'static>], now: UnixSeconds) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let provider = Arc::new(ring::default_provider());
    let Ok(verifier) =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
    else {
        return false;
    };
    let certificate = x509::from_pem(&server.secret("tls.crt").unwrap()).remove(0);
    let name = ServerName::try_from(NAME).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
    verifier.verify_server_cert(&certificate, &[], &name, &[], now).is_ok()
}

#[tokio::test]
async fn a_writer_makes_renews_and_rotates() {
    let server = Server::new();
    let mut reconciler = reconciler(&server);
    let mut now = BEGIN;
    let looked = reconciler.reconcile(|| BEGIN).await.unwrap();
    assert_eq!(looked, Reconciled { next_check: BEGIN + 60 * DAY, has_finished: true });
    assert_eq!(server.writes(), [("one", "create"), ("one", "patch")]);
    assert!(is_trusted(&server, &server.bundle(), now));
    assert!(!reconciler.reconcile(|| BEGIN).await.unwrap().has_finished);

    // All actions during the lives of five CAs.
    let (mut renewed, mut rotated) = (0, 0);
    let mut next_check = looked.next_check;
    while now < BEGIN + 5 * 365 * DAY {
        let before = server.bundle();
        now = next_check;
        assert!(is_trusted(&server, &before, now - 1));
        next_check = reconciler.reconcile(|| now).await.unwrap().next_check;
        for (_, write) in server.writes() {
            renewed += usize::from(write == "replace");
            rotated += usize::from(write == "patch");
        }
        // An API server that hasn't heard of the new bundle yet, and one that has.
        assert!(is_trusted(&server, &before, now));
        assert!(is_trusted(&server, &server.bundle(), now));
    }
    assert!(renewed > 30, "{renewed}");
    assert!(rotated > 10, "{rotated}");
}

#[tokio::test]
async fn a_write_conflict_is_retried() {
    let server = Server::new();
    let mut one = reconciler(&server);
    one.reconcile(|| BEGIN).await.unwrap();
    server.writes();
    server.interfere();
    let renewal = BEGIN + 61 * DAY;
    assert!(one.reconcile(|| renewal).await.unwrap_err().is_conflict());
    assert!(server.writes().is_empty());
    assert!(one.reconcile(|| renewal).await.unwrap().has_finished);
    assert_eq!(server.writes(), [("one", "replace")]);
    server.install();
    server.interfere();
    assert!(one.reconcile(|| renewal).await.unwrap_err().is_conflict());
    assert!(one.reconcile(|| renewal).await.unwrap().has_finished);
    assert_eq!(server.writes(), [("one", "patch")]);
    assert!(is_trusted(&server, &server.bundle(), renewal));
}

#[tokio::test]
async fn another_leader_continues_where_the_last_one_ended() {
    let server = Server::new();
    let mut one = reconciler(&server);
    let mut now = BEGIN;
    one.reconcile(|| BEGIN).await.unwrap();
    // Until there is a new CA that has not issued a certificate yet.
    while server.bundle().len() == 1 {
        now = one.reconcile(|| now).await.unwrap().next_check;
    }
    let looked = now;
    let mut two = reconciler(&server);
    let next_check = two.reconcile(|| looked - 30).await.unwrap().next_check;
    assert_eq!(next_check, looked + 30, "it can't know since when the bundle is known");
    let old = server.bundle().split_off(1);
    assert!(is_trusted(&server, &old, looked));
    two.reconcile(|| next_check).await.unwrap();
    assert!(!is_trusted(&server, &old, looked));
    assert!(is_trusted(&server, &server.bundle(), looked));
}

#[tokio::test]
async fn a_secret_that_was_changed_is_repaired() {
    let server = Server::new();
    reconciler(&server).reconcile(|| BEGIN).await.unwrap();
    let (trusted, shown) = (server.bundle(), server.secret("tls.crt"));
    server.delete_secret();
    let mut reconciler = reconciler(&server);
    let next_check = reconciler.reconcile(|| BEGIN + 10).await.unwrap().next_check;
    assert_eq!(server.secret("tls.crt"), None, "operators keep presenting the existing one");
    assert_eq!(server.bundle()[1..], trusted);
    reconciler.reconcile(|| next_check).await.unwrap();
    assert!(server.secret("tls.crt").is_some_and(|now| Some(now) != shown));
    assert!(is_trusted(&server, &server.bundle()[..1], next_check));
}

/// Waits for something.
async fn wait_for(what: &str, is: impl Fn() -> bool) {
    const TIME_LIMIT: Duration = Duration::from_mins(1);
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(TIME_LIMIT, wait).await.is_ok(), "{what} never came");
}

/// An operator that keeps certificates.
struct Operator {
    is_leader: watch::Sender<bool>,
    resolver: Arc<Resolver>,
    /// The last expiry.
    expiry_seconds: Arc<AtomicI64>,
}

impl Operator {
    fn start(server: &Server, who: &'static str) -> Self {
        let expiry_seconds = Arc::new(AtomicI64::new(0));
        let expiry = Arc::clone(&expiry_seconds);
        let resolver = Arc::new(Resolver::new(move |until| expiry.store(until, Ordering::Relaxed)));
        let metrics = Arc::new(Metrics::new().unwrap());
        let (is_leader, led) = watch::channel(false);
        let (client, shown) = (server.client(who), Arc::clone(&resolver));
        tokio::spawn(manage(client, settings(), led, shown, metrics));
        Self { is_leader, resolver, expiry_seconds }
    }
}

#[tokio::test]
async fn all_present_the_certificate_of_the_leader() {
    let server = Server::new();
    let (one, two) = (Operator::start(&server, "one"), Operator::start(&server, "two"));
    one.is_leader.send_replace(true);
    let loaded = || one.resolver.is_loaded() && two.resolver.is_loaded();
    wait_for("a certificate", loaded).await;
    assert_eq!(one.resolver.expires(), two.resolver.expires());
    assert_eq!(two.resolver.expires(), Some(two.expiry_seconds.load(Ordering::Relaxed)));
    wait_for("the bundle", || server.bundle().len() == 1).await;
    server.install();
    wait_for("the bundle that was lost", || server.bundle().len() == 1).await;
    assert!(server.writes().iter().all(|(who, _)| *who == "one"));

    one.is_leader.send_replace(false);
    two.is_leader.send_replace(true);
    let before = one.resolver.expires();
    server.delete_secret();
    wait_for("another authority", || server.bundle().len() == 2).await;
    assert_eq!(one.resolver.expires(), before, "nothing else is shown before it is trusted");
    server.install();
    wait_for("both authorities", || server.bundle().len() == 2).await;
    assert!(server.writes().iter().all(|(who, _)| *who == "two"));
}

#[tokio::test]
async fn what_is_kept_is_good_for_a_handshake() {
    let server = Server::new();
    let (_lead, is_leader) = watch::channel(true);
    let resolver = Arc::new(Resolver::new(|_| {}));
    let metrics = Arc::new(Metrics::new().unwrap());
    tokio::spawn(manage(
        server.client("one"),
        settings(),
        is_leader,
        Arc::clone(&resolver),
        metrics,
    ));
    wait_for("a bundle", || resolver.is_loaded() && !server.bundle().is_empty()).await;
    let anywhere = ListenAddress::One(([127, 0, 0, 1], 0).into());
    let (address, _) =
        crate::admission::server::serve(anywhere, Arc::clone(&resolver), axum::Router::new())
            .unwrap();
    connect(address, &server.bundle()).await.unwrap();
    assert!(connect(address, &[Signer::new().certificate()]).await.is_err());
}
