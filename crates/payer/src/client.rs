//! The paying client: ask, judge, pay once, ask again.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tollgate_domain::{Assets, Money, Rail, UnixMillis};
use tollgate_egress::{Client, shown_url};

use crate::answer::{Heard, RpcError};
use crate::demand::{Carrier, ResultParts};
use crate::offer::{self, Allowed, Offer, Terms};
use crate::payment::{self, Payment};
use crate::request::ToolCall;
use crate::session::Session;
use crate::verdict::Verdict;
use crate::{PayError, Randomness, Wallets};

/// Calls the tools of one MCP server and pays for them within limits.
#[derive(Clone)]
pub struct PayingClient {
    client: Client,
    url: String,
    wallets: Wallets,
    randomness: Arc<dyn Randomness>,
    networks_allowed: BTreeSet<String>,
    retries: Retries,
    api_key: Option<HeaderValue>,
}

/// How often the same payment is presented again while no definite answer comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retries {
    /// How often a payment is presented at most, the first time included.
    pub presented_max: u32,
    /// The pause before the second time, in milliseconds; it doubles each time.
    pub pause_ms: u64,
}

impl Default for Retries {
    /// Four times, after pauses of 0.5, 1 and 2 seconds.
    fn default() -> Self {
        Self { presented_max: 4, pause_ms: 500 }
    }
}

/// A tool's answer and what it cost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paid {
    /// The result of `tools/call`, as sent.
    pub result: String,
    /// The gateway's receipt `{envelope, salts}` as sent, where it gave one.
    pub receipt: Option<String>,
    /// What was presented for it; `None` when nothing was asked.
    pub paid: Option<PaidWith>,
}

/// A payment that a server took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaidWith {
    /// How much of what.
    pub money: Money,
    /// The network it moved on.
    pub network: String,
    /// The rail.
    pub rail: Rail,
    /// Whether it is sandbox money, as the server says.
    pub is_sandbox: bool,
    /// Where the money moved: a transaction of the network as the server named it, or the payment hash.
    pub reference: Option<String>,
    /// The very payment, to show it again.
    pub proof: Proof,
}

/// A payment as the line of an HTTP header, `name: value`. Whoever has it may see what it paid for: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof(String);

impl Proof {
    /// The line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof([redacted])")
    }
}

/// What a server answered to a call without a payment.
#[derive(Debug)]
pub enum Asked {
    /// The result: nothing was asked for it.
    Answered(Paid),
    /// It costs something, within the limit. Nothing was paid yet.
    Priced(Priced),
}

/// A call whose offer was judged and found within the limit. It can be paid once: [`PayingClient::pay`] consumes it.
pub struct Priced(Box<Judgement>);

struct Judgement {
    call: ToolCall,
    session: Session,
    carrier: Carrier,
    terms: Terms,
    offer: Offer,
}

/// What came of asking without a payment.
enum Answered {
    Finished(Box<Paid>),
    Priced(Box<(Carrier, Terms, Offer)>),
}

impl Priced {
    /// What paying it would cost.
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }
}

impl fmt::Debug for Priced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Priced")
            .field("tool", &self.0.call.tool)
            .field("terms", &self.0.terms)
            .finish_non_exhaustive()
    }
}

impl PayingClient {
    /// A client of the MCP endpoint at `url` that may pay on no network yet.
    pub fn new(
        client: Client,
        url: impl Into<String>,
        wallets: Wallets,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self {
            client,
            url: url.into(),
            wallets,
            randomness,
            networks_allowed: BTreeSet::new(),
            retries: Retries::default(),
            api_key: None,
        }
    }

    /// Also allows paying on the networks of these assets.
    #[must_use]
    pub fn allow_networks_of(mut self, assets: &Assets) -> Self {
        self.networks_allowed.extend(assets.iter().map(|asset| asset.id().network().to_owned()));
        self
    }

    /// Also allows paying on this network, such as `eip155:84532`.
    #[must_use]
    pub fn allow_network(mut self, network: impl Into<String>) -> Self {
        self.networks_allowed.insert(network.into());
        self
    }

    /// The same client with other retries.
    #[must_use]
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// The same client with an API key, whose prepaid credit a gateway spends before it asks for a payment. Each call says how much
    /// it may cost, so that a gateway spends no more of the credit than this client would pay.
    #[must_use]
    pub fn with_api_key(mut self, mut key: HeaderValue) -> Self {
        key.set_sensitive(true);
        self.api_key = Some(key);
        self
    }

    /// Calls a tool and pays at most `limit` for it.
    ///
    /// # Errors
    /// [`PayError`]: why there is no result, and whether something was paid.
    pub async fn call(
        &self,
        tool: &str,
        arguments: &str,
        limit: &Money,
        now: UnixMillis,
    ) -> Result<Paid, PayError> {
        match self.ask(tool, arguments, limit, now).await? {
            Asked::Answered(paid) => Ok(paid),
            Asked::Priced(priced) => self.pay(priced, now).await,
        }
    }

