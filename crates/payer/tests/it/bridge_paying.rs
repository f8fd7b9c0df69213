//! The bridge pays for calls: within the budget, once, and for nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Client, Setting, call, failure, modern, modern_meta};
use crate::server::{Reply, Server};
use crate::world::{World, delivered, demand, entry, required};

fn legacy_call(id: i64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": { "name": "weather", "arguments": { "city": "Oslo" } } })
}

#[tokio::test]
async fn a_priced_call_is_paid_and_the_client_sees_only_the_answer() {
    for line in [call(7), legacy_call(7)] {
        let server =
            Server::saying([Reply::result(&demand(&[entry("10000")])), Reply::result(&delivered())]).await;
        let world = World::new();
        let mut client = Client::new(&server.url(), &world);
        let answer = client.ask(&line).await;
        assert_eq!(answer, json!({ "jsonrpc": "2.0", "id": 7, "result": delivered() }), "receipt and all");
        assert_eq!(
            (world.draws.count(), client.book.usdc()),
            (2, (10_000, 0)),
            "one for the bridge, one nonce"
        );

        let asked = server.posted();
        let [first, second] = asked.as_slice() else { panic!("{asked:?}") };
        assert!(first.payment().is_none() && second.payment().is_some());
        assert_ne!(first.body["id"], second.body["id"], "a paying retry is a new request");
        assert!(second.text.contains(r#""arguments":{"city":"Oslo"}"#));
        assert_eq!(client.end().await, [] as [Value; 0]);
    }
}

#[tokio::test]
async fn p8_over_a_limit_the_client_is_told_price_limit_and_what_to_do_and_nothing_is_spent() {
    let over_total = Setting { total: 9_999, ..Setting::default() };
    let over_call = Setting { per_call: 9_999, ..Setting::default() };
    let forbidden = Setting { tools: vec!["other*".to_owned()], ..Setting::default() };
    let exact = Setting { total: 10_000, tools: vec!["wea*".to_owned()], ..Setting::default() };
    let cases = [
        (over_call, &["0.01 USDC", "0.009999 USDC per call", "--max-per-call 0.01USDC"][..]),
        (over_total, &["0.01 USDC", "0.009999 USDC in all", "--max-total"][..]),
        (forbidden, &["--allow weather"][..]),
        (exact, &[][..]),
    ];
    for (setting, words) in cases {
        let server =
            Server::saying([Reply::result(&demand(&[entry("10000")])), Reply::result(&delivered())]).await;
        let world = World::new();
        let mut client = Client::with(&server.url(), &world, setting);
        let answer = client.ask(&call(7)).await;
        if words.is_empty() {
            assert_eq!(answer["result"], delivered(), "positive control: at the limits");
            assert_eq!((server.payments().len(), client.book.usdc()), (1, (10_000, 0)));
            continue;
        }
        assert!(words.iter().all(|word| failure(&answer).contains(word)), "{answer}");
        assert_eq!(answer["result"]["resultType"], "complete", "as its era wants it");
        assert_eq!((server.payments().len(), client.book.usdc()), (0, (0, 0)));
    }
}

#[tokio::test]
async fn m10_a_demand_anywhere_but_in_the_answer_to_a_call_spends_nothing() {
    let demanded = demand(&[entry("10000")]);
    let challenge = STANDARD.encode(required(&[entry("10000")]).to_string());
    let aside = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": demanded });
    let asks = json!({ "jsonrpc": "2.0", "id": "s", "method": "elicitation/create", "params": demanded });
    let other = json!({ "jsonrpc": "2.0", "id": "not-yours", "result": demanded });
    let stream = format!(
        "data: {aside}\n\ndata: {asks}\n\ndata: {other}\n\ndata: {}\n\n",
        r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[]}}"#
    );
    let list = modern(1, "tools/list", &json!({}));
    let cases = [
        (&list, Reply::result(&demanded), 1),
        (&list, Reply::json(402, "{}").with_header("payment-required", challenge), 1),
        (&call(1), Reply::events(stream), 3),
        // The result of a tool that did not fail is no demand, whatever it looks like.
        (
            &call(1),
            Reply::result(&json!({ "structuredContent": required(&[entry("10000")]), "content": [] })),
            1,
        ),
    ];
    for (line, reply, lines) in cases {
        let server = Server::saying([reply, Reply::result(&demanded), Reply::result(&delivered())]).await;
        let world = World::new();
        let mut client = Client::new(&server.url(), &world);
        client.say(line).await;
        for _ in 0..lines {
            client.hear().await;
        }
        assert_eq!(
            (server.posted().len(), world.draws.count(), client.book.usdc()),
            (1, 1, (0, 0)),
            "{line}"
        );
        let paid = client.ask(&call(2)).await;
        assert_eq!(paid["result"], delivered(), "positive control: the answer to a call is paid");
        assert_eq!(server.payments().len(), 1);
    }
}

