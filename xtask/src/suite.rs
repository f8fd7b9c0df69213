//! `cargo xtask test`: every test of the workspace, on a machine that has only the Rust toolchain.
//!
//! Interop peers install themselves when their interpreter is there. A test whose interpreter is missing prints
//! `SKIPPED: reason` and passes; the summary repeats it. With `TOLLGATE_REQUIRE_PEERS=1` (CI) it fails instead.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::tools::{self, Report, Skip};

/// The crash stories stop the binary at named points, and traces are not in the default binary: each is compiled in by its
/// feature alone.
pub(crate) const FEATURES: [&str; 2] =
    ["--features", "tollgate-gateway/failpoints,tollgate-gateway/otel,tollgate-gateway/postgres"];

/// Orders of the ledger's writer, under a scheduler that nothing else works with: built apart, and of everything else as it is.
const ORDERS: [&str; 3] = [
    "--features",
    "tollgate-gateway/failpoints,tollgate-gateway/otel,tollgate-gateway/postgres,tollgate-store/shuttle",
    "--test=interleavings",
];

/// Makes nextest keep what passing tests print, where the skips stand.
const NEXTEST_CONFIG: &str = "\
[profile.default.junit]
path = \"junit.xml\"
store-success-output = true
";

/// Runs every test; `arguments` go to the runner (a filter, for instance).
///
/// Returns whether all of them passed; the last line it prints gives the totals.
///
/// # Errors
/// When the gateway does not build, or a test runner cannot be started.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("read the workspace with cargo metadata")?;
    let (root, target) = (metadata.workspace_root.as_std_path(), metadata.target_directory.as_std_path());
    // The stories start the real binary, so it must be there and be the one of this tree.
    tools::run(
        Command::new("cargo")
            .args(["build", "--package", "tollgate-gateway", "--bin", "tollgate"])
            .args(FEATURES),
    )?;

    let mut report = if tools::has_cargo_tool("nextest") {
        let mut report = nextest(root, target, arguments)?;
        // nextest runs no documentation examples.
        if arguments.is_empty() {
            let mut examples = Command::new("cargo");
            examples.args(["test", "--workspace", "--doc", "--no-fail-fast"]).args(FEATURES);
            report.add(tools::run_tests(&mut examples)?);
            let mut orders = Command::new("cargo");
            orders.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(ORDERS);
            report.add(tools::run_tests(&mut orders)?);
        }
        report
    } else {
        let mut tests = Command::new("cargo");
        tests
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(FEATURES)
            .args(arguments)
            .args(["--", "--show-output"]);
        tools::run_tests(&mut tests)?
    };
    report.skips.sort();
    report.skips.dedup();
    eprint!("{}", summary(&report));
    Ok(all_passed(&report))
}

fn all_passed(report: &Report) -> bool {
    report.failed_runs == 0 && report.counts.failed == 0
}

fn nextest(root: &Path, target: &Path, arguments: &[String]) -> Result<Report> {
    fs::create_dir_all(target).with_context(|| format!("create {}", target.display()))?;
    let config = target.join("xtask-nextest.toml");
    fs::write(&config, NEXTEST_CONFIG).with_context(|| format!("write {}", config.display()))?;
    // nextest keeps its reports here whatever the target folder is.
    let junit = root.join("target/nextest/default/junit.xml");
    if junit.exists() {
        fs::remove_file(&junit).with_context(|| format!("remove {}", junit.display()))?;
    }
    let mut tests = Command::new("cargo");
    tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(FEATURES).args(arguments);
    tests.arg("--tool-config-file").arg(format!("xtask:{}", config.display()));
    let mut report = tools::run_tests(&mut tests)?;
    // Nothing is written when the build fails; the run counts as failed then anyway.
    report.skips = fs::read_to_string(&junit).map(|text| skips_in_junit(&text)).unwrap_or_default();
    Ok(report)
}

/// The skips that stand in the captured output of a JUnit report: the lines behind `SKIPPED: `, each with the test case
/// it stands in.
fn skips_in_junit(text: &str) -> Vec<Skip> {
    let mut test = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.split_once("<testcase name=\"").and_then(|(_, rest)| rest.split('"').next())
        {
            name.clone_into(&mut test);
        }
        if let Some((_, reason)) = line.split_once(tools::SKIPPED) {
            let reason = reason.split('<').next().unwrap_or_default();
            found.push(Skip { test: test.clone(), reason: unescaped(reason) });
        }
    }
    found
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// The skips with their reasons, and as the last line the plain totals.
fn summary(report: &Report) -> String {
    let mut text = String::from("\n");
    let skips = report.skips.len();
    if skips > 0 {
        text.push_str("These tests skipped their peer (CI allows no skip):\n");
        for skip in &report.skips {
            text.push_str(&format!("  {}: {}\n", skip.test, skip.reason));
        }
        text.push('\n');
    }
    let counts = report.counts;
    text.push_str(if all_passed(report) { "all tests passed\n" } else { "TESTS FAILED\n" });
    let passed = counts.passed.saturating_sub(u64::try_from(skips).unwrap_or_default());
    text.push_str(&format!("{passed} passed, {} failed", counts.failed));
    if skips > 0 {
        text.push_str(&format!(", {skips} skipped"));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Counts;

    #[test]
    fn the_last_line_gives_plain_totals_and_a_skip_is_not_a_pass() {
        let mut report = Report { counts: Counts { passed: 41, failed: 0 }, ..Report::default() };
        assert_eq!(summary(&report), "\nall tests passed\n41 passed, 0 failed\n");
        report.counts.failed = 1;
        assert_eq!(summary(&report), "\nTESTS FAILED\n41 passed, 1 failed\n");
        report.skips.push(Skip { test: "pays".to_owned(), reason: "Node is not installed".to_owned() });
        let text = summary(&report);
        assert!(text.contains("  pays: Node is not installed\n"), "{text}");
        assert!(text.ends_with("TESTS FAILED\n40 passed, 1 failed, 1 skipped\n"), "{text}");
    }

    #[test]
    fn a_run_that_did_not_build_is_a_failure_without_failed_tests() {
        let report = Report { failed_runs: 1, ..Report::default() };
        assert_eq!(summary(&report), "\nTESTS FAILED\n0 passed, 0 failed\n");
    }

    #[test]
    fn skips_are_found_with_their_test() {
        let junit = "\
<testcase name=\"peers::a_chain_runs\" classname=\"x\" time=\"0.1\">
    <system-out>running 1 test
test peers::a_chain_runs ... ok</system-out>
</testcase>
<testcase name=\"peers::lnbits_pays\" classname=\"x\" time=\"0.1\">
    <system-err>SKIPPED: none of Python 3.12 is installed with venv &amp; pip</system-err>
</testcase>
";
        let reason = "none of Python 3.12 is installed with venv & pip".to_owned();
        assert_eq!(skips_in_junit(junit), [Skip { test: "peers::lnbits_pays".to_owned(), reason }]);
    }
}
