//! The mock upstream in a process of its own: its work must not be counted as the gateway's.

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_testkit::cpu;
use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::process::Guarded;

pub(crate) use tollgate_testkit::journal_server::PATH;

pub(crate) const START_MAX: Duration = Duration::from_secs(30);

/// A running upstream. It dies with this value.
pub(crate) struct Upstream {
    process: Guarded,
    address: SocketAddr,
    _folder: TempDir,
}

/// Serves until killed, and prints where.
pub(crate) fn serve() -> Result<(), Box<dyn Error>> {
    let journal = Journal::start_on_own_thread(Script::bench())?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", journal.address())?;
    output.flush()?;
    loop {
        std::thread::park();
    }
}

impl Upstream {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("upstream.log");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--upstream");
        let mut process = Guarded::spawn(&command, &log)?;
        process.wait_until(START_MAX, async || printed_address(&log).is_some()).await?;
        let address = printed_address(&log).ok_or("the upstream printed no address")?;
        Ok(Self { process, address, _folder: folder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    pub(crate) fn cpu_time(&self) -> std::io::Result<Duration> {
        cpu::of_group(self.process.group())
    }
}

/// The address on the first line of a process's output, once it is whole.
pub(crate) fn printed_address(log: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(log).ok()?.split_once('\n')?.0.parse().ok()
}
