//! A gate with real rails, callers who can pay, and their requests.

use std::cell::RefCell;
use std::error::Error;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tollgate_domain::{
    Amount, Asset, CallId, Digest, KeyId, Money, Origin, Outcome, Price, Requirement, ToolRef, UnixMillis,
};
use tollgate_gate::{
    Catalog, CreditUse, Demand, Denial, Ending, Fault, Gate, GateLimits, Listed, Mode, Ports, Presentation,
    Request, ToolAnswer, Verdict,
};
use tollgate_rails::evm::{Address, SigningKey};
use tollgate_rails::l402::{GateSecret, L402, L402Challenge, L402Config, TTL_SECONDS_DEFAULT};
use tollgate_rails::quote_seal::QuoteSealer;
use tollgate_rails::x402::{ExactEvm, ExactEvmConfig, Settling, sign_payment};
use tollgate_rails::{PaymentRail, Presented};
use tollgate_risk::{Counts, Label, Limits, Part, Per, Plan, Rate, Rule, Scope};
use tollgate_trust::{ApiKey, ApiKeys, KeyRecord};

use crate::ledger::{CountingWallet, WillingLedger};
use crate::ready;
use crate::stopwatch::Batch;

/// Arguments of 1.8 KB: a question of 520 characters and a table of 20 rows, as a client's JSON library writes them.
const ARGUMENTS: &str = include_str!("arguments.json");
/// Callers who take turns.
const CALLERS: u8 = 64;
const SECRET: [u8; 32] = [9; 32];
const USDC: &str = "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e";
/// How much randomness is drawn at once, in pieces of 32 bytes.
const BLOCK: usize = 16;
/// No limit is reached.
const PLENTY: NonZeroU32 = NonZeroU32::MAX;

/// How the calls of one measurement are paid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paying {
    /// From the credit of an API key.
    Prepaid,
    /// With a macaroon and its preimage.
    L402,
    /// With a signed transfer authorization.
    X402,
}

/// A gate and those who call.
pub(crate) struct World {
    gate: Gate<BenchPorts>,
    tool: ToolRef,
    wallet: Arc<CountingWallet>,
    api_keys: Vec<ApiKey>,
    payers: Vec<SigningKey>,
    result: Bytes,
}

struct BenchPorts {
    catalog: OneTool,
    ledger: WillingLedger,
    keys: ApiKeys,
    rails: Vec<Arc<dyn PaymentRail>>,
    limits: Limits,
    budgets: tollgate_ledger::budget::Plan,
}

/// A catalogue of one tool without a schema.
struct OneTool(Arc<Listed>);

impl Paying {
    pub(crate) const ALL: [Self; 3] = [Self::Prepaid, Self::L402, Self::X402];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Prepaid => "prepaid",
            Self::L402 => "l402",
            Self::X402 => "x402",
        }
    }
}

