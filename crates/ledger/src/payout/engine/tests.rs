//! Payouts on real books: what is asked for, who is let in, and that nothing leaves twice whatever happens.

use std::slice;

use proptest::prelude::*;
use tollgate_domain::{AdminKeyId, AssetId, CallId, Caller, KeyId, PayoutId, Principal, TransferId};

use super::*;
use crate::audit::{Auditor, Finding};
use crate::memory::Memory;
use crate::payout::{PayoutLimits, PayoutRail, ProviderName, credit_payout_id_for, payout_id_for};
use crate::{AccountName, Balances, Clearing, Command, Outcome};

impl Memory {
    fn carry_out(&mut self, command: PayoutCommand) -> Result<PayoutAnswer, PayoutRefusal> {
        match self.commit(&[Command::Payout(Box::new(command))]).remove(0) {
            Ok(Outcome::Payout(answer)) => Ok(answer),
            Err(Refusal::Payout(refusal)) => Err(*refusal),
            other => panic!("{other:?}"),
        }
    }

    fn request(&mut self, request: RequestPayout) -> Result<Arc<PayoutRow>, PayoutRefusal> {
        match self.carry_out(PayoutCommand::Request(request))? {
            PayoutAnswer::Payout { row, .. } => Ok(row),
            PayoutAnswer::Listed(_) => panic!("another answer"),
        }
    }

    fn move_on(&mut self, id: PayoutId, by: Actor, event: PayoutEvent) -> Result<PayoutState, PayoutRefusal> {
        let step = MovePayout { id, by, event, expected: None, now: at(COOL + 5) };
        match self.carry_out(PayoutCommand::Move(step))? {
            PayoutAnswer::Payout { row, .. } => Ok(row.state),
            PayoutAnswer::Listed(_) => panic!("another answer"),
        }
    }

    fn list(&mut self, change: ListChange, now: u64) -> Arc<PayeeRow> {
        let change = ChangeList { provider: acme(), change, now: at(now) };
        match self.carry_out(PayoutCommand::List(change)).unwrap() {
            PayoutAnswer::Listed(row) => row,
            PayoutAnswer::Payout { .. } => panic!("another answer"),
        }
    }

    /// Books what came from the chain.
    fn arrived(&mut self, id: u8, credit: AccountName, amount: u128) {
        let arrived = Transfer {
            id: TransferId::from_bytes([id; 16]),
            kind: TransferKind::Posted,
            debit: AccountName::Clearing(Clearing::X402),
            credit,
            asset: asset(),
            amount: Amount::new(amount),
            call: None,
            note: "arrived".to_owned(),
            at: at(0),
            expires: None,
        };
        assert!(self.commit(&[Command::Book(vec![arrived])])[0].is_ok());
    }

    fn wallet_has(&self, digit: char) -> Balances {
        self.totals[&(AccountName::Credit(wallet(digit)), asset())]
    }

    fn payable(&self) -> Balances {
        self.totals[&(payable(), asset())]
    }
}

const COOL: u64 = 1_000;
const EARNED: u128 = 10_000;

fn at(millis: u64) -> UnixMillis {
    UnixMillis::new(millis)
}

fn asset() -> AssetId {
    "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse().unwrap()
}

fn acme() -> ProviderName {
    "acme".parse().unwrap()
}

fn who(byte: u8) -> Principal {
    Caller::ApiKey(KeyId::from_bytes([byte; 16])).principal()
}

fn payable() -> AccountName {
    AccountName::Payable("weather".parse().unwrap())
}

fn destination(digit: char) -> Destination {
    let to = format!("0x{}", digit.to_string().repeat(40));
    Destination::new(PayoutRail::Evm, asset(), &to).unwrap()
}

fn limits() -> PayoutLimits {
    PayoutLimits {
        cool_off_ms: COOL,
        least: Amount::new(10),
        per_payout: Amount::new(4_000),
        per_day: Amount::new(6_000),
        approve_above: None,
    }
}

fn earnings(provider: ProviderName) -> Source {
    Source::Earned { provider, server: "weather".parse().unwrap(), by: who(1) }
}

/// What a server of the provider has earned, asked for by this one.
fn by(key: u8, server: &str) -> Source {
    Source::Earned { provider: acme(), server: server.parse().unwrap(), by: who(key) }
}

/// The wallet whose address is made of this digit.
fn wallet(digit: char) -> Principal {
    destination(digit).wallet().unwrap()
}

