//! What a batch of commands writes into the ledger file, each row once.

use hashbrown::HashMap;
use rusqlite::{Connection, params};
use tollgate_domain::AssetId;
use tollgate_ledger::{AccountName, Balances, BatchChanges, NewReceipt, Refusal, Transfer};

use crate::account_cache::{AccountCache, Place};
use crate::attempts::Attempts;
use crate::budgets;
use crate::convert::{integer, millis};
use crate::database::is_taken;
use crate::escrows;
use crate::later::Later;
use crate::payouts;
use crate::receipts::Chain;
use crate::redo::{Redo, Statement};
use crate::writer::Failure;

const RECEIPT: &str =
    "INSERT INTO receipts (signer, seq, id, call, free, hash, envelope) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const ACCOUNT: &str = "INSERT INTO accounts (asset, name, debits_pending, debits_posted, credits_pending, credits_posted) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const TRANSFER: &str = "INSERT INTO transfers (id, kind, resolves, debit, credit, amount, call, note, at, expires) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Writes everything. A refusal is of one command, by a unique key of the file: the whole transaction has to be undone then, and
/// the commands tried one by one.
pub(crate) fn write(
    connection: &Connection,
    redo: &mut Redo,
    chain: &mut Chain,
    accounts: &mut AccountCache,
    attempts: &mut Attempts,
    later: &mut Later,
    changes: &BatchChanges,
) -> Result<(), Failure> {
    for row in &changes.claimed {
        attempts.claim(connection, redo, row)?;
    }
    for moved in &changes.moved {
        attempts.advance(connection, redo, moved)?;
    }
    for kept in &changes.kept {
        attempts.keep(connection, redo, kept)?;
    }
    let mut insert = Statement::of(connection, RECEIPT)?;
    for receipt in &changes.receipts {
        insert_receipt(&mut insert, redo, chain.signer(connection)?, receipt)?;
    }
    let accounts = write_balances(connection, redo, accounts, later, &changes.balances)?;
    let mut insert = Statement::of(connection, TRANSFER)?;
    for transfer in &changes.transfers {
        insert_transfer(&mut insert, redo, &accounts, transfer)?;
    }
    for (principal, record) in &changes.standings {
        later.set_standing(redo, principal, *record)?;
    }
    budgets::write(connection, redo, later, &changes.budgets)?;
    for escrow in &changes.escrows {
        escrows::write(connection, escrow)?;
    }
    for payout in &changes.payouts {
        payouts::write(connection, payout)?;
    }
    for payee in &changes.payees {
        payouts::write_payee(connection, payee)?;
    }
    Ok(())
}

fn insert_receipt(
    insert: &mut Statement<'_>,
    redo: &mut Redo,
    signer: i64,
    receipt: &NewReceipt,
) -> Result<(), Failure> {
    let NewReceipt { call, free, sealed } = receipt;
    let added = redo.execute(
        insert,
        params![
            signer,
            integer(sealed.seq),
            sealed.id.as_bytes(),
            call.as_bytes(),
            free,
            sealed.hash.as_bytes(),
            sealed.kept,
        ],
    );
    match added {
        Ok(_) => Ok(()),
        Err(error) if is_taken(&error, "receipts.id") => {
            Err(Refusal::Seal(format!("{} is the id of another receipt", sealed.id)).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The place in the table of each account that this transaction touches.
type Places<'a> = HashMap<(&'a AccountName, &'a AssetId), i64>;

/// Sets what stands on each account; one that was never used is opened. Whatever is written was read in the same transaction: an
/// account that is not remembered then is not there.
fn write_balances<'a>(
    connection: &Connection,
    redo: &mut Redo,
    known: &mut AccountCache,
    later: &mut Later,
    accounts: &'a [(AccountName, AssetId, Balances)],
) -> rusqlite::Result<Places<'a>> {
    let mut places = Places::with_capacity(accounts.len());
    for (name, asset, balances) in accounts {
        let id = match known.get(name, asset) {
            Some(Place { id, .. }) => {
                later.set_balances(redo, id, *balances)?;
                id
            }
            None => {
                let Balances { debits_pending, debits_posted, credits_pending, credits_posted } = balances;
                let [debits_pending, debits_posted, credits_pending, credits_posted] =
                    [debits_pending, debits_posted, credits_pending, credits_posted].map(ToString::to_string);
                redo.execute(
                    &mut Statement::of(connection, ACCOUNT)?,
                    params![
                        asset.as_str(),
                        name.to_string(),
                        debits_pending,
                        debits_posted,
                        credits_pending,
                        credits_posted,
                    ],
                )?;
                connection.last_insert_rowid()
            }
        };
        known.put(name, asset, Place { id, balances: *balances });
        places.insert((name, asset), id);
    }
    Ok(places)
}

fn insert_transfer(
    insert: &mut Statement<'_>,
    redo: &mut Redo,
    accounts: &Places<'_>,
    transfer: &Transfer,
) -> rusqlite::Result<()> {
    let place = |name| accounts.get(&(name, &transfer.asset)).ok_or(rusqlite::Error::QueryReturnedNoRows);
    redo.execute(
        insert,
        params![
            transfer.id.as_bytes(),
            transfer.kind.word(),
            transfer.kind.resolves().map(|of| *of.as_bytes()),
            place(&transfer.debit)?,
            place(&transfer.credit)?,
            transfer.amount.to_string(),
            transfer.call.map(|call| *call.as_bytes()),
            transfer.note,
            millis(transfer.at),
            transfer.expires.map(millis),
        ],
    )?;
    Ok(())
}
