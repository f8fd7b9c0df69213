//! The ledger in a file, beside the floor: a bare loop over a file of its own, in turns with it.

use std::sync::Arc;

use tollgate_store::Store;

use super::bare::Bare;
use super::work::{Counted, To, Work, options, signer};
use super::{Failure, Plan, now, per_second};

/// From where on the growing books are measured, and over how many transfers each time.
const FIRST_ROWS: u64 = 10_000;
const WINDOW: u64 = 25_000;

/// Ledger and floor in turns, over files that grow alike.
pub(crate) async fn measure(plan: &Plan) -> Result<(), Failure> {
    let work = Work::new()?;
    let (one, other) = (folder()?, folder()?);
    let commits = Arc::new(Counted::default());
    let store = Store::open(one.path(), signer()?, options(&commits))?;
    work.fund(&store).await?;
    {
        let filled = Store::open(other.path(), signer()?, options(&commits))?;
        work.fund(&filled).await?;
        // The account of fees is there as well.
        work.book(&filled, 0..1, To::Hot).await?;
    }
    work.book(&store, 0..1, To::Hot).await?;
    let mut bare = Bare::open(other.path())?;
    let mut next = 1;
    for _round in 0..plan.rounds {
        for (to, name) in [(To::Hot, "hot"), (To::Spread, "spread")] {
            let numbers = next..next + plan.transfers;
            let before = commits.commits();
            let started = now();
            work.book(&store, numbers.clone(), to).await?;
            let ours = per_second(plan.transfers, started)?;
            commits.check(before, plan.transfers)?;

            let rows = bare.rows(&work, numbers.clone(), to)?;
            let started = now();
            for rows in &rows {
                bare.write(rows)?;
            }
            let floor = per_second(plan.transfers, started)?;
            plan.tell(&format!("file_{name}"), ours);
            plan.tell(&format!("file_bare_{name}"), floor);
            plan.tell(&format!("file_share_{name}"), ours / floor);
            next = numbers.end;
        }
    }
    in_order(&store).await
}

/// One ledger that grows to the asked number of rows: what a transfer costs at its beginning and at its end.
pub(crate) async fn grow(plan: &Plan) -> Result<(), Failure> {
    let work = Work::new()?;
    let folder = folder()?;
    let commits = Arc::new(Counted::default());
    let store = Store::open(folder.path(), signer()?, options(&commits))?;
    work.fund(&store).await?;
    // What it costs over and over, so that the moment counts for little: the cheapest of a few windows.
    let mut next = 0;
    let mut costs = Vec::new();
    for rows in [FIRST_ROWS, plan.rows] {
        let windows = 4_u64;
        let reached = rows.saturating_sub(ROWS_OF_GIFTS).saturating_sub(windows * WINDOW).max(next);
        work.book(&store, next..reached, To::Hot).await?;
        next = reached;
        let mut cheapest = f64::INFINITY;
        for _window in 0..windows {
            let started = now();
            work.book(&store, next..next + WINDOW, To::Hot).await?;
            cheapest = cheapest.min(1e6 / per_second(WINDOW, started)?);
            next += WINDOW;
        }
        costs.push(cheapest);
        let at = next + ROWS_OF_GIFTS;
        plan.tell(&format!("file_us_at_{}", if rows == FIRST_ROWS { "first" } else { "last" }), cheapest);
        plan.tell(
            &format!("file_rows_at_{}", if rows == FIRST_ROWS { "first" } else { "last" }),
            f64::from(u32::try_from(at)?),
        );
    }
    if let [first, last] = costs.as_slice() {
        plan.tell("file_growth", last / first);
    }
    Ok(())
}

/// A row for each gift.
const ROWS_OF_GIFTS: u64 = super::work::ACCOUNTS;

pub(crate) fn folder() -> Result<tempfile::TempDir, Failure> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// What was measured was right.
pub(crate) async fn in_order(store: &Store) -> Result<(), Failure> {
    let findings = store.check().await?;
    if findings.is_empty() { Ok(()) } else { Err(format!("the books are not in order: {findings:?}").into()) }
}
