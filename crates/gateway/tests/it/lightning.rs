//! Lightning credentials against a real gateway: what a holder may do to a token, which preimages prove a payment, and the
//! two ways to show one paid invoice.

use serde_json::{Value, json};
use tollgate_rails::evm::keccak256;
use tollgate_rails::l402::Macaroon;
use tollgate_rails::l402::www_authenticate::{AuthChallenge, challenges};
use tollgate_testkit::http::Answer;
use tollgate_testkit::journal_server::{Behaviour, Script, Tool};

use crate::world::{Demand, PRICE, World, base64_encode, code, delivered, now, post, rand_32, statement};

/// What `10sat` is in millisatoshi.
const PRICE_MSAT: u128 = 10_000;

/// A credential whose invoice is paid and which nobody has used.
struct Unused {
    token: Macaroon,
    preimage: String,
}

impl Unused {
    async fn buy(world: &World, arguments: &Value) -> Self {
        let credential = world.l402_credential("echo", arguments).await;
        let (token, preimage) = credential.split_once(':').unwrap();
        Self { token: Macaroon::from_text(token).unwrap(), preimage: preimage.to_owned() }
    }

    /// With one more restriction, as any holder can add one.
    fn narrowed(&self, caveat: impl AsRef<[u8]>) -> Macaroon {
        self.token.add_first_party_caveat(caveat.as_ref()).unwrap()
    }

    fn caveats(&self) -> Vec<Vec<u8>> {
        self.token.caveats().map(<[u8]>::to_vec).collect()
    }

    fn signature(&self) -> [u8; 32] {
        self.token.as_bytes().last_chunk().copied().unwrap()
    }

    /// The same token with other caveats under the old signature.
    fn respelled(&self, caveats: &[Vec<u8>]) -> String {
        base64_encode(&spelled(self.token.identifier(), caveats, &[], &self.signature()))
    }

    fn hash(&self) -> String {
        hash_of(&self.preimage)
    }
}

/// Macaroon v2 bytes (libmacaroons), written by this test alone. `third` is a caveat with a verification id.
fn spelled(identifier: &[u8], caveats: &[Vec<u8>], third: &[u8], signature: &[u8; 32]) -> Vec<u8> {
    let field = |tag: u8, value: &[u8]| {
        let length = match value.len() {
            short @ 0..128 => vec![u8::try_from(short).unwrap()],
            long => vec![u8::try_from(long % 128).unwrap() | 128, u8::try_from(long / 128).unwrap()],
        };
        [&[tag][..], &length, value].concat()
    };
    let mut bytes = [&[2][..], &field(1, b"tollgate"), &field(2, identifier), &[0]].concat();
    for caveat in caveats {
        bytes.extend([field(2, caveat), vec![0]].concat());
    }
    if !third.is_empty() {
        bytes.extend(
            [field(1, b"elsewhere"), field(2, third), field(4, b"verification id"), vec![0]].concat(),
        );
    }
    bytes.extend([vec![0], field(6, signature)].concat());
    bytes
}

fn hash_of(preimage: &str) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(hex::decode(preimage).unwrap()))
}

async fn present(world: &World, arguments: &Value, credential: &str) -> Answer {
    world.call_with("echo", arguments, &json!({ "l402/authorization": credential })).await
}

/// Presents a credential over MCP and over HTTP; returns the code of both refusals.
async fn refused(world: &World, arguments: &Value, credential: &str, what: &str) -> String {
    let over_mcp = present(world, arguments, credential).await;
    let code_of_mcp = code(&over_mcp);
    Demand::read(&over_mcp);
    let body = json!({ "tool_name": "echo", "arguments": arguments });
    let header = format!("L402 {credential}");
    let over_http =
        post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[("authorization", &header)]).await;
    assert!(
        [401, 402].contains(&over_http.status.as_u16()),
        "{what}: {} {}",
        over_http.status,
        over_http.text()
    );
    assert_eq!(code(&over_http), code_of_mcp, "{what}");
    code_of_mcp
}

