//! The database that several gateways share: whether it can be used, and what gateways have left in it that do not run. Makes nothing.

use tollgate_domain::{CallId, UnixMillis};
use tollgate_ledger::{LedgerStore, StoreError};
use tollgate_store::{DatabaseUrl, OpenError, Options, Store, has_books};
use tollgate_till::ledger_elsewhere;

use super::super::run::GONE_MS;
use super::{Check, Found};
use crate::clock;
use crate::config::Config;

/// How many settlements are read at once.
const ROWS_MAX: u32 = 256;

/// The checks of the configured database, if there is one.
pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let Some(database) = &config.database else {
        let elsewhere = ledger_elsewhere(&config.data).map(|database| {
            format!("it is in {database}, and no database is named; name it in database.url (TOLLGATE__DATABASE__URL)")
        });
        let check = |problem| Check::new("ledger of this data directory", Some(problem));
        return elsewhere.map(check).into_iter().collect();
    };
    let what = database.url.to_string();
    let (found, store) = match reached(&database.url).await {
        Ok(Some(store)) => (Found::Well, Some(store)),
        Ok(None) => (Found::Note("it holds no books yet; the first start makes them".to_owned()), None),
        Err(error @ OpenError::OlderDatabase { .. }) => (Found::Note(error.to_string()), None),
        Err(error) => (Found::Problem(error.to_string()), None),
    };
    let mut checks = vec![Check { what, found }];
    if let Some(store) = store {
        checks.push(left(&store).await);
    }
    checks
}

/// The books, if there are any.
async fn reached(database: &DatabaseUrl) -> Result<Option<Store>, OpenError> {
    if !has_books(database).await? {
        return Ok(None);
    }
    Store::connect_shared(database.clone(), Options::default()).await.map(Some)
}

/// What gateways that do not run have left open.
async fn left(store: &Store) -> Check {
    let what = "calls that gateways left open which do not run".to_owned();
    let found = match open(store).await {
        Ok((0, _)) => Found::Well,
        Ok((calls, oldest)) => Found::Note(format!(
            "{calls}, the oldest made at {}; each is driven on when its gateway starts, or by another one {} minutes after it was \
             last heard of",
            oldest.unwrap_or(UnixMillis::new(0)),
            GONE_MS / 60_000
        )),
        Err(error) => Found::Problem(error.to_string()),
    };
    Check { what, found }
}

/// How many there are, and when the oldest was made.
async fn open(store: &Store) -> Result<(usize, Option<UnixMillis>), StoreError> {
    let (mut calls, mut oldest) = (0_usize, None);
    let mut after: Option<CallId> = None;
    loop {
        let rows = store.abandoned_settlements(clock::now(), after, ROWS_MAX).await?;
        let Some(last) = rows.last() else { return Ok((calls, oldest)) };
        after = Some(last.call);
        calls = calls.saturating_add(rows.len());
        oldest = oldest.or(rows.first().map(|row| row.claimed));
    }
}