/// Credit of a wallet, back to the wallet.
fn credit(digit: char, key: &str, amount: u128) -> RequestPayout {
    RequestPayout {
        id: credit_payout_id_for(&wallet(digit), key),
        source: Source::Credit { wallet: wallet(digit), by: None },
        destination: destination(digit),
        ..request(key, amount)
    }
}

fn request(key: &str, amount: u128) -> RequestPayout {
    RequestPayout {
        id: payout_id_for(&who(1), key, None),
        source: earnings(acme()),
        destination: destination('a'),
        amount: Amount::new(amount),
        invoice: None,
        of_key: None,
        limits: limits(),
        now: at(COOL),
    }
}

fn provider() -> Actor {
    Actor::Provider { provider: acme(), principal: who(1) }
}

fn submit() -> PayoutEvent {
    PayoutEvent::Submit { instruction: "sign".to_owned() }
}

fn settled() -> PayoutEvent {
    PayoutEvent::Settled { reference: "0xabc".to_owned() }
}

/// Earnings on the account, and a destination that was listed at the beginning of time.
fn books() -> Memory {
    let mut memory = Memory::default();
    memory.arrived(7, payable(), EARNED);
    memory.list(ListChange::Configured(vec![destination('a')]), 0);
    memory
}

#[test]
fn a_payout_is_reserved_with_the_request_and_leaves_the_books_once_it_is_settled() {
    let mut books = books();
    let row = books.request(request("one", 3_000)).unwrap();
    assert_eq!(row.state, PayoutState::Held);
    assert_eq!(books.payable().debits_pending, Amount::new(3_000));
    assert_eq!(books.move_on(row.id, Actor::Gateway, submit()), Ok(PayoutState::Submitted));
    let doubt = PayoutEvent::Unknown { evidence: "timed out".to_owned() };
    assert_eq!(books.move_on(row.id, Actor::Gateway, doubt), Ok(PayoutState::Unknown));
    assert_eq!(books.payable().debits_pending, Amount::new(3_000), "unknown is not failed");
    assert_eq!(books.move_on(row.id, Actor::Gateway, settled()), Ok(PayoutState::Settled));
    assert_eq!(
        (books.payable().debits_pending, books.payable().debits_posted),
        (Amount::ZERO, Amount::new(3_000))
    );
    assert!(books.move_on(row.id, Actor::Gateway, settled()).is_err(), "once");
    assert_eq!(books.findings(), []);
}

#[test]
fn p21_an_unlisted_destination_is_refused_and_a_listed_one_is_not() {
    let mut books = books();
    let before = books.clone();
    let unlisted = RequestPayout { destination: destination('b'), ..request("one", 100) };
    assert_eq!(books.request(unlisted), Err(PayoutRefusal::Unlisted(acme())));
    assert_eq!(books, before, "refused means no effect");
    let other = RequestPayout { source: earnings("other".parse().unwrap()), ..request("one", 100) };
    assert!(matches!(books.request(other), Err(PayoutRefusal::Unlisted(_))), "a list is its provider's own");
    assert!(books.request(request("one", 100)).is_ok(), "control");
}

#[test]
fn p21_a_destination_cools_off_from_when_it_was_first_listed() {
    let mut books = books();
    books.list(ListChange::Add(destination('b'), ListedBy::Operator(None)), 500);
    // Listed again, by a reload: the moment stays.
    books.list(ListChange::Configured(vec![destination('a'), destination('b')]), 900);
    let to_b = |now| RequestPayout { destination: destination('b'), now: at(now), ..request("one", 100) };
    let until = at(500 + COOL);
    assert_eq!(books.request(to_b(500 + COOL - 1)), Err(PayoutRefusal::CoolingOff { until }));
    assert!(books.request(to_b(500 + COOL)).is_ok(), "control: at the moment");
    // Taken off, by a reload that has it no more, and listed again: it begins anew.
    books.list(ListChange::Configured(vec![]), 2_000);
    assert!(
        books.payees[&Payee::Provider(acme())].listed(&destination('b')).is_some(),
        "an operator's stays"
    );
    assert!(books.payees[&Payee::Provider(acme())].listed(&destination('a')).is_none());
    books.list(ListChange::Configured(vec![destination('a')]), 2_500);
    let again = RequestPayout { now: at(2_600), ..request("two", 100) };
    assert_eq!(books.request(again), Err(PayoutRefusal::CoolingOff { until: at(2_500 + COOL) }));
}

