use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn f59_a_reader_that_stops_is_given_up_and_a_slow_one_is_not() {
    let (near, mut far) = tokio::io::duplex(16);
    let mut near = Unread::new(near, LIMIT);
    let reading = tokio::time::sleep(LIMIT * 9 / 10);
    let (sent, received) = tokio::join!(near.write_all(&[1; 32]), async {
        reading.await;
        let mut bytes = [0; 32];
        far.read_exact(&mut bytes).await.map(|_| ())
    });
    assert!(sent.is_ok() && received.is_ok(), "control: slow, and within the limit");

    let given_up = near.write_all(&[1; 32]).await.unwrap_err();
    assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn each_write_has_its_own_time() {
    let (near, mut far) = tokio::io::duplex(8);
    let mut near = Unread::new(near, LIMIT);
    let (sent, ()) = tokio::join!(near.write_all(&[1; 64]), async {
        for _ in 0..8 {
            tokio::time::sleep(LIMIT / 2).await;
            far.read_exact(&mut [0; 8]).await.unwrap();
        }
    });
    assert!(sent.is_ok(), "four times the limit in all");
}
