//! TLS and HTTP/2 on both sides: a listener with a certificate, servers with good and bad ones, and the floods of HTTP/2.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tollgate_testkit::http::send;
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::memory;
use tollgate_testkit::peers::port;
use tollgate_testkit::process::Guarded;

use crate::world::{
    Gateway, PRICE, PRICED, World, call_body, code, command, delivered, modern_headers, soon,
};

/// An authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this address, and its key, both in PEM.
    fn certifies(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// The configuration of a client that trusts it and speaks these protocols.
    fn client(&self, protocols: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

const H2: &[&[u8]] = &[b"h2"];
const H1: &[&[u8]] = &[b"http/1.1"];

async fn shake_hands(tls: &TlsConnector, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    tls.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

fn acceptor((cert, key): &(String, String)) -> TlsAcceptor {
    let certs = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_no_client_auth().with_single_cert(certs, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// A server with TLS in front of a journal: what comes over HTTP/2 goes on as it is.
struct Secured {
    port: u16,
    acceptor: Arc<ArcSwap<TlsAcceptor>>,
    versions: Arc<Mutex<Vec<Version>>>,
    connections: Arc<Mutex<JoinSet<()>>>,
    _serving: JoinSet<()>,
}

impl Secured {
    async fn start(certificate: &(String, String), upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = Arc::new(ArcSwap::from_pointee(acceptor(certificate)));
        let versions: Arc<Mutex<Vec<Version>>> = Arc::default();
        let connections: Arc<Mutex<JoinSet<()>>> = Arc::default();
        let mut serving = JoinSet::new();
        let (current, seen, open) = (Arc::clone(&acceptor), Arc::clone(&versions), Arc::clone(&connections));
        serving.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, seen, upstream) =
                    (TlsAcceptor::clone(&current.load()), Arc::clone(&seen), upstream.clone());
                open.lock().spawn(async move {
                    // Who does not trust the certificate goes away.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    assert!(is_h2, "the gateway speaks HTTP/2 to whoever agrees to it");
                    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                        seen.lock().push(request.version());
                        passed(request, upstream.clone())
                    });
                    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service);
                    drop(serving.await);
                });
            }
        });
        Self { port, acceptor, versions, connections, _serving: serving }
    }

    /// Shows another certificate from now on; connections that are open end.
    async fn shows(&self, certificate: &(String, String)) {
        self.acceptor.store(Arc::new(acceptor(certificate)));
        let mut open = std::mem::take(&mut *self.connections.lock());
        open.shutdown().await;
    }
}

async fn passed(request: Request<Incoming>, url: String) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers: Vec<(&str, &str)> = head
        .headers
        .iter()
        .filter(|(name, _)| *name != "host" && *name != "content-length")
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    let answer = send(head.method, &url, &headers, body).await.unwrap();
    let mut response = Response::new(Full::new(answer.body.clone()));
    *response.status_mut() = answer.status;
    // What only says that it has arrived has none.
    if let Some(content_type) = answer.headers.get("content-type") {
        response.headers_mut().insert("content-type", content_type.clone());
    }
    Ok(response)
}

#[tokio::test]
async fn f44_a_server_with_a_bad_certificate_is_unreachable_costs_nothing_and_a_good_one_is_spoken_to_in_http_2()
 {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority.certifies("127.0.0.1");
    let journal = Journal::start(Script::echo().without_sessions()).await.unwrap();
    let secured = Secured::start(&good, journal.url()).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let yaml = format!(
        "servers: {{ up: {{ url: 'https://127.0.0.1:{}/mcp', breaker: {{ failures_in_a_row: 0 }}, tools: {{ echo: {PRICED} }} }} }}\n",
        secured.port
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let trusted = folder.path().join("ca.pem").display().to_string();
    let gateway = Gateway::dev_with(folder.path(), &[("SSL_CERT_FILE", &trusted)]).await;
    let world = World { journal, gateway, folder };
    let payment = json!({ "x402/payment": world.x402_payment("echo", &json!({})).await });
    assert!(secured.versions.lock().iter().all(|version| *version == Version::HTTP_2));
    assert!(!secured.versions.lock().is_empty(), "control: the list came over HTTP/2");

    for (what, bad) in [
        ("of a stranger", stranger.certifies("127.0.0.1")),
        ("for another name", authority.certifies("other.example")),
    ] {
        secured.shows(&bad).await;
        let refused = world.call_with("echo", &json!({}), &payment).await;
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str()),
            (502, "upstream_unreachable"),
            "{what}"
        );
        assert_eq!(world.journal.executions(), 0, "{what}");
        assert_eq!(world.gateway.account("payable:up"), [0; 4], "{what}");
        assert_eq!(world.payer_balance().await, 100_000_000, "{what}");
    }
    secured.shows(&good).await;
    delivered(&world.call_with("echo", &json!({}), &payment).await);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
    assert!(secured.versions.lock().iter().all(|version| *version == Version::HTTP_2));
    world.gateway.assert_books_in_order();
}

