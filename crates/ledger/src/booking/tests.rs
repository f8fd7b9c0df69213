use tollgate_domain::{CallId, Caller, KeyId, Principal, UnixMillis};

use super::*;
use crate::memory::{Chain, Memory};
use crate::{
    AccountName, Balances, Batch, BookingError, Clearing, Command, Outcome, expiry_id, requested_id,
};

/// Whatever these tests look up was booked in the same batch.
#[derive(Default)]
struct World(Batch);

impl World {
    fn book(&mut self, transfers: &[Transfer]) -> Result<bool, Refusal> {
        match self.0.apply(&mut Memory::default(), &mut Chain(0), &Command::Book(transfers.to_vec())) {
            Ok(Outcome::Booked(Booked { again })) => Ok(again),
            Ok(other) => panic!("{other:?}"),
            Err(EngineError::Refused(refusal)) => Err(refusal),
        }
    }

    /// Alice has 10.
    fn funded() -> Self {
        let mut world = Self::default();
        let grant =
            Transfer { debit: AccountName::Clearing(Clearing::Manual), credit: alice(), ..plain(100, 10) };
        assert_eq!(world.book(&[grant]), Ok(false));
        world
    }

    /// What stands on an account: reserved to be debited, debited, credited.
    fn totals(&self, account: &AccountName) -> (u128, u128, u128) {
        let changes = Batch::take_changes(&mut self.0.clone());
        let found = changes.balances.iter().find(|(name, ..)| name == account);
        let balances = found.map(|(.., balances)| *balances).unwrap_or_default();
        let Balances { debits_pending, debits_posted, credits_posted, .. } = balances;
        (debits_pending.get(), debits_posted.get(), credits_posted.get())
    }
}

fn principal(number: u8) -> Principal {
    Caller::ApiKey(KeyId::from_bytes([number; 16])).principal()
}

fn alice() -> AccountName {
    AccountName::Credit(principal(1))
}

fn bob() -> AccountName {
    AccountName::Credit(principal(2))
}

fn id(number: u8) -> TransferId {
    TransferId::from_bytes([number; 16])
}

/// From Alice to Bob.
fn plain(number: u8, units: u128) -> Transfer {
    Transfer {
        id: id(number),
        kind: TransferKind::Posted,
        debit: alice(),
        credit: bob(),
        asset: "lightning:regtest/msat".parse().unwrap(),
        amount: Amount::new(units),
        call: None,
        note: "test".to_owned(),
        at: UnixMillis::new(5),
        expires: None,
    }
}

fn pending(number: u8, units: u128) -> Transfer {
    Transfer { kind: TransferKind::Pending, expires: Some(UnixMillis::new(10)), ..plain(number, units) }
}

fn post(number: u8, of: u8, units: u128) -> Transfer {
    Transfer { kind: TransferKind::PostPending(id(of)), ..plain(number, units) }
}

fn void(number: u8, of: u8, units: u128) -> Transfer {
    Transfer { kind: TransferKind::VoidPending(id(of)), ..plain(number, units) }
}

#[test]
fn linked_transfers_are_booked_together_or_not_at_all() {
    let mut world = World::funded();
    let short = BookingError::ExceedsCredits { available: Amount::new(3) };
    assert_eq!(world.book(&[plain(1, 7), plain(2, 4)]), Err(Refusal::Booking(short)));
    assert_eq!(world.totals(&alice()), (0, 0, 10));
    assert_eq!(world.book(&[plain(1, 7), plain(2, 3)]), Ok(false), "control");
    assert_eq!(world.totals(&alice()), (0, 10, 10));
    assert_eq!(world.book(&[]), Err(Refusal::NothingToBook));
}

#[test]
fn an_id_means_one_transfer_for_ever() {
    let mut world = World::funded();
    assert_eq!(world.book(&[plain(1, 2)]), Ok(false));
    let later = Transfer { at: UnixMillis::new(99), ..plain(1, 2) };
    assert_eq!(world.book(&[later]), Ok(true), "asked again");
    assert_eq!(world.book(&[pending(7, 1)]), Ok(false));
    let later = Transfer { expires: Some(UnixMillis::new(99)), ..pending(7, 1) };
    assert_eq!(world.book(&[later]), Ok(true), "asked again, with another deadline");
    assert_eq!(world.book(&[void(8, 7, 1)]), Ok(false));
    assert_eq!(world.totals(&alice()), (0, 2, 10));
    for other in [plain(1, 3), Transfer { credit: "payable:demo".parse().unwrap(), ..plain(1, 2) }] {
        assert_eq!(world.book(&[other]), Err(Refusal::TransferReused(id(1))));
    }
    // Half of a chain is not the chain.
    assert_eq!(world.book(&[plain(1, 2), plain(2, 2)]), Err(Refusal::TransferReused(id(2))));
    assert_eq!(world.book(&[plain(2, 2), plain(1, 2)]), Err(Refusal::TransferReused(id(1))));
    assert_eq!(world.book(&[plain(3, 2), plain(3, 2)]), Err(Refusal::TransferReused(id(3))));
    assert_eq!(world.totals(&alice()), (0, 2, 10));
}