#[tokio::test]
async fn p4_no_credential_that_was_forged_tampered_with_or_widened_pays() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let bought = Unused::buy(&world, &arguments).await;
    let caveats = bought.caveats();
    let text = |name: &str| {
        let caveat = caveats.iter().find(|caveat| caveat.starts_with(name.as_bytes())).unwrap();
        String::from_utf8(caveat.clone()).unwrap()
    };
    let (first, rest) = caveats.split_first().unwrap();
    let last = caveats.last().unwrap().clone();
    let replaced = |from: &str, to: &str| {
        let changed = caveats
            .iter()
            .map(|caveat| String::from_utf8(caveat.clone()).unwrap().replace(from, to).into_bytes());
        bought.respelled(&changed.collect::<Vec<_>>())
    };
    let mut flipped = bought.signature();
    flipped[31] ^= 1;
    let id = bought.token.identifier();
    let mut stripped = bought.token.as_bytes().to_vec();
    stripped.truncate(stripped.len() - 34);
    let forged = Macaroon::mint(&rand_32(), id, "tollgate", caveats.iter().map(Vec::as_slice)).unwrap();

    let tampered = [
        ("forged under another key", forged.to_base64()),
        ("forged signature", base64_encode(&spelled(id, &caveats, &[], &flipped))),
        ("signature of zeros", base64_encode(&spelled(id, &caveats, &[], &[0; 32]))),
        ("signature stripped", base64_encode(&stripped)),
        ("a later price", replaced("tollgate_price=", "tollgate_price=0")),
        ("another tool", replaced("up/echo", "up/ecco")),
        ("a longer life", replaced(&text("tollgate_valid_until"), "tollgate_valid_until=99999999999")),
        ("a caveat stripped", bought.respelled(&caveats[..caveats.len() - 1])),
        ("all caveats stripped", bought.respelled(&[])),
        ("reordered", bought.respelled(&[rest, std::slice::from_ref(first)].concat())),
        ("duplicated unsigned", bought.respelled(&[caveats.clone(), vec![last]].concat())),
        ("admin added unsigned", bought.respelled(&[caveats.clone(), vec![b"admin=true".to_vec()]].concat())),
        ("third party", base64_encode(&spelled(id, &caveats, b"ask elsewhere", &bought.signature()))),
        ("bytes behind the end", base64_encode(&[bought.token.as_bytes(), b"\0"].concat())),
        ("two tokens", format!("{},{}", bought.token.to_base64(), bought.token.to_base64())),
        ("of version 1", base64_encode(b"0024location http://localhost\n")),
    ];
    // A holder can sign what it adds, and nothing that it adds may grant anything.
    let widened = [
        ("a longer life, signed", bought.narrowed("tollgate_valid_until=99999999999")),
        ("another tool, signed", bought.narrowed("tollgate_tool=up/other")),
        ("other arguments, signed", bought.narrowed(format!("tollgate_args_sha256={}", "0".repeat(64)))),
        ("a lower price, signed", bought.narrowed("tollgate_price=1:1:lightning:regtest/msat")),
        ("more services, signed", bought.narrowed("services=tollgate:0,admin:0")),
        ("a wrong service, signed", bought.narrowed("services=other:0")),
        ("an unknown restriction of ours", bought.narrowed("tollgate_max_calls=1")),
        ("a NUL in the value", bought.narrowed(b"tollgate_tool=up/echo\0")),
        ("a NUL in the name", bought.narrowed(b"tollgate_tool\0=up/echo")),
        ("a look-alike letter in the name", bought.narrowed("tollgate_t\u{043e}ol=up/echo")),
        ("a line break", bought.narrowed("tollgate_tool=up/echo\nadmin=true")),
        ("a full-width value", bought.narrowed("tollgate_valid_until=\u{ff11}")),
    ];
    let all = tampered.into_iter().chain(widened.into_iter().map(|(what, token)| (what, token.to_base64())));
    for (what, token) in all {
        let code = refused(&world, &arguments, &format!("{token}:{}", bought.preimage), what).await;
        assert!(["payment_invalid", "payment_unreadable"].contains(&code.as_str()), "{what}: {code}");
    }
    let expired = bought.narrowed(format!("tollgate_valid_until={}", now().secs() - 1)).to_base64();
    refused(&world, &arguments, &format!("{expired}:{}", bought.preimage), "expired").await;
    world.assert_untouched("P4").await;

    // Control: an added restriction that holds, and a stranger's condition that grants nothing here.
    let until = text("tollgate_valid_until").split_once('=').unwrap().1.parse::<u64>().unwrap();
    let narrowed = bought.narrowed(format!("tollgate_valid_until={}", until - 1));
    let narrowed = narrowed.add_first_party_caveat(b"services=tollgate:0").unwrap();
    let narrowed = narrowed.add_first_party_caveat(b"admin=true").unwrap();
    let result = delivered(
        &present(&world, &arguments, &format!("{}:{}", narrowed.to_base64(), bought.preimage)).await,
    );
    assert_eq!(statement(&result)["price"]["amount"], PRICE_MSAT.to_string(), "and it cost what it costs");
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE_MSAT, 0, 0]);
}

