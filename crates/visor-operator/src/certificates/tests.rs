//! Certificates on their way from the plan to a handshake: real ones, against an API server in this
//! process. That no step is too early is tested by `action`.

use super::{
    Configuration,
    reconciler::{CertificateReconciler, Reconciled},
    support::{NAME, Shown, connect},
    x509::UnixSeconds,
    *,
};
use crate::{
    metrics::Metrics,
    test_server::{Failure, Key, TestServer},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::Api;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::json;
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
    }
}

/// A cluster with a webhook configuration, and without a Secret.
struct Cluster(TestServer);

impl Cluster {
    fn new() -> Self {
        let cluster = Self(TestServer::new());
        cluster.install();
        cluster
    }

    /// The configuration as it is installed: webhooks without a bundle.
    fn install(&self) {
        let webhook = |name: &str| {
            json!({
                "name": name,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {"service": {"name": "a", "namespace": "b", "path": "/inject"}},
            })
        };
        self.0.put(json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "visor"},
            "webhooks": [webhook("pods.visor.dev"), webhook("namespaces.visor.dev")],
        }));
    }

    fn delete_secret(&self) {
        self.0.delete(&secret_key());
    }

    /// A text of the Secret.
    fn secret(&self, key: &str) -> Option<Vec<u8>> {
        let secret: Secret = serde_json::from_value(self.0.get(&secret_key())?).unwrap();
        secret.data?.remove(key).map(|text| text.0)
    }

    /// The certificates that the webhooks trust, if they are of one mind.
    fn bundle(&self) -> Vec<CertificateDer<'static>> {
        let key = Key::new("mutatingwebhookconfigurations", "", "visor");
        let configuration = self.0.get(&key).unwrap();
        let bundle = |number: usize| {
            let bundle = &configuration["webhooks"][number]["clientConfig"]["caBundle"];
            let bundle: Option<ByteString> = serde_json::from_value(bundle.clone()).unwrap();
            bundle.map(|bundle| x509::from_pem(&bundle.0)).unwrap_or_default()
        };
        if bundle(0) == bundle(1) { bundle(0) } else { vec![] }
    }

    fn reconciler(&self) -> CertificateReconciler {
        let client = self.0.client_of("one");
        let secrets: Api<Secret> = Api::namespaced(client.clone(), "visor-system");
        CertificateReconciler::new(secrets, &client, settings(), Arc::new(Metrics::new().unwrap()))
    }

    /// The writes of one operator since the last time.
    fn writes(&self) -> Vec<String> {
        let writes = self.0.take_writes().into_iter();
        writes.map(|(who, write)| if who == "one" { write } else { String::new() }).collect()
    }

    /// Whether an API server that trusts these certificates would be content with the Secret's.
    fn is_trusted(&self, trusted: &[CertificateDer<'static>], now: UnixSeconds) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let provider = Arc::new(ring::default_provider());
        let Ok(verifier) =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()
        else {
            return false;
        };
        let certificate = x509::from_pem(&self.secret("tls.crt").unwrap()).remove(0);
        let name = ServerName::try_from(NAME).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
        verifier.verify_server_cert(&certificate, &[], &name, &[], now).is_ok()
    }
}

fn secret_key() -> Key {
    Key::new("secrets", "visor-system", "visor-webhook")
}

#[tokio::test]
async fn a_certificate_is_followed_by_others_without_one_moment_in_which_it_is_not_trusted() {
    let cluster = Cluster::new();
    let mut reconciler = cluster.reconciler();
    let mut now = BEGIN;
    let looked = reconciler.reconcile(|| BEGIN).await.unwrap();
    assert_eq!(looked, Reconciled { next_check: BEGIN + 60 * DAY, has_finished: true });
    assert_eq!(cluster.writes(), ["POST secrets", "PATCH mutatingwebhookconfigurations"]);
    assert!(cluster.is_trusted(&cluster.bundle(), now));
    assert!(!reconciler.reconcile(|| BEGIN).await.unwrap().has_finished);

    let (mut written, mut published) = (0, 0);
    let mut next_check = looked.next_check;
    while now < BEGIN + 5 * 365 * DAY {
        let before = cluster.bundle();
        now = next_check;
        assert!(cluster.is_trusted(&before, now - 1));
        next_check = reconciler.reconcile(|| now).await.unwrap().next_check;
        for write in cluster.writes() {
            written += usize::from(write == "PUT secrets");
            published += usize::from(write.starts_with("PATCH"));
        }
        // An API server that hasn't heard of the new bundle yet, and one that has.
        assert!(cluster.is_trusted(&before, now));
        assert!(cluster.is_trusted(&cluster.bundle(), now));
        assert_eq!(cluster.secret("ca.key"), None);
    }
    // Thirty certificates: each is created, promoted, and then alone.
    assert!((80..100).contains(&written), "{written}");
    assert!((50..70).contains(&published), "{published}");
}

