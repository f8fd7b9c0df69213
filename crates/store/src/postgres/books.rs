//! Deciding a batch on what was read for it. Nothing is read here: what a decision asks for and was not read is noted, read by
//! the session, and the batch is decided anew. Which rows a command needs is so said by the ledger alone, never twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tollgate_attest::Signer;
use tollgate_domain::{
    ApprovalId, AssetId, CallId, Digest, EscrowId, FreeCall, PaymentKey, PayoutId, Principal, ToolRef,
    TransferId, UnixMillis,
};
use tollgate_ledger::budget::{
    Approval, Ask, Barrier, Counter, Stops, Usage, Wanted as Approvable, Weighed, weigh,
};
use tollgate_ledger::escrow::EscrowReceipt;
use tollgate_ledger::escrow::{EscrowCommand, EscrowRow};
use tollgate_ledger::payout::{Payee, PayeeRow, PayoutCommand, PayoutRow};
use tollgate_ledger::{
    AccountName, Balances, Batch, BatchChanges, Books, Clearing, Command, EngineError, Funds, Outcome,
    Record, Refusal, Sealed, SealedReceipt, Sealer, SettlementRow, Transfer,
};

use super::accounts::Accounts;
use super::budgets;
use super::calls::Calls;
use crate::receipts::draft;

/// The rows that a batch asks for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) settlements: HashSet<PaymentKey>,
    pub(super) accounts: HashSet<(AccountName, AssetId)>,
    pub(super) transfers: HashSet<TransferId>,
    pub(super) resolutions: HashSet<TransferId>,
    pub(super) standings: HashSet<Principal>,
    pub(super) escrows: HashSet<EscrowId>,
    pub(super) payouts: HashSet<PayoutId>,
    pub(super) payees: HashSet<Payee>,
    pub(super) budgets: budgets::Asked,
    pub(super) calls: HashSet<Calls>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            settlements,
            accounts,
            transfers,
            resolutions,
            standings,
            escrows,
            payouts,
            payees,
            budgets,
            calls,
        } = self;
        settlements.is_empty()
            && accounts.is_empty()
            && transfers.is_empty()
            && resolutions.is_empty()
            && standings.is_empty()
            && escrows.is_empty()
            && payouts.is_empty()
            && payees.is_empty()
            && budgets.is_empty()
            && calls.is_empty()
    }

    /// What these commands name themselves, to be read in one go, without the accounts that are known. Too little or too much
    /// costs time, never correctness.
    pub(super) fn by(commands: &[Command], known: &Accounts) -> Self {
        let mut wanted = Self::default();
        for command in commands {
            match command {
                Command::Claim(claim) => {
                    wanted.settlements.insert(claim.key.clone());
                    if let Funds::Free(FreeCall { calls, per }) = claim.funds {
                        let (caller, tool) = (claim.caller.clone(), claim.binding.tool.clone());
                        let since = per.start(claim.now);
                        wanted.calls.insert(Calls { caller, tool, since, most: calls });
                        continue;
                    }
                    let payer = payer(&claim.key, &claim.funds);
                    let payable = AccountName::Payable(claim.binding.tool.server.clone());
                    payer.iter().for_each(|payer| wanted.account(known, payer, &claim.asset));
                    wanted.account(known, &payable, &claim.asset);
                    wanted.budgets.claim(claim);
                }
                Command::Advance(advance) => {
                    wanted.settlements.insert(advance.key.clone());
                }
                Command::Grant(grant) => {
                    wanted.transfers.insert(grant.id);
                    for account in [AccountName::Clearing(grant.from), AccountName::Credit(grant.to.clone())]
                    {
                        wanted.account(known, &account, &grant.asset);
                    }
                }
                Command::Book(transfers) => {
                    for transfer in transfers {
                        wanted.transfers.insert(transfer.id);
                        wanted.transfers.extend(transfer.kind.resolves());
                        wanted.resolutions.extend(transfer.kind.resolves());
                        for account in [&transfer.debit, &transfer.credit] {
                            wanted.account(known, account, &transfer.asset);
                        }
                    }
                }
                Command::Refund(refund) => {
                    wanted.settlements.insert(refund.key.clone());
                    wanted.transfers.insert(refund.id);
                }
                Command::Escrow(command) => {
                    wanted.escrows.insert(match &**command {
                        EscrowCommand::Open(open) => open.id,
                        EscrowCommand::Move(step) => step.id,
                    });
                }
                Command::Payout(command) => match &**command {
                    PayoutCommand::Request(request) => {
                        wanted.payouts.insert(request.id);
                        wanted.payees.insert(request.source.payee());
                        let asset = request.destination.asset();
                        for account in [request.source.account(), request.destination.account()] {
                            wanted.account(known, &account, asset);
                        }
                    }
                    PayoutCommand::Move(step) => {
                        wanted.payouts.insert(step.id);
                    }
                    PayoutCommand::List(change) => {
                        wanted.payees.insert(Payee::Provider(change.provider.clone()));
                    }
                },
                Command::Budget(change) => wanted.budgets.change(change),
                Command::Record { .. } => {}
            }
        }
        wanted
    }

    fn account(&mut self, known: &Accounts, name: &AccountName, asset: &AssetId) {
        if known.get(name, asset).is_none() {
            self.accounts.insert((name.clone(), asset.clone()));
        }
    }

    /// What moving this settlement on will ask for.
    fn of(&mut self, row: &SettlementRow, known: &Accounts) {
        let payable = AccountName::Payable(row.binding.tool.server.clone());
        let payer = payer(&row.key, &row.funds);
        payer.iter().chain([&payable]).for_each(|account| self.account(known, account, &row.asset));
        self.standings.insert(row.caller.clone());
        self.budgets.given_back(row);
    }
}

