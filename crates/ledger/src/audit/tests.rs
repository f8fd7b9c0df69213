use super::*;
use crate::{Balances, Funds, arrival_id, hold_id, resolution_id};
use tollgate_domain::{Binding, Caller, Digest, Rail, ReceiptId, ToolRef, UnixMillis};

/// One settled call of 10, one open call of 5, over Lightning; everything in order.
#[derive(Clone)]
struct World {
    transfers: Vec<Transfer>,
    accounts: Vec<AccountBalance>,
    rows: Vec<SettlementRow>,
}

fn asset() -> AssetId {
    "lightning:regtest/msat".parse().unwrap()
}

fn clearing() -> AccountName {
    "clearing:l402".parse().unwrap()
}

fn payable() -> AccountName {
    "payable:demo".parse().unwrap()
}

fn credit(call: u8) -> AccountName {
    AccountName::Credit(Caller::Preimage([call; 32]).principal())
}

fn row(call: u8, units: u128, state: State) -> SettlementRow {
    SettlementRow {
        key: PaymentKey::new(Rail::L402, format!("{call}")).unwrap(),
        attempt: 1,
        call: CallId::from_bytes([call; 16]),
        caller: Caller::Anonymous.principal(),
        payer: Caller::Anonymous.principal(),
        settle: Settle::After,
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: "add".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 1,
            quote: None,
        },
        amount: Amount::new(units),
        asset: asset(),
        funds: Funds::Arrived { holder: Caller::Preimage([call; 32]).principal() },
        proof: "".into(),
        expires: UnixMillis::default(),
        state,
        claimed: UnixMillis::default(),
        updated: UnixMillis::default(),
        result: None,
        reference: None,
        reason: None,
        receipt: Some(ReceiptId::from_bytes([call; 16])),
        refund: None,
        refunded: Amount::ZERO,
        reserved: crate::budget::Reservation::default(),
        splits: Default::default(),
    }
}

fn transfer(
    row: &SettlementRow,
    id: TransferId,
    kind: TransferKind,
    debit: AccountName,
    credit: AccountName,
) -> Transfer {
    Transfer {
        id,
        kind,
        debit,
        credit,
        asset: asset(),
        amount: row.amount,
        call: Some(row.call),
        note: String::new(),
        at: UnixMillis::default(),
        expires: None,
    }
}

fn account(account: AccountName, [dp, d, cp, c]: [u128; 4]) -> AccountBalance {
    let balances = Balances {
        debits_pending: Amount::new(dp),
        debits_posted: Amount::new(d),
        credits_pending: Amount::new(cp),
        credits_posted: Amount::new(c),
    };
    AccountBalance { account, asset: asset(), balances }
}

impl World {
    fn new() -> Self {
        let (paid, open) = (row(1, 10, State::Settled), row(2, 5, State::Unknown));
        let arrived =
            |row, call| transfer(row, arrival_id(&row.key), TransferKind::Posted, clearing(), credit(call));
        let held = |row: &SettlementRow, call| {
            transfer(row, hold_id(&row.call), TransferKind::Pending, credit(call), payable())
        };
        let post = TransferKind::PostPending(hold_id(&paid.call));
        Self {
            transfers: vec![
                arrived(&paid, 1),
                held(&paid, 1),
                transfer(&paid, resolution_id(&paid.call), post, credit(1), payable()),
                arrived(&open, 2),
                held(&open, 2),
            ],
            accounts: vec![
                account(clearing(), [0, 15, 0, 0]),
                account(credit(1), [0, 10, 0, 10]),
                account(credit(2), [5, 0, 0, 5]),
                account(payable(), [0, 0, 5, 10]),
            ],
            rows: vec![paid, open],
        }
    }

    fn audit(&self) -> Vec<Finding> {
        let mut auditor = Auditor::default();
        self.transfers.iter().for_each(|transfer| auditor.transfer(transfer));
        self.accounts.iter().for_each(|account| auditor.account(account));
        self.rows.iter().for_each(|row| auditor.settlement(row));
        auditor.finish()
    }

    /// What the audit finds after `tamper`, where it found nothing before.
    fn after(tamper: impl FnOnce(&mut Self)) -> Vec<Finding> {
        let mut world = Self::new();
        assert_eq!(world.audit(), [], "control");
        tamper(&mut world);
        world.audit()
    }
}

#[test]
fn a_stored_total_that_no_transfer_explains_is_found() {
    let findings = World::after(|world| world.accounts[1].balances.credits_posted = Amount::new(11));
    assert!(findings.contains(&Finding::TotalsDiffer { account: credit(1), asset: asset() }), "{findings:?}");
    assert!(findings.contains(&Finding::OutOfBalance { asset: asset(), totals: "posted" }), "{findings:?}");
    let findings = World::after(|world| world.accounts[2].balances.debits_pending = Amount::ZERO);
    assert!(findings.contains(&Finding::OutOfBalance { asset: asset(), totals: "pending" }), "{findings:?}");
}

