//! `cargo xtask bench`: how fast the gateway is, as ratios to nginx measured in the same run.
//!
//! Owns the goals and the page that shows them, `docs/reference/performance.md`. The measuring itself is done by four
//! benches of the `gate` crate: how long one call stays in the gate, what the gateway takes at rest and adds to a stream,
//! the whole gateway beside nginx under load, and what callers notice of others; and by one of the `store` crate, of the books beside a bare loop. On a shared machine an absolute figure says little; so the page shows
//! ratios, and absolute figures only where they are a goal themselves.

mod figures;
mod goals;
mod machine;
mod page;

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::tools;
use figures::Figures;
use machine::Machine;

/// Where the result is kept.
const PAGE: &str = "docs/reference/performance.md";
const BENCH: &[&str] = &["bench", "--package", "tollgate-gate"];
const BOOKS: &[&str] = &["bench", "--package", "tollgate-store", "--features", "postgres"];

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Enough for the page: it is written, and a goal that is missed by more than a tenth is a failure.
    Full,
    /// Few rounds, to see that everything can still be measured: nothing is written and no goal counts.
    Quick,
}

/// The build of the program that is measured. What runs in the process of a bench itself is always a release build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Build {
    /// Quicker to build.
    Release,
    /// What is given away.
    Dist,
}

impl Build {
    /// The name of its profile, which is that of its folder too.
    pub(crate) const fn profile(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dist => "dist",
        }
    }
}

/// Builds, measures, shows, and in full also writes the page. Returns whether the goals were met.
///
/// # Errors
/// When something does not build or start, or a single answer under load is not what it should be.
pub(crate) fn run(extent: Extent, build: Build) -> Result<bool> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("read the workspace with cargo metadata")?;
    let tollgate = metadata.target_directory.join(build.profile()).join("tollgate");
    tools::run(Command::new("cargo").args(["build", "--profile", build.profile(), "--bin", "tollgate"]))?;
    tools::run(Command::new("cargo").args(BENCH).arg("--no-run"))?;
    tools::run(Command::new("cargo").args(BOOKS).args(["--bench", "ledger", "--no-run"]))?;

    let machine = Machine::look(metadata.workspace_root.as_std_path())?;
    let mut figures = Figures::default();
    figures.read(&output(&machine, BENCH, "gate", &["--json"])?)?;
    figures.read(&output(&machine, BENCH, "footprint", &["--tollgate", tollgate.as_str()])?)?;
    let mut load = vec!["--tollgate", tollgate.as_str()];
    if extent == Extent::Quick {
        load.push("--quick");
    }
    figures.read(&output(&machine, BENCH, "paired", &load)?)?;
    figures.read(&output(&machine, BENCH, "others", &load)?)?;

    let mut books = vec!["--json"];
    if extent == Extent::Quick {
        books.push("--quick");
    }
    figures.read(&output(&machine, BOOKS, "ledger", &books)?)?;

    let results = goals::results(&figures)?;
    eprint!("\n{}", page::table(&results));
    let met = results.iter().all(|result| result.verdict() != goals::Verdict::Missed);
    if extent == Extent::Quick {
        return Ok(true);
    }
    let path = metadata.workspace_root.join(PAGE);
    let folder = path.parent().context("the page stands in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
    fs::write(&path, page::text(&results, &figures, &machine, build)?)
        .with_context(|| format!("write {path}"))?;
    eprintln!("written: {PAGE}");
    Ok(met)
}

/// What a bench prints on standard output; what it says meanwhile passes through.
fn output(machine: &Machine, cargo: &[&str], bench: &str, arguments: &[&str]) -> Result<String> {
    let mut command = machine.undisturbed("cargo");
    command.args(cargo).args(["--quiet", "--bench", bench, "--"]).args(arguments);
    eprintln!("+ cargo {} --bench {bench} -- {}", cargo.join(" "), arguments.join(" "));
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start the bench {bench}"))?;
    if !output.status.success() {
        bail!("the bench {bench} failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("read what the bench {bench} printed"))
}

#[cfg(test)]
mod tests;
