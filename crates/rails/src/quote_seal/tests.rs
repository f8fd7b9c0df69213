use proptest::prelude::*;

use tollgate_domain::Caller;

use super::*;

const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_200);

fn quote() -> SealedQuote {
    SealedQuote {
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: "wetter für alle".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 3,
            quote: None,
        },
        amount: Amount::new(10_000),
        asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse().unwrap(),
        expires: NOW.plus_millis(1),
        buyer: Some("key_101FA1eLaDkGYdBvxVjH6d0".parse().unwrap()),
        nonce: [9; 16],
    }
}

#[test]
fn a_sealed_quote_comes_back_as_it_was() {
    let sealer = QuoteSealer::new(&[1; 32]);
    let seal = sealer.seal(&quote());
    assert_eq!(sealer.open(&seal), Ok(quote()));
    assert!(seal.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{seal}");
}

#[test]
fn p2_a_seal_of_another_gateway_is_refused() {
    let seal = QuoteSealer::new(&[1; 32]).seal(&quote());
    assert!(QuoteSealer::new(&[1; 32]).open(&seal).is_ok());
    assert_eq!(QuoteSealer::new(&[2; 32]).open(&seal), Err(SealError::Forged));
}

#[test]
fn a_seal_of_a_later_version_says_so() {
    let sealer = QuoteSealer::new(&[1; 32]);
    let mut bytes = base64_text::decode_any(&sealer.seal(&quote())).unwrap();
    bytes[0] = 3;
    assert_eq!(sealer.open(&base64_text::encode_url(&bytes)), Err(SealError::Version(3)));
}

#[test]
fn a_seal_of_the_version_before_is_read_and_names_no_buyer() {
    let sealer = QuoteSealer::new(&[1; 32]);
    let anybodys = SealedQuote { buyer: None, ..quote() };
    let mut bytes = base64_text::decode_any(&sealer.seal(&anybodys)).unwrap();
    // Without the empty name of a buyer, and without the code over it.
    bytes.truncate(bytes.len() - MAC_BYTES - 2);
    bytes[0] = VERSION_WITHOUT_BUYER;
    let mac = sealer.keyed.clone().chain_update(&bytes).finalize().into_bytes();
    bytes.extend_from_slice(&mac);
    assert_eq!(sealer.open(&base64_text::encode_url(&bytes)), Ok(anybodys));
}

#[test]
fn the_secret_is_not_the_key_itself() {
    // Purposes must not share keys: a MAC made directly with the secret opens nothing.
    let mac = |purpose: &[u8]| derived_mac(&[1; 32], purpose).chain_update(b"x").finalize().into_bytes();
    assert_eq!(mac(b"a"), mac(b"a"));
    assert_ne!(mac(b"a"), mac(b"b"));
    assert_ne!(mac(b"a"), keyed(&[1; 32]).chain_update(b"x").finalize().into_bytes());
}

#[test]
fn a_key_padded_to_a_block_is_the_same_key() {
    let general = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&[0x0b; 32]).unwrap();
    let expected = general.chain_update(b"Hi There").finalize().into_bytes();
    assert_eq!(keyed(&[0x0b; 32]).chain_update(b"Hi There").finalize().into_bytes(), expected);
}

proptest! {
    #[test]
    fn opening_never_panics(text in "\\PC{0,400}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let sealer = QuoteSealer::new(&[1; 32]);
        prop_assert!(sealer.open(&text).is_err());
        prop_assert!(sealer.open(&base64_text::encode_url(&bytes)).is_err());
    }

    #[test]
    fn p2_a_seal_with_any_bit_changed_is_refused(place in 0_usize..4096, bit in 0_u32..8) {
        let sealer = QuoteSealer::new(&[1; 32]);
        let mut bytes = base64_text::decode_any(&sealer.seal(&quote())).unwrap();
        prop_assert!(sealer.open(&base64_text::encode_url(&bytes)).is_ok());
        let place = place % bytes.len();
        bytes[place] ^= 1_u8 << bit;
        prop_assert!(sealer.open(&base64_text::encode_url(&bytes)).is_err());
    }

    #[test]
    fn any_quote_survives_the_seal(
        server in "[a-z0-9][a-z0-9-]{0,20}",
        tool in "[\\PC&&[^\\p{Cc}]]{1,64}",
        amount: u128,
        price_version: u32,
        args: [u8; 32],
        buyer in proptest::option::of(any::<[u8; 20]>()),
        nonce: [u8; 16],
        later in 1_u64..u64::from(u32::MAX),
    ) {
        let quote = SealedQuote {
            binding: Binding {
                tool: ToolRef { server: server.parse().unwrap(), tool: tool.parse().unwrap() },
                args: Digest::from_bytes(args),
                price_version,
                quote: None,
            },
            amount: Amount::new(amount),
            asset: "eip155:1/erc20:0x00".parse().unwrap(),
            expires: NOW.plus_millis(later),
            buyer: buyer.map(|address| Caller::Wallet(address).principal()),
            nonce,
        };
        let sealer = QuoteSealer::new(&[1; 32]);
        prop_assert_eq!(sealer.open(&sealer.seal(&quote)), Ok(quote));
    }
}