impl World {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let usdc = Asset::new(USDC, "USDC", 6)?;
        let sat = Asset::new("lightning:regtest/msat", "sat", 3)?;
        let price = Price::any_of([
            Money { amount: Amount::new(10_000), asset: usdc.clone() },
            Money { amount: Amount::new(10_000), asset: sat.clone() },
        ]);
        let tool = ToolRef { server: "bench".parse()?, tool: "echo".parse()? };
        let wallet = Arc::new(CountingWallet::default());
        let api_keys: Vec<ApiKey> = (1..=CALLERS).map(|caller| ApiKey::from_random([caller; 32])).collect();
        let records = api_keys.iter().zip(1..=CALLERS).map(|(key, caller)| (key.hash(), record(caller)));
        let ports = BenchPorts {
            catalog: OneTool(Arc::new(listed(tool.clone(), price))),
            ledger: WillingLedger::new(),
            keys: ApiKeys::new(records),
            rails: vec![x402(usdc)?, l402(sat, Arc::clone(&wallet))?],
            limits: limits()?,
            budgets: Default::default(),
        };
        let limits = GateLimits {
            quote_ttl_ms: 300_000,
            receipts_for_free_calls: false,
            finality_ms: 60_000,
            mode: Mode::Sandbox,
            escrows: Default::default(),
        };
        let payers: Result<Vec<SigningKey>, _> =
            (1..=CALLERS).map(|caller| SigningKey::from_bytes(&[caller; 32])).collect();
        let text = "0123456789abcdef".repeat(17);
        Ok(Self {
            gate: Gate::new(ports, limits),
            tool,
            wallet,
            api_keys,
            payers: payers?,
            result: Bytes::from(format!("{{\"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}]}}")),
        })
    }

    /// Requests that pay, each with a proof of its own.
    pub(crate) fn requests(&self, paying: Paying, count: usize) -> Result<Vec<Request>, Box<dyn Error>> {
        match paying {
            Paying::Prepaid => {
                let turns = self.api_keys.iter().cycle().take(count);
                Ok(turns.map(|key| self.request(Some(key.expose().to_owned()), None)).collect())
            }
            Paying::L402 => (0..count).map(|_| Ok(self.request(None, Some(self.bought_token()?)))).collect(),
            Paying::X402 => {
                // One demand may be signed many times: a nonce makes each payment its own.
                let demand = self.demand()?;
                let entry = demand.offers.iter().find_map(|offer| offer.forms.x402_accepts.first());
                let entry = entry.ok_or("no x402 offer")?;
                let turns = self.payers.iter().cycle().take(count);
                turns.map(|payer| Ok(self.request(None, Some(signed(entry, payer)?)))).collect()
            }
        }
    }

    /// Takes one call down the whole street and notes how long the gate had it.
    pub(crate) fn walk(&self, request: Request, batch: &mut Batch) -> Result<(), Box<dyn Error>> {
        let result = self.result.clone();
        let received = clock();
        let held = ready(self.gate.authorize(request, now()))?;
        let held = held.map_err(|refusal| refusal.verdict.word())?;
        let taken = ready(self.gate.take(held))?.map_err(|_| "the money was not taken")?;
        let (permitted, held) = taken.permit();
        let authorized = clock();
        let completed = ready(self.gate.complete(held, Outcome::Delivered(ToolAnswer::Result(result))))?;
        let ended = clock();
        batch.add(authorized.duration_since(received), ended.duration_since(authorized));
        let completed = completed?;
        let paid_for =
            matches!(completed.ending, Ending::Delivered(_)) && completed.evidence.receipt_json().is_some();
        if !paid_for || permitted.arguments().as_ref() != ARGUMENTS.as_bytes() {
            return Err(format!("a call ended as {}", completed.ending.word()).into());
        }
        Ok(())
    }

    fn request(&self, api_key: Option<String>, presented: Option<Presented>) -> Request {
        let credit = if api_key.is_some() { CreditUse::Allowed } else { CreditUse::Refused };
        Request {
            tool: self.tool.clone(),
            arguments: Bytes::from_static(ARGUMENTS.as_bytes()),
            args_digest: None,
            api_key,
            presented: presented.map_or(Presentation::Nothing, Presentation::Payment),
            idempotency_key: None,
            credit,
            maximum: None,
            origin: Origin::of(std::net::Ipv4Addr::LOCALHOST.into()),
        }
    }

    /// What the gate asks of a caller who has not paid.
    fn demand(&self) -> Result<Demand, Box<dyn Error>> {
        match ready(self.gate.authorize(self.request(None, None), now()))? {
            Ok(_) => Err("an unpaid call was let through".into()),
            Err(refusal) => match *refusal.verdict {
                Verdict::Denied(Denial::PaymentRequired(demand)) => Ok(*demand),
                other => Err(format!("an unpaid call was refused with {}", other.word()).into()),
            },
        }
    }

    /// A macaroon of a demand made just now, with the preimage of its invoice.
    fn bought_token(&self) -> Result<Presented, Box<dyn Error>> {
        let demand = self.demand()?;
        let challenge = demand.l402().and_then(L402Challenge::from_json).ok_or("no L402 offer")?;
        Ok(Presented::L402 { token: challenge.token, preimage: self.wallet.latest().to_hex() })
    }
}

/// One more payment for a demand.
fn signed(entry: &str, payer: &SigningKey) -> Result<Presented, Box<dyn Error>> {
    Ok(Presented::X402(sign_payment(entry, None, payer, random()?, now())?))
}