/// The account that is most likely to pay.
fn payer(key: &PaymentKey, funds: &Funds) -> Option<AccountName> {
    match funds {
        Funds::OnSettlement => Clearing::of(key.rail()).map(AccountName::Clearing),
        Funds::Arrived { holder } => Some(AccountName::Credit(holder.clone())),
        Funds::Credit(principal) => Some(AccountName::Credit(principal.clone())),
        Funds::Free(_) => None,
    }
}

/// What was read beside the accounts, as the last committed batch of any gateway left it. A row that is not there was read as well.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) settlements: HashMap<PaymentKey, Option<Arc<SettlementRow>>>,
    pub(super) transfers: HashMap<TransferId, Option<Transfer>>,
    /// By the transfer that is resolved.
    pub(super) resolutions: HashMap<TransferId, Option<Transfer>>,
    pub(super) standings: HashMap<Principal, Record>,
    pub(super) escrows: HashMap<EscrowId, Option<Arc<EscrowRow>>>,
    pub(super) payouts: HashMap<PayoutId, Option<Arc<PayoutRow>>>,
    pub(super) payees: HashMap<Payee, Option<Arc<PayeeRow>>>,
    pub(super) budgets: budgets::Known,
    pub(super) calls: HashMap<Calls, u64>,
}

/// The last receipt of this gateway's key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) hash: Digest,
}

/// What a batch comes to.
#[derive(Debug)]
pub(super) struct Decided {
    /// The answer to each command, in order.
    pub(super) outcomes: Vec<Result<Outcome, Refusal>>,
    /// What to write.
    pub(super) changes: BatchChanges,
    /// The last receipt, once that is written.
    pub(super) head: Head,
}

/// Decides every command in order.
///
/// # Errors
/// What else has to be read first.
pub(super) fn decide(
    loaded: &Loaded,
    accounts: &Accounts,
    (signer, head): (Option<&Signer>, Head),
    commands: &[Command],
) -> Result<Decided, Box<Wanted>> {
    let mut batch = Batch::default();
    let mut books = View { loaded, accounts, wanted: Wanted::default() };
    let mut chain = Chain { signer, head };
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        // A batch that will be decided anew signs nothing.
        chain.signer = signer.filter(|_| books.wanted.is_empty());
        match batch.apply(&mut books, &mut chain, command) {
            Ok(outcome) => outcomes.push(Ok(outcome)),
            Err(EngineError::Refused(refusal)) => outcomes.push(Err(refusal)),
            Err(EngineError::Books(NotRead)) => {}
        }
    }
    let View { mut wanted, .. } = books;
    if wanted.is_empty() {
        return Ok(Decided { outcomes, changes: batch.take_changes(), head: chain.head });
    }
    for command in commands {
        if let Command::Advance(advance) = command
            && let Some(Some(row)) = loaded.settlements.get(&advance.key)
        {
            wanted.of(row, accounts);
        }
    }
    wanted.standings.retain(|principal| !loaded.standings.contains_key(principal));
    wanted.budgets.forget(&loaded.budgets);
    Err(Box::new(wanted))
}

/// What would keep each of these calls from being claimed, on what was read for them.
///
/// # Errors
/// What else has to be read first.
pub(super) fn foresee(
    loaded: &Loaded,
    asks: &[(Ask, Approvable)],
    now: UnixMillis,
) -> Result<Vec<Option<Barrier>>, Box<budgets::Asked>> {
    let mut books = View { loaded, accounts: &Accounts::default(), wanted: Wanted::default() };
    let nobody = CallId::from_bytes([0; 16]);
    let mut barriers = Vec::with_capacity(asks.len());
    for (ask, wanted) in asks {
        match weigh(&mut books, ask, wanted, nobody, now) {
            Ok(Weighed::Within { .. }) => barriers.push(None),
            Ok(Weighed::Barred(barrier)) => barriers.push(Some(barrier)),
            Err(NotRead) => {}
        }
    }
    let asked = books.wanted.budgets;
    if asked.is_empty() { Ok(barriers) } else { Err(Box::new(asked)) }
}

