use proptest::prelude::*;

use super::*;

fn terms(caller: Option<&str>) -> Terms {
    Terms {
        tool: "demo/weather".to_owned(),
        args: Digest::of(b"{}"),
        price: PriceTerm::parse("1:10000:lightning:regtest/msat").unwrap(),
        valid_until: 1_000,
        caller: caller.map(|text| text.parse().unwrap()),
    }
}

fn read_texts(texts: &[impl AsRef<str>]) -> Result<Conditions, CaveatError> {
    read(texts.iter().map(|text| text.as_ref().as_bytes()))
}

/// The minted caveats with some behind them.
fn read_with(added: &[&str]) -> Result<Terms, CaveatError> {
    let mut texts = minted(&terms(None));
    texts.extend(added.iter().map(|text| (*text).to_owned()));
    read_texts(&texts).map(|conditions| conditions.terms)
}

#[test]
fn what_is_minted_is_read_back() {
    for caller in [None, Some("eip155:0x000000000000000000000000000000000000dead")] {
        let terms = terms(caller);
        assert_eq!(read_texts(&minted(&terms)).map(|read| read.terms), Ok(terms));
    }
    assert_eq!(
        minted(&terms(None)),
        [
            "services=tollgate:0",
            "tollgate_tool=demo/weather",
            "tollgate_args_sha256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "tollgate_price=1:10000:lightning:regtest/msat",
            "tollgate_valid_until=1000",
        ]
    );
}

#[test]
fn p4_a_valid_restriction_is_accepted_and_counts() {
    assert_eq!(read_with(&["tollgate_valid_until=999"]).map(|terms| terms.valid_until), Ok(999));
    assert_eq!(read_with(&[" tollgate_valid_until = 5 "]).map(|terms| terms.valid_until), Ok(5));
    let caller = "lightning:0000000000000000000000000000000000000000000000000000000000000000";
    let restricted = read_with(&[&format!("tollgate_caller={caller}")]).unwrap();
    assert_eq!(restricted.caller.unwrap().as_str(), caller);
    // The same again takes nothing away and gives nothing.
    assert_eq!(read_with(&["tollgate_tool=demo/weather", "services=tollgate:0"]), Ok(terms(None)));
    let preimage = "00".repeat(32);
    let read = read_texts(&[minted(&terms(None)), vec![format!("preimage={preimage}")]].concat()).unwrap();
    assert_eq!(read.preimage, Some(Preimage::new([0; 32])));
}

#[test]
fn p4_a_widening_caveat_is_refused() {
    for (added, expected) in [
        ("tollgate_valid_until=1001", CaveatError::Widened(VALID_UNTIL)),
        ("tollgate_tool=demo/other", CaveatError::Widened(TOOL)),
        ("tollgate_tool=", CaveatError::Widened(TOOL)),
        (
            "tollgate_args_sha256=0000000000000000000000000000000000000000000000000000000000000000",
            CaveatError::Widened(ARGS),
        ),
        ("tollgate_price=2:10000:lightning:regtest/msat", CaveatError::Widened(PRICE)),
        ("tollgate_price=1:1:lightning:regtest/msat", CaveatError::Widened(PRICE)),
        ("tollgate_price=1:10000:lightning:mainnet/msat", CaveatError::Widened(PRICE)),
        ("services=tollgate:0,other:0", CaveatError::Widened(SERVICES)),
        ("services=tollgate:1", CaveatError::Widened(SERVICES)),
        ("services=", CaveatError::Widened(SERVICES)),
    ] {
        assert_eq!(read_with(&[added]), Err(expected), "{added}");
    }
    // Tightened first, then loosened again within what was minted.
    assert_eq!(
        read_with(&["tollgate_valid_until=10", "tollgate_valid_until=20"]),
        Err(CaveatError::Widened(VALID_UNTIL))
    );
    let zero = "lightning:0000000000000000000000000000000000000000000000000000000000000000";
    let callers = [format!("tollgate_caller={zero}"), "tollgate_caller=anonymous".to_owned()];
    assert_eq!(read_with(&[&callers[0], &callers[1]]), Err(CaveatError::Widened(CALLER)));
    assert!(read_with(&[&callers[0], &callers[0]]).is_ok());
}

