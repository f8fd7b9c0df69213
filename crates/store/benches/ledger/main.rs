//! How many transfers a second the books take: the pure decision, the file, the database.
//!
//! `cargo bench -p tollgate-store --features postgres --bench ledger`; behind `--`: `--quick` for few rows, `--rows N` for
//! another number of rows in the run over growing books (a million by default), the words `pure`, `file`, `growing`, `callers`
//! and `database` for some of the parts, and `--json` for one JSON object per figure, which is what `cargo xtask bench` reads.
//!
//! The file is on a real disk, in the folder of the build: a commit to memory would cost nothing. The database is Debian's
//! PostgreSQL with `fsync=on`, in the folder for temporary files.

mod bare;
mod callers;
mod database;
mod file;
mod pure;
mod work;

use std::error::Error;

use serde_json::json;

/// The allocator of the gateway's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A failure that a task can hand on.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// How much is measured, and which parts of it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How often each subject has its turn.
    pub(crate) rounds: u64,
    /// Transfers of one turn.
    pub(crate) transfers: u64,
    /// Rows at the end of the run over growing books.
    pub(crate) rows: u64,
    parts: Vec<String>,
    json: bool,
}

impl Plan {
    fn of_arguments() -> Result<Self, Failure> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |word: &str| arguments.iter().any(|argument| argument == word);
        let (rounds, transfers, rows) =
            if has("--quick") { (2, 51_200, 100_000) } else { (5, 256_000, 1_000_000) };
        let asked = arguments.iter().skip_while(|argument| *argument != "--rows").nth(1);
        let rows = asked.map(|rows| rows.parse()).transpose()?.unwrap_or(rows);
        let parts = ["pure", "file", "growing", "callers", "database"].map(str::to_owned);
        let chosen: Vec<String> = parts.iter().filter(|part| has(part)).cloned().collect();
        let parts = if chosen.is_empty() { parts.to_vec() } else { chosen };
        Ok(Self { rounds, transfers, rows, parts, json: has("--json") })
    }

    fn includes(&self, part: &str) -> bool {
        self.parts.iter().any(|chosen| chosen == part)
    }

    /// Tells one figure of one turn.
    pub(crate) fn tell(&self, what: &str, value: f64) {
        if self.json {
            print(&json!({ "kind": "ledger", "what": what, "value": value }).to_string());
        } else {
            print(&format!("{what}: {value:.2}"));
        }
    }
}

fn main() -> Result<(), Failure> {
    let plan = Plan::of_arguments()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if plan.includes("pure") {
        pure::measure(&plan)?;
    }
    if plan.includes("file") {
        runtime.block_on(file::measure(&plan))?;
    }
    if plan.includes("growing") {
        runtime.block_on(file::grow(&plan))?;
    }
    if plan.includes("callers") {
        runtime.block_on(callers::measure(&plan))?;
    }
    if plan.includes("database") {
        runtime.block_on(database::measure(&plan))?;
    }
    Ok(())
}

/// How many of something fit a second.
pub(crate) fn per_second(count: u64, started: std::time::Instant) -> Result<f64, Failure> {
    Ok(f64::from(u32::try_from(count)?) / started.elapsed().as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "the result of a bench belongs on standard output")]
fn print(line: &str) {
    println!("{line}");
}