#[test]
fn p21_limits_hold_at_once_and_per_day_and_what_came_to_nothing_does_not_count() {
    let mut books = books();
    let refused = |books: &mut Memory, key, amount| books.request(request(key, amount)).unwrap_err();
    assert_eq!(refused(&mut books, "a", 9), PayoutRefusal::TooSmall { least: Amount::new(10) });
    let above = PayoutRefusal::AboveLimit { per: "at once", left: Amount::new(4_000) };
    assert_eq!(refused(&mut books, "a", 4_001), above);
    let first = books.request(request("a", 4_000)).unwrap();
    let above = PayoutRefusal::AboveLimit { per: "per day", left: Amount::new(2_000) };
    assert_eq!(refused(&mut books, "b", 2_001), above);
    assert!(books.request(request("b", 2_000)).is_ok(), "control: exactly what is left");
    let tomorrow = RequestPayout { now: at(COOL + DAY_MS), ..request("c", 4_000) };
    assert!(books.clone().request(tomorrow).is_ok(), "a day later it counts no more");
    books.move_on(first.id, provider(), PayoutEvent::Cancel).unwrap();
    assert!(books.request(request("c", 4_000)).is_ok(), "what was given up does not count");
    assert_eq!(books.findings(), []);
}

#[test]
fn p21_a_clock_that_was_ahead_and_goes_back_makes_no_room_within_a_day() {
    let mut books = books();
    let at_hour = |key, amount, hours: u64| RequestPayout {
        now: at(COOL + hours * DAY_MS / 24),
        ..request(key, amount)
    };
    books.request(request("a", 4_000)).unwrap();
    // A day ahead, where the first one counts no more; then back again, where it does.
    books.request(at_hour("b", 1_000, 25)).unwrap();
    let above = PayoutRefusal::AboveLimit { per: "per day", left: Amount::new(1_000) };
    assert_eq!(books.request(at_hour("c", 1_001, 12)), Err(above));
    assert!(books.request(at_hour("c", 1_000, 12)).is_ok(), "control: exactly what is left");
    // What is two days old is not kept for ever.
    let later = at_hour("d", 4_000, 49);
    let (id, first) = (later.id, payout_id_for(&who(1), "a", None));
    books.request(later).unwrap();
    let counted: Vec<_> =
        books.payees[&Payee::Provider(acme())].counted.iter().map(|counted| counted.payout).collect();
    assert!(counted.contains(&id) && !counted.contains(&first), "{counted:?}");
}

#[test]
fn p21_no_more_than_is_there_is_paid_out() {
    let mut books = books();
    let wide = |key, amount| RequestPayout {
        limits: PayoutLimits {
            per_payout: Amount::new(u128::MAX),
            per_day: Amount::new(u128::MAX),
            ..limits()
        },
        ..request(key, amount)
    };
    books.request(wide("a", 6_000)).unwrap();
    let funds = PayoutRefusal::Funds { available: Amount::new(4_000), needed: Amount::new(4_001) };
    assert_eq!(books.request(wide("b", 4_001)), Err(funds));
    assert!(books.request(wide("b", 4_000)).is_ok(), "control");
}

#[test]
fn p21_a_replayed_request_is_the_same_payout_and_another_one_under_its_key_is_refused() {
    let mut books = books();
    let first = books.request(request("one", 100)).unwrap();
    let later = RequestPayout { now: at(COOL + 77), ..request("one", 100) };
    assert_eq!(books.request(later).unwrap(), first);
    assert_eq!(books.payable().debits_pending, Amount::new(100), "reserved once");
    assert_eq!(books.request(request("one", 101)), Err(PayoutRefusal::KeyReused(first.id)));
    let stranger = RequestPayout {
        id: payout_id_for(&who(2), "one", None),
        source: by(2, "weather"),
        ..request("one", 101)
    };
    assert!(books.request(stranger).is_ok(), "a key is its caller's own");
    let hash = [5; 32];
    assert_eq!(payout_id_for(&who(1), "a", Some(&hash)), payout_id_for(&who(2), "b", Some(&hash)));
}

#[test]
fn p21_a_key_is_reused_by_whatever_differs_from_its_first_request() {
    let mut books = books();
    books.list(ListChange::Configured(vec![destination('a'), destination('b')]), 0);
    let first = books.request(request("one", 100)).unwrap();
    let others = [
        RequestPayout { source: earnings("other".parse().unwrap()), ..request("one", 100) },
        RequestPayout { source: by(1, "maps"), ..request("one", 100) },
        RequestPayout { source: by(2, "weather"), ..request("one", 100) },
        RequestPayout { source: Source::Credit { wallet: wallet('a'), by: None }, ..request("one", 100) },
        RequestPayout { destination: destination('b'), ..request("one", 100) },
        RequestPayout { amount: Amount::new(99), ..request("one", 100) },
        RequestPayout { invoice: Some("lnbcrt1".into()), ..request("one", 100) },
    ];
    for other in others {
        assert_eq!(books.request(other.clone()), Err(PayoutRefusal::KeyReused(first.id)), "{other:?}");
    }
    assert_eq!(books.request(request("one", 100)), Ok(first), "control");
}