#[tokio::test]
async fn a_write_conflict_is_retried() {
    let cluster = Cluster::new();
    let mut one = cluster.reconciler();
    one.reconcile(|| BEGIN).await.unwrap();
    for conflict in ["PUT secrets", "PATCH mutatingwebhookconfigurations"] {
        cluster.0.fail(Failure::once(conflict, 409, "Conflict"));
        let renewal = BEGIN + 61 * DAY;
        assert!(one.reconcile(|| renewal).await.unwrap_err().is_conflict());
        one.reconcile(|| renewal).await.unwrap();
        assert!(cluster.is_trusted(&cluster.bundle(), renewal));
        assert_eq!(cluster.bundle().len(), 2);
        cluster.install();
    }
}

#[tokio::test]
async fn another_leader_continues_where_the_last_one_ended() {
    let cluster = Cluster::new();
    let mut one = cluster.reconciler();
    one.reconcile(|| BEGIN).await.unwrap();
    // Until there is a next certificate that isn't presented yet.
    let looked = BEGIN + 60 * DAY;
    one.reconcile(|| looked).await.unwrap();
    assert_eq!(cluster.bundle().len(), 2);
    let mut two = cluster.reconciler();
    let next_check = two.reconcile(|| looked + 30).await.unwrap().next_check;
    assert_eq!(next_check, looked + 90, "it can't know since when the bundle is known");
    let old = cluster.bundle().split_off(1);
    assert!(cluster.is_trusted(&old, looked));
    two.reconcile(|| next_check).await.unwrap();
    assert!(!cluster.is_trusted(&old, looked));
    assert!(cluster.is_trusted(&cluster.bundle(), looked));
}

#[tokio::test]
async fn a_secret_that_was_changed_is_repaired() {
    let cluster = Cluster::new();
    cluster.reconciler().reconcile(|| BEGIN).await.unwrap();
    let (trusted, shown) = (cluster.bundle(), cluster.secret("tls.crt"));
    cluster.delete_secret();
    let mut reconciler = cluster.reconciler();
    let next_check = reconciler.reconcile(|| BEGIN + 10).await.unwrap().next_check;
    assert_eq!(cluster.secret("tls.crt"), None, "operators keep presenting the existing one");
    assert_eq!(cluster.bundle()[1..], trusted);
    reconciler.reconcile(|| next_check).await.unwrap();
    assert!(cluster.secret("tls.crt").is_some_and(|now| Some(now) != shown));
    assert!(cluster.is_trusted(&cluster.bundle()[..1], next_check));
}

