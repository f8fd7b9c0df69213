//! The rail itself: offers, opens, verifies and settles Lightning payments for one asset.

use std::fmt;
use std::sync::Arc;

use serde_json::json;
use tollgate_domain::{
    Amount, Asset, AssetId, Binding, Caller, PaymentKey, Principal, Quote, Rail, UnixMillis,
};

use super::caveats;
use super::identifier::Identifier;
use super::macaroon::{Macaroon, MacaroonError};
use super::secret::GateSecret;
use super::terms::{PriceTerm, Terms, tool_text};
use crate::lightning::invoice::sats_for;
use crate::lightning::{
    Invoice, InvoiceRequest, InvoiceState, LightningNetwork, LightningWallet, Preimage, WalletError,
};
use crate::mpp::{self, Challenges, RealmError};
use crate::rail::{
    Funds, Offer, OfferError, OfferForms, Payment, PaymentRail, PaymentRefusal, Presented, Proof, RailFuture,
    Settlement, SettlementAnswer,
};

/// How long a credential is good for when nothing else is configured: ten minutes.
pub const TTL_SECONDS_DEFAULT: u64 = 600;
/// The longest life of a credential: a week. Prices and wallets change.
pub const TTL_SECONDS_MAX: u64 = 604_800;

/// The location hint in our macaroons.
const LOCATION: &str = "tollgate";

/// What the rail needs to know.
pub struct L402Config {
    /// What it takes: `lightning:<network>/msat` with 3 decimals.
    pub asset: Asset,
    /// What all tokens are derived from.
    pub secret: GateSecret,
    /// How long a credential is good for, 1 to [`TTL_SECONDS_MAX`]; never longer than the quote.
    pub ttl_seconds: u64,
    /// Where the money arrives.
    pub wallet: Arc<dyn LightningWallet>,
    /// The protection space of MPP challenges, such as the public host name: visible ASCII without `"`, `\` and `|`.
    pub realm: String,
}

impl fmt::Debug for L402Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L402Config({:?}, {:?}, ttl {} s, [redacted])", self.asset, self.wallet, self.ttl_seconds)
    }
}

/// Why the rail cannot be set up like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L402ConfigError {
    /// Not a Lightning asset counted in millisatoshi.
    #[error("{0} is no Lightning asset: expected lightning:<network>/msat with 3 decimals")]
    Asset(AssetId),
    /// A life of nothing, or of more than a week.
    #[error("a credential lives 1 to {TTL_SECONDS_MAX} seconds, not {0}")]
    Ttl(u64),
    /// A realm that cannot stand in a header.
    #[error(transparent)]
    Realm(#[from] RealmError),
}

/// L402, and MPP's method `lightning`, for one Lightning asset. Stateless: everything a paid call needs is in the credential.
pub struct L402 {
    asset: Asset,
    network: String,
    secret: GateSecret,
    challenges: Challenges,
    ttl_seconds: u64,
    wallet: Arc<dyn LightningWallet>,
}

/// An authentic credential with the proof that its invoice was paid: what [`Proof::opened`] holds for this rail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    payment_hash: [u8; 32],
    terms: Terms,
}

impl L402 {
    /// A rail as configured.
    ///
    /// # Errors
    /// [`L402ConfigError`]: what is wrong with the configuration.
    pub fn new(config: L402Config) -> Result<Self, L402ConfigError> {
        let L402Config { asset, secret, ttl_seconds, wallet, realm } = config;
        let network =
            asset.id().as_str().strip_prefix("lightning:").and_then(|rest| rest.strip_suffix("/msat"));
        let network = match network {
            Some(network) if asset.decimals() == 3 => network.to_owned(),
            _ => return Err(L402ConfigError::Asset(asset.id().clone())),
        };
        if !(1..=TTL_SECONDS_MAX).contains(&ttl_seconds) {
            return Err(L402ConfigError::Ttl(ttl_seconds));
        }
        let challenges = Challenges::new(secret.as_bytes(), &realm)?;
        Ok(Self { asset, network, secret, challenges, ttl_seconds, wallet })
    }

