//! Debian's PostgreSQL: one server of its own for a test process, one database for each test.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{PeerError, Skip, port};
use crate::process::ProcessError;

/// Where Debian puts the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Who runs the server when the test runs as root, which PostgreSQL refuses: the user and group `nobody` of every Linux.
const NOBODY: u32 = 65_534;

/// The role that owns the databases, and its password: the URL of a database holds one, as an operator's does.
const ROLE: &str = "tollgate";
const PASSWORD: &str = "not-for-logs-4711";

/// Measured 0.3 s; a loaded machine gets a hundred times that.
const READY_SECONDS_MAX: u64 = 60;
const READY_POLL: Duration = Duration::from_millis(25);

/// Runs `"$@"` and, when standard input ends, stops it at once and deletes the folder `$0`. It does not kill the group as
/// [`crate::process`] does: a killed server leaves its shared memory behind, and its processes are in groups of their own.
const WATCHER: &str = r#"exec 3<&0; "$@" </dev/null 3<&- & program=$!
{ cat <&3 >/dev/null; kill -INT $program; } >/dev/null 2>&1 & exec 3<&-
wait $program; status=$?
rm -rf "$0"; exit $status"#;

/// A running server. It ends with this value, and at the latest with the process.
#[derive(Debug)]
pub struct Postgres {
    /// Closing its standard input stops the server.
    watcher: Child,
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    databases: AtomicU32,
}

/// An empty database of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    name: String,
    port: u16,
    psql: PathBuf,
}

/// The server of this process, started when it is first asked for.
///
/// # Errors
/// [`PeerError::Skip`] when PostgreSQL is not installed; the errors of [`Postgres::start`].
pub async fn shared() -> Result<&'static Postgres, PeerError> {
    static SERVER: OnceCell<Postgres> = OnceCell::const_new();
    SERVER.get_or_try_init(Postgres::start).await
}

impl Postgres {
    /// Makes a new cluster in a folder of its own and starts a server for it on a free loopback port.
    ///
    /// # Errors
    /// [`PeerError::Skip`] when PostgreSQL is not installed; others when it is and does not work.
    pub async fn start() -> Result<Self, PeerError> {
        let programs = programs()?;
        port::on_a_free_port(async |port| {
            let folder = tempfile::tempdir()?.keep();
            // The server's user has to get through.
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
            let cluster = folder.join("cluster");
            let made = make_cluster(&programs, &folder, &cluster);
            if let Err(error) = made {
                fs::remove_dir_all(&folder)?;
                return Err(error);
            }
            let log = folder.join("server.log");
            let watcher = spawn(&programs, &folder, &cluster, port, &log)?;
            let (programs, databases) = (programs.clone(), AtomicU32::new(0));
            let mut server = Self { watcher, programs, folder, port, databases };
            server.wait_until_ready(&log).await?;
            server.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"))?;
            Ok(server)
        })
        .await
    }

    /// A new, empty database.
    ///
    /// # Errors
    /// When the server does not make one.
    pub fn database(&self) -> Result<Database, PeerError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE}"))?;
        Ok(Database { name, port: self.port, psql: self.programs.join("psql") })
    }

    /// What one statement answers in a database, as the server's superuser: values in lines, separated by `|`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn psql(&self, database: &str, statement: &str) -> Result<String, PeerError> {
        let host = self.folder.join("cluster");
        let mut psql = Command::new(self.programs.join("psql"));
        psql.arg("-h").arg(host).args(["-p", &self.port.to_string(), "-U", "postgres", "-d", database]);
        ask(&mut psql, statement)
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<(), PeerError> {
        let program = "postgres".to_owned();
        let log_text = || fs::read_to_string(log).unwrap_or_default();
        let waiting = async {
            loop {
                if self.psql("postgres", "SELECT 1").is_ok() {
                    return Ok(());
                }
                if let Some(status) = self.watcher.try_wait()? {
                    let (program, status, log) = (program.clone(), status.to_string(), log_text());
                    return Err(PeerError::Process(ProcessError::Ended { program, status, log }));
                }
                tokio::time::sleep(READY_POLL).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(READY_SECONDS_MAX), waiting).await {
            Ok(outcome) => outcome,
            Err(_late) => {
                let (seconds, log) = (READY_SECONDS_MAX, log_text());
                Err(PeerError::Process(ProcessError::NotReady { program, seconds, log }))
            }
        }
    }
}

