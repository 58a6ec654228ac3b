//! A certificate authority: it signs itself, and issues server certificates. ECDSA on P-256. It
//! reads no clock.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use super::x509::{self, BACKDATED, UnixSeconds, Validity};

/// The longest validity: a hundred years.
const LONGEST: Duration = Duration::from_hours(24 * 36525);

/// Why there is no CA or no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    #[error("cannot create a certificate: {0}")]
    Making(#[from] rcgen::Error),
    #[error("cannot parse the CA certificate")]
    Unreadable,
    #[error("the CA key doesn't match the CA certificate")]
    OtherKey,
}

/// A CA with its private key.
pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    validity: Validity,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate chain and its private key, both as PEM.
pub(super) struct Signed {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Authority {
    /// Creates a CA.
    pub(super) fn create(now: UnixSeconds, validity: Duration) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let validity = validity_from(now, validity);
        let mut parameters = parameters(&subject(now), validity);
        // It signs server certificates, and no intermediate CA.
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key)?.der().clone();
        Ok(Self { certificate, validity, issuer: Issuer::new(parameters, key) })
    }

    /// Loads a CA that was created before.
    pub(super) fn load(
        certificate: &CertificateDer<'static>,
        key: &str,
    ) -> Result<Self, AuthorityError> {
        let validity = x509::authority_validity(certificate).ok_or(AuthorityError::Unreadable)?;
        let key = KeyPair::from_pem(key)?;
        let (_, parsed) =
            parse_x509_certificate(certificate).map_err(|_| AuthorityError::Unreadable)?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::OtherKey);
        }
        let issuer = Issuer::from_ca_cert_der(certificate, key)?;
        Ok(Self { certificate: certificate.clone(), validity, issuer })
    }

    /// The private key as PEM.
    pub(super) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate for these DNS names, with a new key. It doesn't outlive the CA.
    pub(super) fn sign(
        &self,
        names: &[String],
        now: UnixSeconds,
        validity: Duration,
    ) -> Result<Signed, AuthorityError> {
        let key = KeyPair::generate()?;
        let desired = validity_from(now, validity);
        let validity =
            Validity { from: desired.from, until: desired.until.min(self.validity.until) };
        let mut parameters = parameters("visor-operator", validity);
        for name in names {
            parameters.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Signed { chain: x509::to_pem([certificate.der()]), key: key.serialize_pem() })
    }
}

/// The subject is unique, so that a verifier can tell the CAs apart.
fn subject(now: UnixSeconds) -> String {
    let when = Timestamp::from_second(now).unwrap_or_default();
    format!("visor-operator webhook CA {when}")
}

fn validity_from(now: UnixSeconds, duration: Duration) -> Validity {
    let duration =
        UnixSeconds::try_from(duration.min(LONGEST).as_secs()).unwrap_or(UnixSeconds::MAX);
    Validity { from: now.saturating_sub(BACKDATED), until: now.saturating_add(duration) }
}

fn parameters(common_name: &str, validity: Validity) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.not_before = system_time(validity.from).into();
    parameters.not_after = system_time(validity.until).into();
    parameters
}

/// Clamped to what a certificate can express: from 1970 to the end of the year 9999.
fn system_time(time: UnixSeconds) -> SystemTime {
    const LAST: u64 = 253_402_300_799;
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0).min(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = 1_800_000_000;
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn an_authority_that_is_read_again_signs_as_before() {
        let made = Authority::create(NOW, 10 * DAY).unwrap();
        let load = Authority::load(&made.certificate, &made.key()).unwrap();
        for authority in [&made, &load] {
            let signed = authority.sign(&["a.b.svc".to_owned()], NOW + 60, DAY).unwrap();
            let certificate = x509::from_pem(signed.chain.as_bytes()).remove(0);
            assert!(x509::is_signed_by(&certificate, &made.certificate));
            let info = x509::certificate_info(&certificate).unwrap();
            assert_eq!(info.validity.created_at(), NOW + 60);
            assert_eq!(info.validity.until, NOW + 60 + 86_400);
            assert!(info.names.into_iter().eq(["a.b.svc".to_owned()]));
            assert_eq!(x509::authority_validity(&certificate), None);
        }
        assert_eq!(x509::authority_validity(&made.certificate).unwrap().until, NOW + 864_000);
    }

    #[test]
    fn a_certificate_does_not_outlive_its_authority() {
        let authority = Authority::create(NOW, DAY).unwrap();
        let signed = authority.sign(&["a".to_owned()], NOW, 90 * DAY).unwrap();
        let certificate = x509::from_pem(signed.chain.as_bytes()).remove(0);
        assert_eq!(x509::certificate_info(&certificate).unwrap().validity.until, NOW + 86_400);
    }

    #[test]
    fn a_mismatched_certificate_and_key_are_rejected() {
        let one = Authority::create(NOW, DAY).unwrap();
        let two = Authority::create(NOW, DAY).unwrap();
        let load = |certificate, key: &str| Authority::load(certificate, key).err().unwrap();
        assert!(matches!(load(&one.certificate, &two.key()), AuthorityError::OtherKey));
        assert!(matches!(load(&one.certificate, "no key"), AuthorityError::Making(_)));
        let signed = one.sign(&["a".to_owned()], NOW, DAY).unwrap();
        let no_authority = x509::from_pem(signed.chain.as_bytes()).remove(0);
        assert!(matches!(load(&no_authority, &signed.key), AuthorityError::Unreadable));
        assert!(one.sign(&["ünreadable".to_owned()], NOW, DAY).is_err());
    }

    #[test]
    fn times_at_the_ends_of_all_calendars_are_no_harm() {
        for (now, validity) in
            [(0, DAY), (UnixSeconds::MAX, Duration::MAX), (UnixSeconds::MIN, Duration::ZERO)]
        {
            let made = Authority::create(now, validity).unwrap();
            assert!(Authority::load(&made.certificate, &made.key()).is_ok(), "{now}");
            assert!(x509::authority_validity(&made.certificate).is_some(), "{now}");
        }
    }
}