#[test]
fn p21_exactly_the_least_is_paid_out_and_never_nothing() {
    let mut books = books();
    let least = |units| PayoutLimits { least: Amount::new(units), ..limits() };
    assert!(books.request(request("a", 10)).is_ok());
    let nothing = RequestPayout { limits: least(0), ..request("b", 0) };
    assert_eq!(books.request(nothing), Err(PayoutRefusal::TooSmall { least: Amount::new(1) }));
    assert!(books.request(RequestPayout { limits: least(0), ..request("b", 1) }).is_ok(), "control");
}

#[test]
fn p21_what_is_taken_off_a_list_is_off_it_and_nothing_else_is() {
    let mut books = books();
    let many = |count: usize| -> Vec<Destination> {
        let to = |number| Destination::new(PayoutRail::Evm, asset(), &format!("0x{number:040x}")).unwrap();
        (0..count).map(to).collect()
    };
    let full = PayoutRefusal::Full { what: "destinations", max: DESTINATIONS_MAX };
    for count in [DESTINATIONS_MAX + 1, DESTINATIONS_MAX + 2] {
        let change = ListChange::Configured(many(count));
        let refused =
            books.carry_out(PayoutCommand::List(ChangeList { provider: acme(), change, now: at(1) }));
        assert_eq!(refused, Err(full.clone()), "{count}");
    }
    let listed = books.list(ListChange::Configured(many(DESTINATIONS_MAX)), 1);
    assert_eq!(listed.destinations.len(), DESTINATIONS_MAX, "control");
    let (gone, stays) = (many(2).remove(1), many(1).remove(0));
    let listed = books.list(ListChange::Remove(gone.clone()), 2);
    assert_eq!(listed.destinations.len(), DESTINATIONS_MAX - 1);
    assert!(listed.listed(&gone).is_none() && listed.listed(&stays).is_some());
    let later = at(2 + COOL);
    let to = |key, destination| RequestPayout { destination, now: later, ..request(key, 100) };
    assert_eq!(books.request(to("one", gone)), Err(PayoutRefusal::Unlisted(acme())));
    assert!(books.request(to("two", stays)).is_ok(), "control");
}

#[test]
fn whoever_listed_a_destination_and_whoever_acts_have_one_text_form() {
    let key = tollgate_domain::AdminKeyId::from_bytes([3; 16]);
    for by in [ListedBy::Config, ListedBy::Operator(None), ListedBy::Operator(Some(key))] {
        assert_eq!(by.to_string().parse(), Ok(by), "{by}");
    }
    assert_eq!(ListedBy::Config.to_string(), "config");
    for actor in [Actor::Gateway, Actor::Operator(None), Actor::Operator(Some(key))] {
        assert_eq!(actor.to_string().parse(), Ok(actor.clone()), "{actor}");
    }
    assert_eq!(provider().to_string(), who(1).to_string());
    assert!("service".parse::<ListedBy>().is_err() && "service".parse::<Actor>().is_err());
}

#[test]
fn p21_a_large_payout_waits_for_the_operator_whose_word_counts_once() {
    let mut books = books();
    let large = |amount| RequestPayout {
        limits: PayoutLimits { approve_above: Some(Amount::new(1_000)), ..limits() },
        ..request(&format!("{amount}"), amount)
    };
    assert_eq!(books.request(large(1_000)).unwrap().state, PayoutState::Held, "control");
    let row = books.request(large(1_001)).unwrap();
    assert_eq!(row.state, PayoutState::Requested);
    assert!(books.move_on(row.id, Actor::Gateway, submit()).is_err(), "nothing goes before the word");
    assert!(books.move_on(row.id, provider(), PayoutEvent::Approve).is_err(), "maker is not checker");
    let operator = || Actor::Operator(None);
    assert_eq!(books.move_on(row.id, operator(), PayoutEvent::Approve), Ok(PayoutState::Held));
    assert!(books.move_on(row.id, operator(), PayoutEvent::Approve).is_err(), "once");
    assert_eq!(books.payouts[&row.id].approved.as_deref(), Some("operator"));
}