    /// The sealed quote of a new credential: the price in whole satoshi, rounded up, since that is what the invoice takes.
    fn terms(&self, quote: &Quote, sats: u64, caller: Option<Principal>, now: UnixMillis) -> Terms {
        let amount = Amount::new(u128::from(sats).saturating_mul(1000));
        Terms {
            tool: tool_text(&quote.binding.tool),
            args: quote.binding.args,
            price: PriceTerm { version: quote.binding.price_version, amount, asset: self.asset.id().clone() },
            valid_until: now.secs().saturating_add(self.ttl_seconds).min(quote.expires.secs()),
            caller,
        }
    }

    async fn make_offer(
        &self,
        quote: &Quote,
        caller: Option<Principal>,
        nonce: [u8; 32],
        now: UnixMillis,
    ) -> Result<Option<Offer>, OfferError> {
        let Some(money) = quote.price.options().iter().find(|money| money.asset.id() == self.asset.id())
        else {
            return Ok(None);
        };
        let failed = |reason: String| OfferError::Wallet { backend: self.wallet.name(), reason };
        let sats =
            sats_for(money.amount).ok_or_else(|| failed("no invoice can be over this price".to_owned()))?;
        let terms = self.terms(quote, sats, caller, now);
        let request = InvoiceRequest {
            sats,
            memo: format!("Tollgate: {}", quote.binding.tool),
            // Never longer than the credential: who pays in time has also time to use it or to claim its value.
            expiry_seconds: terms.valid_until.saturating_sub(now.secs()),
            now,
        };
        let invoice = self.wallet.create_invoice(request).await.map_err(|error| failed(chain(&error)))?;
        if invoice.bolt11.is_empty() || !invoice.bolt11.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(failed("its invoice is no BOLT11 text".to_owned()));
        }
        // The other way round is let be: LNbits' own FakeWallet writes invoices of the main network.
        if self.network == LightningNetwork::Mainnet.word() && !is_of_mainnet(&invoice.bolt11) {
            let reason =
                "its invoice is of a test network, where coins are worth nothing, and not of mainnet";
            return Err(failed(reason.to_owned()));
        }
        let macaroon = self.mint(&terms, &invoice, nonce).map_err(|error| failed(error.to_string()))?;
        let amount = terms.price.amount;
        Ok(Some(Offer {
            rail: Rail::L402,
            amount,
            asset: self.asset.id().clone(),
            forms: self.forms(&terms, &invoice, sats, &macaroon),
        }))
    }

    fn mint(&self, terms: &Terms, invoice: &Invoice, token_id: [u8; 32]) -> Result<Macaroon, MacaroonError> {
        let identifier = Identifier { payment_hash: invoice.payment_hash, token_id }.to_bytes();
        let caveats = caveats::minted(terms);
        Macaroon::mint(
            &self.secret.root_key(&identifier),
            &identifier,
            LOCATION,
            caveats.iter().map(String::as_bytes),
        )
    }

    fn forms(&self, terms: &Terms, invoice: &Invoice, sats: u64, macaroon: &Macaroon) -> OfferForms {
        let token = macaroon.to_base64();
        let bolt11 = &invoice.bolt11;
        let challenge = mpp::lightning::challenge(&self.challenges, &self.network, sats, invoice, terms);
        OfferForms {
            x402_accepts: Vec::new(),
            // Deployed clients look for `macaroon="…", invoice="…"` right behind the scheme, with a regular expression; the
            // specification's own keys stand behind them. L402 stands before `Payment` for clients that read one value only.
            www_authenticate: vec![
                format!(r#"L402 macaroon="{token}", invoice="{bolt11}", version="0", token="{token}""#),
                challenge.www_authenticate(),
            ],
            l402: Some(
                json!({
                    "macaroon": token,
                    "invoice": bolt11,
                    "payment_hash": hex::encode(invoice.payment_hash),
                    "price_sats": sats,
                    "expires_at": terms.valid_until,
                })
                .to_string(),
            ),
            mpp_challenges: vec![challenge.mcp_json()],
        }
    }

    fn open_token(&self, token: &str, preimage: &str) -> Result<Opened, PaymentRefusal> {
        // Several tokens are legal L402 (one per service), but only one of them can be the one that pays.
        if token.contains(',') {
            return Err(PaymentRefusal::Unreadable("it holds several tokens".to_owned()));
        }
        let macaroon =
            Macaroon::from_text(token).map_err(|error| PaymentRefusal::Unreadable(error.to_string()))?;
        let identifier = Identifier::parse(macaroon.identifier()).ok_or_else(|| {
            PaymentRefusal::Unreadable("the token's identifier is not of version 0".to_owned())
        })?;
        let root_key = self.secret.root_key(macaroon.identifier());
        macaroon.verify_signature(&root_key).map_err(|error| PaymentRefusal::Invalid(error.to_string()))?;
        let conditions =
            caveats::read(macaroon.caveats()).map_err(|error| PaymentRefusal::Invalid(error.to_string()))?;
        let preimage = chosen_preimage(preimage, conditions.preimage)?;
        Opened::proven(identifier.payment_hash, &preimage, conditions.terms)
    }
}

