use proptest::prelude::*;

use super::*;

// BOLT 11, "Examples" (CC BY 4.0): a donation of any amount, and a coffee for 2,500 µBTC within one minute.
const DONATION: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfq\
    qqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj3\
    2dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwz\
    qfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353\
    s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
const HASH: &str = "0001020304050607080900010203040506070809000102030405060708090102";

#[test]
fn the_examples_of_bolt_11_are_read() {
    assert_eq!(invoice_amount_msat(DONATION), Ok(None));
    let coffee = InvoiceFacts::read(COFFEE).unwrap();
    assert_eq!(
        coffee,
        InvoiceFacts {
            network: LightningNetwork::Mainnet,
            amount: Some(Amount::new(250_000_000)),
            payment_hash: hex::decode(HASH).unwrap().try_into().unwrap(),
            expires: UnixMillis::from_secs(1_496_314_658 + 60),
        }
    );
    assert_eq!(invoice_amount_msat(COFFEE), Ok(coffee.amount));
    assert_eq!(invoice_payment_hash(&COFFEE.to_uppercase()), Ok(coffee.payment_hash));
}

// The donation as BOLT 11 showed it before payment secrets (2018): no feature bits, as LNbits' FakeWallet still writes.
const WITHOUT_FEATURES: &str = "lnbc1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g\
    6twvus8g6rfwvs8qun0dfjkxaq8rkx3yf5tcsyz3d73gafnh3cax9rn449d9p5uxz9ezhhypd0elx87sjle52x86fux2ypatgddc6k63n7erqz25le42c4\
    u4ecky03ylcqca784w";

#[test]
fn an_invoice_without_feature_bits_is_read() {
    let facts = InvoiceFacts::read(WITHOUT_FEATURES).unwrap();
    assert_eq!((facts.amount, hex::encode(facts.payment_hash).as_str()), (None, HASH));
    // Without an `x` field an invoice is good for an hour.
    assert_eq!(facts.expires, UnixMillis::from_secs(1_496_314_658 + 3600));
}

#[test]
fn a_damaged_invoice_is_refused() {
    assert!(InvoiceFacts::read(COFFEE).is_ok());
    for wrong in [
        "",
        "lnbc",
        &COFFEE[1..],
        &COFFEE[..COFFEE.len() - 1],
        &COFFEE.replacen("2500u", "2501u", 1),
        &COFFEE.replacen("lnbc", "lntb", 1),
        &COFFEE.replacen("quk0", "quk1", 1),
        &format!("lightning:{COFFEE}"),
    ] {
        assert!(
            matches!(InvoiceFacts::read(wrong), Err(InvoiceError::Malformed(_) | InvoiceError::Invalid(_))),
            "{wrong}"
        );
    }
}

#[test]
fn p13_msat_become_whole_satoshi_rounded_up() {
    for (msat, sats) in
        [(0, None), (1, Some(1)), (999, Some(1)), (1000, Some(1)), (1001, Some(2)), (10_000, Some(10))]
    {
        assert_eq!(sats_for(Amount::new(msat)), sats, "{msat}");
    }
    let all = u128::from(crate::lightning::SATS_MAX) * 1000;
    assert_eq!(sats_for(Amount::new(all)), Some(crate::lightning::SATS_MAX));
    assert_eq!(sats_for(Amount::new(all + 1)), None);
    assert_eq!(sats_for(Amount::new(u128::MAX)), None);
}

proptest! {
    #[test]
    fn p13_an_invoice_is_never_under_the_price_and_less_than_a_satoshi_over(msat in 1u128..=2_100_000_000_000_000_000) {
        let invoiced = u128::from(sats_for(Amount::new(msat)).unwrap()) * 1000;
        prop_assert!(invoiced >= msat && invoiced - msat < 1000);
    }

    #[test]
    fn no_text_makes_the_parser_panic_or_passes(text in "(ln(bc|bcrt|tb)?)?[0-9]{0,4}[munp]?1?\\PC{0,80}") {
        prop_assert!(InvoiceFacts::read(&text).is_err());
    }
}