#[test]
fn p4_control_characters_and_look_alikes_are_refused() {
    for added in [
        "tollgate_valid_until=5\0",
        "tollgate_valid_until\0=5",
        "tollgate_valid_until=5\n",
        "tollgate_valid_until=\u{ff15}",
        "t\u{43e}llgate_valid_until=5",
        "tollgate_valid_until\u{200b}=5",
        "tollgate_tool=demo/weather\u{301}",
        "services=tollgate:0\t",
        "a\u{0}b=1",
    ] {
        assert_eq!(read_with(&[added]), Err(CaveatError::NotPlain), "{added:?}");
    }
    let bytes = [b"tollgate_tool=demo/weather".as_slice(), &[0xff]].concat();
    assert_eq!(read([bytes.as_slice()].into_iter()).err(), Some(CaveatError::NotPlain));
    assert_eq!(read_with(&["tollgate_valid_until=5"]).map(|terms| terms.valid_until), Ok(5));
}

#[test]
fn p4_conditions_of_others_change_nothing_and_unknown_ones_of_ours_are_refused() {
    for added in [
        "admin=true",
        "loop_out_monthly_volume_sats=5",
        "note=caf\u{e9}",
        "nothing",
        "",
        "=",
        "Tollgate_tool=x",
    ] {
        assert_eq!(read_with(&[added]), Ok(terms(None)), "{added}");
    }
    for added in ["tollgate_capabilities=read", "tollgate_=", "tollgate_tools", "tollgate_TOOL=demo/weather"]
    {
        assert!(matches!(read_with(&[added]), Err(CaveatError::Unenforceable(_))), "{added}");
    }
}

#[test]
fn malformed_values_of_ours_are_refused() {
    for (added, condition) in [
        ("tollgate_valid_until=", VALID_UNTIL),
        ("tollgate_valid_until=-1", VALID_UNTIL),
        ("tollgate_valid_until=+1", VALID_UNTIL),
        ("tollgate_valid_until=0x1", VALID_UNTIL),
        ("tollgate_valid_until=1.0", VALID_UNTIL),
        ("tollgate_valid_until=01", VALID_UNTIL),
        ("tollgate_valid_until=18446744073709551616", VALID_UNTIL),
        ("tollgate_args_sha256=44", ARGS),
        ("tollgate_price=10000", PRICE),
        ("tollgate_caller=somebody", CALLER),
        ("preimage=AB", PREIMAGE),
    ] {
        assert_eq!(read_with(&[added]), Err(CaveatError::Malformed(condition)), "{added}");
    }
}

#[test]
fn every_binding_must_be_there() {
    let all = minted(&terms(None));
    for (left_out, condition) in [(0, SERVICES), (1, TOOL), (2, ARGS), (3, PRICE), (4, VALID_UNTIL)] {
        let mut fewer = all.clone();
        fewer.remove(left_out);
        assert_eq!(read_texts(&fewer).err(), Some(CaveatError::Missing(condition)));
    }
    let mut other = all;
    other[0] = "services=loop:0".to_owned();
    assert_eq!(read_texts(&other).err(), Some(CaveatError::OtherService));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic_or_hold_together(caveats in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8)) {
        prop_assert!(read(caveats.iter().map(Vec::as_slice)).is_err());
    }

    /// Whatever a holder appends: what comes out pays for the same call at the same price, no longer and for nobody else.
    #[test]
    fn p4_attenuation_never_widens(
        added in prop::collection::vec(
            ("(services|tollgate_(tool|args_sha256|price|valid_until|caller)|admin|preimage|\\PC{1,10})",
             "(tollgate:0|tollgate:0,x:0|demo/weather|[0-9]{1,5}|1:10000:lightning:regtest/msat|anonymous|\\PC{0,12})"),
            0..6,
        ),
    ) {
        for caller in [None, Some("anonymous")] {
            let granted = terms(caller);
            let texts: Vec<String> =
                minted(&granted).into_iter().chain(added.iter().map(|(name, value)| format!("{name}={value}"))).collect();
            if let Ok(Conditions { terms: read, .. }) = read_texts(&texts) {
                prop_assert_eq!(&read.tool, &granted.tool);
                prop_assert_eq!(read.args, granted.args);
                prop_assert_eq!(&read.price, &granted.price);
                prop_assert!(read.valid_until <= granted.valid_until);
                prop_assert!(granted.caller.is_none() || read.caller == granted.caller);
            }
        }
    }
}