#[tokio::test]
async fn p4_a_narrowed_copy_of_a_used_credential_is_the_same_payment() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let bought = Unused::buy(&world, &arguments).await;
    let whole = format!("{}:{}", bought.token.to_base64(), bought.preimage);
    let first = delivered(&present(&world, &arguments, &whole).await);
    let copy = format!("{}:{}", bought.narrowed("note=copy").to_base64(), bought.preimage);
    let again = delivered(&present(&world, &arguments, &copy).await);
    assert_eq!(
        again["_meta"]["tollgate/receipt"]["envelope"],
        first["_meta"]["tollgate/receipt"]["envelope"]
    );
    // Nor can its preimage go in the token itself, as aperture's clients send it, and be another payment.
    let inside = bought.narrowed(format!("preimage={}", bought.preimage)).to_hex();
    let body = json!({ "tool_name": "echo", "arguments": arguments });
    let again = post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[("macaroon", &inside)]).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE_MSAT, 0, 0]);
}

#[tokio::test]
async fn p16_only_the_preimage_of_its_own_paid_invoice_opens_a_credential() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let (bought, other) = (Unused::buy(&world, &arguments).await, Unused::buy(&world, &arguments).await);
    let token = bought.token.to_base64();
    let unpaid = world.demand("echo", &arguments).await.l402;
    let unpaid_token = unpaid["macaroon"].as_str().unwrap();
    let right = bought.preimage.as_str();
    for (what, token, preimage) in [
        ("a byte short", token.as_str(), &right[2..]),
        ("a digit short", &token, &right[1..]),
        ("a byte long", &token, &format!("{right}00")),
        ("in capitals", &token, &right.to_uppercase().replace(|c: char| c.is_ascii_digit(), "A")),
        ("no digits", &token, &"z".repeat(64)),
        ("of another paid invoice", &token, &other.preimage),
        ("the payment hash itself", &token, &bought.hash()),
        ("of zeros", &token, &"0".repeat(64)),
        ("of a paid invoice, for an unpaid one", unpaid_token, right),
        ("the hash of an unpaid invoice", unpaid_token, unpaid["payment_hash"].as_str().unwrap()),
    ] {
        let code = refused(&world, &arguments, &format!("{token}:{preimage}"), what).await;
        assert_eq!(code, "payment_invalid", "{what}");
    }
    assert_eq!(refused(&world, &arguments, &format!("{token}:"), "none").await, "payment_unreadable");
    world.assert_untouched("P16").await;
    for credential in [&bought, &other] {
        delivered(
            &present(
                &world,
                &arguments,
                &format!("{}:{}", credential.token.to_base64(), credential.preimage),
            )
            .await,
        );
    }
    assert_eq!(world.journal.executions(), 2, "control: each opens its own");
}

#[tokio::test]
async fn p16_a_used_credential_is_worth_nothing_after_its_life() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let bought = Unused::buy(&world, &arguments).await;
    delivered(
        &present(&world, &arguments, &format!("{}:{}", bought.token.to_base64(), bought.preimage)).await,
    );
    let expired = bought.narrowed(format!("tollgate_valid_until={}", now().secs() - 1)).to_base64();
    let expired = format!("{expired}:{}", bought.preimage);
    let code = refused(&world, &arguments, &expired, "replayed after its life").await;
    assert!(["payment_expired", "payment_required"].contains(&code.as_str()), "{code}");
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE_MSAT, 0, 0]);
    world.gateway.assert_books_in_order();
}

/// A world with a paid credential whose tool has failed once: its value is the holder's credit.
async fn failed_once(arguments: &Value) -> (World, Unused) {
    let script = Script::new().tool("echo", Behaviour::Fail("not today".to_owned()));
    let world = World::new(script, &[("echo", crate::world::PRICED)]).await;
    let bought = Unused::buy(&world, arguments).await;
    let failed =
        present(&world, arguments, &format!("{}:{}", bought.token.to_base64(), bought.preimage)).await;
    assert_eq!(statement(&failed.json().unwrap()["result"])["charged"], false);
    assert_eq!(world.gateway.account(&format!("credit:lightning:{}", bought.hash())), [0, PRICE_MSAT, 0, 0]);
    world.journal.replace_tools(vec![Tool::new("echo", Behaviour::Echo)]);
    (world, bought)
}

