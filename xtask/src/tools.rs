//! Running other programs: shows the command, passes its output on, and reads what test runners report.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow, bail};

/// What a test prints, with the reason behind it, when this machine lacks what its peer runs on.
pub(crate) const SKIPPED: &str = "SKIPPED: ";

/// How many tests passed and failed, as the runners say in their summary lines.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// A test that passed without its peer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// What runs of tests reported.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    pub(crate) skips: Vec<Skip>,
    /// Runs that said they failed: also those that failed to build.
    pub(crate) failed_runs: u32,
}

impl Report {
    /// Adds another run's report.
    pub(crate) fn add(&mut self, other: Self) {
        self.counts.passed = self.counts.passed.saturating_add(other.counts.passed);
        self.counts.failed = self.counts.failed.saturating_add(other.counts.failed);
        self.skips.extend(other.skips);
        self.failed_runs = self.failed_runs.saturating_add(other.failed_runs);
    }
}

/// The counts of one line of output, if it is a summary: nextest's `Summary [ 1.2s] 3 tests run: 2 passed, 1 failed,
/// 0 skipped`, or libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
fn counts_of(line: &str) -> Option<Counts> {
    // nextest shows what a failed test printed, libtest's own summary of it included, with an indentation.
    if !line.trim_start().starts_with("Summary [") && !line.starts_with("test result: ") {
        return None;
    }
    let mut counts = Counts::default();
    let words: Vec<&str> = line.split([' ', ',', ';', '(', ')']).filter(|word| !word.is_empty()).collect();
    for pair in words.windows(2) {
        let [number, word] = pair else { continue };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match *word {
            "passed" => counts.passed = number,
            "failed" | "timed" | "exec" => counts.failed = counts.failed.saturating_add(number),
            _ => {}
        }
    }
    Some(counts)
}

/// Cargo, as a person would start it: `cargo machete` takes the name of the package that runs it for a sign that it runs
/// itself, and misreads its arguments.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.env_remove("CARGO_PKG_NAME");
    cargo
}

/// Whether `cargo <subcommand> --version` works on this machine.
pub(crate) fn has_cargo_tool(subcommand: &str) -> bool {
    cargo()
        .args([subcommand, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or says that it failed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = shown(command);
    eprintln!("+ {line}");
    let status = command.status().with_context(|| format!("start {line}"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// Runs a test runner to its end, passing its output on, and returns what it reported.
///
/// # Errors
/// When it cannot be started or its output cannot be read.
pub(crate) fn run_tests(command: &mut Command) -> Result<Report> {
    let line = shown(command);
    eprintln!("+ {line}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {line}"))?;
    let stdout = child.stdout.take().context("take the output of the test runner")?;
    let stderr = child.stderr.take().context("take the errors of the test runner")?;
    let errors = thread::spawn(move || pass_on(stderr, std::io::stderr()));
    let mut report = pass_on(stdout, std::io::stdout())?;
    report.add(errors.join().map_err(|_| anyhow!("reading the errors of {line} panicked"))??);
    if !child.wait().with_context(|| format!("wait for {line}"))?.success() {
        report.failed_runs = 1;
    }
    Ok(report)
}

fn pass_on(from: impl Read, mut to: impl Write) -> Result<Report> {
    let mut report = Report::default();
    let mut test = String::new();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        let text = String::from_utf8_lossy(&line);
        if let Some(counts) = counts_of(&text) {
            report.add(Report { counts, ..Report::default() });
        }
        // libtest heads what a test printed with `---- name of the test stdout ----`.
        if let Some(name) = text.strip_prefix("---- ").and_then(|rest| rest.split(' ').next()) {
            name.clone_into(&mut test);
        }
        if let Some(reason) = text.trim().strip_prefix(SKIPPED) {
            report.skips.push(Skip { test: test.clone(), reason: reason.to_owned() });
        }
        line.clear();
    }
    Ok(report)
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_lines_of_both_runners_are_counted_and_others_are_not() {
        let counts = |passed, failed| Some(Counts { passed, failed });
        for (line, expected) in [
            ("     Summary [   0.512s] 12 tests run: 12 passed, 3 skipped", counts(12, 0)),
            ("     Summary [  10.1s] 9/12 tests run: 7 passed (1 slow), 2 failed, 3 skipped", counts(7, 2)),
            ("     Summary [  10.1s] 3 tests run: 1 passed, 1 failed, 1 timed out, 0 skipped", counts(1, 2)),
            ("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out", counts(4, 0)),
            ("test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured", counts(3, 1)),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured", None),
            ("test it_reports_3_passed ... ok", None),
        ] {
            assert_eq!(counts_of(line), expected, "{line}");
        }
    }

    #[test]
    fn output_is_passed_on_and_read() {
        let output = "\
running 2 tests

---- peers::lnbits_pays stdout ----
SKIPPED: Python 3.12 is not installed

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
";
        let mut passed_on = Vec::new();
        let report = pass_on(output.as_bytes(), &mut passed_on).expect("it reads");
        assert_eq!(String::from_utf8(passed_on).expect("text"), output);
        let reason = "Python 3.12 is not installed".to_owned();
        let skips = vec![Skip { test: "peers::lnbits_pays".to_owned(), reason }];
        assert_eq!(report, Report { counts: Counts { passed: 2, failed: 0 }, skips, failed_runs: 0 });
    }
}