#[test]
fn f42_what_was_decided_on_an_older_look_is_refused() {
    let mut books = books();
    let row = books.request(request("one", 100)).unwrap();
    books.move_on(row.id, Actor::Gateway, submit()).unwrap();
    let failed = |expected| {
        let event = PayoutEvent::Failed { reason: "expired".to_owned() };
        let step =
            MovePayout { id: row.id, by: Actor::Gateway, event, expected: Some(expected), now: at(COOL + 9) };
        PayoutCommand::Move(step)
    };
    assert!(books.carry_out(failed(row.version)).is_err(), "another gateway has submitted it since");
    assert!(books.carry_out(failed(row.version + 1)).is_ok(), "control");
}

#[test]
fn p21_another_provider_finds_no_payout() {
    let mut books = books();
    let row = books.request(request("one", 100)).unwrap();
    let stranger = Actor::Provider { provider: "other".parse().unwrap(), principal: who(1) };
    let refused = books.move_on(row.id, stranger, PayoutEvent::Cancel);
    assert_eq!(refused, Err(PayoutRefusal::NotFound(row.id)));
    assert_eq!(books.move_on(row.id, provider(), PayoutEvent::Cancel), Ok(PayoutState::Cancelled), "control");
}

#[test]
fn the_auditor_finds_a_payout_whose_reservation_is_another_and_one_without() {
    let mut books = books();
    let row = books.request(request("one", 100)).unwrap();
    assert_eq!(books.findings(), [], "control");
    let mut larger = PayoutRow::clone(&row);
    larger.amount = Amount::new(101);
    let mut wrong = books.clone();
    wrong.payouts.insert(row.id, Arc::new(larger));
    assert_eq!(wrong.findings(), [Finding::PayoutDiffers(row.id)]);
    let mut ended = PayoutRow::clone(&row);
    ended.state = PayoutState::Settled;
    wrong.payouts.insert(row.id, Arc::new(ended));
    assert_eq!(wrong.findings(), [Finding::PayoutDiffers(row.id)], "settled, and nothing was posted");
    wrong.payouts.clear();
    assert_eq!(wrong.findings(), [Finding::PayoutMissing(hold_of(&row.id))]);
}

/// What the auditor finds about payouts alone: the accounts are not shown to it.
fn audited(transfers: &[Transfer], rows: &[PayoutRow]) -> Vec<Finding> {
    let mut auditor = Auditor::default();
    transfers.iter().for_each(|transfer| auditor.transfer(transfer));
    rows.iter().for_each(|row| auditor.payout(row));
    let is_of_payouts =
        |finding: &Finding| matches!(finding, Finding::PayoutDiffers(_) | Finding::PayoutMissing(_));
    auditor.finish().into_iter().filter(is_of_payouts).collect()
}

/// A payout of 100 that is held, and what reserves it.
fn held() -> (PayoutRow, Transfer) {
    let mut books = books();
    let row = PayoutRow::clone(&books.request(request("one", 100)).unwrap());
    let hold = books.transfers.iter().find(|transfer| transfer.id == hold_of(&row.id)).unwrap().clone();
    (row, hold)
}

#[test]
fn the_auditor_finds_a_reservation_of_another_account_asset_amount_or_call() {
    let (row, hold) = held();
    assert_eq!(audited(slice::from_ref(&hold), slice::from_ref(&row)), [], "control");
    let others = [
        Transfer { debit: "payable:other".parse().unwrap(), ..hold.clone() },
        Transfer { credit: AccountName::Clearing(Clearing::L402), ..hold.clone() },
        Transfer { asset: "lightning:regtest/msat".parse().unwrap(), ..hold.clone() },
        Transfer { amount: Amount::new(99), ..hold.clone() },
        Transfer { call: Some(CallId::from_bytes([1; 16])), ..hold.clone() },
    ];
    for other in others {
        assert_eq!(
            audited(slice::from_ref(&other), slice::from_ref(&row)),
            [Finding::PayoutDiffers(row.id)],
            "{other:?}"
        );
    }
    assert_eq!(audited(&[], slice::from_ref(&row)), [Finding::PayoutDiffers(row.id)], "and none at all");
}

#[test]
fn the_auditor_finds_a_payout_whose_money_did_not_go_the_way_of_its_state() {
    use PayoutState::{Cancelled, Failed, Held, Requested, Settled, Submitted, Unknown};
    let (row, hold) = held();
    let resolved = |kind, amount| {
        let amount = Amount::new(amount);
        vec![hold.clone(), Transfer { id: release_of(&row.id), kind, amount, ..hold.clone() }]
    };
    let (post, void) = (TransferKind::PostPending(hold.id), TransferKind::VoidPending(hold.id));
    let open = vec![hold.clone()];
    let ways = [open, resolved(post, 100), resolved(post, 99), resolved(void, 100)];
    for (states, right) in
        [([Requested, Held, Submitted, Unknown].as_slice(), 0), (&[Settled], 1), (&[Failed, Cancelled], 3)]
    {
        for state in states {
            let row = PayoutRow { state: *state, ..row.clone() };
            for (way, transfers) in ways.iter().enumerate() {
                let found = audited(transfers, slice::from_ref(&row));
                let expected = if way == right { vec![] } else { vec![Finding::PayoutDiffers(row.id)] };
                assert_eq!(found, expected, "{state} with {transfers:?}");
            }
        }
    }
}