/// A gateway that listens with TLS, in front of a journal.
struct Listening {
    authority: Authority,
    journal: Journal,
    port: u16,
    folder: tempfile::TempDir,
    process: Guarded,
}

impl Listening {
    async fn start() -> Self {
        Self::with("").await
    }

    /// With these settings beside.
    async fn with(more: &str) -> Self {
        let authority = Authority::new();
        let journal = Journal::start(Script::echo()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = port::free().unwrap();
        let yaml = format!(
            "tls: {{ cert: cert.pem, key: key.pem }}\nservers: {{ up: {{ url: '{}', tools: {{ echo: {PRICED} }} }} }}\n",
            journal.url()
        );
        std::fs::write(folder.path().join("tollgate.yaml"), yaml + more).unwrap();
        install(folder.path(), &authority.certifies("127.0.0.1"));
        let mut command = command(folder.path());
        command.args(["dev", "--config", "tollgate.yaml", "--data", "data", "--listen"]);
        command.arg(format!("127.0.0.1:{port}"));
        let mut process = Guarded::spawn(&command, &folder.path().join("gateway.log")).unwrap();
        let tls = authority.client(H1);
        let ready = async || shake_hands(&tls, port).await.is_ok();
        process.wait_until(std::time::Duration::from_secs(60), ready).await.unwrap();
        Self { authority, journal, port, folder, process }
    }

    async fn connect(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        shake_hands(&self.authority.client(protocols), self.port).await.unwrap()
    }

    async fn over_h2(&self, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
        let stream = self.connect(H2).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let mut driving = JoinSet::new();
        driving.spawn(async move { drop(connection.await) });
        read(sender.send_request(request).await.unwrap()).await
    }

    fn unpaid_call(&self, authority: &str) -> Request<Full<Bytes>> {
        let mut request = Request::post(format!("https://{authority}/mcp"));
        for (name, value) in modern_headers("echo") {
            request = request.header(name, value);
        }
        request.body(Full::new(call_body("echo", &json!({}), &json!({})).to_string().into())).unwrap()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn install(folder: &Path, (cert, key): &(String, String)) {
    std::fs::write(folder.join("key.pem"), key).unwrap();
    std::fs::write(folder.join("cert.pem"), cert).unwrap();
}

async fn read(response: Response<Incoming>) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn the_listener_speaks_tls_with_http_2_and_http_1_and_takes_a_new_certificate() {
    let gateway = Listening::start().await;
    let (status, demand) = gateway.over_h2(gateway.unpaid_call(&gateway.address())).await;
    assert_eq!((status, &demand["result"]["structuredContent"]["x402Version"]), (StatusCode::OK, &json!(2)));
    assert!(demand.to_string().contains("https://127.0.0.1:"), "its own address is an https one: {demand}");
    let (status, _) = gateway.over_h2(gateway.unpaid_call("evil.example")).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "m1: addressed by another name");
    assert_eq!(gateway.journal.executions(), 0);

    for protocols in [H1, &[]] {
        let mut stream = gateway.connect(protocols).await;
        let request =
            format!("GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", gateway.address());
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    }
    // Without TLS nobody is answered.
    let mut plain = TcpStream::connect(("127.0.0.1", gateway.port)).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    drop(soon(plain.read_to_end(&mut answer)).await);
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));