    /// Calls a tool without paying. Where it costs something, the offer in the asset of `limit` is judged.
    ///
    /// # Errors
    /// [`PayError`]: why there is no result and nothing to pay. Nothing was paid.
    pub async fn ask(
        &self,
        tool: &str,
        arguments: &str,
        limit: &Money,
        now: UnixMillis,
    ) -> Result<Asked, PayError> {
        let mut call = ToolCall::read(tool, arguments)?;
        if self.api_key.is_some() {
            call = call.at_most(limit);
        }
        let mut session = Session::new(self.client.clone(), &self.url, self.api_key.clone());
        let answered = match self.answered(&mut session, &call, limit, now).await {
            Ok(Answered::Priced(offered)) => {
                let (carrier, terms, offer) = *offered;
                return Ok(Asked::Priced(Priced(Box::new(Judgement {
                    call,
                    session,
                    carrier,
                    terms,
                    offer,
                }))));
            }
            Ok(Answered::Finished(paid)) => Ok(Asked::Answered(*paid)),
            Err(error) => Err(error),
        };
        // Whatever was said, nothing more is asked in it: a server may keep a process for each.
        session.end().await;
        answered
    }

    /// What the server answers to a call without a payment, judged.
    async fn answered(
        &self,
        session: &mut Session,
        call: &ToolCall,
        limit: &Money,
        now: UnixMillis,
    ) -> Result<Answered, PayError> {
        let demand = match session.ask(call).await? {
            Heard::Result(frame) => {
                let mut parts = ResultParts::read(&frame);
                match parts.demand.take() {
                    Some(demand) => demand,
                    None => return finished(parts, None).map(|paid| Answered::Finished(Box::new(paid))),
                }
            }
            Heard::Payment(demand) => demand,
            Heard::Error(error) => return Err(refused(error)),
            Heard::Nothing { reason } => {
                return Err(PayError::NotMcp { url: shown_url(&self.url), reason });
            }
        };
        let carrier = demand.carrier;
        let allowed = Allowed { limit, networks: &self.networks_allowed, now };
        let (terms, offer) = offer::choose(&demand, allowed)?;
        Ok(Answered::Priced(Box::new((carrier, terms, offer))))
    }

    /// Pays a judged offer and calls the tool. The wallet is used once; whatever is unclear afterwards is asked again with the
    /// same payment, which a server can take only once.
    ///
    /// # Errors
    /// [`PayError`]: why there is no result, and whether the payment was taken.
    pub async fn pay(&self, priced: Priced, now: UnixMillis) -> Result<Paid, PayError> {
        let Judgement { call, mut session, carrier, terms, offer } = *priced.0;
        let made = payment::make(&offer, &terms.money, &self.wallets, self.randomness.as_ref(), now).await;
        let payment = match made {
            Ok(payment) => payment,
            Err(error) => {
                session.end().await;
                return Err(error);
            }
        };
        let mut pause_ms = self.retries.pause_ms;
        let mut presented = 1;
        loop {
            let (last, doubtful_call) = match session.ask_paid(&call, &payment, carrier).await {
                Ok(heard) => {
                    let outcome = match Verdict::of(heard) {
                        Verdict::Unclear { reason, call } => Err((reason, call)),
                        Verdict::Result(parts) => Ok(finished(*parts, Some((&terms, &payment)))),
                        Verdict::NotTaken { code, message } => {
                            Ok(Err(PayError::PaymentRefused { code, message }))
                        }
                        Verdict::Refused(error) => Ok(Err(refused(*error))),
                    };
                    match outcome {
                        Err(unclear) => unclear,
                        Ok(outcome) => {
                            session.end().await;
                            return outcome;
                        }
                    }
                }
                Err(error) => (error.to_string(), None),
            };
            if presented >= self.retries.presented_max {
                return Err(PayError::InDoubt { call: doubtful_call, last });
            }
            presented = presented.saturating_add(1);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = pause_ms.saturating_mul(2);
        }
    }
}

impl fmt::Debug for PayingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayingClient")
            .field("url", &self.url)
            .field("wallets", &self.wallets)
            .field("networks_allowed", &self.networks_allowed)
            .finish_non_exhaustive()
    }
}

fn finished(parts: ResultParts, paid: Option<(&Terms, &Payment)>) -> Result<Paid, PayError> {
    let transaction = parts.transaction;
    let paid = paid.map(|(terms, payment)| PaidWith {
        money: terms.money.clone(),
        network: terms.network.clone(),
        rail: terms.rail,
        is_sandbox: terms.is_sandbox,
        reference: match terms.rail {
            Rail::L402 => Some(terms.recipient.clone()),
            Rail::X402 | Rail::Credit => transaction,
        },
        proof: Proof(payment.header_line()),
    });
    let paid = Paid { result: parts.raw, receipt: parts.receipt, paid };
    if parts.is_error { Err(PayError::ToolFailed(Box::new(paid))) } else { Ok(paid) }
}

fn refused(error: RpcError) -> PayError {
    let facts = error.facts;
    let message = facts.message.unwrap_or(error.message);
    match facts.error {
        Some(code) if code.starts_with("payment_") => PayError::PaymentRefused { code: Some(code), message },
        code => PayError::Refused { code, message, next_step: facts.next_step },
    }
}
