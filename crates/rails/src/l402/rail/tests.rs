use proptest::prelude::*;
use serde_json::Value;
use tollgate_domain::{Digest, Money, Price, ToolRef};

use super::*;
use crate::l402::L402Challenge;
use crate::lightning::dev::DevWallet;
use crate::lightning::testing::{MemoryBook, dev_wallet, ready};
use crate::lightning::{InvoiceState, invoice::InvoiceFacts};

const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_260);
const END: UnixMillis = UnixMillis::from_secs(1_795_219_260 + 600);
const SECRET: [u8; 32] = [5; 32];

fn sat() -> Asset {
    Asset::new("lightning:regtest/msat", "sat", 3).unwrap()
}

fn quote_for(tool: &str, args: &[u8], price_version: u32, msat: u128) -> Quote {
    let usdc =
        Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6).unwrap();
    Quote {
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: tool.parse().unwrap() },
            args: Digest::of(args),
            price_version,
            quote: None,
        },
        price: Price::any_of([
            Money { amount: Amount::new(10_000), asset: usdc },
            Money { amount: Amount::new(msat), asset: sat() },
        ]),
        settle: tollgate_domain::Settle::After,
        expires: NOW.plus_millis(3_600_000),
    }
}

fn quote() -> Quote {
    quote_for("weather", b"{\"city\":\"Oslo\"}", 1, 10_000)
}

struct World {
    rail: L402,
    wallet: Arc<DevWallet<MemoryBook>>,
}

/// A token that was offered and paid for.
struct Paid {
    token: String,
    preimage: String,
    mpp: Value,
}

fn config(asset: Asset, secret: [u8; 32], wallet: Arc<dyn LightningWallet>) -> L402Config {
    L402Config {
        asset,
        secret: GateSecret::new(secret),
        ttl_seconds: TTL_SECONDS_DEFAULT,
        wallet,
        realm: "gate.example".to_owned(),
    }
}

impl World {
    fn new() -> Self {
        Self::with(sat(), SECRET)
    }

    fn with(asset: Asset, secret: [u8; 32]) -> Self {
        let wallet = Arc::new(dev_wallet());
        Self { rail: L402::new(config(asset, secret, wallet.clone())).unwrap(), wallet }
    }

    fn offer(&self, quote: &Quote) -> Offer {
        ready(self.rail.offer(quote, &Caller::Anonymous, [3; 32], NOW)).unwrap().unwrap()
    }

    fn paid(&self, quote: &Quote) -> Paid {
        self.pay(&self.offer(quote))
    }

    fn pay(&self, offer: &Offer) -> Paid {
        let challenge = L402Challenge::from_json(offer.forms.l402.as_ref().unwrap()).unwrap();
        let paid = ready(self.wallet.pay(&challenge.invoice, NOW)).unwrap();
        let mpp = serde_json::from_str(&offer.forms.mpp_challenges[0]).unwrap();
        Paid { token: challenge.token, preimage: paid.preimage.to_hex(), mpp }
    }

    fn present(
        &self,
        token: &str,
        preimage: &str,
        quote: &Quote,
        now: UnixMillis,
    ) -> Result<Payment, PaymentRefusal> {
        let presented = Presented::L402 { token: token.to_owned(), preimage: preimage.to_owned() };
        self.rail.verify(&self.rail.open(&presented)?, quote, now)
    }
}

impl Paid {
    fn macaroon(&self) -> Macaroon {
        Macaroon::from_text(&self.token).unwrap()
    }

    fn with_caveat(&self, caveat: &[u8]) -> String {
        self.macaroon().add_first_party_caveat(caveat).unwrap().to_base64()
    }

    fn mpp_credential(&self) -> Value {
        json!({"challenge": self.mpp, "payload": {"preimage": self.preimage}})
    }
}

fn invalid(refusal: Result<Payment, PaymentRefusal>) -> bool {
    matches!(refusal, Err(PaymentRefusal::Invalid(_) | PaymentRefusal::Unreadable(_)))
}

