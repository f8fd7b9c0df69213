//! Those whom a well-behaved caller shall not notice, on a thread of their own.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tollgate_testkit::queues;

use crate::client::prepared;
use crate::world::World;

/// Who disturbs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flood {
    /// Heads and bodies sent byte by byte (F60).
    Slow,
    /// Answers of many small events without an end, read a little at a time (F60). What waits for each of them in the kernel is bounded,
    /// so that it is the gateway that they read from: without a bound they would live on what came in the first moments, for minutes.
    Readers,
    /// Five times as many calls as a caller may make (F63).
    Greedy,
}

/// Connections of each kind of slowness.
const SLOW: u32 = 100;
/// Between two bytes.
const SLOW_EVERY: Duration = Duration::from_millis(100);
const SLOW_READ_BYTES: usize = 1_024;
/// What the kernel keeps for one of them.
const UNREAD_BYTES: u32 = 4_096;
/// Between two looks at whether buffers on the way are full, and until what was theirs is given back.
const SETTLES: Duration = Duration::from_secs(1);
/// What waits for readers never stands still; a hundredth more than at the last look is no flood any more.
const SETTLED: u64 = 100;
/// Looks until it must have settled.
const LOOKS_MAX: u32 = 120;

const GREEDY: u32 = 20;
/// Of each connection: five thousand calls a second together.
const GREEDY_EVERY: Duration = Duration::from_millis(4);

impl Flood {
    pub(crate) const ALL: [Self; 3] = [Self::Slow, Self::Readers, Self::Greedy];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Readers => "readers",
            Self::Greedy => "flood",
        }
    }
}

/// A crowd that does what it does until it is dispersed.
pub(crate) struct Crowd {
    flood: Flood,
    thread: JoinHandle<io::Result<()>>,
    stop: oneshot::Sender<()>,
    done: Arc<Done>,
}

/// What it has done so far.
#[derive(Default)]
struct Done {
    /// Bytes sent or read, a little at a time.
    little: AtomicU64,
    served: AtomicU64,
    refused: AtomicU64,
}

impl Crowd {
    /// Returns once all of them are connected.
    pub(crate) fn gather(world: &World, flood: Flood) -> Result<Self, Box<dyn Error>> {
        let (authority, echo) = prepared(&world.url(), &world.call("echo", &world.keys.greedy))?;
        let (_, slow) = prepared(&world.url(), &world.call("echo", &world.keys.slow))?;
        let (_, endless) = prepared(&world.url(), &world.call("endless", &world.keys.slow))?;
        let (gathered, ready) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let done = Arc::new(Done::default());
        let own = Arc::clone(&done);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("crowd".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let mut tasks = tokio::task::JoinSet::new();
                let (mut readers, mut port) = (Vec::new(), 0);
                match flood {
                    Flood::Greedy => {
                        for number in 0..GREEDY {
                            let socket = TcpStream::connect(&authority).await?;
                            socket.set_nodelay(true)?;
                            let begins = spread(GREEDY_EVERY, number, GREEDY);
                            tasks.spawn(greedy(socket, echo.clone(), begins, Arc::clone(&own)));
                        }
                    }
                    Flood::Slow | Flood::Readers => {
                        let kinds = match flood {
                            Flood::Readers => vec![(&endless, endless.len())],
                            Flood::Slow | Flood::Greedy => vec![(&slow, 0), (&slow, head_length(&slow))],
                        };
                        for number in 0..SLOW {
                            for (request, at_once) in &kinds {
                                let socket = TcpSocket::new_v4()?;
                                // Else an answer without an end would come in a flood until megabytes wait here.
                                socket.set_recv_buffer_size(UNREAD_BYTES)?;
                                let address = authority.parse().map_err(io::Error::other)?;
                                let mut socket = socket.connect(address).await?;
                                socket.set_nodelay(true)?;
                                port = socket.peer_addr()?.port();
                                readers.push(socket.local_addr()?.port());
                                let (first, rest) = request.split_at(*at_once);
                                socket.write_all(first).await?;
                                let begins = spread(SLOW_EVERY, number, SLOW);
                                tasks.spawn(sluggish(socket, rest.to_vec(), begins, Arc::clone(&own)));
                            }
                        }
                    }
                }
                settle(port, &readers).await?;
                let _waited_for = gathered.send(());
                tokio::select! {
                    _ = stopped => {}
                    Some(ended) = tasks.join_next() => {
                        return Err(io::Error::other(format!("one of the crowd was done: {ended:?}")));
                    }
                }
                Ok(())
            })
        })?;
        if ready.recv().is_err() {
            return Err(format!("the crowd did not gather: {:?}", thread.join()).into());
        }
        Ok(Self { flood, thread, stop, done })
    }

    /// Sends them home, and asks whether they were any disturbance at all.
    pub(crate) fn disperse(self) -> Result<(), Box<dyn Error>> {
        // A crowd that is gone says why.
        let _thread_has_ended = self.stop.send(());
        self.thread.join().map_err(|_| "the crowd panicked")??;
        std::thread::sleep(SETTLES);
        let Done { little, served, refused } = &*self.done;
        let (little, served, refused) =
            (little.load(Ordering::Relaxed), served.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        let has_disturbed = match self.flood {
            Flood::Slow | Flood::Readers => little > 1_000,
            Flood::Greedy => served > 0 && refused > served,
        };
        if has_disturbed {
            return Ok(());
        }
        Err(format!("{:?}: {little} bytes, {served} calls served, {refused} refused", self.flood).into())
    }
}

/// Waits until what waits for the crowd at a port grows no more: the flood in which an answer without an end begins is not what is timed.
async fn settle(port: u16, crowd: &[u16]) -> io::Result<()> {
    let mut before = None;
    for _ in 0..LOOKS_MAX {
        sleep(SETTLES).await;
        let waiting = queues::unsent_from(port, crowd)?;
        if before.is_some_and(|before: u64| waiting <= before.saturating_add(before / SETTLED)) {
            return Ok(());
        }
        before = Some(waiting);
    }
    Err(io::Error::other("what waits for the crowd did not stop growing"))
}

fn head_length(request: &[u8]) -> usize {
    request.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4)
}

/// Sends what is left byte by byte, then reads so.
async fn sluggish(mut socket: TcpStream, rest: Vec<u8>, begins: Duration, done: Arc<Done>) -> io::Result<()> {
    sleep(begins).await;
    for byte in rest {
        sleep(SLOW_EVERY).await;
        socket.write_all(&[byte]).await?;
        done.little.fetch_add(1, Ordering::Relaxed);
    }
    let mut some = [0; SLOW_READ_BYTES];
    loop {
        sleep(SLOW_EVERY).await;
        let read = socket.read(&mut some).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        done.little.fetch_add(1, Ordering::Relaxed);
    }
}

/// When one of so many begins: not all in the same moment.
fn spread(every: Duration, number: u32, of: u32) -> Duration {
    every.mul_f64(f64::from(number) / f64::from(of))
}

/// Calls at a fixed rate, whatever comes.
async fn greedy(mut socket: TcpStream, call: Vec<u8>, begins: Duration, done: Arc<Done>) -> io::Result<()> {
    sleep(begins).await;
    let mut tick = interval(GREEDY_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answer = Vec::with_capacity(8_192);
    loop {
        tick.tick().await;
        socket.write_all(&call).await?;
        answer.clear();
        while !is_whole(&answer) {
            if socket.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let count = if answer.starts_with(b"HTTP/1.1 200") { &done.served } else { &done.refused };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let head = head_length(answer);
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default()).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    head > 0 && length.is_some_and(|length| answer.len() >= head + length)
}