#[test]
fn the_auditor_finds_earnings_that_leave_without_a_payout_and_nothing_else_of_the_kind() {
    let (row, hold) = held();
    assert_eq!(audited(slice::from_ref(&hold), &[]), [Finding::PayoutMissing(hold.id)]);
    let id = TransferId::from_bytes([9; 16]);
    let second = Transfer { id, ..hold.clone() };
    assert_eq!(audited(&[hold.clone(), second], &[row]), [Finding::PayoutMissing(id)], "beside a known one");
    for other in [
        Transfer { call: Some(CallId::from_bytes([1; 16])), ..hold.clone() },
        Transfer { debit: AccountName::Credit(who(1)), credit: AccountName::Credit(who(2)), ..hold.clone() },
        Transfer { kind: TransferKind::Posted, ..hold.clone() },
    ] {
        assert_eq!(audited(slice::from_ref(&other), &[]), [], "{other:?}");
    }
}

#[test]
fn the_auditor_finds_sandbox_money_that_moves_without_a_payout() {
    let mut books = books();
    let wallet = Destination::new(PayoutRail::Sandbox, asset(), destination('a').to()).unwrap();
    books.list(ListChange::Configured(vec![wallet.clone()]), 0);
    let row = books.request(RequestPayout { destination: wallet, ..request("one", 100) }).unwrap();
    assert_eq!(books.findings(), [], "control");
    let missing = [Finding::PayoutMissing(hold_of(&row.id))];
    let mut wrong = books.clone();
    wrong.payouts.clear();
    assert_eq!(wrong.findings(), missing, "reserved");
    for event in [submit(), settled()] {
        books.move_on(row.id, Actor::Gateway, event).unwrap();
    }
    assert_eq!(books.findings(), [], "control");
    books.payouts.clear();
    assert_eq!(books.findings(), missing, "and settled");
}

/// The wallets `c` and `d` have credit of 3,000 each.
fn with_credit() -> Memory {
    let mut books = books();
    for (id, digit) in [(8, 'c'), (9, 'd')] {
        books.arrived(id, AccountName::Credit(wallet(digit)), CREDIT);
    }
    books
}

const CREDIT: u128 = 3_000;

#[test]
fn p21_credit_of_a_wallet_goes_back_to_the_wallet_once_without_a_list() {
    let mut books = with_credit();
    let row = books.request(credit('c', "one", 1_000)).unwrap();
    assert_eq!((row.state, row.source.asked_by().as_str()), (PayoutState::Held, "operator"));
    assert_eq!(
        (books.wallet_has('c').debits_pending, books.wallet_has('c').debits_posted),
        (Amount::new(1_000), Amount::ZERO)
    );
    // Another operator who asks for the same asks for this one.
    let again = Source::Credit { wallet: wallet('c'), by: Some(AdminKeyId::from_bytes([3; 16])) };
    let again = RequestPayout { source: again, now: at(COOL + 7), ..credit('c', "one", 1_000) };
    assert_eq!(books.request(again), Ok(Arc::clone(&row)));
    assert_eq!(books.request(credit('c', "one", 1_001)), Err(PayoutRefusal::KeyReused(row.id)));
    assert_ne!(credit('d', "one", 1).id, row.id, "a word is meant for one wallet");
    for event in [submit(), PayoutEvent::Unknown { evidence: "timed out".to_owned() }, settled()] {
        books.move_on(row.id, Actor::Gateway, event).unwrap();
        assert_eq!(books.findings(), []);
    }
    assert!(books.move_on(row.id, Actor::Gateway, settled()).is_err(), "once");
    assert_eq!(
        (books.wallet_has('c').debits_pending, books.wallet_has('c').debits_posted),
        (Amount::ZERO, Amount::new(1_000))
    );
    assert_eq!(books.wallet_has('d').available(), Some(Amount::new(CREDIT)), "another wallet's is its own");
}

