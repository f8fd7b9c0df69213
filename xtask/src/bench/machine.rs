//! Where and when it was measured, and how the machine is kept from getting in between.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// `chrt` of util-linux: the real-time class keeps other programs of a shared machine away.
const REAL_TIME: &[&str] = &["chrt", "--rr", "1"];

/// What stands above the figures.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) commit: String,
    pub(crate) real_time: bool,
}

impl Machine {
    /// Looks at this machine and the tree at `root`.
    ///
    /// # Errors
    /// When one of the facts is not to be had.
    pub(crate) fn look(root: &Path) -> Result<Self> {
        let facts = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        let count = std::thread::available_parallelism().context("count the processors")?;
        let commit = said(Command::new("git").current_dir(root).args(["rev-parse", "--short=12", "HEAD"]))?;
        let changes = said(Command::new("git").current_dir(root).args(["status", "--porcelain"]))?;
        let real_time = Command::new("chrt")
            .args(REAL_TIME.iter().skip(1))
            .arg("true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        Ok(Self {
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .context("read the kernel's version")?
                .trim()
                .to_owned(),
            processor: format!("{count} × {}", model(&facts).context("find the processor's name")?),
            commit: if changes.is_empty() { commit } else { format!("{commit} and changes since") },
            real_time,
        })
    }

    /// A command that other programs get in the way of as little as this user may ask for.
    pub(crate) fn undisturbed(&self, program: &str) -> Command {
        match REAL_TIME {
            [first, rest @ ..] if self.real_time => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            _ => Command::new(program),
        }
    }
}

/// The processor's name in the text of `/proc/cpuinfo`; other architectures call it otherwise.
pub(crate) fn model(facts: &str) -> Option<&str> {
    let named = |name: &str| {
        facts.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)
    };
    let (_, model) = named("model name").or_else(|| named("CPU part"))?;
    Some(model.trim())
}

fn said(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
