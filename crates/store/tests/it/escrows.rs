//! Escrows on disk: what was written is read again, after a restart too; lists, deadlines, and races over one row.

use std::sync::Arc;

use tempfile::TempDir;
use tollgate_domain::{Amount, Bps, Caller, EscrowId, KeyId, Principal, TransferId};
use tollgate_ledger::escrow::{
    EscrowCommand, EscrowEvent, EscrowFilter, EscrowMoved, EscrowRefusal, EscrowState, EscrowStore,
    EscrowTerms, Mediator, Milestone, MoveEscrow, OpenEscrow, Part, Proposal, Provider, Role, Ruling,
    StakeRuling, Timings, Who,
};
use tollgate_ledger::{AccountName, Clearing, Grant, LedgerStore, Refusal, StoreError};
use tollgate_store::Store;

use crate::budgets::{ask, used};
use crate::world::*;

fn provider() -> Principal {
    Caller::ApiKey(KeyId::from_bytes([8; 16])).principal()
}

fn mediator() -> Principal {
    Caller::ApiKey(KeyId::from_bytes([9; 16])).principal()
}

fn id(byte: u8) -> EscrowId {
    EscrowId::from_bytes([byte; 16])
}

fn terms(amount: u128, milestones: &[u128]) -> EscrowTerms {
    let part = |units: &u128| Milestone { title: "a part".into(), amount: Amount::new(*units) };
    EscrowTerms::new(Proposal {
        payer: alice(),
        provider: Provider::Principal(provider()),
        mediator: Mediator::Principal(mediator()),
        asset: asset(),
        amount: Amount::new(amount),
        milestones: milestones.iter().map(part).collect(),
        description: Some("write a report".parse().unwrap()),
        timings: Timings::DEFAULT,
        dispute_stake: Amount::new(10),
        mediator_stake: Amount::new(5),
        confidence_min: Bps::new(8_000),
        splits: Default::default(),
        call: None,
    })
    .unwrap()
}

async fn opened(store: &Store, escrow: EscrowId, terms: EscrowTerms) {
    let open = OpenEscrow { id: escrow, terms, now: at(0) };
    store.escrow_command(EscrowCommand::Open(open)).await.unwrap();
}

async fn step(
    store: &Store,
    escrow: EscrowId,
    by: Who,
    event: EscrowEvent,
    now: u64,
) -> Result<EscrowMoved, StoreError> {
    let step = MoveEscrow::new(escrow, by, event, at(now));
    store.escrow_command(EscrowCommand::Move(step)).await
}

async fn funded(store: &Store) {
    for (byte, to) in [(1, alice()), (2, mediator())] {
        let grant = Grant {
            from: Clearing::Manual,
            to,
            amount: Amount::new(10_000),
            asset: asset(),
            id: TransferId::from_bytes([byte; 16]),
            note: "start".to_owned(),
            now: at(0),
        };
        store.grant_credit(grant).await.unwrap();
    }
}

/// Every kind of event with everything that it can say, one after the other.
fn whole_story() -> Vec<(Who, EscrowEvent)> {
    let (payer, worker) = (Who::Principal(alice()), Who::Principal(provider()));
    let judge = Who::Principal(mediator());
    let text = |text: &str| text.parse().unwrap();
    let document = Some(tollgate_domain::Digest::of(b"report"));
    let unsure = Bps::new(7_000);
    vec![
        (payer.clone(), EscrowEvent::Fund),
        (worker.clone(), EscrowEvent::Lock),
        (payer.clone(), EscrowEvent::Accept(Part::Milestone(0))),
        (worker.clone(), EscrowEvent::Deliver { result: document, note: Some(text("done")) }),
        (payer.clone(), EscrowEvent::Dispute { stake: Amount::new(12), reason: text("too short") }),
        (payer, EscrowEvent::Submit { statement: text("see page 3"), document }),
        (worker, EscrowEvent::Submit { statement: text("it is there"), document: None }),
        (judge.clone(), EscrowEvent::TakeUp),
        (
            judge,
            EscrowEvent::Rule {
                ruling: Ruling::Release,
                confidence: unsure,
                stake: None,
                reason: Some(text("hard to say")),
            },
        ),
        (
            Who::Operator(None),
            EscrowEvent::Rule {
                ruling: Ruling::Split(Bps::new(2_501)),
                confidence: Bps::ONE,
                stake: Some(StakeRuling::Forfeit),
                reason: None,
            },
        ),
    ]
}

