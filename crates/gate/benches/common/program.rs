//! The gateway's own program in a folder of its own, and what a bench is told on its command line.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tollgate_testkit::http;
use tollgate_testkit::peers::port;
use tollgate_testkit::process::Guarded;

const START_MAX: Duration = Duration::from_secs(30);

/// The words behind the name of a bench.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn read() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    /// The word behind `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().skip_while(|argument| *argument != name).nth(1).map(String::as_str)
    }

    /// Whether `--only` names this part of what a bench does, or is not there.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.value("--only").is_none_or(|only| only.split(',').any(|word| word == part))
    }

    /// The program to be measured.
    pub(crate) fn tollgate(&self) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.value("--tollgate").ok_or("name the gateway's binary: --tollgate PATH")?;
        Ok(PathBuf::from(path))
    }
}

/// A program, and the folder of a gateway that does not run.
pub(crate) struct Program {
    binary: PathBuf,
    folder: TempDir,
}

#[derive(serde::Deserialize)]
pub(crate) struct ApiKey {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// A gateway that runs. It dies with this value.
pub(crate) struct Running {
    pub(crate) process: Guarded,
    url: String,
    program: Program,
}

impl Program {
    pub(crate) fn installed(binary: PathBuf, configuration: &str) -> Result<Self, Box<dyn Error>> {
        // Beside the build, on a real disk: a commit to memory would cost nothing.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        std::fs::write(folder.path().join("tollgate.yaml"), configuration)?;
        Ok(Self { binary, folder })
    }

    /// Runs one of its commands over its data and gives what it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let output = self.command().args(arguments).args(["--data", "data"]).output()?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("tollgate {}: {errors}", arguments.join(" ")).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Makes an API key.
    pub(crate) fn key(&self, name: &str) -> Result<ApiKey, Box<dyn Error>> {
        Ok(serde_json::from_str(&self.run(&["keys", "create", "--name", name, "--json"])?)?)
    }

    /// Starts the gateway, and does not wait.
    pub(crate) fn spawn(self) -> Result<Running, Box<dyn Error>> {
        let address = format!("127.0.0.1:{}", port::free()?);
        let mut command = self.command();
        command.args(["dev", "--config", "tollgate.yaml", "--listen", &address, "--data", "data"]);
        let process = Guarded::spawn(&command, &self.folder.path().join("gateway.log"))?;
        Ok(Running { process, url: format!("http://{address}"), program: self })
    }

    /// A command with nothing of the developer's own set-up.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            // As nginx: one thread that moves bytes, and no line for each call.
            .env("TOKIO_WORKER_THREADS", "1")
            .env("TOLLGATE_LOG", "warn")
            .current_dir(self.folder.path());
        command
    }
}

impl Running {
    pub(crate) async fn until_ready(&mut self) -> Result<(), Box<dyn Error>> {
        let ready = self.at("/readyz");
        let is_ready = async || http::get(&ready, &[]).await.is_ok_and(|answer| answer.status == 200);
        Ok(self.process.wait_until(START_MAX, is_ready).await?)
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Ends it; its books and the rest of its data are there as long as what this returns.
    pub(crate) fn stop(mut self) -> Program {
        self.process.kill();
        self.program
    }
}
