//! The sandbox token's book: what dev mode has in place of a chain. A file and a writer of its own, so that it can be
//! compared with the ledger like any chain. Moves what the token's rules allow (`SandboxTransfer::decide`), nothing else.
//!
//! A real chain costs this process no sync of its disk, so its stand-in costs none either: what was answered survives the
//! death of the process, and a power cut may take the last transfers back, all of them from some moment on. The ledger,
//! which is synced with every commit, forgets nothing; a transfer that it still has to see through is then made again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tollgate_domain::{Amount, UnixMillis};
use tollgate_ledger::StoreError;
use tollgate_rails::evm::Address;
use tollgate_rails::x402::{SandboxBook, SandboxDecision, SandboxError, SandboxRefusal, SandboxTransfer};

use crate::convert::{self, millis};
use crate::database::{self, Kept, Opener, Schema};
use crate::invoices::InvoiceStore;
use crate::open::{OpenError, Options};
use crate::readers::Readers;
use crate::writer::{Batch, Failure, Hooks, Session, Writer};

/// The file of everything outside that dev mode plays.
static SANDBOX: Schema = Schema {
    file: "sandbox.db",
    application_id: i32::from_be_bytes(*b"TGsb"),
    migrations: &[include_str!("schema/sandbox_1.sql"), include_str!("schema/sandbox_2.sql")],
    kept: Kept::OverProcessDeath,
};

/// The open file, shared by its books.
#[derive(Debug)]
pub(crate) struct SandboxFile {
    pub(crate) writer: Writer<SandboxSession>,
    pub(crate) readers: Readers,
}

/// Balances as the running transaction leaves them: an address that every call pays is written once per transaction.
#[derive(Debug, Default)]
pub(crate) struct SandboxSession {
    balances: BTreeMap<Address, Balance>,
}

#[derive(Clone, Copy, Debug)]
struct Balance {
    amount: Amount,
    is_moved: bool,
}

impl Session for SandboxSession {
    fn begin(&mut self) {
        self.balances.clear(); // the last transaction may have been rolled back
    }

    fn flush(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut upsert = connection.prepare_cached(
            "INSERT INTO balances (owner, amount) VALUES (?1, ?2) \
             ON CONFLICT (owner) DO UPDATE SET amount = excluded.amount",
        )?;
        for (owner, balance) in self.balances.iter().filter(|(_, balance)| balance.is_moved) {
            upsert.execute(params![owner.as_bytes(), balance.amount.to_string()])?;
        }
        Ok(())
    }

    fn committed(&mut self) {}
}

/// The sandbox token's book. Clones share it.
#[derive(Clone, Debug)]
pub struct SandboxStore {
    file: Arc<SandboxFile>,
}

impl SandboxStore {
    /// Opens or makes the book in `directory`. The directory is kept from other gateways by [`crate::Store::open`].
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        database::make_directory(directory)?;
        let connection = SANDBOX.open(directory, Opener::Owner)?;
        let waiting = Options::default().queue_commands_max;
        let session = SandboxSession::default();
        let writer = Writer::start("sandbox-writer", connection, session, waiting, Hooks::default());
        let writer = writer.map_err(OpenError::Thread)?;
        let readers = Readers::new(&SANDBOX, directory.to_owned());
        Ok(Self { file: Arc::new(SandboxFile { writer, readers }) })
    }

    /// The dev wallet's invoices, in the same file.
    pub fn invoices(&self) -> InvoiceStore {
        InvoiceStore::new(Arc::clone(&self.file))
    }
}

impl SandboxBook for SandboxStore {
    async fn transfer(&self, transfer: &SandboxTransfer, now: UnixMillis) -> Result<String, SandboxError> {
        let transfer = transfer.clone();
        let booked = self.file.writer.write(move |batch| batch.transfer(&transfer, now)).await;
        Ok(booked.map_err(unavailable)??)
    }

    async fn authorization_used(
        &self,
        from: Address,
        nonce: [u8; 32],
    ) -> Result<Option<String>, SandboxError> {
        let read = self.file.readers.read(move |connection| used(connection, &from, &nonce));
        read.await.map_err(unavailable)
    }

    async fn balance(&self, owner: Address) -> Result<Amount, SandboxError> {
        let read = self.file.readers.read(move |connection| balance(connection, &owner));
        read.await.map_err(unavailable)
    }