#[test]
fn a_part_of_a_reservation_is_posted_and_the_rest_released() {
    let mut world = World::funded();
    assert_eq!(world.book(&[pending(1, 8)]), Ok(false));
    assert_eq!(world.totals(&alice()), (8, 0, 10));
    let short = BookingError::ExceedsCredits { available: Amount::new(2) };
    assert_eq!(world.book(&[plain(2, 3)]), Err(Refusal::Booking(short)));
    assert_eq!(world.book(&[post(3, 1, 9)]), Err(Refusal::OtherMovement(id(1))));
    assert_eq!(world.book(&[post(3, 1, 5)]), Ok(false));
    assert_eq!(world.totals(&alice()), (0, 5, 10));
    assert_eq!(world.totals(&bob()), (0, 0, 5));
    assert_eq!(world.book(&[post(3, 1, 5)]), Ok(true), "asked again");
}

#[test]
fn a_reservation_is_resolved_once() {
    for (first, word) in [(post(2, 1, 8), "post_pending"), (void(2, 1, 8), "void_pending")] {
        let mut world = World::funded();
        assert_eq!(world.book(&[pending(1, 8)]), Ok(false));
        assert_eq!(world.book(std::slice::from_ref(&first)), Ok(false));
        let before = world.totals(&alice());
        for second in [post(3, 1, 1), void(3, 1, 8)] {
            let refused = Refusal::AlreadyResolved { pending: id(1), by: word };
            assert_eq!(world.book(&[second]), Err(refused));
        }
        assert_eq!(world.totals(&alice()), before);
    }
    let mut world = World::funded();
    let in_one_chain = [pending(1, 8), post(2, 1, 8), void(3, 1, 8)];
    let refused = Refusal::AlreadyResolved { pending: id(1), by: "post_pending" };
    assert_eq!(world.book(&in_one_chain), Err(refused));
    assert_eq!(world.book(&in_one_chain[..2]), Ok(false), "control");
}

#[test]
fn what_has_expired_can_only_be_released() {
    let mut world = World::funded();
    assert_eq!(world.book(&[pending(1, 8), pending(2, 1)]), Ok(false));
    let (just_in_time, too_late) = (UnixMillis::new(9), UnixMillis::new(10));
    let late = Transfer { at: too_late, ..post(3, 1, 8) };
    assert_eq!(world.book(&[late]), Err(Refusal::PendingExpired(id(1))));
    assert_eq!(world.book(&[Transfer { at: just_in_time, ..post(4, 2, 1) }]), Ok(false), "control");
    assert_eq!(world.book(&[Transfer { id: expiry_id(&id(1)), at: too_late, ..void(5, 1, 8) }]), Ok(false));
    assert_eq!(world.totals(&alice()), (0, 1, 10));
}

#[test]
fn a_resolution_is_of_the_same_movement() {
    let mut world = World::funded();
    assert_eq!(world.book(&[pending(1, 8)]), Ok(false));
    let elsewhere = Transfer { credit: "payable:demo".parse().unwrap(), ..post(2, 1, 8) };
    let in_another_asset = Transfer {
        asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse().unwrap(),
        ..post(2, 1, 8)
    };
    for other in [elsewhere, in_another_asset, void(2, 1, 7)] {
        assert_eq!(world.book(&[other]), Err(Refusal::OtherMovement(id(1))));
    }
    assert_eq!(world.book(&[post(2, 9, 8)]), Err(Refusal::NoSuchPending(id(9))));
    assert_eq!(world.book(&[post(2, 100, 8)]), Err(Refusal::NoSuchPending(id(100))), "that one is posted");
    assert_eq!(world.book(&[post(2, 1, 8)]), Ok(false), "control");
}

#[test]
fn the_reservations_of_calls_belong_to_their_settlements() {
    let mut world = World::funded();
    let call = Some(CallId::from_bytes([1; 16]));
    for kind in [TransferKind::Pending, TransferKind::PostPending(id(2)), TransferKind::VoidPending(id(2))] {
        let transfer = Transfer { call, kind, ..plain(1, 1) };
        assert_eq!(world.book(&[transfer]), Err(Refusal::BelongsToCall(id(1))));
    }
    // A transfer may name the call that it is about, such as a refund.
    assert_eq!(world.book(&[Transfer { call, ..plain(1, 1) }]), Ok(false));
}

#[test]
fn one_key_of_two_principals_means_two_transfers() {
    assert_eq!(requested_id(&principal(1), "k"), requested_id(&principal(1), "k"));
    assert_ne!(requested_id(&principal(1), "k"), requested_id(&principal(2), "k"));
    assert_ne!(requested_id(&principal(1), "k"), requested_id(&principal(1), "l"));
}