#[tokio::test]
async fn the_value_of_a_voided_credential_is_credit_after_its_life_and_is_spent_once() {
    let arguments = json!({ "n": 1 });
    let (world, bought) = failed_once(&arguments).await;
    let expired = bought.narrowed(format!("tollgate_valid_until={}", now().secs() - 1)).to_base64();
    let expired = format!("{expired}:{}", bought.preimage);
    let result = delivered(&present(&world, &arguments, &expired).await);
    assert_eq!(statement(&result)["price"]["rail"], "credit");
    let credit = format!("credit:lightning:{}", bought.hash());
    assert_eq!(world.gateway.account(&credit), [PRICE_MSAT, PRICE_MSAT, 0, 0]);

    // The one payment has bought its one call: neither form of the credential buys a second.
    let executions = world.journal.executions();
    refused(&world, &arguments, &expired, "spent").await;
    let whole =
        present(&world, &arguments, &format!("{}:{}", bought.token.to_base64(), bought.preimage)).await;
    assert!(["payment_required", "payment_replayed"].contains(&code(&whole).as_str()), "{}", whole.text());
    assert_eq!(world.journal.executions(), executions, "one payment, one answered call");
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE_MSAT, 0, 0]);
    assert_eq!(world.gateway.account("clearing:l402"), [PRICE_MSAT, 0, 0, 0], "the money arrived once");
    world.gateway.assert_books_in_order();
}

#[tokio::test]
async fn a_voided_credential_pays_for_its_call_once_the_tool_works_and_leaves_no_credit() {
    let arguments = json!({ "n": 1 });
    let (world, bought) = failed_once(&arguments).await;
    let whole = format!("{}:{}", bought.token.to_base64(), bought.preimage);
    let result = delivered(&present(&world, &arguments, &whole).await);
    assert_eq!(statement(&result)["price"]["rail"], "l402");
    let executions = world.journal.executions();
    let expired = bought.narrowed(format!("tollgate_valid_until={}", now().secs() - 1)).to_base64();
    refused(&world, &arguments, &format!("{expired}:{}", bought.preimage), "spent").await;
    assert_eq!(world.journal.executions(), executions);
    assert_eq!(
        world.gateway.account(&format!("credit:lightning:{}", bought.hash())),
        [PRICE_MSAT, PRICE_MSAT, 0, 0]
    );
    world.gateway.assert_books_in_order();
}

/// The `WWW-Authenticate` lines of an unpaid HTTP request, in order.
async fn lines(world: &World, arguments: &Value) -> Vec<String> {
    let body = json!({ "tool_name": "echo", "arguments": arguments });
    let unpaid = post(&format!("{}/api/v1/execute", world.gateway.url), &body, &[]).await;
    assert_eq!(unpaid.status, 402);
    let lines = unpaid.headers.get_all("www-authenticate");
    lines.iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_http_402_opens_with_an_l402_line_that_every_deployed_client_reads() {
    let world = World::paid_echo().await;
    let lines = lines(&world, &json!({ "n": 1 })).await;
    let parts: Vec<&str> = lines[0].strip_prefix("L402 ").unwrap().split(", ").collect();
    let names: Vec<&str> = parts.iter().map(|part| part.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["macaroon", "invoice", "version", "token"]);
    let value = |index: usize| parts[index].split_once('=').unwrap().1;
    assert!(parts.iter().all(|part| part.ends_with('"')), "{parts:?}");
    assert_eq!((value(0), value(2)), (value(3), "\"0\""), "both names carry the one token");
    assert!(value(1).starts_with("\"lnbcrt"), "{parts:?}");
    let schemes: Vec<&str> = lines[1..].iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(schemes, ["Payment", "Payment"], "one for each rail, each on a line of its own: {lines:?}");
    let methods: Vec<String> =
        lines[1..].iter().map(|line| parsed(line).param("method").unwrap().to_owned()).collect();
    assert!(methods.contains(&"lightning".to_owned()) && methods.contains(&"evm".to_owned()), "{methods:?}");
}

fn parsed(line: &str) -> AuthChallenge {
    challenges(line).into_iter().next().unwrap()
}

/// A challenge as a credential echoes it.
fn echoed(challenge: &AuthChallenge) -> Value {
    Value::Object(challenge.params.iter().map(|(name, value)| (name.clone(), json!(value))).collect())
}

#[tokio::test]
async fn one_paid_invoice_can_be_shown_as_l402_or_as_payment_and_buys_one_call() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let body = json!({ "tool_name": "echo", "arguments": arguments });
    let url = format!("{}/api/v1/execute", world.gateway.url);
    let lines = lines(&world, &arguments).await;
    let l402 = parsed(&lines[0]);
    let payment =
        lines.iter().map(|line| parsed(line)).find(|line| line.param("method") == Some("lightning")).unwrap();
    let invoice = l402.param("invoice").unwrap();
    let request = crate::world::base64_decode(&padded(payment.param("request").unwrap()));
    let request: Value = serde_json::from_slice(&request).unwrap();
    assert_eq!(request["methodDetails"]["invoice"], invoice, "the same invoice");
    let preimage = world.pay_invoice(invoice).await;

    let credential = |preimage: &str| {
        let credential = json!({ "challenge": echoed(&payment), "payload": { "preimage": preimage } });
        format!("Payment {}", base64_encode(credential.to_string().as_bytes()))
    };
    let wrong = post(&url, &body, &[("authorization", &credential(&"0".repeat(64)))]).await;
    assert_eq!((wrong.status.as_u16(), code(&wrong).as_str()), (402, "payment_invalid"));
    let mut widened = echoed(&payment);
    widened["expires"] = json!("2099-01-01T00:00:00Z");
    let widened = json!({ "challenge": widened, "payload": { "preimage": preimage } }).to_string();
    let widened =
        post(&url, &body, &[("authorization", &format!("Payment {}", base64_encode(widened.as_bytes())))])
            .await;
    assert_eq!((widened.status.as_u16(), code(&widened).as_str()), (402, "payment_invalid"));
    world.assert_untouched("wrong preimage, changed challenge").await;

    let paid = post(&url, &body, &[("authorization", &credential(&preimage))]).await;
    assert_eq!(paid.status, 200, "{}", paid.text());
    assert!(paid.header("payment-receipt").is_some(), "MPP's receipt header: {:?}", paid.headers);
    let header = format!("L402 {}:{preimage}", l402.param("token").unwrap());
    let again = post(&url, &body, &[("authorization", &header)]).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.json().unwrap()["receipt"]["envelope"], paid.json().unwrap()["receipt"]["envelope"]);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.gateway.account("payable:up"), [0, PRICE_MSAT, 0, 0]);
    world.gateway.assert_books_in_order();
}

