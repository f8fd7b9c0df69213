use super::*;

const WALLET: &str = "0x00000000000000000000000000000000000000aa";

fn asset() -> AssetId {
    "lightning:regtest/msat".parse().unwrap()
}

fn destination(rail: PayoutRail, to: &str) -> Result<Destination, DestinationError> {
    Destination::new(rail, asset(), to)
}

#[test]
fn rails_have_one_text_form() {
    for (rail, word) in
        [(PayoutRail::Evm, "evm"), (PayoutRail::Lightning, "lightning"), (PayoutRail::Sandbox, "sandbox")]
    {
        assert_eq!(rail.to_string(), word);
        assert_eq!(word.parse(), Ok(rail));
    }
    for wrong in ["", "EVM", "x402"] {
        assert_eq!(wrong.parse::<PayoutRail>(), Err(PayoutRailError(wrong.to_owned())));
    }
}

#[test]
fn a_payout_is_booked_to_where_its_rail_takes_it() {
    let account = |rail, to| destination(rail, to).unwrap().account();
    let wallet: Principal = format!("eip155:{WALLET}").parse().unwrap();
    assert_eq!(account(PayoutRail::Evm, WALLET), AccountName::Clearing(Clearing::X402));
    assert_eq!(account(PayoutRail::Lightning, "02aa"), AccountName::Clearing(Clearing::L402));
    assert_eq!(account(PayoutRail::Lightning, WALLET), AccountName::Clearing(Clearing::L402));
    assert_eq!(account(PayoutRail::Sandbox, WALLET), AccountName::Credit(wallet));
}

#[test]
fn only_an_address_of_a_chain_is_a_wallet_and_sandbox_money_goes_nowhere_else() {
    let wallet: Principal = format!("eip155:{WALLET}").parse().unwrap();
    let of = |rail, to| destination(rail, to).unwrap().wallet();
    assert_eq!(of(PayoutRail::Evm, WALLET), Some(wallet.clone()));
    assert_eq!(of(PayoutRail::Sandbox, WALLET), Some(wallet));
    assert_eq!(of(PayoutRail::Lightning, WALLET), None, "a node's key, whatever it looks like");
    assert_eq!(of(PayoutRail::Evm, "00aa"), None);
    assert_eq!(destination(PayoutRail::Sandbox, "0x00aa"), Err(DestinationError::Sandbox));
}

#[test]
fn a_destination_is_short_printable_and_in_lower_case() {
    let said = destination(PayoutRail::Lightning, "02aa").unwrap();
    assert_eq!((said.to(), said.to_string().as_str()), ("02aa", "lightning:02aa"));
    assert_eq!((said.rail(), said.asset()), (PayoutRail::Lightning, &asset()));
    assert!(destination(PayoutRail::Lightning, &"a".repeat(128)).is_ok());
    for wrong in ["", "02AA", "02 aa", "02aa\n", "é", &"a".repeat(129)] {
        assert_eq!(destination(PayoutRail::Lightning, wrong), Err(DestinationError::Form), "{wrong:?}");
    }
}
