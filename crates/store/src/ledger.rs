//! The ledger's side of the writer thread: the commands of one transaction are decided on the books as the file and the commands
//! before them say; what they write is written once, before the commit. Decides nothing about money; `tollgate-ledger` does.

use std::fmt;
use std::sync::Arc;

use rusqlite::Connection;
use tollgate_attest::Signer;
use tollgate_domain::{
    ApprovalId, AssetId, EscrowId, PaymentKey, PayoutId, Principal, ToolRef, TransferId, UnixMillis,
};
use tollgate_ledger::budget::{Approval, Counter, Stops, Usage, Wanted};
use tollgate_ledger::escrow::EscrowRow;
use tollgate_ledger::payout::{Payee, PayeeRow, PayoutRow};
use tollgate_ledger::{
    AccountName, Balances, Batch as Commands, Books, Command, EngineError, Outcome, Record, SettlementRow,
    Transfer,
};

use crate::account_cache::{AccountCache, Place};
use crate::attempts::Attempts;
use crate::later::Later;
use crate::receipts::Chain;
use crate::redo::Redo;
use crate::standing_cache::StandingCache;
use crate::writer::{Batch, Failure, Session};
use crate::written;
use crate::{budgets, calls, escrows, payouts, rows};

/// The writer's memory of the ledger file.
pub(crate) struct LedgerSession {
    /// Without a signer beside a gateway: only the gateway seals receipts.
    chain: Chain,
    standings: Arc<StandingCache>,
    accounts: AccountCache,
    attempts: Attempts,
    later: Later,
    /// The commands of the open step.
    commands: Commands,
    /// Standings that the open step moved.
    moved: Vec<(Principal, Record)>,
    /// What the open step wrote.
    redo: Redo,
    /// Whether the last step is durable; if not, what is remembered of it is not in the file.
    is_committed: bool,
}

impl LedgerSession {
    pub(crate) fn new(signer: Option<Signer>, standings: Arc<StandingCache>) -> Self {
        Self {
            chain: Chain::new(signer),
            standings,
            accounts: AccountCache::default(),
            attempts: Attempts::default(),
            later: Later::default(),
            commands: Commands::default(),
            moved: Vec::new(),
            redo: Redo::default(),
            is_committed: true,
        }
    }
}

impl fmt::Debug for LedgerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerSession").finish_non_exhaustive()
    }
}

impl Session for LedgerSession {
    fn begin(&mut self, connection: &Connection, is_first: bool) -> rusqlite::Result<()> {
        self.commands = Commands::default();
        self.moved.clear();
        if is_first {
            self.redo.begin();
        } else {
            self.redo.next_step();
        }
        let was_committed = std::mem::replace(&mut self.is_committed, false);
        if !was_committed {
            self.chain.forget();
        }
        self.accounts.begin(connection, was_committed)
    }

    fn flush(&mut self, connection: &Connection) -> Result<(), Failure> {
        let changes = self.commands.take_changes();
        let Self { redo, chain, accounts, attempts, later, .. } = self;
        written::write(connection, redo, chain, accounts, attempts, later, &changes)?;
        self.moved = changes.standings;
        Ok(())
    }

    fn redo(&mut self, rows: u64) -> Option<&[u8]> {
        self.redo.take(rows)
    }

    fn ending(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.later.end(connection, &mut self.redo)?;
        self.attempts.end(connection, &mut self.redo)
    }

    fn undone(&mut self) {
        self.attempts.forget();
        self.later.forget();
    }

    fn committed(&mut self) {
        self.is_committed = true;
        self.standings.committed(&mut self.moved);
    }
}

impl Batch<'_, LedgerSession> {
    /// Decides a command. What it writes is written when the transaction ends.
    pub(crate) fn command(&mut self, command: &Command) -> Result<Outcome, Failure> {
        let LedgerSession { chain, accounts, commands, attempts, later, redo, .. } = self.session;
        let mut file = File { connection: self.connection, accounts, attempts, later, redo };
        Ok(commands.apply(&mut file, &mut chain.sealer(self.connection), command)?)
    }
}

impl From<EngineError<rusqlite::Error>> for Failure {
    fn from(error: EngineError<rusqlite::Error>) -> Self {
        match error {
            EngineError::Refused(refusal) => refusal.into(),
            EngineError::Books(error) => error.into(),
        }
    }
}

/// The books as the last transaction left them.
pub(crate) struct File<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) accounts: &'a mut AccountCache,
    pub(crate) attempts: &'a mut Attempts,
    pub(crate) later: &'a Later,
    pub(crate) redo: &'a mut Redo,
}

impl Books for File<'_> {
    type Error = rusqlite::Error;

    fn settlement(&mut self, key: &PaymentKey) -> rusqlite::Result<Option<Arc<SettlementRow>>> {
        match self.attempts.get(key) {
            Some(row) => Ok(Some(row)),
            None => Ok(rows::settlement_by_key(self.connection, key)?.map(Arc::new)),
        }
    }

    fn balances(&mut self, account: &AccountName, asset: &AssetId) -> rusqlite::Result<Balances> {
        if let Some(place) = self.accounts.get(account, asset) {
            return Ok(place.balances);
        }
        let Some((id, balances)) = rows::account(self.connection, account, asset)? else {
            return Ok(Balances::default());
        };
        let balances = self.later.balances(id).unwrap_or(balances);
        self.accounts.put(account, asset, Place { id, balances });
        Ok(balances)
    }

    fn transfer(&mut self, id: &TransferId) -> rusqlite::Result<Option<Transfer>> {
        rows::named_transfer(self.connection, id)
    }

    fn resolution(&mut self, pending: &TransferId) -> rusqlite::Result<Option<Transfer>> {
        rows::resolution(self.connection, pending)
    }

    fn calls(
        &mut self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> rusqlite::Result<u64> {
        self.attempts.write(self.connection, self.redo)?;
        calls::calls(self.connection, caller, tool, since, most)
    }

    fn standing(&mut self, principal: &Principal) -> rusqlite::Result<Record> {
        match self.later.standing(principal) {
            Some(record) => Ok(record),
            None => rows::standing(self.connection, principal),
        }
    }

    fn usage(&mut self, counter: &Counter) -> rusqlite::Result<Option<Usage>> {
        match self.later.usage(counter) {
            Some(usage) => Ok(Some(usage)),
            None => budgets::usage(self.connection, counter),
        }
    }

    fn stops(&mut self) -> rusqlite::Result<Arc<Stops>> {
        budgets::stops(self.connection)
    }

    fn approval_of(&mut self, wanted: &Wanted) -> rusqlite::Result<Option<Approval>> {
        budgets::approval_of(self.connection, wanted)
    }

    fn approval(&mut self, id: &ApprovalId) -> rusqlite::Result<Option<Approval>> {
        budgets::approval(self.connection, id)
    }

    fn waiting(&mut self, caller: &Principal, now: UnixMillis) -> rusqlite::Result<u32> {
        budgets::waiting(self.connection, caller, now)
    }

    fn escrow(&mut self, id: &EscrowId) -> rusqlite::Result<Option<Arc<EscrowRow>>> {
        Ok(escrows::by_id(self.connection, id)?.map(Arc::new))
    }

    fn payout(&mut self, id: &PayoutId) -> rusqlite::Result<Option<Arc<PayoutRow>>> {
        Ok(payouts::by_id(self.connection, id)?.map(Arc::new))
    }

    fn payee(&mut self, payee: &Payee) -> rusqlite::Result<Option<Arc<PayeeRow>>> {
        Ok(payouts::payee(self.connection, payee)?.map(Arc::new))
    }
}
