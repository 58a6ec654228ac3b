//! TLS on all ports over TCP, and the credential that clients have to show.

use std::{fs, io, path::Path, sync::Arc};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};
use subtle::{Choice, ConstantTimeEq};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;
use visor_http::Handshake;

/// The maximum number of bytes of a file with credentials.
const MAX_CREDENTIALS: usize = 64 << 10;

/// A stream, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How connections begin.
#[derive(Clone)]
pub(crate) struct Security(Option<TlsAcceptor>);

impl Security {
    /// TLS with `tls.crt` and `tls.key` of a directory; without one, none. `protocol` is what is spoken
    /// within, as ALPN names it, if it has such a name.
    pub(crate) fn new(directory: Option<&Path>, protocol: Option<&str>) -> anyhow::Result<Self> {
        let Some(directory) = directory else { return Ok(Self(None)) };
        let (certificate, key) = (directory.join("tls.crt"), directory.join("tls.key"));
        let chain = CertificateDer::pem_file_iter(&certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot read certificates in {}", certificate.display()))?;
        if chain.is_empty() {
            bail!("{} has no certificate", certificate.display());
        }
        let key_der = PrivateKeyDer::from_pem_file(&key)
            .with_context(|| format!("cannot read a private key in {}", key.display()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key_der)
            .with_context(|| format!("cannot use {}", certificate.display()))?;
        config.alpn_protocols = protocol.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self(Some(TlsAcceptor::from(Arc::new(config)))))
    }
}

impl Handshake for Security {
    type Stream = Box<dyn Stream>;

    async fn perform(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        match &self.0 {
            Some(acceptor) => Ok(Box::new(acceptor.accept(stream).await?)),
            None => Ok(Box::new(stream)),
        }
    }
}

/// What clients have to show: one of several, or nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credentials(Option<Arc<[String]>>);

impl Credentials {
    /// Those in a file, one in a line: a token, or a user's name, a colon and a password.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read credentials in {}", path.display()))?;
        if text.len() > MAX_CREDENTIALS {
            bail!("{} has more than {MAX_CREDENTIALS} bytes", path.display());
        }
        let all: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        if all.is_empty() {
            bail!("{} has no credential: a token, or USER:PASSWORD, in a line", path.display());
        }
        Ok(Self(Some(all.into())))
    }

    /// The tokens: those without a user's name.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let all = self.0.iter().flat_map(|all| all.iter());
        all.filter(|one| !one.contains(':')).cloned().collect()
    }

    /// Whether a request shows one of them. A token follows the word `Bearer`, or the one that its
    /// protocol has, such as `Splunk`.
    pub(crate) fn are_shown(&self, headers: &HeaderMap) -> bool {
        let Some(all) = &self.0 else { return true };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, shown)) = shown.and_then(|shown| shown.split_once(' ')) else {
            return false;
        };
        let shown = if scheme.eq_ignore_ascii_case("basic") {
            STANDARD.decode(shown.trim()).unwrap_or_default()
        } else {
            shown.trim().as_bytes().to_vec()
        };
        // All are compared, so that the time tells nothing.
        let is_shown = all.iter().map(|one| one.as_bytes().ct_eq(&shown));
        is_shown.fold(Choice::from(0), |any, one| any | one).into()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_credential_is_shown_in_each_protocols_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        fs::write(&path, "s3cret-token\n\nshop:pass word\n").unwrap();
        let credentials = Credentials::read(Some(&path)).unwrap();
        for (value, wanted) in [
            ("Bearer s3cret-token", true),
            ("bearer  s3cret-token", true),
            ("Splunk s3cret-token", true),
            ("ApiKey s3cret-token", true),
            // shop:pass word
            ("Basic c2hvcDpwYXNzIHdvcmQ=", true),
            ("Basic c2hvcDpwYXNz", false),
            ("Basic s3cret-token", false),
            ("Bearer s3cret-toke", false),
            ("Bearer ", false),
            ("s3cret-token", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            assert_eq!(credentials.are_shown(&headers), wanted, "{value:?}");
        }
        assert!(!credentials.are_shown(&HeaderMap::new()));
        assert!(Credentials::read(None).unwrap().are_shown(&HeaderMap::new()));
        fs::write(&path, "\n").unwrap();
        let error = Credentials::read(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("has no credential"), "{error}");
    }
}