#[test]
fn an_account_that_vanished_or_appeared_is_found() {
    let findings = World::after(|world| drop(world.accounts.remove(0)));
    assert!(
        findings.contains(&Finding::TotalsDiffer { account: clearing(), asset: asset() }),
        "{findings:?}"
    );
    let findings = World::after(|world| world.accounts.push(account(credit(9), [0, 0, 0, 1])));
    assert!(findings.contains(&Finding::TotalsDiffer { account: credit(9), asset: asset() }), "{findings:?}");
}

#[test]
fn spending_more_than_arrived_is_found() {
    let findings = World::after(|world| world.transfers[0].amount = Amount::new(9));
    assert!(findings.contains(&Finding::Overdrawn { account: credit(1), asset: asset() }), "{findings:?}");
}

#[test]
fn a_settled_call_without_its_posting_is_found() {
    let paid = CallId::from_bytes([1; 16]);
    let findings = World::after(|world| drop(world.transfers.remove(2)));
    assert!(findings.contains(&Finding::NotPosted(paid)), "{findings:?}");
    assert!(findings.contains(&Finding::OrphanHold(hold_id(&paid))), "{findings:?}");
    let findings = World::after(|world| world.rows[0].amount = Amount::new(11));
    assert!(findings.contains(&Finding::NotPosted(paid)), "{findings:?}");
    let findings = World::after(|world| world.rows[0].asset = "lightning:regtest/sat".parse().unwrap());
    assert!(findings.contains(&Finding::NotPosted(paid)), "another asset: {findings:?}");
    let hold = hold_id(&paid);
    let findings = World::after(|world| world.transfers[2].kind = TransferKind::VoidPending(hold));
    assert!(findings.contains(&Finding::NotPosted(paid)), "{findings:?}");
}

#[test]
fn a_call_that_ended_unpaid_but_was_charged_is_found() {
    for state in [State::Voided, State::Failed] {
        let findings = World::after(|world| world.rows[0].state = state);
        assert_eq!(findings, [Finding::NotReleased(CallId::from_bytes([1; 16]))]);
    }
}

#[test]
fn open_holds_and_open_settlements_belong_together() {
    let open = CallId::from_bytes([2; 16]);
    let findings = World::after(|world| world.rows[1].state = State::Voided);
    assert_eq!(findings, [Finding::OrphanHold(hold_id(&open)), Finding::NotReleased(open)]);
    let findings = World::after(|world| drop(world.rows.remove(1)));
    assert_eq!(findings, [Finding::OrphanHold(hold_id(&open))]);
    let findings = World::after(|world| drop(world.transfers.remove(4)));
    assert!(findings.contains(&Finding::HoldMissing(open)), "{findings:?}");
}

#[test]
fn a_call_whose_money_moved_without_a_receipt_is_found_and_one_that_has_not_ended_needs_none() {
    let missing = |call: u8| Finding::ReceiptMissing(CallId::from_bytes([call; 16]));
    assert_eq!(World::after(|world| world.rows[0].receipt = None), [missing(1)]);
    assert_eq!(World::after(|world| world.rows[1].receipt = None), [], "it has not ended");
    // What was charged in part, and what went back as a whole.
    for (state, then) in [(State::Delivered, payable()), (State::Refunded, credit(7))] {
        let mut auditor = paid_before(state, Some(then));
        let unsealed = SettlementRow { settle: Settle::Before, receipt: None, ..row(7, 10, state) };
        auditor.settlement(&unsealed);
        assert!(auditor.finish().contains(&missing(7)), "{state}");
    }
    // A call that was free took nothing.
    let free = Funds::Free(tollgate_domain::FreeCall { calls: 3, per: tollgate_domain::Period::Day });
    let free = SettlementRow { funds: free, receipt: None, ..row(7, 0, State::Settled) };
    let mut auditor = Auditor::default();
    auditor.settlement(&free);
    assert_eq!(auditor.finish(), []);
}

#[test]
fn a_second_reservation_of_one_call_is_found() {
    let findings = World::after(|world| {
        let mut second = world.transfers[4].clone();
        second.id = TransferId::from_bytes([0xee; 16]);
        world.transfers.push(second);
    });
    assert!(findings.contains(&Finding::OrphanHold(TransferId::from_bytes([0xee; 16]))), "{findings:?}");
}

#[test]
fn a_reservation_that_is_resolved_twice_or_never_was_is_found() {
    let hold = hold_id(&CallId::from_bytes([1; 16]));
    let other = TransferId::from_bytes([0xee; 16]);
    let twice = World::after(|world| {
        let again =
            Transfer { id: other, kind: TransferKind::VoidPending(hold), ..world.transfers[2].clone() };
        world.transfers.push(again);
    });
    assert!(twice.contains(&Finding::ResolvedTwice(hold)), "{twice:?}");
    let nothing = World::after(|world| world.transfers[2].kind = TransferKind::PostPending(other));
    assert!(
        nothing.contains(&Finding::ResolvesNothing(resolution_id(&CallId::from_bytes([1; 16])))),
        "{nothing:?}"
    );
    let more = World::after(|world| world.transfers[2].amount = Amount::new(11));
    assert!(more.iter().any(|finding| matches!(finding, Finding::ResolvesNothing(_))), "{more:?}");
    let less = World::after(|world| world.transfers[2].amount = Amount::new(9));
    assert!(less.contains(&Finding::NotPosted(CallId::from_bytes([1; 16]))), "{less:?}");
}

