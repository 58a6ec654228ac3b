//! Reads certificates: their validity, their names, their issuer. It creates none.

use std::collections::BTreeSet;

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

/// Seconds since 1970: certificates have no finer times.
pub(crate) type UnixSeconds = i64;

/// Certificates are backdated by this many seconds, because clocks differ.
pub(super) const BACKDATED: UnixSeconds = 300;

/// The validity of a certificate, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: UnixSeconds,
    pub(super) until: UnixSeconds,
}

impl Validity {
    pub(super) fn contains(self, now: UnixSeconds) -> bool {
        (self.from..=self.until).contains(&now)
    }

    /// When it was created.
    pub(super) fn created_at(self) -> UnixSeconds {
        self.from.saturating_add(BACKDATED).min(self.until)
    }

    /// When it is to be renewed: after two thirds of its validity.
    pub(super) fn renewal_at(self) -> UnixSeconds {
        let lasts = self.until.saturating_sub(self.created_at());
        self.until.saturating_sub(lasts / 3)
    }
}

/// The contents of a server certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateInfo {
    pub(super) validity: Validity,
    pub(super) names: BTreeSet<String>,
}

/// Parses a certificate.
pub(super) fn certificate_info(certificate: &CertificateDer<'_>) -> Option<CertificateInfo> {
    let parsed = parse(certificate)?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Some(CertificateInfo { validity: validity(&parsed), names: names.collect() })
}

/// The validity of a CA; `None` if the certificate can't be parsed or isn't a CA's.
pub(super) fn authority_validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let parsed = parse(certificate)?;
    parsed.is_ca().then(|| validity(&parsed))
}

/// Whether a certificate was signed by a CA.
pub(super) fn is_signed_by(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
) -> bool {
    let (Some(certificate), Some(authority)) = (parse(certificate), parse(authority)) else {
        return false;
    };
    certificate.issuer() == authority.subject()
        && certificate.verify_signature(Some(authority.public_key())).is_ok()
}

/// The certificates in a PEM text. Invalid ones are skipped.
pub(super) fn from_pem(text: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).filter_map(Result::ok).collect()
}

/// Certificates as a PEM text.
pub(super) fn to_pem<'a>(
    certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> String {
    let certificates = certificates.into_iter();
    let blocks: Vec<Pem> =
        certificates.map(|certificate| Pem::new("CERTIFICATE", certificate.as_ref())).collect();
    // The default would separate them by empty lines.
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    blocks.iter().map(|block| pem::encode_config(block, config)).collect()
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed)
}

fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    Validity { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_of_a_life_are_counted_from_when_it_was_made() {
        let validity = Validity { from: -BACKDATED, until: 900 };
        assert_eq!(validity.created_at(), 0);
        assert_eq!(validity.renewal_at(), 600);
        assert!(validity.contains(900));
        assert!(!validity.contains(901));
        // One of another tool, valid for a minute.
        assert_eq!(Validity { from: 0, until: 60 }.renewal_at(), 60);
    }

    #[test]
    fn what_is_no_certificate_is_left_out() {
        assert!(from_pem(b"nothing of the sort").is_empty());
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let found = from_pem(text.as_bytes());
        assert_eq!(found.len(), 1);
        assert_eq!(to_pem(&found), text);
        assert_eq!(certificate_info(&found[0]), None);
        assert_eq!(authority_validity(&found[0]), None);
        assert!(!is_signed_by(&found[0], &found[0]));
    }
}