impl Opened {
    /// What an opened proof of this rail holds; `None` for a proof of another rail.
    pub fn of(proof: &Proof) -> Option<&Self> {
        proof.opened.downcast_ref()
    }

    /// The payment hash.
    pub const fn payment_hash(&self) -> &[u8; 32] {
        &self.payment_hash
    }

    /// Who alone may use the credential: the gate compares it with the proven caller. `None`: whoever holds it.
    pub const fn demanded_caller(&self) -> Option<&Principal> {
        self.terms.caller.as_ref()
    }

    /// The moment from which it no longer pays for its call.
    pub fn expires(&self) -> UnixMillis {
        self.terms.expires()
    }

    pub(crate) fn proven(
        payment_hash: [u8; 32],
        preimage: &Preimage,
        terms: Terms,
    ) -> Result<Self, PaymentRefusal> {
        if !preimage.opens(&payment_hash) {
            return Err(PaymentRefusal::Invalid("the preimage is not the one of this invoice".to_owned()));
        }
        Ok(Self { payment_hash, terms })
    }
}

/// Whether a BOLT11 text is of the main network: behind the prefix stands the amount, or the separator `1`.
fn is_of_mainnet(bolt11: &str) -> bool {
    let rest =
        bolt11.as_bytes().split_first_chunk::<4>().filter(|(prefix, _)| prefix.eq_ignore_ascii_case(b"lnbc"));
    rest.and_then(|(_, rest)| rest.first()).is_some_and(u8::is_ascii_digit)
}

/// The preimage from behind the colon, or from the token's own caveat; when both are there they must agree.
fn chosen_preimage(presented: &str, in_token: Option<Preimage>) -> Result<Preimage, PaymentRefusal> {
    let invalid = |reason: &str| PaymentRefusal::Invalid(reason.to_owned());
    match (presented, in_token) {
        ("", Some(preimage)) => Ok(preimage),
        ("", None) => Err(invalid("there is no preimage")),
        (text, in_token) => {
            let preimage =
                Preimage::parse(text).map_err(|error| PaymentRefusal::Invalid(error.to_string()))?;
            if in_token.is_some_and(|other| other != preimage) {
                return Err(invalid("the token holds another preimage"));
            }
            Ok(preimage)
        }
    }
}