fn record(caller: u8) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_bytes([caller; 16]),
        name: "bench".into(),
        revoked: false,
        tier: Default::default(),
        labels: Default::default(),
    }
}

fn listed(tool: ToolRef, price: Price) -> Listed {
    Listed {
        tool,
        description: Some("The tool echo of a mock upstream.".to_owned()),
        requirement: Requirement::default(),
        price: price.into(),
        settle: Default::default(),
        overlaps: false,
        splits: Default::default(),
        price_version: 1,
        schema: None,
        schema_digest: Digest::of(b"{\"type\":\"object\"}"),
        has_output_schema: false,
        deadline_ms: 60_000,
        withheld: None,
    }
}

fn x402(asset: Asset) -> Result<Arc<dyn PaymentRail>, Box<dyn Error>> {
    let rail = ExactEvm::new(ExactEvmConfig {
        asset,
        domain_name: "USDC".to_owned(),
        domain_version: "2".to_owned(),
        pay_to: Address::from_bytes([8; 20]),
        max_timeout_seconds: 120,
        sealer: QuoteSealer::new(&SECRET),
        challenges: None,
        settling: Settling::Sandbox,
    })?;
    Ok(Arc::new(rail))
}

fn l402(asset: Asset, wallet: Arc<CountingWallet>) -> Result<Arc<dyn PaymentRail>, Box<dyn Error>> {
    let rail = L402::new(L402Config {
        asset,
        secret: GateSecret::new(SECRET),
        ttl_seconds: TTL_SECONDS_DEFAULT,
        wallet,
        realm: "gate.example".to_owned(),
    })?;
    Ok(Arc::new(rail))
}

/// The limits that a gateway has without being asked for any, and none is reached.
fn limits() -> Result<Limits, Box<dyn Error>> {
    let rule = |counts| Rule {
        label: Arc::new(Label { name: "plenty".into(), rate: "plenty".into(), per: "caller".into() }),
        counts,
        scope: Scope::Gateway,
        per: Per::of([Part::Caller]),
        rate: Rate::new(PLENTY, PLENTY, NonZeroU64::MIN),
        shared: false,
    };
    let plan = Plan::new([Counts::Calls, Counts::Offers].map(rule).to_vec(), Vec::new());
    let plan = plan.map_err(|heavy| format!("{} calls are too heavy", heavy.len()))?;
    Ok(Limits::new(&plan, NonZeroUsize::MIN.saturating_add(10_000)))
}

impl Catalog for OneTool {
    fn tool(&self, tool: &ToolRef) -> Option<Arc<Listed>> {
        (*tool == self.0.tool).then(|| Arc::clone(&self.0))
    }
}

impl Ports for BenchPorts {
    type Catalog = OneTool;
    type Ledger = WillingLedger;
    type Keys = ApiKeys;

    fn catalog(&self) -> &OneTool {
        &self.catalog
    }

    fn ledger(&self) -> &WillingLedger {
        &self.ledger
    }

    fn keys(&self) -> &ApiKeys {
        &self.keys
    }

    fn rails(&self) -> &[Arc<dyn PaymentRail>] {
        &self.rails
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn budgets(&self) -> &tollgate_ledger::budget::Plan {
        &self.budgets
    }

    fn now(&self) -> UnixMillis {
        now()
    }

    fn random(&self) -> Result<[u8; 32], Fault> {
        random().map_err(|error| Fault::Internal(error.to_string()))
    }

    fn may_have_run(&self, _call: CallId) -> bool {
        true
    }
}

/// The operating system's, drawn in blocks as the gateway does: part of what a call costs.
fn random() -> Result<[u8; 32], getrandom::Error> {
    thread_local!(static DRAWN: RefCell<Vec<[u8; 32]>> = const { RefCell::new(Vec::new()) });
    DRAWN.with_borrow_mut(|drawn| match drawn.pop() {
        Some(piece) => Ok(piece),
        None => {
            let mut block = [[0; 32]; BLOCK];
            getrandom::fill(block.as_flattened_mut())?;
            let [first, rest @ ..] = block;
            drawn.extend(rest);
            Ok(first)
        }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the bench; reading the clock is part of what a call costs"
)]
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn clock() -> Instant {
    Instant::now()
}