/// A row that was not read yet; it is noted.
struct NotRead;

impl From<budgets::Missing> for NotRead {
    fn from(_: budgets::Missing) -> Self {
        Self
    }
}

struct View<'a> {
    loaded: &'a Loaded,
    accounts: &'a Accounts,
    wanted: Wanted,
}

impl Books for View<'_> {
    type Error = NotRead;

    fn settlement(&mut self, key: &PaymentKey) -> Result<Option<Arc<SettlementRow>>, NotRead> {
        self.loaded.settlements.get(key).cloned().ok_or_else(|| {
            self.wanted.settlements.insert(key.clone());
            NotRead
        })
    }

    fn balances(&mut self, account: &AccountName, asset: &AssetId) -> Result<Balances, NotRead> {
        self.accounts.get(account, asset).map(|known| known.balances).ok_or_else(|| {
            self.wanted.accounts.insert((account.clone(), asset.clone()));
            NotRead
        })
    }

    fn transfer(&mut self, id: &TransferId) -> Result<Option<Transfer>, NotRead> {
        self.loaded.transfers.get(id).cloned().ok_or_else(|| {
            self.wanted.transfers.insert(*id);
            NotRead
        })
    }

    fn resolution(&mut self, pending: &TransferId) -> Result<Option<Transfer>, NotRead> {
        self.loaded.resolutions.get(pending).cloned().ok_or_else(|| {
            self.wanted.resolutions.insert(*pending);
            NotRead
        })
    }

    fn calls(
        &mut self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> Result<u64, NotRead> {
        let calls = Calls { caller: caller.clone(), tool: tool.clone(), since, most };
        self.loaded.calls.get(&calls).copied().ok_or_else(|| {
            self.wanted.calls.insert(calls);
            NotRead
        })
    }

    fn standing(&mut self, principal: &Principal) -> Result<Record, NotRead> {
        self.loaded.standings.get(principal).copied().ok_or_else(|| {
            self.wanted.standings.insert(principal.clone());
            NotRead
        })
    }

    fn usage(&mut self, counter: &Counter) -> Result<Option<Usage>, NotRead> {
        Ok(self.loaded.budgets.usage(counter, &mut self.wanted.budgets)?)
    }

    fn stops(&mut self) -> Result<Arc<Stops>, NotRead> {
        Ok(self.loaded.budgets.stops(&mut self.wanted.budgets)?)
    }

    fn approval_of(&mut self, wanted: &Approvable) -> Result<Option<Approval>, NotRead> {
        Ok(self.loaded.budgets.approval_of(wanted, &mut self.wanted.budgets)?)
    }

    fn approval(&mut self, id: &ApprovalId) -> Result<Option<Approval>, NotRead> {
        Ok(self.loaded.budgets.approval(id, &mut self.wanted.budgets)?)
    }

    fn waiting(&mut self, caller: &Principal, now: UnixMillis) -> Result<u32, NotRead> {
        Ok(self.loaded.budgets.waiting(caller, now, &mut self.wanted.budgets)?)
    }

    fn escrow(&mut self, id: &EscrowId) -> Result<Option<Arc<EscrowRow>>, NotRead> {
        self.loaded.escrows.get(id).cloned().ok_or_else(|| {
            self.wanted.escrows.insert(*id);
            NotRead
        })
    }

    fn payout(&mut self, id: &PayoutId) -> Result<Option<Arc<PayoutRow>>, NotRead> {
        self.loaded.payouts.get(id).cloned().ok_or_else(|| {
            self.wanted.payouts.insert(*id);
            NotRead
        })
    }

    fn payee(&mut self, payee: &Payee) -> Result<Option<Arc<PayeeRow>>, NotRead> {
        self.loaded.payees.get(payee).cloned().ok_or_else(|| {
            self.wanted.payees.insert(payee.clone());
            NotRead
        })
    }
}

struct Chain<'a> {
    signer: Option<&'a Signer>,
    head: Head,
}

impl Sealer for Chain<'_> {
    fn seal(&mut self, statement: &str) -> Result<Sealed, Refusal> {
        let signer = self.signer.ok_or(Refusal::NoSigner)?;
        let seq = self.head.seq.saturating_add(1);
        let sealed = tollgate_attest::seal(statement, seq, &self.head.hash, signer)
            .map_err(|error| Refusal::Seal(error.to_string()))?;
        self.head = Head { seq, hash: sealed.hash };
        let tollgate_attest::Sealed { envelope, receipt_id: id, hash, .. } = sealed;
        let receipt = SealedReceipt { id, seq, hash, kept: envelope.clone() };
        Ok(Sealed { receipt, envelope })
    }

    fn seal_escrow(&mut self, moved: &EscrowReceipt<'_>) -> Result<Sealed, Refusal> {
        self.seal(&draft(moved))
    }
}
