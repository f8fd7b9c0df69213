//! Parking between every two requests, over real sockets.

use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::*;
use crate::config::TlsFiles;
use crate::tls::Tls;

const AT_ONCE: Pace = Pace { head_max: HEAD_MAX, park_after: Duration::ZERO };
const LOOKS_MAX: u32 = 10_000;

#[tokio::test]
async fn a_connection_that_is_parked_after_each_answer_serves_all_that_is_asked() {
    let (tasks, drain) = world();
    let (near, far) = connected().await;
    asked_again_and_again(Caller::over(near, far, AT_ONCE, &tasks, &drain), &drain).await;
}

#[tokio::test]
async fn the_same_behind_tls() {
    let (tasks, drain) = world();
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.cert, own.cert.pem()).unwrap();
    std::fs::write(&files.key, own.signing_key.serialize_pem()).unwrap();
    let tls = Tls::read(files).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));

    let (near, far) = connected().await;
    let name = ServerName::try_from("localhost").unwrap();
    let (near, far) = tokio::join!(tls.accept(near), connector.connect(name, far));
    asked_again_and_again(Caller::over(near.unwrap(), far.unwrap(), AT_ONCE, &tasks, &drain), &drain).await;
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let (near, far) = (near.unwrap().0, far.unwrap());
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

async fn asked_again_and_again<I>(mut caller: Caller<I>, drain: &Drain)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut paths = Vec::new();
    for number in 0..50 {
        parked(&caller).await;
        let (one, two) = (format!("/{number}/one"), format!("/{number}/two"));
        // In one segment; the second is there when the first is answered.
        caller.send(&(post(&one, "body") + &get(&two))).await;
        assert_eq!(caller.answer().await.1, one);
        assert_eq!(caller.answer().await.1, two);
        paths.extend([one, two]);
    }
    assert_eq!(caller.paths(), paths);
    parked(&caller).await;
    drain.begin();
    assert!(caller.is_closed().await);
    assert_eq!(caller.ended.await.unwrap(), Ok(()));
}

async fn parked<I: AsyncRead + AsyncWrite + Unpin>(caller: &Caller<I>) {
    for _ in 0..LOOKS_MAX {
        if caller.is_parked() {
            return;
        }
        tokio::time::sleep(TICK).await;
    }
    panic!("it is not parked");
}
