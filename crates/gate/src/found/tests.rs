use http::HeaderValue;
use tollgate_domain::{Amount, Asset, Price};

use super::*;

/// The key of a request with these header lines and this member of `_meta`; the reason why it is refused.
fn key(lines: &[&str], meta: Option<&str>) -> Result<Option<String>, String> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    let found = Found {
        tool: ToolRef { server: "up".parse().unwrap(), tool: "echo".parse().unwrap() },
        arguments: Bytes::from_static(b"{}"),
        headers: &headers,
        query: None,
        credit: CreditUse::Allowed,
        maximum: None,
        origin: Origin::named("test"),
    };
    match request(found, |name| meta.filter(|_| name == IDEMPOTENCY_META).map(str::as_bytes)) {
        Ok(request) => Ok(request.idempotency_key),
        Err(Denial::MalformedFrame { reason, .. }) => Err(reason),
        Err(other) => panic!("another refusal: {other:?}"),
    }
}

#[test]
fn an_idempotency_key_that_cannot_be_read_is_refused_and_never_ignored() {
    let long = "x".repeat(65);
    for (lines, meta) in [
        (vec!["schlüssel"], None),
        (vec!["a b"], None),
        (vec![""], None),
        (vec![long.as_str()], None),
        (vec![], Some("7")),
        (vec![], Some("{\"key\":\"a\"}")),
        (vec![], Some("\"\"")),
        (vec![], Some("\"schlüssel\"")),
    ] {
        let refused = key(&lines, meta).expect_err("an unreadable key");
        assert!(refused.contains("1 to 64 visible ASCII"), "{lines:?} {meta:?}: {refused}");
    }
    for (lines, meta) in [
        (vec!["a", "b"], None),
        (vec!["a"], Some("\"b\"")),
        (vec!["a", "schlüssel"], None),
        (vec!["a"], Some("7")),
    ] {
        let refused = key(&lines, meta).expect_err("two keys");
        assert!(refused.contains("several"), "{lines:?} {meta:?}: {refused}");
    }
    // Controls: one key, wherever and however often it stands; and none.
    let own = Ok(Some("order-1".to_owned()));
    assert_eq!(key(&["order-1"], None), own);
    assert_eq!(key(&[], Some("\"order-1\"")), own);
    assert_eq!(key(&["order-1", "order-1"], Some("\"order-1\"")), own);
    assert_eq!(key(&[], None), Ok(None));
    assert_eq!(key(&[], Some("null")), Ok(None));
}

#[test]
fn a_maximum_that_cannot_be_read_is_refused_and_never_ignored() {
    let asset =
        Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6).unwrap();
    let assets = Assets::new([asset.clone()]);
    let priced = Pricing::from(Price::any_of([assets.parse("0.01USDC").unwrap()]));
    for raw in ["7", "{}", "\"\"", "\"0.01\"", "\"0.01EUR\"", "\"-1USDC\"", "\"0.0000001USDC\""] {
        let refused = maximum(Some(raw.as_bytes()), &priced, &assets);
        assert!(matches!(refused, Err(Denial::MalformedFrame { .. })), "{raw}");
        // Of what costs nothing, nothing can be spent.
        let free = maximum(Some(raw.as_bytes()), &Pricing::from(Price::FREE), &assets);
        assert_eq!(free.unwrap(), None, "{raw}");
    }
    let read = |raw: &str| maximum(Some(raw.as_bytes()), &priced, &assets).unwrap();
    let cent = Some(Money { amount: Amount::new(10_000), asset });
    assert_eq!((read("\"0.01USDC\""), read("\"0.01 USDC\"")), (cent.clone(), cent));
    assert_eq!((read("null"), maximum(None, &priced, &assets).unwrap()), (None, None));
}