#[tokio::test]
async fn an_escrow_is_read_as_it_was_written_at_every_step_and_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let mut store = open(&directory);
    funded(&store).await;
    opened(&store, id(1), terms(1_000, &[400, 600])).await;
    for (number, (by, event)) in whole_story().into_iter().enumerate() {
        let moved = step(&store, id(1), by, event, 1 + u64::try_from(number).unwrap()).await.unwrap();
        assert_eq!(store.escrow(&id(1)).await.unwrap().as_ref(), Some(&*moved.row));
        in_order(&store).await;
        drop(store);
        store = open(&directory);
        assert_eq!(store.escrow(&id(1)).await.unwrap().as_ref(), Some(&*moved.row), "after a restart");
    }
    let row = store.escrow(&id(1)).await.unwrap().unwrap();
    assert!(row.state.is_terminal());
    assert_eq!((row.released.get(), row.refunded.get()), (400 + 150, 450));
    for account in [AccountName::Escrow(id(1)), AccountName::Stake(id(1))] {
        assert_eq!(balances(&store, &account).await.available(), Some(Amount::ZERO));
    }
    let history = store.escrow_history(&id(1)).await.unwrap();
    let told: Vec<_> = history.iter().skip(1).map(|r| (r.by.clone(), r.event.clone().unwrap())).collect();
    assert_eq!(told, whole_story());
    assert_eq!((history[0].version, &history[0].event, history[0].state.as_str()), (1, &None, "created"));
}

#[tokio::test]
async fn lists_are_cut_into_pages_and_show_only_what_was_asked_for() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    pages_of(&store).await;
}

pub(crate) async fn pages_of(store: &Store) {
    funded(store).await;
    for byte in 1..=5 {
        opened(store, id(byte), terms(100, &[])).await;
    }
    step(store, id(2), Who::Principal(alice()), EscrowEvent::Fund, 1).await.unwrap();
    let listed = async |filter: EscrowFilter, limit| {
        let page = store.escrows(filter, limit).await.unwrap();
        (page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), page.next)
    };
    let party = |party| EscrowFilter { party: Some(party), ..EscrowFilter::default() };
    let (first, next) = listed(party(provider()), 2).await;
    assert_eq!(first, [id(5), id(4)]);
    let (second, next) = listed(EscrowFilter { before: next, ..party(provider()) }, 2).await;
    assert_eq!(second, [id(3), id(2)]);
    let (third, next) = listed(EscrowFilter { before: next, ..party(provider()) }, 2).await;
    assert_eq!((third, next), (vec![id(1)], None));
    let role = |role| EscrowFilter { role: Some(role), ..party(alice()) };
    assert_eq!(listed(role(Role::Payer), 9).await.0.len(), 5);
    assert_eq!(listed(role(Role::Provider), 9).await.0, []);
    let state = |state| EscrowFilter { state: Some(state), ..party(mediator()) };
    assert_eq!(listed(state("funded"), 9).await, (vec![id(2)], None));
    assert_eq!(listed(party(wallet()), 9).await, (vec![], None), "a stranger has none");
}

#[tokio::test]
async fn deadlines_come_in_order_and_are_not_asked_for_twice() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    deadlines_of(&store).await;
}