    async fn mint(&self, owner: Address, amount: Amount) -> Result<(), SandboxError> {
        self.file.writer.write(move |batch| batch.mint(&owner, amount)).await.map_err(unavailable)
    }
}

impl Batch<'_, SandboxSession> {
    /// The inner result is the token's rules; they decide before anything is written.
    fn transfer(
        &mut self,
        transfer: &SandboxTransfer,
        now: UnixMillis,
    ) -> Result<Result<String, SandboxRefusal>, Failure> {
        let SandboxTransfer { authorization, reference } = transfer;
        let (from, to, value) = (&authorization.from, &authorization.to, authorization.value);
        let has = self.balance(from)?;
        // As if the nonce were fresh, as it nearly always is. Where it is not, the rules are asked again, and the nonce is
        // what they look at first.
        let fresh = transfer.decide(None, has, now);
        if fresh != Ok(SandboxDecision::Move) {
            return self.decide_with_known(transfer, has, now);
        }
        let left = has.checked_sub(value).ok_or_else(|| refused("the payer has less than the value"))?;
        // To oneself, the value comes on top of what is left; both sides are worked out before either is written.
        let had = if from == to { left } else { self.balance(to)? };
        let gets = had.checked_add(value).ok_or_else(|| refused("the recipient's balance would not fit"))?;
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO transfers (payer, nonce, recipient, amount, reference, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (payer, nonce) DO NOTHING",
            )?
            .execute(params![
                from.as_bytes(),
                authorization.nonce,
                to.as_bytes(),
                value.to_string(),
                reference,
                millis(now)
            ])?;
        if inserted == 0 {
            return self.decide_with_known(transfer, has, now);
        }
        self.set_balance(from, left);
        self.set_balance(to, gets);
        Ok(Ok(reference.clone()))
    }

    /// What the rules say of a transfer that moves nothing, or whose nonce is known already.
    fn decide_with_known(
        &self,
        transfer: &SandboxTransfer,
        has: Amount,
        now: UnixMillis,
    ) -> Result<Result<String, SandboxRefusal>, Failure> {
        let SandboxTransfer { authorization, reference } = transfer;
        let known = used(self.connection, &authorization.from, &authorization.nonce)?;
        match transfer.decide(known.as_deref(), has, now) {
            Ok(SandboxDecision::AlreadyMoved) => Ok(Ok(reference.clone())),
            Err(refusal) => Ok(Err(refusal)),
            Ok(SandboxDecision::Move) => Err(refused("the book gave two answers about one nonce")),
        }
    }

    fn mint(&mut self, owner: &Address, amount: Amount) -> Result<(), Failure> {
        let after = self.balance(owner)?.checked_add(amount);
        let after = after.ok_or_else(|| refused("the balance would not fit"))?;
        self.connection
            .prepare_cached("INSERT INTO mints (recipient, amount) VALUES (?1, ?2)")?
            .execute(params![owner.as_bytes(), amount.to_string()])?;
        self.set_balance(owner, after);
        Ok(())
    }

    fn balance(&mut self, owner: &Address) -> rusqlite::Result<Amount> {
        if let Some(known) = self.session.balances.get(owner) {
            return Ok(known.amount);
        }
        let amount = balance(self.connection, owner)?;
        self.session.balances.insert(*owner, Balance { amount, is_moved: false });
        Ok(amount)
    }

    fn set_balance(&mut self, owner: &Address, amount: Amount) {
        self.session.balances.insert(*owner, Balance { amount, is_moved: true });
    }
}

/// What an address has.
fn balance(connection: &Connection, owner: &Address) -> rusqlite::Result<Amount> {
    let mut query = connection.prepare_cached("SELECT amount FROM balances WHERE owner = ?1")?;
    let found = query.query_row(params![owner.as_bytes()], |row| convert::text(row, 0)).optional()?;
    Ok(found.unwrap_or_default())
}

/// The reference under which a payer's nonce was used.
fn used(connection: &Connection, payer: &Address, nonce: &[u8; 32]) -> rusqlite::Result<Option<String>> {
    let mut query =
        connection.prepare_cached("SELECT reference FROM transfers WHERE payer = ?1 AND nonce = ?2")?;
    query.query_row(params![payer.as_bytes(), nonce], |row| row.get(0)).optional()
}

fn refused(reason: &str) -> Failure {
    Failure::Refused(StoreError::Definite(reason.to_owned()))
}

fn unavailable(error: StoreError) -> SandboxError {
    SandboxError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
