use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_domain::{Bps, Caller, KeyId, KyaTier};

use super::*;
use crate::draft::GAP;
use crate::salted_digest;

/// 2026-11-21T00:00:00.000Z
pub(crate) const RECEIVED: UnixMillis = UnixMillis::new(1_795_219_200_000);
pub(crate) const ARGUMENTS: &[u8] = br#"{"city":"Oslo"}"#;
pub(crate) const RESULT: &[u8] = br#"{"content":[{"text":"4 degrees","type":"text"}]}"#;
pub(crate) const ARGUMENTS_SALT: [u8; 16] = [0xa1; 16];
pub(crate) const RESULT_SALT: [u8; 16] = [0xb2; 16];

/// A paid call with every member there can be.
pub(crate) fn full() -> StatementDraft {
    StatementDraft {
        receipt_id: ReceiptId::new(RECEIVED.plus_millis(250), [1; 10]),
        call_id: CallId::new(RECEIVED, [2; 10]),
        ts: RECEIVED.plus_millis(250),
        caller: Caller::Wallet([0xc0; 20]).principal(),
        tool: ToolRef { server: "demo".parse().unwrap(), tool: "weather".parse().unwrap() },
        schema_sha256: Some(Digest::of(b"{}")),
        args_sha256: salted_digest(&ARGUMENTS_SALT, Digest::of(ARGUMENTS).as_bytes()),
        result_sha256: Some(salted_digest(&RESULT_SALT, Digest::of(RESULT).as_bytes())),
        outcome: "delivered",
        charged: true,
        price: Some((
            Amount::new(10_000),
            "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse().unwrap(),
            Rail::X402,
        )),
        payment_ref: Some("0x5e".to_owned()),
        refunded: None,
        settlement: "settled",
        escrow: None,
        decision: Some((
            Requirement { api_key: false, min_reputation: Bps::new(4_000) },
            Standing { tier: KyaTier::Sandbox, reputation: Bps::new(5_500), settled_calls: 1 },
        )),
        mode: "sandbox",
    }
}

/// A free call that came to nothing: every member that can be absent is.
pub(crate) fn bare() -> StatementDraft {
    StatementDraft {
        caller: Caller::Anonymous.principal(),
        schema_sha256: None,
        result_sha256: None,
        outcome: "timed_out",
        charged: false,
        price: None,
        payment_ref: None,
        refunded: None,
        settlement: "free",
        escrow: None,
        decision: None,
        ..full()
    }
}

/// What a draft says, as a JSON tree: members without their order, values by their own serde.
pub(crate) fn plainly(draft: &StatementDraft) -> Value {
    let kept = |amount: &Amount| amount.checked_sub(draft.refunded?).filter(|_| draft.charged);
    let decision = draft.decision.map(|(asked, judged)| {
        json!({
            "requirement": { "api_key": asked.api_key, "min_reputation": asked.min_reputation },
            "standing": {
                "reputation": judged.reputation,
                "settled_calls": judged.settled_calls.min(9_007_199_254_740_991),
                "tier": judged.tier,
            },
        })
    });
    let [t0, t1, t2, t3, t4, t5, ..] = *draft.call_id.as_bytes();
    let received = UnixMillis::new(u64::from_be_bytes([0, 0, t0, t1, t2, t3, t4, t5])).to_string();
    let kind = match draft.caller.caller() {
        Caller::Anonymous => "anonymous",
        Caller::ApiKey(_) => "api_key",
        Caller::Wallet(_) => "wallet",
        Caller::Preimage(_) => "preimage",
    };
    let tool = json!({
        "server": draft.tool.server,
        "name": draft.tool.tool,
        "schema_sha256": draft.schema_sha256,
    });
    without_nulls(json!({
        "v": 1,
        "receipt_id": draft.receipt_id,
        "call_id": draft.call_id,
        "received": received,
        "ts": draft.ts.to_string(),
        "caller": { "kind": kind, "principal": draft.caller },
        "tool": tool,
        "args_sha256": draft.args_sha256,
        "result_sha256": draft.result_sha256,
        "outcome": draft.outcome,
        "charged": draft.charged,
        "price": draft.price.as_ref().map(|(amount, asset, rail)| {
            json!({ "rail": rail, "asset": asset, "amount": amount })
        }),
        "payment_ref": draft.payment_ref,
        "refunded": draft.refunded,
        "amount_charged": draft.price.as_ref().and_then(|(amount, ..)| kept(amount)),
        "settlement": draft.settlement,
        "escrow_id": draft.escrow,
        "decision": decision,
        "mode": draft.mode,
    }))
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(members.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        other => other,
    }
}