pub(crate) async fn deadlines_of(store: &Store) {
    funded(store).await;
    for byte in 1..=3 {
        opened(store, id(byte), terms(100, &[])).await;
    }
    let payer = || Who::Principal(alice());
    step(store, id(3), payer(), EscrowEvent::Fund, 1).await.unwrap();
    step(store, id(3), payer(), EscrowEvent::Lock, 2).await.unwrap();
    let due = async |now, limit| store.due_escrows(at(now), limit).await.unwrap();
    assert_eq!(due(300_001, 9).await, []);
    let open = async || {
        let mut open = store.open_escrows().await.unwrap();
        open.sort_unstable();
        open
    };
    assert_eq!(open().await, [("created", 2), ("locked", 1)]);
    let [one, two, three] = [(id(1), at(86_400_000)), (id(2), at(86_400_000)), (id(3), at(300_002))];
    assert_eq!(due(300_002, 9).await, [three]);
    assert_eq!(due(86_400_000, 9).await, [three, one, two]);
    assert_eq!(due(86_400_000, 2).await, [three, one]);
    for escrow in [id(3), id(1), id(2)] {
        step(store, escrow, Who::Clock, EscrowEvent::Expire, 86_400_000).await.unwrap();
    }
    assert_eq!(due(u64::MAX / 4, 9).await, []);
    assert_eq!(open().await, [], "what has ended is not open");
    assert_eq!(store.escrow(&id(3)).await.unwrap().unwrap().state, EscrowState::Refunded);
    in_order(store).await;
}

#[tokio::test]
async fn what_is_paid_in_is_held_by_budgets_also_after_a_restart() {
    let directory = TempDir::new().unwrap();
    budgets_of(&open(&directory)).await;
    let store = open(&directory);
    assert_eq!(used(&store).await, 100, "control");
    let given_up = EscrowEvent::Cancel { reason: None };
    step(&store, id(1), Who::Principal(provider()), given_up, 2).await.unwrap();
    assert_eq!(used(&store).await, 0);
    in_order(&store).await;
}

/// Of two escrows one fits into the budget of whoever pays.
pub(crate) async fn budgets_of(store: &Store) {
    funded(store).await;
    let mut refused = 0;
    for number in [1, 2] {
        opened(store, id(number), terms(100, &[])).await;
        let budget = Some(Arc::new(ask(150, None)));
        let (by, event) = (Who::Principal(alice()), EscrowEvent::Fund);
        let fund = MoveEscrow { budget, ..MoveEscrow::new(id(number), by, event, at(1)) };
        match store.escrow_command(EscrowCommand::Move(fund)).await {
            Ok(moved) => assert_eq!(moved.row.reserved.taken.len(), 1, "{:?}", moved.row.reserved),
            Err(StoreError::Refused(Refusal::Escrow(EscrowRefusal::Barred(_)))) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        let row = store.escrow(&id(1)).await.unwrap().unwrap();
        assert_eq!(row.reserved.taken.len(), 1, "it is read as it was written");
    }
    assert_eq!((refused, used(store).await), (1, 100));
    in_order(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p22_of_many_who_release_and_refund_at_once_one_wins() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    one_end_of(&store).await;
}

pub(crate) async fn one_end_of(store: &Store) {
    funded(store).await;
    opened(store, id(1), terms(1_000, &[])).await;
    let (payer, worker) = (Who::Principal(alice()), Who::Principal(provider()));
    let done = EscrowEvent::Deliver { result: None, note: None };
    for (by, event) in [(&payer, EscrowEvent::Fund), (&payer, EscrowEvent::Lock), (&worker, done)] {
        step(store, id(1), by.clone(), event, 1).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..100 {
        let store = store.clone();
        let (by, event) = match number % 2 {
            0 => (payer.clone(), EscrowEvent::Accept(Part::Rest)),
            _ => (worker.clone(), EscrowEvent::Cancel { reason: None }),
        };
        tasks.spawn(async move { step(&store, id(1), by, event, 2).await });
    }
    let outcomes = tasks.join_all().await;
    let refused = |outcome: &Result<EscrowMoved, StoreError>| {
        matches!(outcome, Err(StoreError::Refused(Refusal::Escrow(EscrowRefusal::WrongState { .. }))))
    };
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| refused(outcome)).count(), 99);
    let parts = [available(store, &alice()).await.get(), available(store, &provider()).await.get()];
    assert!(parts == [9_000, 1_000] || parts == [10_000, 0], "{parts:?}");
    in_order(store).await;
}
