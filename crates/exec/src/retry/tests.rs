use std::sync::atomic::AtomicBool;

use tokio::net::{TcpListener, TcpStream};
use tollgate_egress::{Policy, connector};

use super::*;

#[test]
fn f55_second_tries_are_one_in_ten_and_at_most_ten_in_a_row() {
    let budget = RetryBudget::default();
    assert_eq!((0..50).filter(|_| budget.spend()).count(), 10);
    let mut spent = 0;
    for _ in 0..1_000 {
        budget.save();
        spent += usize::from(budget.spend());
    }
    assert_eq!(spent, 100);
    for _ in 0..1_000 {
        budget.save();
    }
    assert_eq!((0..50).filter(|_| budget.spend()).count(), 10, "no more is saved up");
}

/// A connector to `port` of this machine.
fn to(port: u16) -> (Persistent, Uri) {
    let url: Uri = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let connector = connector(Policy::public().allow_url(&url), 5_000).unwrap();
    (Persistent::new(connector), url)
}

#[tokio::test]
async fn f44_a_refused_connection_is_tried_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let (persistent, url) = to(port);
    let budget = Arc::clone(&persistent.budget);
    let is_back = AtomicBool::new(false);
    // The server comes back as soon as the budget says that it was refused.
    let (connected, _listener) = tokio::join!(persistent.clone().connect(url.clone()), async {
        while budget.0.load(Ordering::Relaxed) == SAVED_MAX {
            tokio::task::yield_now().await;
        }
        is_back.store(true, Ordering::Relaxed);
        TcpListener::bind(("127.0.0.1", port)).await.unwrap()
    });
    assert!(is_back.into_inner(), "it was refused first");
    assert!(connected.is_ok(), "{:?}", connected.err());

    let (gone, url) = to(1);
    let error = gone.clone().connect(url).await.err().unwrap();
    assert!(is_refused(&*error), "{error:?}");
    assert_eq!(gone.budget.0.load(Ordering::Relaxed), SAVED_MAX - COST, "once, not for ever");
}

#[tokio::test]
async fn what_is_no_refusal_is_not_tried_again() {
    // It accepts, and then speaks no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (persistent, _) = to(port);
    let url: Uri = format!("https://127.0.0.1:{port}/").parse().unwrap();
    let (failed, accepted) = tokio::join!(persistent.clone().connect(url), async {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_zero_linger().unwrap();
        drop::<TcpStream>(stream);
    });
    let () = accepted;
    assert!(!is_refused(&*failed.err().unwrap()));
    assert_eq!(persistent.budget.0.load(Ordering::Relaxed), SAVED_MAX);
}