/// An operator of before had a certificate authority: its Secret is taken over, and no review is
/// missed meanwhile.
#[tokio::test]
async fn the_secret_of_an_operator_with_an_authority_is_taken_over() {
    let cluster = Cluster::new();
    let validity = |mut parameters: CertificateParams| {
        let day = |days: i64| {
            let seconds = (BEGIN + days * DAY).unsigned_abs();
            std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        parameters.not_before = day(-1).into();
        parameters.not_after = day(89).into();
        parameters
    };
    let mut authority = validity(CertificateParams::default());
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority_key = KeyPair::generate().unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let ca_key = authority_key.serialize_pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let signed = validity(CertificateParams::new(settings().names).unwrap());
    let signed = signed.signed_by(&key, &issuer).unwrap();
    let text = |text: String| ByteString(text.into_bytes());
    let bundle = text(authority_certificate.pem());
    cluster.0.put(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "visor-webhook", "namespace": "visor-system"},
        "data": {
            "ca.crt": bundle, "ca.key": text(ca_key),
            "tls.crt": text(signed.pem()), "tls.key": text(key.serialize_pem()),
        },
    }));
    let key = Key::new("mutatingwebhookconfigurations", "", "visor");
    let mut configuration = cluster.0.get(&key).unwrap();
    for webhook in configuration["webhooks"].as_array_mut().unwrap() {
        webhook["clientConfig"]["caBundle"] = json!(bundle);
    }
    cluster.0.put(configuration);
    assert!(cluster.is_trusted(&cluster.bundle(), BEGIN));

    let mut reconciler = cluster.reconciler();
    let mut now = BEGIN;
    let (before, shown) = (cluster.bundle(), cluster.secret("tls.crt"));
    let mut next_check = reconciler.reconcile(|| now).await.unwrap().next_check;
    assert_eq!(cluster.secret("tls.crt"), shown, "the API server may not trust another one yet");
    assert!(cluster.is_trusted(&before, now) && cluster.is_trusted(&cluster.bundle(), now));
    assert_eq!(cluster.secret("ca.key"), None);
    while next_check < BEGIN + 30 * DAY {
        now = next_check;
        let before = cluster.bundle();
        next_check = reconciler.reconcile(|| now).await.unwrap().next_check;
        assert!(cluster.is_trusted(&before, now) && cluster.is_trusted(&cluster.bundle(), now));
    }
    assert_ne!(cluster.secret("tls.crt"), shown);
    assert!(cluster.secret("tls.crt") == cluster.secret("ca.crt"));
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
    fn start(cluster: &Cluster, who: &'static str) -> Self {
        let expiry_seconds = Arc::new(AtomicI64::new(0));
        let expiry = Arc::clone(&expiry_seconds);
        let resolver = Arc::new(Resolver::new(move |until| expiry.store(until, Ordering::Relaxed)));
        let metrics = Arc::new(Metrics::new().unwrap());
        let (is_leader, led) = watch::channel(false);
        let (client, shown) = (cluster.0.client_of(who), Arc::clone(&resolver));
        tokio::spawn(manage(client, settings(), led, shown, metrics));
        Self { is_leader, resolver, expiry_seconds }
    }
}

#[tokio::test]
async fn all_present_the_certificate_of_the_leader() {
    let cluster = Cluster::new();
    let (one, two) = (Operator::start(&cluster, "one"), Operator::start(&cluster, "two"));
    one.is_leader.send_replace(true);
    let loaded = || one.resolver.is_loaded() && two.resolver.is_loaded();
    wait_for("a certificate", loaded).await;
    assert_eq!(one.resolver.expires(), two.resolver.expires());
    assert_eq!(two.resolver.expires(), Some(two.expiry_seconds.load(Ordering::Relaxed)));
    wait_for("the bundle", || cluster.bundle().len() == 1).await;
    cluster.install();
    wait_for("the bundle that was lost", || cluster.bundle().len() == 1).await;
    assert!(cluster.0.take_writes().iter().all(|(who, _)| *who == "one"));

    one.is_leader.send_replace(false);
    two.is_leader.send_replace(true);
    let before = one.resolver.expires();
    cluster.delete_secret();
    wait_for("another certificate", || cluster.bundle().len() == 2).await;
    assert_eq!(one.resolver.expires(), before, "nothing else is shown before it is trusted");
    cluster.install();
    wait_for("both certificates", || cluster.bundle().len() == 2).await;
    assert!(cluster.0.take_writes().iter().all(|(who, _)| *who == "two"));
}

#[tokio::test]
async fn what_is_kept_is_good_for_a_handshake() {
    let cluster = Cluster::new();
    let (_lead, is_leader) = watch::channel(true);
    let resolver = Arc::new(Resolver::new(|_| {}));
    let metrics = Arc::new(Metrics::new().unwrap());
    tokio::spawn(manage(
        cluster.0.client_of("one"),
        settings(),
        is_leader,
        Arc::clone(&resolver),
        metrics,
    ));
    wait_for("a bundle", || resolver.is_loaded() && !cluster.bundle().is_empty()).await;
    let anywhere = ListenAddress::One(([127, 0, 0, 1], 0).into());
    let (address, _) =
        crate::admission::server::serve(anywhere, Arc::clone(&resolver), axum::Router::new())
            .unwrap();
    connect(address, &cluster.bundle()).await.unwrap();
    assert!(connect(address, &[Shown::new().certificate()]).await.is_err());
}