/// Base64url without padding, as the standard alphabet with it.
fn padded(text: &str) -> String {
    let standard = text.replace('-', "+").replace('_', "/");
    format!("{standard}{}", "=".repeat((4 - standard.len() % 4) % 4))
}

#[tokio::test]
async fn an_mpp_client_pays_over_mcp_with_a_nonce_that_answers_the_challenge() {
    let world = World::paid_echo().await;
    let arguments = json!({ "n": 1 });
    let demand = world.demand("echo", &arguments).await;
    let offered = &demand.result["_meta"]["org.paymentauth/payment-required"];
    assert_eq!(offered["httpStatus"], 402);
    let challenge =
        offered["challenges"].as_array().unwrap().iter().find(|one| one["method"] == "evm").unwrap();
    assert_eq!(
        (&challenge["intent"], &challenge["request"]["amount"]),
        (&json!("charge"), &json!(PRICE.to_string()))
    );

    let credential = |nonce: [u8; 32]| {
        let entry = demand.entry().to_string();
        let signed = tollgate_rails::x402::sign_payment(&entry, None, &world.payer(), nonce, now()).unwrap();
        let signed: Value = serde_json::from_str(&signed).unwrap();
        let mut payload = signed["payload"]["authorization"].clone();
        payload["signature"] = signed["payload"]["signature"].clone();
        payload["type"] = json!("authorization");
        json!({ "org.paymentauth/credential": { "challenge": challenge, "payload": payload } })
    };
    let loose = world.call_with("echo", &arguments, &credential(rand_32())).await;
    assert_eq!(code(&loose), "payment_invalid", "a nonce that answers no challenge");
    world.assert_untouched("MPP").await;

    let text = format!("{}{}", challenge["id"].as_str().unwrap(), challenge["realm"].as_str().unwrap());
    let bound = credential(keccak256(text.as_bytes()));
    let result = delivered(&world.call_with("echo", &arguments, &bound).await);
    let receipt = &result["_meta"]["org.paymentauth/receipt"];
    assert_eq!((&receipt["status"], &receipt["challengeId"]), (&json!("success"), &challenge["id"]));
    assert_eq!(receipt["reference"], statement(&result)["payment_ref"]);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE);
    let other = world.call_with("echo", &json!({ "n": 2 }), &bound).await;
    assert_eq!(code(&other), "payment_other_call");
    delivered(&world.call_with("echo", &arguments, &bound).await);
    assert_eq!(world.journal.executions(), 1);
    assert_eq!(world.payer_balance().await, 100_000_000 - PRICE, "charged once");
    world.gateway.assert_books_in_order();
}
