//! The workspace's own commands: `cargo xtask <command>`. There is no Makefile.

#![forbid(unsafe_code)]

mod arch;
mod bench;
mod cases;
mod errors;
mod gates;
mod sources;
mod suite;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks and tests of the Tollgate workspace.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Every check but the tests: format, lints, drawing, error pages, cases, dependencies.
    Check,
    /// Every test; arguments go to the test runner.
    Test {
        /// A filter or options of the test runner.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fails when a crate uses another in a way that ARCHITECTURE.md does not draw.
    Arch,
    /// How fast the gateway is beside nginx; writes docs/reference/performance.md and fails when a goal is missed.
    Bench {
        /// Few rounds, to see that it can be measured: writes nothing, and no goal counts.
        #[arg(long)]
        quick: bool,
        /// Measures the program as it is given away (the profile `dist`), which takes twice as long to build.
        #[arg(long)]
        dist: bool,
    },
    /// Fails when docs/reference/cases.md names a test that does not exist.
    Cases,
    /// Fails when an error code has no page under docs/errors, or a page no code.
    Errors,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Task::Check => gates::check().map(|()| true),
        Task::Test { arguments } => suite::run(&arguments),
        Task::Arch => arch::check().map(|()| true),
        Task::Bench { quick, dist } => bench::run(
            if quick { bench::Extent::Quick } else { bench::Extent::Full },
            if dist { bench::Build::Dist } else { bench::Build::Release },
        ),
        Task::Cases => cases::check().map(|()| true),
        Task::Errors => errors::check().map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
