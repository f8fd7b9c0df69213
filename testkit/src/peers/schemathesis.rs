//! Schemathesis, which asks a running API what its OpenAPI document allows and forbids, and judges the answers by it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::PeerError;
use super::install::PythonSet;
use super::x402_python::PYTHONS;

/// A run takes 20 s here; a loaded machine gets much more.
const RUN_SECONDS_MAX: u64 = 300;
/// Generated requests an operation, beside its examples and one for each boundary of its parameters.
const EXAMPLES_MAX: u32 = 8;
/// The same requests in every run.
const SEED: u32 = 402;
/// What an answer is held against.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
response_schema_conformance,ignored_auth,unsupported_method";
/// And whether what the document forbids is refused.
const STRICT: &str = "negative_data_rejection";

/// The installed tool.
#[derive(Clone, Debug)]
pub struct Schemathesis {
    packages: PythonSet,
}

/// How an API says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// By an HTTP status.
    HaveAStatus,
    /// In an answer with status 200 as well, as JSON-RPC does.
    MayBeAnswers,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whether every answer was as it should be.
    pub passed: bool,
    /// What was said, with the requests that failed as `curl` commands.
    pub said: String,
}

impl Schemathesis {
    /// Installs PyPI `schemathesis`, and `openapi-spec-validator` beside it.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Python 3.11 or newer.
    pub async fn install() -> Result<Self, PeerError> {
        Ok(Self { packages: PythonSet::install("peers/schemathesis", PYTHONS).await? })
    }

    /// Asks the operations at `url` whose path matches `paths` (a regular expression), with these headers, as the document in
    /// the file describes them. Where errors have a status of their own, what the document forbids must have one.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when it does not run, or asks nothing.
    pub async fn run(
        &self,
        document: &Path,
        url: &str,
        paths: &str,
        headers: &[(&str, &str)],
        errors: Errors,
    ) -> Result<Run, PeerError> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(self.packages.program("schemathesis"));
        command.args(["run", "--no-color"]).arg(document).args(["--url", url, "--include-path-regex", paths]);
        let checks = match errors {
            Errors::HaveAStatus => format!("{CHECKS},{STRICT}"),
            Errors::MayBeAnswers => CHECKS.to_owned(),
        };
        command.args(["--phases", "examples,coverage,fuzzing", "--checks", &checks, "--warnings", "off"]);
        command.args(["--max-examples", &EXAMPLES_MAX.to_string(), "--seed", &SEED.to_string()]);
        command.args(["--no-shrink", "--generation-database", "none", "--max-redirects", "0"]);
        for (name, value) in headers {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        // Nothing that lies around configures it, and it leaves nothing around.
        command.current_dir(&folder).env("HOME", folder.path()).env("PYTHONDONTWRITEBYTECODE", "1");
        let (passed, said) = output(command).await?;
        // Without a single request there is nothing that could fail.
        let is_whole = said.contains("Fuzzing") && !said.contains("Empty test suite");
        if is_whole { Ok(Run { passed, said }) } else { Err(PeerError::refused("run schemathesis", said)) }
    }

    /// Whether a file is a valid OpenAPI document, and what is said of it.
    ///
    /// # Errors
    /// See [`PeerError`].
    pub async fn validate(&self, document: &Path) -> Result<Run, PeerError> {
        let mut command = Command::new(self.packages.program("openapi-spec-validator"));
        command.args(["--schema", "3.1"]).arg(document);
        let (passed, said) = output(command).await?;
        Ok(Run { passed, said })
    }
}

async fn output(command: Command) -> Result<(bool, String), PeerError> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let running = tokio::time::timeout(Duration::from_secs(RUN_SECONDS_MAX), command.output());
    let output =
        running.await.map_err(|_elapsed| PeerError::refused(format!("end {shown}"), "nothing in time"))??;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}