fn drafts() -> impl Strategy<Value = StatementDraft> {
    let digest = || any::<[u8; 32]>().prop_map(Digest::from_bytes);
    let amount = || any::<u128>().prop_map(Amount::new);
    let caller = prop_oneof![
        Just(Caller::Anonymous),
        any::<[u8; 16]>().prop_map(|bytes| Caller::ApiKey(KeyId::from_bytes(bytes))),
        any::<[u8; 20]>().prop_map(Caller::Wallet),
        any::<[u8; 32]>().prop_map(Caller::Preimage),
    ];
    // What an asset may be named lets quotes and backslashes through.
    let asset =
        r#"[a-z0-9]{1,8}:[a-z0-9]{1,8}/[a-z"\\:]{1,12}"#.prop_map(|text| text.parse::<AssetId>().unwrap());
    let rail = prop_oneof![Just(Rail::X402), Just(Rail::L402), Just(Rail::Credit)];
    let tier = prop_oneof![Just(KyaTier::Sandbox), Just(KyaTier::Organizational), Just(KyaTier::Auditable)];
    let decision = (any::<bool>(), 0u16..=10_000, 0u16..=10_000, any::<u64>(), tier).prop_map(
        |(api_key, min_reputation, reputation, settled_calls, tier)| {
            let (min_reputation, reputation) = (Bps::new(min_reputation), Bps::new(reputation));
            (Requirement { api_key, min_reputation }, Standing { tier, reputation, settled_calls })
        },
    );
    let tool = ("[a-z0-9][-a-z0-9]{0,20}", "[^\\p{Cc}]{1,40}")
        .prop_map(|(server, tool)| ToolRef { server: server.parse().unwrap(), tool: tool.parse().unwrap() });
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), option::of(any::<[u8; 16]>()), 0u64..(1 << 48));
    let money = (option::of((amount(), asset, rail)), option::of(any::<String>()), option::of(amount()));
    let digests = (option::of(digest()), digest(), option::of(digest()));
    (ids, caller, tool, digests, any::<bool>(), money, option::of(decision)).prop_map(
        |((receipt, call, escrow, ts), caller, tool, digests, charged, money, decision)| StatementDraft {
            receipt_id: ReceiptId::from_bytes(receipt),
            call_id: CallId::from_bytes(call),
            ts: UnixMillis::new(ts),
            caller: caller.principal(),
            tool,
            schema_sha256: digests.0,
            args_sha256: digests.1,
            result_sha256: digests.2,
            charged,
            price: money.0,
            payment_ref: money.1,
            refunded: money.2,
            escrow: escrow.map(EscrowId::from_bytes),
            decision,
            ..full()
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_the_canonical_form_of_what_is_said(draft in drafts()) {
        let mut said = plainly(&draft);
        (said["gateway"], said["prev"], said["seq"]) = ("did:key:z".into(), "0f".into(), 7.into());
        let filled = ["did:key:z", "0f", "7"].into_iter().fold(draft.to_text(), |text, value| text.replacen(GAP, value, 1));
        prop_assert_eq!(filled, serde_json_canonicalizer::to_string(&said).unwrap());
    }
}

#[test]
fn a_draft_is_written_in_one_canonical_form() {
    assert_eq!(
        full().to_text().replace(GAP, "_"),
        concat!(
            r#"{"args_sha256":"9a231575fe95b01622ee9b432b7d264ae8ae907cc79a679154af4cdd77b3077b","#,
            r#""call_id":"call_103518Rpy1IgAnbQiqcrFy6","#,
            r#""caller":{"kind":"wallet","principal":"eip155:0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"},"#,
            r#""charged":true,"#,
            r#""decision":{"requirement":{"api_key":false,"min_reputation":"0.4"},"#,
            r#""standing":{"reputation":"0.55","settled_calls":1,"tier":"SANDBOX"}},"#,
            r#""gateway":"_","mode":"sandbox","outcome":"delivered","payment_ref":"0x5e","prev":"_","#,
            r#""price":{"amount":"10000","asset":"eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e","rail":"x402"},"#,
            r#""receipt_id":"rcpt_103518RqMODaqBc55KAfiNd","received":"2026-11-21T00:00:00.000Z","#,
            r#""result_sha256":"4ff83e57bd0723c4a4517e5824a0dc5b164021f6ae289ba52350f828024e0060","#,
            r#""seq":_,"settlement":"settled","#,
            r#""tool":{"name":"weather","schema_sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","server":"demo"},"#,
            r#""ts":"2026-11-21T00:00:00.250Z","v":1}"#,
        )
    );
}

#[test]
fn what_does_not_exist_is_left_out() {
    let text = bare().to_text();
    assert!(!text.contains("null"), "{text}");
    for member in ["decision", "payment_ref", "price", "result_sha256", "schema_sha256"] {
        assert!(!text.contains(member), "{member} in {text}");
        assert!(full().to_text().contains(member), "control: {member} is written where there is one");
    }
}

#[test]
fn the_kind_of_caller_is_said() {
    for (caller, kind) in [
        (Caller::Anonymous, "anonymous"),
        (Caller::ApiKey(KeyId::from_bytes([1; 16])), "api_key"),
        (Caller::Wallet([2; 20]), "wallet"),
        (Caller::Preimage([3; 32]), "preimage"),
    ] {
        let text = StatementDraft { caller: caller.principal(), ..full() }.to_text();
        assert!(
            text.contains(&format!(r#""caller":{{"kind":"{kind}","principal":"{}"}}"#, caller.principal())),
            "{text}"
        );
    }
}

#[test]
fn numbers_stay_exact() {
    let mut draft = full();
    draft.price = draft.price.map(|(_, asset, rail)| (Amount::new(u128::MAX), asset, rail));
    draft.decision =
        draft.decision.map(|(asked, judged)| (asked, Standing { settled_calls: u64::MAX, ..judged }));
    let text = draft.to_text();
    assert!(text.contains(r#""amount":"340282366920938463463374607431768211455""#), "{text}");
    assert!(text.contains(r#""settled_calls":9007199254740991"#), "{text}");
}

#[test]
fn canonical_json_is_that_of_rfc_8785() {
    // RFC 8785 sections 3.2.2 and 3.2.3 (IETF Trust licence).
    for (input, expected) in [
        (
            r#"{
                "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                "literals": [null, true, false]
            }"#,
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
        ),
        (
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
                "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\
             \"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        ),
    ] {
        assert_eq!(serde_json_canonicalizer::pipe(input).unwrap(), expected);
    }
}