#[tokio::test]
async fn p6_a_client_that_pays_by_itself_is_not_paid_for_as_well() {
    let server = Server::saying([
        Reply::result(&demand(&[entry("10000")])),
        Reply::result(&demand(&[entry("10000")])),
        Reply::result(&delivered()),
    ])
    .await;
    let world = World::new();
    let mut client = Client::new(&server.url(), &world);
    let mut own = call(1);
    own["params"]["_meta"]["x402/payment"] = json!({ "x402Version": 2 });
    let answer = client.ask(&own).await;
    assert_eq!(answer["result"], demand(&[entry("10000")]), "its own affair");
    assert_eq!((server.posted().len(), client.book.usdc()), (1, (0, 0)));
    let answer = client.ask(&call(2)).await;
    assert_eq!(answer["result"], delivered(), "positive control: without a payment of its own");
}

#[tokio::test]
async fn p6_a_lightning_credential_never_stands_beside_another_one() {
    for (header, pays) in [("authorization", false), ("x-other", true)] {
        let world = World::new();
        let invoice = world.lightning.invoice(10).await;
        let challenge = Reply::json(402, "{}").with_header(
            "www-authenticate",
            format!(r#"L402 macaroon="AgEEbHNhdA==", invoice="{}""#, invoice.bolt11),
        );
        let server = Server::saying([challenge, Reply::result(&delivered())]).await;
        let mut headers = http::HeaderMap::new();
        headers.insert(http::HeaderName::from_static(header), "Bearer mine".parse().expect("a value"));
        let mut client = Client::with(&server.url(), &world, Setting { headers, ..Setting::default() });
        let answer = client.ask(&call(1)).await;
        assert_eq!(world.lightning.paid().len(), usize::from(pays), "{header}: {answer}");
        if pays {
            let sent = server.posted()[1].header("authorization").expect("the credential").to_owned();
            assert!(sent.starts_with("L402 AgEEbHNhdA==:"), "positive control");
            assert_eq!(server.posted()[1].header(header), Some("Bearer mine"));
        } else {
            assert!(failure(&answer).contains("Authorization"), "{answer}");
        }
    }
}

#[tokio::test]
async fn p19_a_demand_above_the_listed_price_is_not_paid() {
    let asset = "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e";
    for (listed, pays) in [("9999", false), ("10000", true)] {
        let pricing = json!({ "options": [{ "amount": listed, "asset": asset }] });
        let tool = json!({ "name": "weather", "inputSchema": {}, "_meta": { "tollgate/pricing": pricing } });
        let replies = [
            Reply::result(&json!({ "tools": [tool] })),
            Reply::result(&demand(&[entry("10000")])),
            Reply::result(&delivered()),
        ];
        let server = Server::saying(replies).await;
        let mut client = Client::new(&server.url(), &World::new());
        client.ask(&modern(1, "tools/list", &json!({}))).await;
        let answer = client.ask(&call(2)).await;
        assert_eq!(server.payments().len(), usize::from(pays), "{answer}");
        if !pays {
            assert!(failure(&answer).contains("lists it for 0.009999 USDC"), "{answer}");
            assert_eq!(client.book.usdc(), (0, 0));
        }
    }
}

#[tokio::test]
async fn f48_a_broken_paid_answer_is_asked_for_again_with_the_same_payment() {
    let in_flight = json!({ "code": -31016, "message": "in flight", "data": {
        "error": "payment_in_flight", "retryable": true, "holding_call_id": "call_1" } });
    let progress =
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } });
    let replies = [
        Reply::result(&demand(&[entry("10000")])),
        Reply::events(format!("id: e-1\ndata: {progress}\n\n")),
        Reply::Cut,
        Reply::error(409, &in_flight),
        Reply::result(&delivered()),
    ];
    let server = Server::saying(replies).await;
    let world = World::new();
    let mut client = Client::new(&server.url(), &world);
    client.say(&call(1)).await;
    assert_eq!(client.hear().await, progress, "passed on at once");
    assert_eq!(client.hear().await["result"], delivered());
    let payments = server.payments();
    assert_eq!(payments.len(), 4);
    assert!(payments.iter().all(|payment| *payment == payments[0]), "always the same payment");
    let mut ids: Vec<String> = server.posted().iter().map(|asked| asked.body["id"].to_string()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each request has an id of its own");
    assert_eq!((world.draws.count(), client.book.usdc()), (2, (10_000, 0)));
}

