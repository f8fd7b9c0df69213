use tollgate_domain::Amount;

use super::*;

fn turn(seq: i64) -> Turn {
    Turn { seq, xid: Xid(u32::try_from(seq).unwrap()) }
}

fn account() -> (AccountName, AssetId) {
    ("payable:demo".parse().unwrap(), "lightning:regtest/msat".parse().unwrap())
}

fn standing(credits: u128) -> Balances {
    Balances { credits_posted: Amount::new(credits), ..Balances::default() }
}

/// A memory of one account, read by the batch with this number and not written by it.
fn read_by(seq: i64) -> Accounts {
    let (name, asset) = account();
    let mut accounts = Accounts::default();
    accounts.make_ready();
    assert!(!accounts.begin(turn(seq)), "nothing was known");
    let place = Some(Place { id: 1, version: Xid(1) });
    accounts.put(&name, &asset, Known { place, balances: standing(10) });
    accounts
}

fn credits(accounts: &Accounts) -> Option<u128> {
    let (name, asset) = account();
    accounts.get(&name, &asset).map(|known| known.balances.credits_posted.get())
}

fn written(seq: i64, credits: u128) -> Written {
    let (name, asset) = account();
    Written::new(turn(seq), vec![(name, asset, standing(credits))], vec![1])
}

#[test]
fn what_a_committed_batch_wrote_is_known_to_the_one_that_follows_it() {
    let mut accounts = read_by(5);
    accounts.committed(written(5, 11));
    accounts.make_ready();
    assert!(!accounts.begin(turn(6)));
    assert_eq!(credits(&accounts), Some(11));
}

#[test]
fn what_a_batch_read_is_known_to_the_next_when_it_was_undone() {
    let mut accounts = read_by(5);
    accounts.make_ready();
    assert!(!accounts.begin(turn(5)), "the number was given back");
    assert_eq!(credits(&accounts), Some(10));
}

#[test]
fn a_batch_of_another_gateway_in_between_outdates_everything() {
    let mut accounts = read_by(5);
    accounts.committed(written(5, 11));
    accounts.make_ready();
    assert_eq!(credits(&accounts), Some(11), "until it is known that there was one");
    assert!(accounts.begin(turn(7)));
    assert_eq!(credits(&accounts), None);
}

#[test]
fn a_batch_of_another_gateway_where_ours_was_undone_outdates_everything() {
    let mut accounts = read_by(5);
    accounts.make_ready();
    assert!(accounts.begin(turn(6)), "five was somebody else's");
    assert_eq!(credits(&accounts), None);
}

#[test]
fn while_others_write_nothing_is_remembered_and_afterwards_it_is_again() {
    let mut accounts = read_by(5);
    accounts.committed(written(5, 11));
    accounts.begin(turn(7));
    accounts.committed(written(7, 12));
    accounts.make_ready();
    assert_eq!(credits(&accounts), None, "it would most likely be outdated: it is read at once");
    assert!(!accounts.begin(turn(8)), "nothing that was counted on");
    accounts.committed(written(8, 13));
    accounts.make_ready();
    assert!(!accounts.begin(turn(9)));
    assert_eq!(credits(&accounts), Some(13));
}

#[test]
fn of_too_many_accounts_none_is_remembered() {
    let mut accounts = read_by(5);
    let (_, asset) = account();
    let number = |number: usize| format!("payable:demo-{number}").parse().unwrap();
    for place in 1..ACCOUNTS_MAX {
        accounts.put(&number(place), &asset, Known::default());
    }
    accounts.make_ready();
    assert_eq!(credits(&accounts), Some(10), "control: as many as are remembered");
    accounts.put(&number(0), &asset, Known::default());
    accounts.make_ready();
    assert_eq!(credits(&accounts), None);
}