    // A certificate that cannot be used changes nothing; one of another authority is shown as soon as it is seen.
    let next = Authority::new();
    let (cert, _) = next.certifies("127.0.0.1");
    std::fs::write(gateway.folder.path().join("cert.pem"), cert).unwrap();
    soon(async {
        while !gateway.process.log_tail().contains("the old one stays") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.connect(H2).await;
    install(gateway.folder.path(), &next.certifies("127.0.0.1"));
    let renewed = next.client(H2);
    soon(async { while shake_hands(&renewed, gateway.port).await.is_err() {} }).await;
}

#[tokio::test]
async fn f65_changes_of_every_kind_under_load_drop_no_connection() {
    const LANES: usize = 4;
    const KEY: &str = "k3y-0123456789abcdef0123456789abcdef";
    let limits = "limits: { calls_per_minute: 1000000, offers_per_minute: 1000000 }\n";
    let gateway = Arc::new(Listening::with(limits).await);
    let file = gateway.folder.path().join("tollgate.yaml");
    let first = std::fs::read_to_string(&file).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for lane in 0..LANES {
        // Each has one connection from the beginning to the end.
        let stream = gateway.connect(if lane % 2 == 0 { H1 } else { H2 }).await;
        let (gateway, is_over) = (Arc::clone(&gateway), Arc::clone(&is_over));
        load.spawn(async move {
            let mut driving = JoinSet::new();
            let io = TokioIo::new(stream);
            let mut amounts = Vec::new();
            let mut heard = |(status, demand): (StatusCode, Value)| {
                assert_eq!(status, StatusCode::OK, "{demand}");
                amounts.push(demand["result"]["structuredContent"]["accepts"][0]["amount"].clone());
            };
            let call = || gateway.unpaid_call(&gateway.address());
            if lane % 2 == 0 {
                let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                driving.spawn(async move { drop(connection.await) });
                while !is_over.load(Ordering::SeqCst) {
                    sender.ready().await.unwrap();
                    heard(read(sender.send_request(call()).await.unwrap()).await);
                }
            } else {
                let (mut sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                driving.spawn(async move { drop(connection.await) });
                while !is_over.load(Ordering::SeqCst) {
                    sender.ready().await.unwrap();
                    heard(read(sender.send_request(call()).await.unwrap()).await);
                }
            }
            amounts
        });
    }
    let asked = async |amount: &str| {
        soon(Box::pin(async {
            loop {
                let (_, demand) = gateway.over_h2(gateway.unpaid_call(&gateway.address())).await;
                if demand["result"]["structuredContent"]["accepts"][0]["amount"] == amount {
                    return;
                }
            }
        }))
        .await;
    };
    let written = |yaml: &str| {
        let beside = gateway.folder.path().join("tollgate.yaml~");
        std::fs::write(&beside, yaml).unwrap();
        std::fs::rename(&beside, &file).unwrap();
    };
    asked("10000").await;
    // Half of a file; then another price and a key of sessions; then the first file again, and another certificate.
    let dear = first.replace("0.01USDC", "0.02USDC");
    written(dear.get(..dear.find("sat").unwrap()).unwrap());
    soon(async {
        let log = gateway.folder.path().join("gateway.log");
        while !std::fs::read_to_string(&log).unwrap().contains("the configuration stays as it was") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    asked("10000").await;
    let more = dear.clone() + &format!("federation: {{ session_keys: [{KEY}, own] }}\n");
    written(&more);
    asked("20000").await;
    written(&first);
    asked("10000").await;
    let next = Authority::new();
    install(gateway.folder.path(), &next.certifies("127.0.0.1"));
    let renewed = next.client(H2);
    soon(async { while shake_hands(&renewed, gateway.port).await.is_err() {} }).await;

    is_over.store(true, Ordering::SeqCst);
    for amounts in soon(load.join_all()).await {
        assert!(amounts.iter().all(|amount| *amount == "10000" || *amount == "20000"), "{amounts:?}");
        for amount in ["10000", "20000"] {
            assert!(amounts.contains(&json!(amount)), "control: the lane saw it change: {amounts:?}");
        }
    }
    assert_eq!(gateway.journal.executions(), 0, "nobody paid");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

#[tokio::test]
async fn the_doctor_asks_a_gateway_with_tls_how_its_servers_are() {
    let listening = Listening::start().await;
    // Certificates that are not the running gateway's are not spoken to: whoever listens there is somebody else.
    let (cert, key) = listening.authority.certifies("127.0.0.1");
    std::fs::write(listening.folder.path().join("other.pem"), cert).unwrap();
    std::fs::write(listening.folder.path().join("other-key.pem"), key).unwrap();
    let doctor = |tls: &str| {
        let yaml = format!("tls: {tls}\nservers: {{ up: {{ url: '{}' }} }}\n", listening.journal.url());
        std::fs::write(listening.folder.path().join("live.yaml"), yaml).unwrap();
        let mut command = command(listening.folder.path());
        command.args(["doctor", "--config", "live.yaml", "--data", "data", "--listen"]);
        String::from_utf8(command.arg(listening.address()).output().unwrap().stdout).unwrap()
    };
    // The gateway has asked the server for something.
    listening.over_h2(listening.unpaid_call(&listening.address())).await;
    let seen = "✓ server up, as the running gateway sees it";
    let own = doctor("{ cert: cert.pem, key: key.pem }");
    assert!(own.contains(seen), "{own}");
    let other = doctor("{ cert: other.pem, key: other-key.pem }");
    assert!(other.contains("server up at") && !other.contains(seen), "{other}");
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The kinds of the frames until the connection ends; `None` for the end after a GOAWAY, so that a test sees both.
async fn frames_until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        kinds.push(head[3]);
    }
    kinds
}

#[tokio::test]
async fn d3_floods_of_http_2_close_their_own_connection_and_no_other() {
    let gateway = Listening::start().await;
    let address = gateway.address();
    // GET https://address/healthz, in HPACK: three indexed fields and two literals.
    let mut get = vec![0x82, 0x87, 0x41, u8::try_from(address.len()).unwrap()];
    get.extend_from_slice(address.as_bytes());
    get.extend_from_slice(&[0x44, 8]);
    get.extend_from_slice(b"/healthz");
    let open = || async {
        let mut stream = gateway.connect(H2).await;
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        stream
    };
    // The control: one request is answered, and so it is after each flood, on another connection.
    let healthy = || async {
        let request = Request::get(format!("https://{address}/healthz")).body(Full::default()).unwrap();
        assert_eq!(gateway.over_h2(request).await.0, StatusCode::OK);
    };
    healthy().await;
    // Somebody who was connected before all of it, and stays.
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(gateway.connect(H2).await))
            .await
            .unwrap();
    let mut driving = JoinSet::new();
    driving.spawn(async move { drop(connection.await) });
    let unaffected = async || {
        let request = Request::get(format!("https://{address}/healthz")).body(Full::<Bytes>::default());
        let request = request.unwrap();
        let response = sender.clone().send_request(request).await.unwrap();
        assert_eq!(read(response).await.0, StatusCode::OK);
    };
    unaffected().await;

    // Rapid reset: streams that are opened and reset at once.
    let mut flood = Vec::new();
    for number in 0..5_000u32 {
        let stream = number * 2 + 1;
        flood.extend(frame(HEADERS, 0x5, stream, &get));
        flood.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
    }
    let stream = open().await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    // The connection may be closed in the middle of the flood.
    let (kinds, written) = tokio::join!(soon(frames_until_closed(&mut reading)), writing.write_all(&flood));
    drop(written);
    assert!(kinds.contains(&GOAWAY), "rapid reset: {kinds:?}");
    healthy().await;
    unaffected().await;

    // A header that never ends.
    let mut endless = frame(HEADERS, 0x1, 1, &get);
    let more = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x7d][..], &[b'y'; 16_160]].concat();
    for _ in 0..200 {
        endless.extend(frame(CONTINUATION, 0, 1, &more));
    }
    let stream = open().await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (kinds, written) = tokio::join!(soon(frames_until_closed(&mut reading)), writing.write_all(&endless));
    drop(written);
    assert!(!kinds.contains(&HEADERS) || kinds.contains(&GOAWAY), "continuation: {kinds:?}");
    healthy().await;
    unaffected().await;

    // Mistakes on streams that the server has to reset itself: a window that grows past its bound (RFC 9113, section 6.9.1).
    let mut mistakes = Vec::new();
    for number in 0..5_000u32 {
        let stream = number * 2 + 1;
        mistakes.extend(frame(HEADERS, 0x4, stream, &get));
        mistakes.extend(frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffffu32.to_be_bytes()));
    }
    let stream = open().await;
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (kinds, written) =
        tokio::join!(soon(frames_until_closed(&mut reading)), writing.write_all(&mistakes));
    drop(written);
    assert!(kinds.contains(&GOAWAY), "mistakes: {kinds:?}");
    healthy().await;
    unaffected().await;

    // Frames that ask for an answer each, from somebody who reads none of them: they wait, here and not in memory.
    let group = gateway.process.group();
    let before = memory::of_group(group).unwrap();
    for (what, asks) in [("settings", frame(SETTINGS, 0, 0, &[])), ("pings", frame(PING, 0, 0, &[7; 8]))] {
        let flood = asks.repeat(4_000_000 / asks.len());
        let (_reading, mut writing) = tokio::io::split(open().await);
        let flooding = async { while writing.write_all(&flood).await.is_ok() {} };
        tokio::select! {
            // Closed is as good as waiting.
            () = flooding => {}
            () = async { for _ in 0..100 { healthy().await; } } => {}
        }
        let grown = memory::of_group(group).unwrap().saturating_sub(before);
        assert!(grown < 16 << 20, "{what}: {grown} bytes");
        unaffected().await;
    }
    healthy().await;
    assert_eq!(gateway.journal.executions(), 0);
}
