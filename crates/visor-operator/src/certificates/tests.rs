//! Certificates on their way from the plan to a handshake: real ones, against as much of an API
//! server as that takes. That no step is too early is tested by `plan`.

use super::Configuration;
use super::{
    support::{NAME, Signer, connect, server::Server},
    writer::{Looked, Writer},
    x509::Moment,
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

const BEGIN: Moment = 1_800_000_000;
const DAY: Moment = 86_400;

fn settings() -> Settings {
    Settings {
        namespace: "visor-system".to_owned(),
        secret: "visor-webhook".to_owned(),
        configurations: vec![Configuration::Mutating("visor".to_owned())],
        names: names("visor-webhook", "visor-system"),
        certificate_validity: Duration::from_hours(90 * 24),
        authority_validity: Duration::from_hours(365 * 24),
    }
}

fn writer(server: &Server) -> Writer {
    let client = server.client("one");
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "visor-system");
    Writer::new(secrets, &client, settings(), Arc::new(Metrics::new().unwrap()))
}

/// Whether an API server that trusts these authorities would be content with the Secret's
/// certificate.
fn is_trusted(server: &Server, trusted: &[CertificateDer<'static>], now: Moment) -> bool {
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
    let mut writer = writer(&server);
    let mut now = BEGIN;
    let looked = writer.look(|| BEGIN).await.unwrap();
    assert_eq!(looked, Looked { again: BEGIN + 60 * DAY, wrote: true });
    assert_eq!(server.writes(), [("one", "create"), ("one", "patch")]);
    assert!(is_trusted(&server, &server.bundle(), now));
    assert!(!writer.look(|| BEGIN).await.unwrap().wrote);

    // Everything that happens within the life of five authorities.
    let (mut renewed, mut rotated) = (0, 0);
    let mut again = looked.again;
    while now < BEGIN + 5 * 365 * DAY {
        let before = server.bundle();
        now = again;
        assert!(is_trusted(&server, &before, now - 1));
        again = writer.look(|| now).await.unwrap().again;
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
async fn who_was_not_quick_enough_looks_again() {
    let server = Server::new();
    let mut one = writer(&server);
    one.look(|| BEGIN).await.unwrap();
    server.writes();
    server.interfere();
    let renewal = BEGIN + 61 * DAY;
    assert!(one.look(|| renewal).await.unwrap_err().is_conflict());
    assert!(server.writes().is_empty());
    assert!(one.look(|| renewal).await.unwrap().wrote);
    assert_eq!(server.writes(), [("one", "replace")]);
    server.install();
    server.interfere();
    assert!(one.look(|| renewal).await.unwrap_err().is_conflict());
    assert!(one.look(|| renewal).await.unwrap().wrote);
    assert_eq!(server.writes(), [("one", "patch")]);
    assert!(is_trusted(&server, &server.bundle(), renewal));
}

#[tokio::test]
async fn another_writer_goes_on_where_the_last_one_ended() {
    let server = Server::new();
    let mut one = writer(&server);
    let mut now = BEGIN;
    one.look(|| BEGIN).await.unwrap();
    // Until a new authority is there, and hasn't signed anything yet.
    while server.bundle().len() == 1 {
        now = one.look(|| now).await.unwrap().again;
    }
    let looked = now;
    let mut two = writer(&server);
    let again = two.look(|| looked - 30).await.unwrap().again;
    assert_eq!(again, looked + 30, "it can't know since when the bundle is known");
    let old = server.bundle().split_off(1);
    assert!(is_trusted(&server, &old, looked));
    two.look(|| again).await.unwrap();
    assert!(!is_trusted(&server, &old, looked));
    assert!(is_trusted(&server, &server.bundle(), looked));
}

#[tokio::test]
async fn what_somebody_else_made_of_the_secret_is_put_right() {
    let server = Server::new();
    writer(&server).look(|| BEGIN).await.unwrap();
    let (trusted, shown) = (server.bundle(), server.secret("tls.crt"));
    server.delete_secret();
    let mut writer = writer(&server);
    let again = writer.look(|| BEGIN + 10).await.unwrap().again;
    assert_eq!(server.secret("tls.crt"), None, "operators go on showing the one that was there");
    assert_eq!(server.bundle()[1..], trusted);
    writer.look(|| again).await.unwrap();
    assert!(server.secret("tls.crt").is_some_and(|now| Some(now) != shown));
    assert!(is_trusted(&server, &server.bundle()[..1], again));
}

/// Waits for something.
async fn wait_for(what: &str, is: impl Fn() -> bool) {
    const PATIENCE: Duration = Duration::from_mins(1);
    let wait = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{what} never came");
}

/// An operator that keeps certificates.
struct Operator {
    leads: watch::Sender<bool>,
    resolver: Arc<Resolver>,
    /// What it was told last.
    told: Arc<AtomicI64>,
}

impl Operator {
    fn start(server: &Server, who: &'static str) -> Self {
        let told = Arc::new(AtomicI64::new(0));
        let tell = Arc::clone(&told);
        let resolver = Arc::new(Resolver::new(move |until| tell.store(until, Ordering::Relaxed)));
        let metrics = Arc::new(Metrics::new().unwrap());
        let (leads, led) = watch::channel(false);
        let (client, shown) = (server.client(who), Arc::clone(&resolver));
        tokio::spawn(keep(client, settings(), led, shown, metrics));
        Self { leads, resolver, told }
    }
}

#[tokio::test]
async fn all_show_what_the_one_who_leads_has_made() {
    let server = Server::new();
    let (one, two) = (Operator::start(&server, "one"), Operator::start(&server, "two"));
    one.leads.send_replace(true);
    let loaded = || one.resolver.is_loaded() && two.resolver.is_loaded();
    wait_for("a certificate", loaded).await;
    assert_eq!(one.resolver.expires(), two.resolver.expires());
    assert_eq!(two.resolver.expires(), Some(two.told.load(Ordering::Relaxed)));
    wait_for("the bundle", || server.bundle().len() == 1).await;
    server.install();
    wait_for("the bundle that was lost", || server.bundle().len() == 1).await;
    assert!(server.writes().iter().all(|(who, _)| *who == "one"));

    one.leads.send_replace(false);
    two.leads.send_replace(true);
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
    let (_lead, leads) = watch::channel(true);
    let resolver = Arc::new(Resolver::new(|_| {}));
    let metrics = Arc::new(Metrics::new().unwrap());
    tokio::spawn(keep(server.client("one"), settings(), leads, Arc::clone(&resolver), metrics));
    wait_for("a bundle", || resolver.is_loaded() && !server.bundle().is_empty()).await;
    let anywhere = ListenAddress::One(([127, 0, 0, 1], 0).into());
    let address =
        crate::webhook::serve(anywhere, Arc::clone(&resolver), axum::Router::new()).unwrap();
    connect(address, &server.bundle()).await.unwrap();
    assert!(connect(address, &[Signer::new().certificate()]).await.is_err());
}