#[test]
fn a_resolution_of_another_movement_is_found_whatever_differs() {
    let differ: [fn(&mut Transfer); 4] = [
        |posted| posted.debit = credit(9),
        |posted| posted.credit = clearing(),
        |posted| posted.asset = "lightning:regtest/sat".parse().unwrap(),
        |posted| posted.call = None,
    ];
    for differ in differ {
        let findings = World::after(|world| differ(&mut world.transfers[2]));
        let other = Finding::ResolvesNothing(resolution_id(&CallId::from_bytes([1; 16])));
        assert!(findings.contains(&other), "{findings:?}");
    }
}

#[test]
fn a_price_of_which_a_part_was_charged_is_released_or_given_back_for_the_rest() {
    let paid = CallId::from_bytes([1; 16]);
    // Seven of ten are charged, and three are released.
    let mut world = World::new();
    world.rows[0].refunded = Amount::new(3);
    world.transfers[2].amount = Amount::new(7);
    world.accounts[1] = account(credit(1), [0, 7, 0, 10]);
    world.accounts[3] = account(payable(), [0, 0, 5, 7]);
    assert_eq!(world.audit(), [], "control");
    let after = |tamper: fn(&mut World)| {
        let mut world = world.clone();
        tamper(&mut world);
        world.audit()
    };
    for refunded in [2, 4] {
        let mut other = world.clone();
        other.rows[0].refunded = Amount::new(refunded);
        assert!(!other.audit().is_empty(), "{refunded}");
    }
    let voided = after(|world| world.rows[0].refunded = Amount::ZERO);
    assert!(voided.contains(&Finding::NotPosted(paid)), "{voided:?}");
    // Before the money has moved nothing is back, though it is known what will be.
    assert_eq!(after(|world| world.rows[1].refunded = Amount::new(2)), []);
}

#[test]
fn one_id_twice_and_one_key_twice_are_found() {
    let findings = World::after(|world| {
        let again = world.transfers[0].clone();
        world.transfers.push(again);
    });
    assert!(findings.iter().any(|finding| matches!(finding, Finding::DuplicateTransfer(_))), "{findings:?}");
    let findings = World::after(|world| world.rows[1].key = world.rows[0].key.clone());
    assert_eq!(findings, [Finding::SpentTwice(PaymentKey::new(Rail::L402, "1").unwrap())]);
}

/// A call that was paid before its tool ran, with what was earned or went back so far.
fn paid_before(state: State, then: Option<AccountName>) -> Auditor {
    let settled = SettlementRow { settle: Settle::Before, refunded: Amount::ZERO, ..row(7, 10, state) };
    let unearned = AccountName::Unearned("demo".parse().unwrap());
    let taken = Transfer {
        id: hold_id(&settled.call),
        kind: TransferKind::Pending,
        debit: clearing(),
        credit: unearned.clone(),
        asset: asset(),
        amount: settled.amount,
        call: Some(settled.call),
        note: String::new(),
        at: UnixMillis::default(),
        expires: None,
    };
    let posted = Transfer {
        id: resolution_id(&settled.call),
        kind: TransferKind::PostPending(taken.id),
        ..taken.clone()
    };
    let mut auditor = Auditor::default();
    auditor.transfer(&taken);
    auditor.transfer(&posted);
    let refunded = if matches!(then, Some(AccountName::Credit(_))) { settled.amount } else { Amount::ZERO };
    if let Some(credit) = then {
        let id = crate::earned_id(&settled.call);
        auditor.transfer(&Transfer { id, kind: TransferKind::Posted, debit: unearned, credit, ..taken });
    }
    auditor.settlement(&SettlementRow { refunded, ..settled });
    auditor
}

#[test]
fn money_that_was_taken_before_is_where_the_state_says() {
    let of = |auditor: Auditor| -> Vec<Finding> {
        let differs = |finding: &Finding| !matches!(finding, Finding::TotalsDiffer { .. });
        auditor.finish().into_iter().filter(differs).collect()
    };
    let call = CallId::from_bytes([7; 16]);
    for (state, then) in [
        (State::Executing, None),
        (State::RefundDue, None),
        (State::Delivered, Some(payable())),
        (State::Refunded, Some(credit(7))),
    ] {
        assert_eq!(of(paid_before(state, then)), [], "{state}: control");
    }
    for (state, then) in [
        (State::Executing, Some(payable())),
        (State::Delivered, None),
        (State::Refunded, None),
        (State::RefundDue, Some(credit(7))),
    ] {
        assert_eq!(of(paid_before(state, then)), [Finding::NotEarned(call)], "{state}");
    }
    let mut more = paid_before(State::Refunded, Some(credit(7)));
    more.settlement(&SettlementRow { settle: Settle::Before, ..row(7, 10, State::Refunded) });
    assert!(of(more).contains(&Finding::NotRefunded(call)), "the row says that nothing went back");
}
