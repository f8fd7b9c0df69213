//! A mock upstream MCP server of both eras that keeps a journal: what security tests look at to see that a refused call
//! never arrived.
//!
//! Its tools are scripted ([`Script`]): they echo, fail, hang, stream, or break the connection at the TCP level. It shares
//! no parser with the gateway. It runs on the caller's runtime, or on a thread of its own for benches.

mod behave;
mod body;
mod record;
mod script;
mod service;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use record::{Call, Era};
pub use script::{Behaviour, Endless, Script, Tool};

use record::Shared;
use service::Connection;

/// Where the server answers.
pub const PATH: &str = "/mcp";
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// A running mock upstream. Dropping it closes its port and every connection, soon; [`Journal::stop`] waits for that.
#[derive(Debug)]
pub struct Journal {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Journal {
    /// Starts on a free loopback port, on the caller's runtime.
    ///
    /// # Errors
    /// When no socket can be bound.
    pub async fn start(script: Script) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = script.unsent_bytes {
            // What it accepts has the same.
            socket.set_send_buffer_size(bytes)?;
        }
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Ok(Self { address, shared, stop, tasks, thread: None })
    }

    /// Starts on a free loopback port, on one thread of its own: a bench's upstream must not share the gateway's.
    ///
    /// # Errors
    /// When no socket, thread or runtime can be had.
    pub fn start_on_own_thread(script: Script) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(script));
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (serving, stopping) = (Arc::clone(&shared), stop.clone());
        let thread = std::thread::Builder::new().name("upstream".to_owned()).spawn(move || {
            runtime.block_on(async move {
                if let Ok(listener) = TcpListener::from_std(listener) {
                    accept(listener, serving, stopping).await;
                }
            });
        })?;
        Ok(Self { address, shared, stop, tasks: TaskTracker::new(), thread: Some(thread) })
    }

    /// `http://127.0.0.1:<port>/mcp`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// The listening socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every `tools/call` that arrived whole, in order, whether or not its tool exists.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls()
    }

    /// The calls of one tool.
    #[must_use]
    pub fn calls_to(&self, tool: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.tool == tool).collect()
    }

    /// How many times a tool was run. Counted also where calls are not recorded ([`Script::unrecorded`]).
    #[must_use]
    pub fn executions(&self) -> u64 {
        self.shared.executions.now()
    }

    /// How many running calls lost their client before they had answered.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.shared.abandoned.now()
    }

    /// The JSON-RPC method of every message that arrived, in order; `GET` and `DELETE` stand for themselves.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.shared.messages()
    }

    /// Waits until `count` tools were run in all.
    pub async fn wait_for_executions(&self, count: u64) {
        self.shared.executions.reach(count).await;
    }

    /// Waits until `count` running calls in all lost their client.
    pub async fn wait_for_abandoned(&self, count: u64) {
        self.shared.abandoned.reach(count).await;
    }

    /// Lets every hanging call answer, now and from now on.
    pub fn release(&self) {
        self.shared.released.cancel();
    }

    /// Lets out `count` more progress notifications, over all [`Behaviour::Progress`] streams.
    pub fn step(&self, count: usize) {
        self.shared.steps.add_permits(count);
    }

    /// Swaps the tool list and announces it on every listening stream.
    pub fn replace_tools(&self, tools: Vec<Tool>) {
        self.shared.replace_tools(tools);
    }

    /// Ends every legacy session, as a restart would: their next request gets 404.
    pub fn forget_sessions(&self) {
        self.shared.sessions.lock().clear();
    }

    /// Closes the port and every connection, and waits until that is done; the journal can still be read.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Empties the journal and sets the counters to zero; the script and the sessions stay.
    pub fn clear(&self) {
        self.shared.clear();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // It ends as soon as it sees `stop`; its panic, if any, was printed.
            let _ended = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    let accepting = async {
        loop {
            // An aborted handshake or a shortage of descriptors concerns one client, not the server.
            if let Ok((stream, _peer)) = listener.accept().await {
                let stop = stop.clone();
                let serving = serve(stream, Arc::clone(&shared));
                connections.spawn(async move { stop.run_until_cancelled(serving).await });
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // The second handle is for tools that break the connection below HTTP.
    let Ok((stream, connection)) = Connection::split(stream, shared) else {
        return;
    };
    let connection = Arc::new(connection);
    let service = service_fn(move |request| service::answer(Arc::clone(&connection), request));
    // A broken connection is what several tools are for.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

#[cfg(test)]
mod tests;
