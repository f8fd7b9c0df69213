//! TLS of the listener: rustls on aws-lc-rs, HTTP/2 where the client speaks it, and the certificate read again when its files
//! change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::config::TlsFiles;

/// How often the files are looked at; that costs two system calls.
const LOOK_MS: u64 = 2_000;
/// HTTP/2 first: who speaks both is served better by one connection.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The listener's certificate, as it is now.
pub struct Tls {
    files: TlsFiles,
    acceptor: ArcSwap<TlsAcceptor>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// A file cannot be read, or the key is not the certificate's; as a sentence for the operator.
    pub fn read(files: TlsFiles) -> anyhow::Result<Self> {
        let acceptor = ArcSwap::from_pointee(acceptor(&files)?);
        Ok(Self { files, acceptor })
    }

    /// Shakes hands over a new connection.
    ///
    /// # Errors
    /// The client speaks no TLS, or none that is spoken here.
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::clone(&self.acceptor.load());
        acceptor.accept(stream).await
    }

    /// Reads the files again whenever they have changed, until `stop`. What cannot be used is logged, and the old certificate
    /// stays.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = self.changed();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => {}
            }
            let now = self.changed();
            if now == seen {
                continue;
            }
            match acceptor(&self.files) {
                Ok(acceptor) => {
                    self.acceptor.store(Arc::new(acceptor));
                    tracing::info!(cert = %self.files.cert.display(), "the certificate was read again");
                    seen = now;
                }
                // Cert and key are rarely replaced in one moment: the next look may find both.
                Err(error) => {
                    tracing::error!(%error, "the new certificate cannot be used; the old one stays")
                }
            }
        }
    }

    fn changed(&self) -> [Option<SystemTime>; 2] {
        let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
        [changed(&self.files.cert), changed(&self.files.key)]
    }
}

fn acceptor(files: &TlsFiles) -> anyhow::Result<TlsAcceptor> {
    let certificates = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("tls.key: read a private key in PEM from {}", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("tls: choose protocol versions")?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("tls: use the certificate with its key")?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificates of a file.
///
/// # Errors
/// The file cannot be read or holds none; as a sentence for the operator.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || format!("tls.cert: read certificates in PEM from {}", path.display());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(read)?.collect();
    let certificates = certificates.with_context(read)?;
    anyhow::ensure!(!certificates.is_empty(), "tls.cert: {} holds no certificate", path.display());
    Ok(certificates)
}
