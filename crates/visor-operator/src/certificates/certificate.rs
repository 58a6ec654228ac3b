//! Creates self-signed server certificates: ECDSA on P-256. Reads no clock.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::x509::{self, BACKDATED, UnixSeconds, Validity};

/// The longest validity: a hundred years.
const LONGEST: Duration = Duration::from_hours(24 * 36525);

/// A certificate and its private key, both as PEM.
#[derive(Debug, Clone)]
pub(super) struct CertificateAndKey {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl CertificateAndKey {
    /// Creates a certificate for these DNS names, with a new key.
    ///
    /// # Errors
    ///
    /// If a name is none.
    pub(super) fn create(
        names: &[String],
        now: UnixSeconds,
        validity: Duration,
    ) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let Validity { from, until } = validity_from(now, validity);
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, subject(now));
        parameters.not_before = system_time(from).into();
        parameters.not_after = system_time(until).into();
        for name in names {
            parameters.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        // Who trusts it trusts no other certificate by it.
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.self_signed(&key)?;
        Ok(Self { certificate: x509::to_pem([certificate.der()]), key: key.serialize_pem() })
    }
}

/// The subject is unique, so that a verifier can tell the certificates apart.
fn subject(now: UnixSeconds) -> String {
    let when = Timestamp::from_second(now).unwrap_or_default();
    format!("visor-operator webhook {when}")
}

fn validity_from(now: UnixSeconds, duration: Duration) -> Validity {
    let duration =
        UnixSeconds::try_from(duration.min(LONGEST).as_secs()).unwrap_or(UnixSeconds::MAX);
    Validity { from: now.saturating_sub(BACKDATED), until: now.saturating_add(duration) }
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
    fn a_certificate_is_its_own_issuer_and_no_authority() {
        let made = CertificateAndKey::create(&["a.b.svc".to_owned()], NOW, 10 * DAY).unwrap();
        let certificate = x509::from_pem(made.certificate.as_bytes()).remove(0);
        assert!(x509::is_signed_by(&certificate, &certificate));
        let info = x509::certificate_info(&certificate).unwrap();
        assert_eq!(info.validity.created_at(), NOW);
        assert_eq!(info.validity.until, NOW + 864_000);
        assert!(info.names.into_iter().eq(["a.b.svc".to_owned()]));
        assert!(CertificateAndKey::create(&["ünreadable".to_owned()], NOW, DAY).is_err());
    }

    #[test]
    fn times_at_the_ends_of_all_calendars_are_no_harm() {
        for (now, validity) in
            [(0, DAY), (UnixSeconds::MAX, Duration::MAX), (UnixSeconds::MIN, Duration::ZERO)]
        {
            let made = CertificateAndKey::create(&["a".to_owned()], now, validity).unwrap();
            let certificate = x509::from_pem(made.certificate.as_bytes()).remove(0);
            assert!(x509::certificate_info(&certificate).is_some(), "{now}");
        }
    }
}
