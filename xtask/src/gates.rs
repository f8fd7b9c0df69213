//! `cargo xtask check`: what a machine can say about the tree, apart from the tests.

use anyhow::{Result, bail};

use crate::suite::FEATURES;
use crate::{arch, cases, errors, tools};

/// Runs every check, also after one has failed, so that one run shows everything.
///
/// # Errors
/// Names the checks that failed.
pub(crate) fn check() -> Result<()> {
    let mut failed = Vec::new();
    let mut record = |name: &'static str, outcome: Result<()>| {
        if let Err(error) = outcome {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    };

    record("fmt", cargo(&["fmt", "--all", "--check"]));
    record("arch", arch::check());
    record("errors", errors::check());
    record("cases", cases::check());
    record(
        "clippy",
        cargo(&["clippy", "--workspace", "--all-targets", FEATURES[0], FEATURES[1], "--", "-D", "warnings"]),
    );
    // As a newcomer builds it.
    record(
        "clippy without features",
        cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    );
    record(
        "deny",
        if_installed("deny", &["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]),
    );
    record("machete", if_installed("machete", &["machete"]));

    if !failed.is_empty() {
        bail!("these checks failed: {}", failed.join(", "));
    }
    eprintln!("check: all passed");
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    tools::run(tools::cargo().args(arguments))
}

/// Runs a cargo tool, or says how to get it: a newcomer's machine may lack it, CI has it.
fn if_installed(tool: &str, arguments: &[&str]) -> Result<()> {
    if tools::has_cargo_tool(tool) {
        return cargo(arguments);
    }
    eprintln!("{tool}: not installed, not checked (cargo install --locked cargo-{tool})");
    Ok(())
}
