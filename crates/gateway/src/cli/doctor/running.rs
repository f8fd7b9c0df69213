//! Asking the gateway that runs at the configured address who it is, and how its servers are doing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tollgate_attest::{PublicKey, keys_from_jwks};

use crate::config::{Config, TlsFiles};
use crate::tls::certificates;

const ASK_MS_MAX: u64 = 2_000;
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What `/readyz` says of each server, as it stands in `servers`; `None` if no gateway runs there.
pub(super) async fn servers(config: &Config) -> Option<serde_json::Map<String, serde_json::Value>> {
    // Which servers there are is told to those who may read the metrics.
    let token = config.metrics.token.as_ref().map(|token| &*token.0);
    let said: serde_json::Value = serde_json::from_slice(&answer(config, "/readyz", token).await?).ok()?;
    said.get("servers")?.as_object().cloned()
}

/// The public keys of the receipts that the gateway gives which runs there; `None` if none does.
pub(super) async fn receipt_keys(config: &Config) -> Option<Vec<PublicKey>> {
    let said = answer(config, "/.well-known/jwks.json", None).await?;
    keys_from_jwks(std::str::from_utf8(&said).ok()?).ok()
}

/// What is answered there to `GET path`, in time.
async fn answer(config: &Config, path: &'static str, token: Option<&[u8]>) -> Option<Bytes> {
    let mut listen = config.listen;
    if listen.ip().is_unspecified() {
        listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let asking = async {
        let mut request = Request::get(path).header("host", listen.to_string()).body(Empty::new())?;
        if let Some(token) = token {
            request.headers_mut().insert(http::header::AUTHORIZATION, bearer(token)?);
        }
        ask(config, listen, request).await
    };
    tokio::time::timeout(Duration::from_millis(ASK_MS_MAX), asking).await.ok()?.ok()
}

fn bearer(token: &[u8]) -> anyhow::Result<HeaderValue> {
    let mut bearer = HeaderValue::from_bytes(&[b"Bearer ", token].concat())?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

async fn ask(config: &Config, listen: SocketAddr, request: Request<Empty<Bytes>>) -> anyhow::Result<Bytes> {
    let socket = TcpStream::connect(listen).await.context("connect")?;
    match &config.tls {
        None => sent(socket, request).await,
        Some(files) => {
            let connector = TlsConnector::from(Arc::new(client(files)?));
            let stream =
                connector.connect(ServerName::from(listen.ip()), socket).await.context("shake hands")?;
            sent(stream, request).await
        }
    }
}

async fn sent(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    request: Request<Empty<Bytes>>,
) -> anyhow::Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("speak HTTP")?;
    let asking = async move {
        let answer = sender.send_request(request).await.context("ask")?;
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        body.map(|body| body.to_bytes()).map_err(anyhow::Error::from_boxed)
    };
    let (answer, _) = tokio::join!(asking, connection);
    answer
}

/// A client that takes exactly the certificate of the configuration: whoever holds its key is the gateway that is meant, be it
/// certified for whatever name.
fn client(files: &TlsFiles) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let own = certificates(&files.cert)?.into_iter().next().context("the certificate file is empty")?;
    let verifier = Arc::new(Exactly { own, provider: Arc::clone(&provider) });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("choose protocol versions")?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// One certificate, and no other.
#[derive(Debug)]
struct Exactly {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.own {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another certificate than that of the configuration".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
