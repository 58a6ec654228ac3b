//! What a certificate says: how long it holds, for which names, who signed it. Reads certificates
//! and makes none.

use std::collections::BTreeSet;

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate};

/// A moment in seconds since 1970: a certificate knows no finer ones.
pub(crate) type Moment = i64;

/// Certificates are said to hold since so many seconds before they are made, for clocks differ.
pub(super) const BACKDATED: Moment = 300;

/// How long a certificate holds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) from: Moment,
    pub(super) until: Moment,
}

impl Life {
    pub(super) fn holds(self, now: Moment) -> bool {
        (self.from..=self.until).contains(&now)
    }

    /// When it was made.
    pub(super) fn made(self) -> Moment {
        self.from.saturating_add(BACKDATED).min(self.until)
    }

    /// When there should be another one: two thirds of its time are over.
    pub(super) fn renewal(self) -> Moment {
        let lasts = self.until.saturating_sub(self.made());
        self.until.saturating_sub(lasts / 3)
    }
}

/// What a certificate of a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) life: Life,
    pub(super) names: BTreeSet<String>,
}

/// Reads a certificate; none if it can't be read.
pub(super) fn facts(certificate: &CertificateDer<'_>) -> Option<Facts> {
    let parsed = parse(certificate)?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    Some(Facts { life: life(&parsed), names: names.collect() })
}

/// How long an authority holds; none if the certificate can't be read or isn't an authority's.
pub(super) fn authority_life(certificate: &CertificateDer<'_>) -> Option<Life> {
    let parsed = parse(certificate)?;
    parsed.is_ca().then(|| life(&parsed))
}

/// Whether a certificate was signed by an authority.
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

/// The certificates in a PEM text. What can't be read is left out.
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
    // Without the empty lines that there would be between them.
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    blocks.iter().map(|block| pem::encode_config(block, config)).collect()
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed)
}

fn life(certificate: &X509Certificate<'_>) -> Life {
    let validity = certificate.validity();
    Life { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_of_a_life_are_counted_from_when_it_was_made() {
        let life = Life { from: -BACKDATED, until: 900 };
        assert_eq!(life.made(), 0);
        assert_eq!(life.renewal(), 600);
        assert!(life.holds(900));
        assert!(!life.holds(901));
        // One that somebody else made, for a minute.
        assert_eq!(Life { from: 0, until: 60 }.renewal(), 60);
    }

    #[test]
    fn what_is_no_certificate_is_left_out() {
        assert!(from_pem(b"nothing of the sort").is_empty());
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let found = from_pem(text.as_bytes());
        assert_eq!(found.len(), 1);
        assert_eq!(to_pem(&found), text);
        assert_eq!(facts(&found[0]), None);
        assert_eq!(authority_life(&found[0]), None);
        assert!(!is_signed_by(&found[0], &found[0]));
    }
}