#[tokio::test]
async fn a_payment_in_doubt_stays_counted_and_the_same_call_presents_it_again() {
    let pending = json!({ "code": -31024, "message": "not known yet", "data": {
        "error": "settlement_pending", "retryable": true, "call_id": "call_1abc" } });
    let replies = [
        Reply::result(&demand(&[entry("10000")])),
        Reply::error(503, &pending),
        Reply::error(503, &pending),
        Reply::result(&delivered()),
        Reply::result(&demand(&[entry("10000")])),
        Reply::result(&delivered()),
    ];
    let server = Server::saying(replies).await;
    let world = World::new();
    let setting = Setting { presented_max: 2, ..Setting::default() };
    let mut client = Client::with(&server.url(), &world, setting);
    let answer = client.ask(&call(1)).await;
    let text = failure(&answer);
    assert!(text.contains("call_1abc") && text.contains("not paid twice"), "{text}");
    assert_eq!(client.book.usdc(), (10_000, 10_000), "counted, without an answer");

    let again = client.ask(&call(2)).await;
    assert_eq!(again["result"], delivered());
    let payments = server.payments();
    assert_eq!(payments.len(), 3);
    assert!(payments.iter().all(|payment| *payment == payments[0]), "paid once");
    assert_eq!((world.draws.count(), client.book.usdc()), (2, (10_000, 0)));

    let third = client.ask(&call(3)).await;
    assert_eq!(third["result"], delivered(), "positive control: then it is a new call, and paid anew");
    assert_eq!(client.book.usdc(), (20_000, 0));
}

#[tokio::test]
async fn a_second_demand_is_an_answer_and_not_an_invitation() {
    let mut again = demand(&[entry("1")]);
    again["_meta"] = json!({ "tollgate/denial": { "error": "payment_expired", "message": "Too late." } });
    let replies =
        [Reply::result(&demand(&[entry("10000")])), Reply::result(&again), Reply::result(&delivered())];
    let server = Server::saying(replies).await;
    let world = World::new();
    let mut client = Client::new(&server.url(), &world);
    let answer = client.ask(&call(1)).await;
    assert!(failure(&answer).contains("Too late"), "{answer}");
    assert_eq!((server.payments().len(), world.draws.count()), (1, 2));
    assert_eq!(client.book.usdc().0, 10_000, "what was handed out can still be used");
}

#[tokio::test]
async fn a_definite_error_after_the_payment_reaches_the_client_as_it_is() {
    let broken = json!({ "code": -31022, "message": "no answer", "data": { "error": "upstream_timed_out", "retryable": true } });
    let replies =
        [Reply::result(&demand(&[entry("10000")])), Reply::error(504, &broken), Reply::result(&delivered())];
    let server = Server::saying(replies).await;
    let mut client = Client::new(&server.url(), &World::new());
    let answer = client.ask(&call(4)).await;
    assert_eq!(answer, json!({ "jsonrpc": "2.0", "id": 4, "error": broken }));
    assert_eq!(server.payments().len(), 1, "a tool that may have run is not run again by itself");
}

#[tokio::test]
async fn the_asset_whose_offer_fits_is_paid_with_the_preferred_one_first() {
    for (per_call, rail) in [(10_000, "x402"), (9_999, "l402")] {
        let world = World::new();
        let invoice = world.lightning.invoice(10).await;
        let mut both = demand(&[entry("10000")]);
        both["_meta"] =
            json!({ "l402/challenge": { "macaroon": "AgEEbHNhdA==", "invoice": invoice.bolt11 } });
        let server = Server::saying([Reply::result(&both), Reply::result(&delivered())]).await;
        let mut client = Client::with(&server.url(), &world, Setting { per_call, ..Setting::default() });
        let answer = client.ask(&call(1)).await;
        assert_eq!(answer["result"], delivered());
        assert_eq!(world.lightning.paid().len(), usize::from(rail == "l402"));
        assert_eq!(client.book.usdc().0, if rail == "x402" { 10_000 } else { 0 });
    }
}

#[tokio::test]
async fn a_cancelled_call_is_not_answered_and_its_payment_stays_with_the_same_call() {
    let replies = [Reply::result(&demand(&[entry("10000")])), Reply::Hang, Reply::result(&delivered())];
    let server = Server::saying(replies).await;
    let world = World::new();
    let mut client = Client::new(&server.url(), &world);
    client.say(&call(1)).await;
    server.wait_for_payments(1).await;
    let params = json!({ "requestId": 1, "_meta": modern_meta() });
    client.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })).await;
    let again = client.ask(&call(2)).await;
    assert_eq!((&again["id"], &again["result"]), (&json!(2), &delivered()), "and nothing came for 1");
    let payments = server.payments();
    assert_eq!((payments.len(), payments[0] == payments[1]), (2, true), "paid once");
    assert_eq!(client.book.usdc(), (10_000, 0));
}
