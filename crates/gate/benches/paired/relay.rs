//! The least that a proxy can be: bytes of one connection to another, in one thread, nothing read of them.

use std::error::Error;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tollgate_testkit::cpu;
use tollgate_testkit::process::Guarded;

use crate::upstream::{PATH, START_MAX, printed_address};

/// A running relay. It dies with this value.
pub(crate) struct Relay {
    process: Guarded,
    address: SocketAddr,
    _folder: TempDir,
}

/// Relays every connection to `upstream` until killed, and prints where it listens.
pub(crate) async fn serve(upstream: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    let mut relayed = JoinSet::new();
    loop {
        let (mut client, _peer) = listener.accept().await?;
        relayed.spawn(async move {
            let mut server = TcpStream::connect(upstream).await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

impl Relay {
    pub(crate) async fn start(upstream: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("relay.log");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--relay", &upstream.to_string()]);
        let mut process = Guarded::spawn(&command, &log)?;
        process.wait_until(START_MAX, async || printed_address(&log).is_some()).await?;
        let address = printed_address(&log).ok_or("the relay printed no address")?;
        Ok(Self { process, address, _folder: folder })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    pub(crate) fn cpu_time(&self) -> std::io::Result<Duration> {
        cpu::of_group(self.process.group())
    }
}
