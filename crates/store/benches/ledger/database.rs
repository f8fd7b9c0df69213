//! The ledger in PostgreSQL: one account that every transfer credits, and as many as there are payers, in turns.

use std::sync::Arc;

use tollgate_store::Store;
use tollgate_testkit::peers::PeerError;
use tollgate_testkit::peers::postgres::Postgres;

use super::file::{folder, in_order};
use super::work::{Counted, To, Work, options, signer};
use super::{Failure, Plan, now, per_second};

/// Measures nothing where PostgreSQL is not installed.
pub(crate) async fn measure(plan: &Plan) -> Result<(), Failure> {
    let server = match Postgres::start_durable().await {
        Ok(server) => server,
        Err(PeerError::Skip(skip)) => {
            eprintln!("SKIPPED: {skip}");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let url = server.database()?.url().parse()?;
    let work = Work::new()?;
    let folder = folder()?;
    let commits = Arc::new(Counted::default());
    let store = Store::connect(url, folder.path(), signer()?, options(&commits)).await?;
    work.fund(&store).await?;
    let mut next = 0;
    for _round in 0..plan.rounds {
        let mut rates = Vec::new();
        for (to, name) in [(To::Hot, "hot"), (To::Spread, "spread")] {
            let transfers = plan.transfers / 2;
            let before = commits.commits();
            let started = now();
            work.book(&store, next..next + transfers, to).await?;
            let rate = per_second(transfers, started)?;
            commits.check(before, transfers)?;
            plan.tell(&format!("database_{name}"), rate);
            rates.push(rate);
            next += transfers;
        }
        if let [hot, spread] = rates.as_slice() {
            plan.tell("database_hot_to_spread", hot / spread);
        }
    }
    in_order(&store).await
}