#[test]
fn an_offer_carries_every_form_of_one_invoice() {
    let world = World::new();
    let offer = world.offer(&quote());
    assert_eq!(
        (offer.rail, offer.amount, offer.asset.as_str()),
        (Rail::L402, Amount::new(10_000), "lightning:regtest/msat")
    );
    let object: Value = serde_json::from_str(offer.forms.l402.as_ref().unwrap()).unwrap();
    let (token, invoice) = (object["macaroon"].as_str().unwrap(), object["invoice"].as_str().unwrap());
    let facts = InvoiceFacts::read(invoice).unwrap();
    assert_eq!(object["payment_hash"], hex::encode(facts.payment_hash));
    assert_eq!(object["price_sats"], 10);
    assert_eq!(object["expires_at"], END.secs());
    assert_eq!(facts.expires, END);
    let [l402, payment] = offer.forms.www_authenticate.as_slice() else { panic!("two values") };
    // Order and spelling are what deployed clients' regular expressions look for.
    assert_eq!(
        *l402,
        format!(r#"L402 macaroon="{token}", invoice="{invoice}", version="0", token="{token}""#)
    );
    assert!(payment.starts_with(r#"Payment id=""#), "{payment}");
    let challenge: Value = serde_json::from_str(&offer.forms.mpp_challenges[0]).unwrap();
    assert_eq!(challenge["method"], "lightning");
    assert_eq!(challenge["request"]["methodDetails"]["invoice"], invoice);
    assert!(offer.forms.x402_accepts.is_empty());
    let caveats: Vec<String> = Macaroon::from_text(token)
        .unwrap()
        .caveats()
        .map(|caveat| String::from_utf8(caveat.to_vec()).unwrap())
        .collect();
    assert_eq!(
        caveats,
        [
            "services=tollgate:0".to_owned(),
            "tollgate_tool=demo/weather".to_owned(),
            format!("tollgate_args_sha256={}", quote().binding.args),
            "tollgate_price=1:10000:lightning:regtest/msat".to_owned(),
            format!("tollgate_valid_until={}", END.secs()),
        ]
    );
}

#[test]
fn a_price_without_this_asset_makes_no_offer_and_no_invoice() {
    let world = World::new();
    let mut elsewhere = quote();
    elsewhere.price = Price::any_of(quote().price.options()[..1].to_vec());
    assert_eq!(ready(world.rail.offer(&elsewhere, &Caller::Anonymous, [3; 32], NOW)).unwrap(), None);
    assert_eq!(
        ready(world.rail.offer(&Quote { price: Price::FREE, ..quote() }, &Caller::Anonymous, [3; 32], NOW))
            .unwrap(),
        None
    );
    assert!(ready(world.rail.offer(&quote(), &Caller::Anonymous, [3; 32], NOW)).unwrap().is_some());
    let huge = quote_for("weather", b"", 1, u128::MAX);
    assert!(matches!(
        ready(world.rail.offer(&huge, &Caller::Anonymous, [3; 32], NOW)),
        Err(OfferError::Wallet { backend: "dev", .. })
    ));
}

#[test]
fn a_paid_credential_pays_for_its_call() {
    let world = World::new();
    let paid = world.paid(&quote());
    let payment = world.present(&paid.token, &paid.preimage, &quote(), NOW).unwrap();
    let hash = Preimage::parse(&paid.preimage).unwrap().payment_hash();
    assert_eq!(payment.key.to_string(), format!("l402:{}", hex::encode(hash)));
    assert_eq!(payment.payer, Caller::Preimage(hash));
    assert_eq!(payment.binding, quote().binding);
    assert_eq!((payment.amount, payment.asset.as_str()), (Amount::new(10_000), "lightning:regtest/msat"));
    assert_eq!((payment.funds.clone(), payment.expires), (Funds::Arrived, END));
    assert!(!payment.proof.contains(&paid.preimage) && !format!("{payment:?}").contains(&paid.preimage));
    let settlement = Settlement {
        key: payment.key,
        amount: payment.amount,
        asset: payment.asset,
        proof: payment.proof,
        expires: payment.expires,
        since: NOW,
    };
    let settled = SettlementAnswer::Settled { reference: format!("lightning:{}", hex::encode(hash)) };
    assert_eq!(ready(world.rail.settle(&settlement, NOW)), settled);
    assert_eq!(ready(world.rail.look_up(&settlement, END)), settled);
    let other = Settlement { key: "x402:a".parse().unwrap(), ..settlement };
    assert!(matches!(ready(world.rail.settle(&other, NOW)), SettlementAnswer::Failed { .. }));
}

#[test]
fn p2_a_credential_pays_for_no_other_call() {
    let world = World::new();
    let paid = world.paid(&quote());
    let present = |quote: &Quote| world.present(&paid.token, &paid.preimage, quote, NOW);
    assert!(present(&quote()).is_ok());
    let args = b"{\"city\":\"Oslo\"}";
    assert_eq!(
        present(&quote_for("forecast", args, 1, 10_000)).unwrap_err(),
        PaymentRefusal::OtherCall("tool")
    );
    assert_eq!(
        present(&quote_for("weather", b"{}", 1, 10_000)).unwrap_err(),
        PaymentRefusal::OtherCall("arguments")
    );
    let mut other_server = quote();
    other_server.binding.tool.server = "other".parse().unwrap();
    assert_eq!(present(&other_server).unwrap_err(), PaymentRefusal::OtherCall("tool"));
}

#[test]
fn p2_a_credential_of_another_network_or_gateway_is_refused() {
    let world = World::new();
    let paid = world.paid(&quote());
    let mainnet = World::with(Asset::new("lightning:mainnet/msat", "sat", 3).unwrap(), SECRET);
    assert_eq!(
        mainnet.present(&paid.token, &paid.preimage, &quote(), NOW).unwrap_err(),
        PaymentRefusal::WrongTarget {
            presented: "lightning:regtest/msat".to_owned(),
            expected: "lightning:mainnet/msat".to_owned()
        }
    );
    let other_gateway = World::with(sat(), [6; 32]);
    assert!(invalid(other_gateway.present(&paid.token, &paid.preimage, &quote(), NOW)));
    assert!(world.present(&paid.token, &paid.preimage, &quote(), NOW).is_ok());
}

#[test]
fn p2_the_promised_price_stands_until_the_credential_expires_and_cannot_be_renegotiated() {
    let world = World::new();
    let paid = world.paid(&quote());
    // The owner raised the price meanwhile: what was promised and paid counts, and the binding says which version that was.
    let dearer = quote_for("weather", b"{\"city\":\"Oslo\"}", 2, 99_000);
    let payment = world.present(&paid.token, &paid.preimage, &dearer, NOW).unwrap();
    assert_eq!((payment.amount, payment.binding.price_version), (Amount::new(10_000), 1));
    for caveat in
        ["tollgate_price=2:10000:lightning:regtest/msat", "tollgate_price=1:1:lightning:regtest/msat"]
    {
        assert!(
            invalid(world.present(&paid.with_caveat(caveat.as_bytes()), &paid.preimage, &dearer, NOW)),
            "{caveat}"
        );
    }
}

#[test]
fn p4_no_tampered_token_pays() {
    let world = World::new();
    let paid = world.paid(&quote());
    let present = |token: &str| world.present(token, &paid.preimage, &quote(), NOW);
    let text = paid.macaroon().to_hex();
    let field = |caveat: &str| format!("02{:02x}{}00", caveat.len(), hex::encode(caveat));
    let until = field(&format!("tollgate_valid_until={}", END.secs()));
    let tool = field("tollgate_tool=demo/weather");
    assert!(text.contains(&until) && text.contains(&tool));
    let other_root = Macaroon::mint(
        &[1; 32],
        paid.macaroon().identifier(),
        "tollgate",
        paid.macaroon().caveats().collect::<Vec<_>>(),
    );
    let table: Vec<(&str, String)> = vec![
        ("forged under another root key", other_root.unwrap().to_base64()),
        (
            "tampered signature",
            format!("{}{}", &text[..text.len() - 2], if text.ends_with("00") { "01" } else { "00" }),
        ),
        ("stripped signature", text[..text.len() - 66].to_owned()),
        ("zeroed signature", format!("{}{}", &text[..text.len() - 64], "00".repeat(32))),
        ("stripped caveat", text.replacen(&until, "", 1)),
        (
            "changed caveat",
            text.replacen(&until, &field(&format!("tollgate_valid_until={}", END.secs() + 1)), 1),
        ),
        ("added without signing", text.replacen(&until, &format!("{until}{}", field("admin=true")), 1)),
        ("duplicated without signing", text.replacen(&tool, &format!("{tool}{tool}"), 1)),
        ("reordered", text.replacen(&until, "", 1).replacen(&tool, &format!("{until}{tool}"), 1)),
        ("trailing bytes", format!("{text}00")),
        ("widened expiry", paid.with_caveat(format!("tollgate_valid_until={}", END.secs() + 1).as_bytes())),
        ("widened tool", paid.with_caveat(b"tollgate_tool=demo/forecast")),
        (
            "widened arguments",
            paid.with_caveat(format!("tollgate_args_sha256={}", Digest::of(b"{}")).as_bytes()),
        ),
        ("widened services", paid.with_caveat(b"services=tollgate:0,admin:0")),
        ("wrong service", paid.with_caveat(b"services=admin:0")),
        ("NUL behind a value", paid.with_caveat(b"tollgate_tool=demo/weather\0")),
        ("NUL in a name", paid.with_caveat(b"tollgate_tool\0=demo/weather")),
        ("unicode look-alike", paid.with_caveat("t\u{43e}llgate_tool=demo/weather".as_bytes())),
        ("unicode value", paid.with_caveat("tollgate_tool=demo/weather\u{200b}".as_bytes())),
        ("not UTF-8", paid.with_caveat(b"tollgate_tool=\xff")),
        ("unknown restriction of ours", paid.with_caveat(b"tollgate_calls=1")),
        ("several tokens", format!("{0},{0}", paid.token)),
        ("nothing", String::new()),
    ];
    for (name, token) in &table {
        assert!(invalid(present(token)), "{name}");
        assert!(present(&paid.token).is_ok(), "the control of {name}");
    }
}

#[test]
fn p4_a_third_party_caveat_is_refused() {
    let world = World::new();
    let paid = world.paid(&quote());
    let text = paid.macaroon().to_hex();
    let at = text.len() - 70;
    let third =
        format!("{}0203{}0403{}00{}", &text[..at], hex::encode("3rd"), hex::encode("vid"), &text[at..]);
    assert_eq!(
        world.present(&third, &paid.preimage, &quote(), NOW).unwrap_err(),
        PaymentRefusal::Invalid("third-party caveats are not supported".to_owned())
    );
    assert!(world.present(&text, &paid.preimage, &quote(), NOW).is_ok());
}

#[test]
fn p4_a_valid_restriction_is_accepted_and_a_stranger_condition_grants_nothing() {
    let world = World::new();
    let paid = world.paid(&quote());
    let plain = world.present(&paid.token, &paid.preimage, &quote(), NOW).unwrap();
    let sooner = NOW.secs() + 60;
    let restricted = paid.with_caveat(format!("tollgate_valid_until={sooner}").as_bytes());
    let payment = world.present(&restricted, &paid.preimage, &quote(), NOW).unwrap();
    assert_eq!(payment.expires, UnixMillis::from_secs(sooner));
    let expired = world.present(&restricted, &paid.preimage, &quote(), UnixMillis::from_secs(sooner));
    assert_eq!(expired.unwrap_err(), PaymentRefusal::Expired(UnixMillis::from_secs(sooner)));
    // Signed into the chain by its holder, as anyone may: it changes nothing.
    let admin = world.present(&paid.with_caveat(b"admin=true"), &paid.preimage, &quote(), NOW).unwrap();
    assert_eq!((admin.binding, admin.amount, admin.expires), (plain.binding, plain.amount, plain.expires));
}

#[test]
fn p4_an_expired_credential_no_longer_pays() {
    let world = World::new();
    let paid = world.paid(&quote());
    let just_before = UnixMillis::new(END.get() - 1);
    assert!(world.present(&paid.token, &paid.preimage, &quote(), just_before).is_ok());
    for now in [END, END.plus_millis(1), UnixMillis::new(u64::MAX)] {
        let refusal = world.present(&paid.token, &paid.preimage, &quote(), now).unwrap_err();
        assert_eq!(refusal, PaymentRefusal::Expired(END));
    }
}

#[test]
fn p16_only_the_preimage_of_this_invoice_opens_it() {
    let world = World::new();
    let (paid, other) = (world.paid(&quote()), world.paid(&quote()));
    assert_ne!(paid.preimage, other.preimage);
    let hash = hex::encode(Preimage::parse(&paid.preimage).unwrap().payment_hash());
    for wrong in [
        "",
        "00",
        &paid.preimage[..62],
        &format!("{}00", paid.preimage),
        &paid.preimage.to_uppercase(),
        &format!("0x{}", paid.preimage),
        &other.preimage,
        &"0".repeat(64),
        &hash,
    ] {
        assert!(invalid(world.present(&paid.token, wrong, &quote(), NOW)), "{wrong}");
        assert!(world.present(&paid.token, &paid.preimage, &quote(), NOW).is_ok());
    }
}

#[test]
fn p16_an_unpaid_invoice_gives_nothing_away() {
    let world = World::new();
    let offer = world.offer(&quote());
    let object: Value = serde_json::from_str(offer.forms.l402.as_ref().unwrap()).unwrap();
    let challenge = L402Challenge::from_json(&object.to_string()).unwrap();
    let hash = InvoiceFacts::read(&challenge.invoice).unwrap().payment_hash;
    assert_eq!(ready(world.wallet.look_up(hash, NOW)).unwrap(), InvoiceState::Open);
    assert!(invalid(world.present(
        &challenge.token,
        object["payment_hash"].as_str().unwrap(),
        &quote(),
        NOW
    )));
    let paid = world.pay(&offer);
    let shown = format!("{:?}", offer.forms);
    assert!(!shown.contains(&paid.preimage));
    assert!(world.present(&paid.token, &paid.preimage, &quote(), NOW).is_ok());
}

#[test]
fn a_preimage_may_stand_in_the_token_itself() {
    let world = World::new();
    let (paid, other) = (world.paid(&quote()), world.paid(&quote()));
    let token =
        paid.macaroon().add_first_party_caveat(format!("preimage={}", paid.preimage).as_bytes()).unwrap();
    for preimage in ["", &paid.preimage] {
        assert!(world.present(&token.to_hex(), preimage, &quote(), NOW).is_ok());
    }
    assert!(invalid(world.present(&token.to_hex(), &other.preimage, &quote(), NOW)));
    let wrong = paid.with_caveat(format!("preimage={}", other.preimage).as_bytes());
    assert!(invalid(world.present(&wrong, "", &quote(), NOW)));
    assert!(invalid(world.present(&wrong, &paid.preimage, &quote(), NOW)));
    assert!(invalid(world.present(&paid.token, "", &quote(), NOW)));
}

#[test]
fn a_credential_made_out_to_a_caller_says_so() {
    let world = World::new();
    let caller: Principal = "key_101FA1eLaDkGYdBvxVjH6d0".parse().unwrap();
    let offer = ready(world.rail.offer(&quote(), &caller.caller(), [3; 32], NOW)).unwrap().unwrap();
    let paid = world.pay(&offer);
    let open = |token: &str| {
        world.rail.open(&Presented::L402 { token: token.to_owned(), preimage: paid.preimage.clone() })
    };
    let proof = open(&paid.token).unwrap();
    assert_eq!(world.rail.demanded_caller(&proof), Some(&caller));
    assert_eq!(Opened::of(&proof).unwrap().demanded_caller(), Some(&caller));
    assert!(open(&paid.with_caveat(b"tollgate_caller=anonymous")).is_err());
    let mpp = world.rail.open(&Presented::Mpp(paid.mpp_credential().to_string())).unwrap();
    assert_eq!(world.rail.demanded_caller(&mpp), Some(&caller));
    let anyone = world.paid(&quote());
    let proof = world.rail.open(&Presented::L402 { token: anyone.token, preimage: anyone.preimage }).unwrap();
    assert_eq!(world.rail.demanded_caller(&proof), None);
    // Nobody who pays an invoice shows a wallet by it.
    let wallet = Caller::Wallet([7; 20]);
    assert_eq!(ready(world.rail.offer(&quote(), &wallet, [3; 32], NOW)).unwrap(), None);
}

#[test]
fn one_payment_has_one_key_whichever_challenge_is_answered() {
    let world = World::new();
    let paid = world.paid(&quote());
    let l402 = world
        .rail
        .open(&Presented::L402 { token: paid.token.clone(), preimage: paid.preimage.clone() })
        .unwrap();
    let presented = Presented::Mpp(paid.mpp_credential().to_string());
    assert!(world.rail.reads(&presented) && !world.rail.reads(&Presented::X402("{}".to_owned())));
    let mpp = world.rail.open(&presented).unwrap();
    assert_eq!(mpp.key, l402.key);
    let (first, second) =
        (world.rail.verify(&l402, &quote(), NOW).unwrap(), world.rail.verify(&mpp, &quote(), NOW).unwrap());
    assert_eq!((first.binding, first.amount, first.proof), (second.binding, second.amount, second.proof));
    assert!(matches!(world.rail.verify(&mpp, &quote(), END), Err(PaymentRefusal::Expired(END))));
}

#[test]
fn a_quote_that_ends_sooner_shortens_the_credential() {
    let world = World::new();
    let soon = Quote { expires: NOW.plus_millis(90_500), ..quote() };
    let object: Value = serde_json::from_str(world.offer(&soon).forms.l402.as_ref().unwrap()).unwrap();
    assert_eq!(object["expires_at"], NOW.secs() + 90);
    let facts = InvoiceFacts::read(object["invoice"].as_str().unwrap()).unwrap();
    assert_eq!(facts.expires, NOW.plus_millis(90_000));
}

/// A wallet that is down, or that writes what is no invoice.
#[derive(Debug)]
struct BrokenWallet {
    bolt11: Option<&'static str>,
}

impl LightningWallet for BrokenWallet {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn create_invoice(&self, _request: InvoiceRequest) -> RailFuture<'_, Result<Invoice, WalletError>> {
        let down = || Err(WalletError::Unreachable("no route".into()));
        let made = |bolt11: &str| Ok(Invoice { bolt11: bolt11.to_owned(), payment_hash: [1; 32] });
        Box::pin(std::future::ready(self.bolt11.map_or_else(down, made)))
    }

    fn look_up(
        &self,
        _hash: [u8; 32],
        _now: UnixMillis,
    ) -> RailFuture<'_, Result<InvoiceState, WalletError>> {
        Box::pin(std::future::ready(Err(WalletError::Unreachable("no route".into()))))
    }
}

#[test]
fn a_wallet_that_is_down_makes_no_offer_and_what_is_paid_still_pays() {
    let world = World::new();
    let paid = world.paid(&quote());
    let down = L402::new(config(sat(), SECRET, Arc::new(BrokenWallet { bolt11: None }))).unwrap();
    let error = ready(down.offer(&quote(), &Caller::Anonymous, [3; 32], NOW)).unwrap_err().to_string();
    assert_eq!(error, "get an invoice from the broken wallet: reach the wallet: no route");
    let presented = Presented::L402 { token: paid.token, preimage: paid.preimage };
    let proof = down.open(&presented).unwrap();
    let payment = down.verify(&proof, &quote(), NOW).unwrap();
    let settlement = Settlement {
        key: payment.key,
        amount: payment.amount,
        asset: payment.asset,
        proof: payment.proof,
        expires: payment.expires,
        since: NOW,
    };
    assert!(matches!(ready(down.settle(&settlement, NOW)), SettlementAnswer::Settled { .. }));
}

#[test]
fn what_is_no_invoice_never_reaches_a_header() {
    let offer = |bolt11| {
        let rail = L402::new(config(sat(), SECRET, Arc::new(BrokenWallet { bolt11: Some(bolt11) }))).unwrap();
        ready(rail.offer(&quote(), &Caller::Anonymous, [3; 32], NOW))
    };
    assert!(offer("lnbcrt100n1x").is_ok());
    for bolt11 in ["", "lnbcrt1\r\nx-evil: 1", "lnbcrt1\", token=\"x"] {
        assert!(matches!(offer(bolt11), Err(OfferError::Wallet { .. })), "{bolt11:?}");
    }
}

#[test]
fn coins_of_a_test_network_are_not_asked_for_where_real_ones_are_meant() {
    let offer = |network: &str, bolt11| {
        let asset = Asset::new(&format!("lightning:{network}/msat"), "sat", 3).unwrap();
        let price = Price::any_of([Money { amount: Amount::new(10_000), asset: asset.clone() }]);
        let rail = L402::new(config(asset, SECRET, Arc::new(BrokenWallet { bolt11: Some(bolt11) }))).unwrap();
        ready(rail.offer(&Quote { price, ..quote() }, &Caller::Anonymous, [3; 32], NOW))
            .map(|offer| offer.is_some())
    };
    for bolt11 in ["lnbcrt100n1x", "lntb100n1x", "lntbs100n1x", "lnsb100n1x", "LNBCRT1x", "lnbc", "x"] {
        let refused = offer("mainnet", bolt11).unwrap_err().to_string();
        assert!(refused.contains("test network"), "{bolt11}: {refused}");
    }
    for (network, bolt11) in [
        ("mainnet", "lnbc100n1x"),
        ("mainnet", "LNBC1x"),
        ("regtest", "lnbcrt100n1x"),
        ("regtest", "lnbc100n1x"),
    ] {
        assert!(offer(network, bolt11).unwrap(), "control: {network} {bolt11}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let wallet: Arc<dyn LightningWallet> = Arc::new(dev_wallet());
    let good = || config(sat(), SECRET, wallet.clone());
    assert!(L402::new(good()).is_ok());
    for asset in [
        Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6).unwrap(),
        Asset::new("lightning:regtest/msat", "sat", 0).unwrap(),
        Asset::new("lightning:regtest/sat", "sat", 3).unwrap(),
    ] {
        assert!(matches!(L402::new(L402Config { asset, ..good() }), Err(L402ConfigError::Asset(_))));
    }
    for ttl_seconds in [0, TTL_SECONDS_MAX + 1] {
        assert!(matches!(L402::new(L402Config { ttl_seconds, ..good() }), Err(L402ConfigError::Ttl(_))));
    }
    for realm in ["", "a\"b", "a|b", "a\\b", "a b", "ü"] {
        let config = L402Config { realm: realm.to_owned(), ..good() };
        assert!(matches!(L402::new(config), Err(L402ConfigError::Realm(_))), "{realm}");
    }
    let printed = format!("{:?} {:?}", good(), L402::new(good()).unwrap());
    assert!(
        !printed.contains(&format!("{SECRET:?}")) && !printed.contains(&hex::encode(SECRET)),
        "{printed}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn p13_what_is_charged_is_what_arrives_and_never_under_the_price(msat in 1u128..1_000_000_000) {
        let world = World::new();
        let quote = quote_for("weather", b"", 1, msat);
        let offer = world.offer(&quote);
        let paid = world.pay(&offer);
        let payment = world.present(&paid.token, &paid.preimage, &quote, NOW).unwrap();
        let challenge = L402Challenge::from_json(offer.forms.l402.as_ref().unwrap()).unwrap();
        let invoiced = InvoiceFacts::read(&challenge.invoice).unwrap().amount.unwrap();
        prop_assert_eq!((payment.amount, offer.amount), (invoiced, invoiced));
        prop_assert!(invoiced.get() >= msat && invoiced.get() - msat < 1000);
        prop_assert!(challenge.check(offer.amount).is_ok());
    }

    #[test]
    fn nothing_that_is_presented_makes_it_panic_or_pays(token in "\\PC{0,120}", preimage in "\\PC{0,70}", json in "\\PC{0,80}") {
        let rail = World::new().rail;
        for presented in [Presented::L402 { token, preimage }, Presented::Mpp(json)] {
            prop_assert!(rail.open(&presented).is_err());
        }
    }
}