#[test]
fn p21_credit_of_a_wallet_goes_nowhere_but_to_its_own_address_on_a_chain() {
    let mut books = with_credit();
    let on = |rail, to: &str| Destination::new(rail, asset(), to).unwrap();
    let elsewhere = [
        // Listed for a provider, which is nothing to credit.
        destination('a'),
        destination('d'),
        on(PayoutRail::Lightning, &format!("02{}", "a".repeat(64))),
        // There it is the wallet's balance already.
        on(PayoutRail::Sandbox, destination('c').to()),
    ];
    let before = books.clone();
    for destination in elsewhere {
        let refused =
            books.request(RequestPayout { destination: destination.clone(), ..credit('c', "one", 100) });
        assert!(matches!(refused, Err(PayoutRefusal::Unpayable(_))), "{destination}: {refused:?}");
    }
    assert_eq!(books, before, "refused means no effect");
    assert!(books.request(credit('c', "one", 100)).is_ok(), "control");
}

#[test]
fn p21_credit_has_limits_of_its_own_over_all_wallets_and_no_more_than_there_is_goes_back() {
    let mut books = with_credit();
    let funds = PayoutRefusal::Funds { available: Amount::new(CREDIT), needed: Amount::new(CREDIT + 1) };
    assert_eq!(books.request(credit('c', "a", CREDIT + 1)), Err(funds));
    let at_once = PayoutRefusal::AboveLimit { per: "at once", left: Amount::new(4_000) };
    assert_eq!(books.request(credit('c', "a", 4_001)), Err(at_once));
    assert_eq!(books.request(credit('c', "a", 9)), Err(PayoutRefusal::TooSmall { least: Amount::new(10) }));
    // What a provider was paid counts for the provider.
    books.request(request("one", 4_000)).unwrap();
    let row = books.request(credit('c', "a", CREDIT)).unwrap();
    let dear = |limits| RequestPayout { limits, ..credit('d', "a", CREDIT) };
    let five = PayoutLimits { per_day: Amount::new(5_000), ..limits() };
    let per_day = PayoutRefusal::AboveLimit { per: "per day", left: Amount::new(2_000) };
    assert_eq!(books.request(dear(five.clone())), Err(per_day), "of another wallet");
    books.move_on(row.id, Actor::Operator(None), PayoutEvent::Cancel).unwrap();
    let waits = PayoutLimits { approve_above: Some(Amount::new(CREDIT - 1)), ..five };
    assert_eq!(
        books.request(dear(waits)).unwrap().state,
        PayoutState::Requested,
        "control: what was given up does not count"
    );
    assert_eq!(books.findings(), []);
}

#[test]
fn p21_no_provider_gives_credit_of_a_wallet_up() {
    let mut books = with_credit();
    let row = books.request(credit('c', "one", 100)).unwrap();
    assert_eq!(books.move_on(row.id, provider(), PayoutEvent::Cancel), Err(PayoutRefusal::NotFound(row.id)));
    let operator = Actor::Operator(None);
    assert_eq!(books.move_on(row.id, operator, PayoutEvent::Cancel), Ok(PayoutState::Cancelled), "control");
    assert_eq!(books.wallet_has('c').available(), Some(Amount::new(CREDIT)));
}

#[test]
fn the_auditor_finds_credit_that_goes_elsewhere_or_without_a_payout() {
    let mut books = with_credit();
    let row = PayoutRow::clone(&books.request(credit('c', "one", 100)).unwrap());
    let hold = books.transfers.iter().find(|transfer| transfer.id == hold_of(&row.id)).unwrap().clone();
    assert_eq!(audited(slice::from_ref(&hold), slice::from_ref(&row)), [], "control");
    let differs = [Finding::PayoutDiffers(row.id)];
    let of_other = Transfer { debit: AccountName::Credit(wallet('d')), ..hold.clone() };
    assert_eq!(audited(slice::from_ref(&of_other), slice::from_ref(&row)), differs, "of another wallet");
    let elsewhere = PayoutRow { destination: destination('d'), ..row };
    assert_eq!(audited(slice::from_ref(&hold), slice::from_ref(&elsewhere)), differs, "to another wallet");
    assert_eq!(audited(slice::from_ref(&hold), &[]), [Finding::PayoutMissing(hold.id)]);
    let stays = Transfer { credit: AccountName::Credit(wallet('d')), ..hold };
    assert_eq!(audited(slice::from_ref(&stays), &[]), [], "a reservation between callers is no payout");
}