impl Drop for Postgres {
    /// Stops the server and waits until its folder is gone.
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _reaped = self.watcher.wait();
    }
}

impl Database {
    /// Where a gateway finds it, password included.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{}/{}", self.port, self.name)
    }

    /// The same database behind another loopback port, such as that of a proxy.
    #[must_use]
    pub fn url_at(&self, port: u16) -> String {
        format!("postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/{}", self.name)
    }

    /// The server's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password in [`Database::url`]: what must not be seen in any output.
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// What one statement answers, as the owner of the database: values in lines, separated by `|`.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn psql(&self, statement: &str) -> Result<String, PeerError> {
        ask(Command::new(&self.psql).args(["-d", &self.url()]), statement)
    }
}

fn ask(psql: &mut Command, statement: &str) -> Result<String, PeerError> {
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]);
    let output = psql.output()?;
    if !output.status.success() {
        return Err(PeerError::refused("run a statement", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// The folder of the newest installed version's programs.
fn programs() -> Result<PathBuf, Skip> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .filter(|(_, path)| path.join("bin/initdb").exists())
        .max();
    let (_, path) = newest.ok_or_else(|| Skip::because("PostgreSQL is not installed"))?;
    Ok(path.join("bin"))
}

fn make_cluster(programs: &Path, folder: &Path, cluster: &Path) -> Result<(), PeerError> {
    let mut initdb = unprivileged(&programs.join("initdb"), folder, cluster)?;
    // Whoever reaches the socket in the cluster's folder is trusted; whoever comes over TCP shows a password.
    initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--username=postgres", "--no-sync"]);
    initdb.args(["--encoding=UTF8", "--locale=C", "--pgdata"]).arg(cluster);
    let output = initdb.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(PeerError::refused("make a database cluster", String::from_utf8_lossy(&output.stderr)))
}

fn spawn(programs: &Path, folder: &Path, cluster: &Path, port: u16, log: &Path) -> Result<Child, PeerError> {
    let server = unprivileged(&programs.join("postgres"), folder, cluster)?;
    let mut watched = Command::new("sh");
    watched.arg("-c").arg(WATCHER).arg(folder).arg(server.get_program()).args(server.get_args());
    watched.arg("-D").arg(cluster).arg("-k").arg(cluster).args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "max_connections=200",
        // A test does not pull the plug.
        "fsync=off",
        "dynamic_shared_memory_type=mmap",
        "shared_buffers=32MB",
        "autovacuum=off",
    ] {
        watched.arg("-c").arg(setting);
    }
    let output = fs::File::create(log)?;
    watched.current_dir(folder).stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
    // Not in the test's group: an interrupted test run must still be able to stop it.
    watched.process_group(0);
    Ok(watched.spawn()?)
}

/// A program of the server as somebody who is not root, and the cluster's folder for it.
fn unprivileged(program: &Path, folder: &Path, cluster: &Path) -> Result<Command, PeerError> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        let mut command = Command::new(program);
        command.current_dir(folder);
        return Ok(command);
    }
    if !cluster.exists() {
        fs::create_dir(cluster)?;
        fs::set_permissions(cluster, fs::Permissions::from_mode(0o700))?;
        std::os::unix::fs::chown(cluster, Some(NOBODY), Some(NOBODY))?;
    }
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups");
    command.arg(program).current_dir(folder);
    Ok(command)
}

#[cfg(test)]
mod tests;
