//! An authority: it makes itself, and signs certificates for servers. ECDSA on P-256. It doesn't
//! read a clock.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use super::x509::{self, BACKDATED, Life, Moment};

/// The longest that anything is signed for: a hundred years.
const LONGEST: Duration = Duration::from_hours(24 * 36525);

/// Why there is no authority or no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    #[error("making a certificate: {0}")]
    Making(#[from] rcgen::Error),
    #[error("the authority's certificate can't be read")]
    Unreadable,
    #[error("the authority's key is the key of something else")]
    OtherKey,
}

/// An authority with its key.
pub(super) struct Authority {
    pub(super) certificate: CertificateDer<'static>,
    life: Life,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, both as PEM texts.
pub(super) struct Signed {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Authority {
    /// A new one.
    pub(super) fn make(now: Moment, validity: Duration) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let life = life(now, validity);
        let mut parameters = parameters(&subject(now), life);
        // It signs servers' certificates, never another authority's.
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key)?.der().clone();
        Ok(Self { certificate, life, issuer: Issuer::new(parameters, key) })
    }

    /// One that was made before.
    pub(super) fn read(
        certificate: &CertificateDer<'static>,
        key: &str,
    ) -> Result<Self, AuthorityError> {
        let life = x509::authority_life(certificate).ok_or(AuthorityError::Unreadable)?;
        let key = KeyPair::from_pem(key)?;
        let (_, parsed) =
            parse_x509_certificate(certificate).map_err(|_| AuthorityError::Unreadable)?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::OtherKey);
        }
        let issuer = Issuer::from_ca_cert_der(certificate, key)?;
        Ok(Self { certificate: certificate.clone(), life, issuer })
    }

    /// The key as a PEM text.
    pub(super) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for a server of these names, and a new key for it. It doesn't outlive the
    /// authority.
    pub(super) fn sign(
        &self,
        names: &[String],
        now: Moment,
        validity: Duration,
    ) -> Result<Signed, AuthorityError> {
        let key = KeyPair::generate()?;
        let wished = life(now, validity);
        let life = Life { from: wished.from, until: wished.until.min(self.life.until) };
        let mut parameters = parameters("visor-operator", life);
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

/// Authorities have names of their own, so that whoever verifies a certificate knows by which one.
fn subject(now: Moment) -> String {
    let when = Timestamp::from_second(now).unwrap_or_default();
    format!("visor-operator webhook authority {when}")
}

fn life(now: Moment, validity: Duration) -> Life {
    let validity = Moment::try_from(validity.min(LONGEST).as_secs()).unwrap_or(Moment::MAX);
    Life { from: now.saturating_sub(BACKDATED), until: now.saturating_add(validity) }
}

fn parameters(common_name: &str, life: Life) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.not_before = system_time(life.from).into();
    parameters.not_after = system_time(life.until).into();
    parameters
}

/// Within what a certificate can say: from 1970 to the end of the year 9999.
fn system_time(moment: Moment) -> SystemTime {
    const LAST: u64 = 253_402_300_799;
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(moment).unwrap_or(0).min(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = 1_800_000_000;
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn an_authority_that_is_read_again_signs_as_before() {
        let made = Authority::make(NOW, 10 * DAY).unwrap();
        let read = Authority::read(&made.certificate, &made.key()).unwrap();
        for authority in [&made, &read] {
            let signed = authority.sign(&["a.b.svc".to_owned()], NOW + 60, DAY).unwrap();
            let certificate = x509::from_pem(signed.chain.as_bytes()).remove(0);
            assert!(x509::is_signed_by(&certificate, &made.certificate));
            let facts = x509::facts(&certificate).unwrap();
            assert_eq!(facts.life.made(), NOW + 60);
            assert_eq!(facts.life.until, NOW + 60 + 86_400);
            assert!(facts.names.into_iter().eq(["a.b.svc".to_owned()]));
            assert_eq!(x509::authority_life(&certificate), None);
        }
        assert_eq!(x509::authority_life(&made.certificate).unwrap().until, NOW + 864_000);
    }

    #[test]
    fn a_certificate_does_not_outlive_its_authority() {
        let authority = Authority::make(NOW, DAY).unwrap();
        let signed = authority.sign(&["a".to_owned()], NOW, 90 * DAY).unwrap();
        let certificate = x509::from_pem(signed.chain.as_bytes()).remove(0);
        assert_eq!(x509::facts(&certificate).unwrap().life.until, NOW + 86_400);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let one = Authority::make(NOW, DAY).unwrap();
        let two = Authority::make(NOW, DAY).unwrap();
        let read = |certificate, key: &str| Authority::read(certificate, key).err().unwrap();
        assert!(matches!(read(&one.certificate, &two.key()), AuthorityError::OtherKey));
        assert!(matches!(read(&one.certificate, "no key"), AuthorityError::Making(_)));
        let signed = one.sign(&["a".to_owned()], NOW, DAY).unwrap();
        let no_authority = x509::from_pem(signed.chain.as_bytes()).remove(0);
        assert!(matches!(read(&no_authority, &signed.key), AuthorityError::Unreadable));
        assert!(one.sign(&["ünreadable".to_owned()], NOW, DAY).is_err());
    }

    #[test]
    fn times_at_the_ends_of_all_calendars_are_no_harm() {
        for (now, validity) in
            [(0, DAY), (Moment::MAX, Duration::MAX), (Moment::MIN, Duration::ZERO)]
        {
            let made = Authority::make(now, validity).unwrap();
            assert!(Authority::read(&made.certificate, &made.key()).is_ok(), "{now}");
            assert!(x509::authority_life(&made.certificate).is_some(), "{now}");
        }
    }
}