/// An error with its causes in one line: [`OfferError`] carries text, and the log must say why.
fn chain(error: &WalletError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

impl PaymentRail for L402 {
    fn rail(&self) -> Rail {
        Rail::L402
    }

    fn reads(&self, presented: &Presented) -> bool {
        match presented {
            Presented::L402 { .. } => true,
            Presented::Mpp(credential) => mpp::lightning::is_lightning(credential),
            Presented::X402(_) => false,
        }
    }

    fn offer<'a>(
        &'a self,
        quote: &'a Quote,
        buyer: &'a Caller,
        nonce: [u8; 32],
        now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Offer>, OfferError>> {
        match buyer {
            // Who pays over Lightning shows no wallet: it would pay for what it could not use.
            Caller::Wallet(_) => Box::pin(std::future::ready(Ok(None))),
            Caller::ApiKey(_) => Box::pin(self.make_offer(quote, Some(buyer.principal()), nonce, now)),
            Caller::Anonymous | Caller::Preimage(_) => Box::pin(self.make_offer(quote, None, nonce, now)),
        }
    }

    fn demanded_caller<'a>(&self, proof: &'a Proof) -> Option<&'a Principal> {
        Opened::of(proof)?.demanded_caller()
    }

    fn open(&self, presented: &Presented) -> Result<Proof, PaymentRefusal> {
        let opened = match presented {
            Presented::L402 { token, preimage } => self.open_token(token, preimage)?,
            Presented::Mpp(credential) => mpp::lightning::open(&self.challenges, credential)?,
            Presented::X402(_) => {
                return Err(PaymentRefusal::Unreadable("it is no Lightning payment".to_owned()));
            }
        };
        let key = PaymentKey::new(Rail::L402, hex::encode(opened.payment_hash))
            .map_err(|error| PaymentRefusal::Unreadable(error.to_string()))?;
        Ok(Proof {
            rail: Rail::L402,
            key,
            payer: Caller::Preimage(opened.payment_hash),
            quote: None,
            opened: Arc::new(opened),
        })
    }

    fn verify(&self, proof: &Proof, quote: &Quote, now: UnixMillis) -> Result<Payment, PaymentRefusal> {
        let opened = Opened::of(proof)
            .ok_or_else(|| PaymentRefusal::Unreadable("another rail opened this payment".to_owned()))?;
        let terms = &opened.terms;
        if terms.price.asset != *self.asset.id() {
            return Err(PaymentRefusal::WrongTarget {
                presented: terms.price.asset.to_string(),
                expected: self.asset.id().to_string(),
            });
        }
        if terms.tool != tool_text(&quote.binding.tool) {
            return Err(PaymentRefusal::OtherCall("tool"));
        }
        if terms.args != quote.binding.args {
            return Err(PaymentRefusal::OtherCall("arguments"));
        }
        if now >= terms.expires() {
            return Err(PaymentRefusal::Expired(terms.expires()));
        }
        Ok(Payment {
            key: proof.key.clone(),
            payer: proof.payer,
            // The price that was promised stands until the credential expires, whatever the price is now: it has been paid.
            binding: Binding {
                tool: quote.binding.tool.clone(),
                args: quote.binding.args,
                price_version: terms.price.version,
                quote: None,
            },
            amount: terms.price.amount,
            asset: terms.price.asset.clone(),
            funds: Funds::Arrived,
            // Nothing is left to be sent, so no bearer secret is stored.
            proof: proof.key.proof().to_owned(),
            expires: terms.expires(),
        })
    }

    fn settle<'a>(
        &'a self,
        settlement: &'a Settlement,
        _now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(std::future::ready(arrived(settlement)))
    }

    fn look_up<'a>(
        &'a self,
        settlement: &'a Settlement,
        _now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(std::future::ready(arrived(settlement)))
    }

    /// The wallet tells whether an invoice was paid, and over how much it was; one that does not tell is believed to be paid whole.
    fn confirm<'a>(
        &'a self,
        settlement: &'a Settlement,
        _reference: &'a str,
        now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Amount>, String>> {
        Box::pin(async move {
            let mut hash = [0; 32];
            hex::decode_to_slice(settlement.key.proof(), &mut hash)
                .map_err(|error| format!("stored payment hash: {error}"))?;
            match self.wallet.look_up(hash, now).await.map_err(|error| chain(&error))? {
                InvoiceState::Settled { amount, .. } => Ok(Some(amount.unwrap_or(settlement.amount))),
                InvoiceState::Open
                | InvoiceState::Held
                | InvoiceState::Expired
                | InvoiceState::Cancelled
                | InvoiceState::Unknown => Ok(None),
            }
        })
    }
}

/// The money came before the call: the preimage that opened the proof is revealed by taking it.
fn arrived(settlement: &Settlement) -> SettlementAnswer {
    match settlement.key.rail() {
        Rail::L402 => {
            SettlementAnswer::Settled { reference: format!("lightning:{}", settlement.key.proof()) }
        }
        other @ (Rail::X402 | Rail::Credit) => SettlementAnswer::Failed {
            reason: format!("a payment over {other} is not settled over Lightning"),
        },
    }
}

impl fmt::Debug for L402 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L402({:?}, {:?}, ttl {} s, [redacted])", self.asset, self.wallet, self.ttl_seconds)
    }
}

#[cfg(test)]
mod tests;
