//! A way to the database that is cut, in the middle of a commit or all of it at once; or that falls silent, and nobody is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// What becomes of the next commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// It reaches the server, and its answer reaches nobody.
    AnswerLost,
    /// It never reaches the server.
    CommitLost,
}

/// The way; it ends with this value.
pub(crate) struct Way {
    pub(crate) port: u16,
    next: Arc<AtomicU8>,
    severs: mpsc::Sender<oneshot::Sender<()>>,
    /// Whether nothing passes, in either direction and of any connection, old or new: as behind a server that has stopped, or a
    /// network that drops everything.
    silent: watch::Sender<bool>,
    _connections: JoinSet<()>,
}

const ANSWER_LOST: u8 = 1;
const COMMIT_LOST: u8 = 2;
const ANSWER_WAITS: u8 = 3;

/// A commit as the protocol has it: a simple query, ended by a zero.
const COMMIT: &[u8] = b"COMMIT\0";

impl Way {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(AtomicU8::new(0));
        let (severs, mut severing) = mpsc::channel::<oneshot::Sender<()>>(1);
        let (mut connections, waiting) = (JoinSet::new(), Arc::clone(&next));
        let silent = watch::Sender::new(false);
        let silence = silent.clone();
        connections.spawn(async move {
            let (mut open, sever) = (JoinSet::new(), watch::Sender::new(()));
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { return };
                        let (next, severed) = (Arc::clone(&waiting), sever.subscribe());
                        let silent = silence.clone();
                        open.spawn(async move {
                            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                            carry(client, server, (&*next, &silent), severed).await;
                        });
                    }
                    Some(_ended) = open.join_next() => {}
                    Some(done) = severing.recv() => {
                        sever.send_replace(());
                        while open.join_next().await.is_some() {}
                        done.send(()).unwrap();
                    }
                }
            }
        });
        Self { port, next, severs, silent, _connections: connections }
    }

    /// Holds back whatever is said from now on, or lets it pass again.
    pub(crate) fn silence(&self, is_silent: bool) {
        self.silent.send_replace(is_silent);
    }

    /// Ends every connection that is open now, and waits until the server has noticed and undone what was not committed. Others
    /// may come.
    pub(crate) async fn sever(&self) {
        let (done, severed) = oneshot::channel();
        self.severs.send(done).await.unwrap();
        severed.await.unwrap();
    }

    /// Cuts the next commit, once.
    pub(crate) fn cut(&self, cut: Cut) {
        let number = if cut == Cut::AnswerLost { ANSWER_LOST } else { COMMIT_LOST };
        self.next.store(number, Ordering::SeqCst);
    }

    /// Falls silent behind the next commit: it reaches the server, and its answer waits.
    pub(crate) fn silence_after_commit(&self) {
        self.next.store(ANSWER_WAITS, Ordering::SeqCst);
    }

    /// Whether the commit that was to be cut has come.
    pub(crate) fn has_cut(&self) -> bool {
        self.next.load(Ordering::SeqCst) == 0
    }
}

/// Carries both directions until one of them ends or is cut; then both end.
async fn carry(
    client: TcpStream,
    server: TcpStream,
    (next, silent): (&AtomicU8, &watch::Sender<bool>),
    mut severed: watch::Receiver<()>,
) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        answer = forward(from_client, to_server, (next, silent)) => {
            if let Some(_server) = answer {
                // The server's answer to the commit is taken, so that it has been carried out, and goes nowhere.
                let mut answer = [0; 64];
                let _read = from_server.read(&mut answer).await;
            }
        }
        _ended = answers(&mut from_server, &mut to_client, silent) => {}
        _severed = severed.changed() => {
            // The way there ended with `forward`; the server's session is over when it closes its own side.
            let _ended = tokio::io::copy(&mut from_server, &mut tokio::io::sink()).await;
        }
    }
}

/// Carries the server's answers.
async fn answers(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    silent: &watch::Sender<bool>,
) -> Option<()> {
    let mut bytes = vec![0; 65_536];
    loop {
        let read = from.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        spoken(silent).await;
        to.write_all(bytes.get(..read)?).await.ok()?;
    }
}

/// Waits until something passes.
async fn spoken(silent: &watch::Sender<bool>) {
    silent.subscribe().wait_for(|is_silent| !is_silent).await.unwrap();
}

/// The open way to the server when the answer is to be lost.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (next, silent): (&AtomicU8, &watch::Sender<bool>),
) -> Option<OwnedWriteHalf> {
    let mut bytes = vec![0; 65_536];
    loop {
        let read = from.read(&mut bytes).await.ok().filter(|read| *read > 0)?;
        let message = bytes.get(..read)?;
        let cut = if message.ends_with(COMMIT) { next.swap(0, Ordering::SeqCst) } else { 0 };
        if cut == COMMIT_LOST {
            return None;
        }
        if cut == ANSWER_WAITS {
            silent.send_replace(true);
        } else {
            spoken(silent).await;
        }
        to.write_all(message).await.ok()?;
        if cut == ANSWER_LOST {
            return Some(to);
        }
    }
}