#[derive(Clone, Debug)]
enum Op {
    Ask(u8, u128),
    Back(u8, bool, u128),
    Step(u8, u8, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0_u8..6, 0_u128..5_000).prop_map(|(key, amount)| Op::Ask(key, amount)),
        (6_u8..9, any::<bool>(), 0_u128..2_000)
            .prop_map(|(key, is_other, amount)| Op::Back(key, is_other, amount)),
        (0_u8..9, 0_u8..6, 0_u8..3).prop_map(|(key, event, actor)| Op::Step(key, event, actor)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever is asked for in whatever order, and however it is cut into commits: what is settled and reserved is never more
    /// than what was earned, every payout has its own reservation, and the auditor finds nothing.
    #[test]
    fn nothing_leaves_twice_whatever_happens(ops in proptest::collection::vec(op(), 1..60), together in 1_usize..5) {
        let mut books = with_credit();
        let id = |key: u8| match key {
            0..6 => payout_id_for(&who(1), &key.to_string(), None),
            // One word for both wallets: the second one that comes differs.
            _ => credit('c', &key.to_string(), 1).id,
        };
        let commands: Vec<Command> = ops.iter().map(|op| Command::Payout(Box::new(match *op {
            Op::Ask(key, amount) => PayoutCommand::Request(request(&key.to_string(), amount)),
            Op::Back(key, is_other, amount) => {
                let digit = if is_other { 'd' } else { 'c' };
                PayoutCommand::Request(RequestPayout { id: id(key), ..credit(digit, "", amount) })
            }
            Op::Step(key, event, actor) => PayoutCommand::Move(MovePayout {
                id: id(key),
                by: [provider(), Actor::Operator(None), Actor::Gateway][usize::from(actor)].clone(),
                event: [
                    PayoutEvent::Approve,
                    PayoutEvent::Cancel,
                    submit(),
                    settled(),
                    PayoutEvent::Failed { reason: "no".to_owned() },
                    PayoutEvent::Unknown { evidence: "?".to_owned() },
                ][usize::from(event)].clone(),
                expected: None,
                now: at(COOL + 1),
            }),
        }))).collect();
        for chunk in commands.chunks(together) {
            books.commit(chunk);
            prop_assert_eq!(books.findings(), []);
        }
        let mut gone = [0, 0];
        for (account, had, payee) in [
            (payable(), EARNED, 0),
            (AccountName::Credit(wallet('c')), CREDIT, 1),
            (AccountName::Credit(wallet('d')), CREDIT, 1),
        ] {
            let sum = |of: fn(PayoutState) -> bool| -> u128 {
                let own = books.payouts.values().filter(|row| row.source.account() == account);
                own.filter(|row| of(row.state)).map(|row| row.amount.get()).sum()
            };
            let settled = sum(|state| state == PayoutState::Settled);
            let open = sum(|state| !state.is_terminal());
            prop_assert!(settled + open <= had);
            let totals = books.totals[&(account, asset())];
            prop_assert_eq!((totals.debits_posted.get(), totals.debits_pending.get()), (settled, open));
            gone[payee] += settled + open;
        }
        for (payee, gone) in [Payee::Provider(acme()), Payee::Wallets].into_iter().zip(gone) {
            let counted = books.payees.get(&payee).map(|row| row.counted.as_slice()).unwrap_or_default();
            prop_assert_eq!(counted.iter().map(|counted| counted.amount.get()).sum::<u128>(), gone);
            prop_assert!(gone <= 6_000);
        }
    }
}

#[test]
fn a_key_is_used_for_one_payout_whichever_invoice_it_comes_with() {
    let mut books = books();
    let by_invoice = |key: &str, hash: u8| RequestPayout {
        id: payout_id_for(&who(1), key, Some(&[hash; 32])),
        of_key: Some(payout_id_for(&who(1), key, None)),
        invoice: Some(format!("lnbcrt{hash}").into()),
        ..request(key, 100)
    };
    let first = books.request(by_invoice("november", 1)).unwrap();
    let before = books.clone();
    // Who heard nothing asks again, with an invoice that has not expired.
    assert_eq!(books.request(by_invoice("november", 2)), Err(PayoutRefusal::KeyReused(first.id)));
    assert_eq!(books.request(request("november", 100)), Err(PayoutRefusal::KeyReused(first.id)));
    assert_eq!(books.request(by_invoice("november", 1)).unwrap().id, first.id, "the same request");
    assert_eq!(books, before);
    books.request(by_invoice("december", 2)).unwrap();
    // What was given up was paid to nobody: the same key may be used once more.
    books.move_on(first.id, provider(), PayoutEvent::Cancel).unwrap();
    books.request(by_invoice("november", 3)).unwrap();
    let by_key = books.request(request("chain", 100)).unwrap();
    assert_eq!(books.request(by_invoice("chain", 4)), Err(PayoutRefusal::KeyReused(by_key.id)));
}
