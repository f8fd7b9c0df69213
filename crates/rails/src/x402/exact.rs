//! The rail for x402 `exact` over EIP-3009, in one token on one EVM network. It also answers for MPP's `evm` method: the
//! same authorization, carried differently, under the same payment key.
//!
//! The payer's signature binds payer, recipient, amount, time window and nonce. It binds neither tool nor arguments: the
//! sealed quote that the client echoes does.

mod opened;

use std::fmt;
use std::sync::Arc;

use tollgate_domain::{Amount, Asset, Binding, Caller, PaymentKey, Principal, Quote, Rail, UnixMillis};

use self::opened::{Opened, match_window};
use super::settler::Settler;
use super::wire::{ExactEntry, ExactExtra};
use crate::evm::{Address, Authorization, Domain, SignatureError, SignedAuthorization};
use crate::mpp::{self, Challenges};
use crate::quote_seal::{QuoteSealer, SealedQuote};
use crate::rail::{
    Arrivals, Funds, Offer, OfferError, OfferForms, Payment, PaymentRail, PaymentRefusal, Presented, Proof,
    RailFuture, Settlement, SettlementAnswer,
};

/// An authorization must still be valid this many seconds after it is presented: time to run a quick tool and to get the
/// transaction into a block. Slow tools need a longer `max_timeout_seconds`.
pub const SETTLE_MARGIN_SECONDS: u64 = 6;
/// `extra.paymentFlow` of what is settled before the work is begun.
const UPFRONT: &str = "upfront";

/// What becomes of a row in the sandbox that waits for money from outside the books: only versions that kept the sandbox
/// token in a book of its own have left such rows, and that book is gone.
const NO_CHAIN: &str = "sandbox_of_an_earlier_version";

/// Payer and nonce in a payment key: `0x…/0x…`.
const KEY_DIGITS: usize = 2 + 40 + 1 + 2 + 64;

/// What one token on one network is taken with.
#[derive(Clone, Debug)]
pub struct ExactEvmConfig {
    /// The token: its id is CAIP-19, `eip155:CHAIN/erc20:0x…`.
    pub asset: Asset,
    /// The token's EIP-712 domain name, such as `USDC`.
    pub domain_name: String,
    /// The token's EIP-712 domain version, such as `2`.
    pub domain_version: String,
    /// Who is paid.
    pub pay_to: Address,
    /// How long a client should make its authorization valid, in seconds; more than [`SETTLE_MARGIN_SECONDS`].
    pub max_timeout_seconds: u64,
    /// Seals quotes.
    pub sealer: QuoteSealer,
    /// Makes MPP challenges beside the x402 offer; `None`: no MPP.
    pub challenges: Option<Challenges>,
    /// Where the money moves.
    pub settling: Settling,
}

/// Where the money of a verified payment moves. All checks before are the same.
#[derive(Clone, Debug)]
pub enum Settling {
    /// On the chain, by this settler, after the tool has answered.
    Chain(Arc<dyn Settler>),
    /// In the sandbox: on the gateway's own books, which hold what each wallet has of the token. Every offer says so, and a
    /// payment made for the sandbox pays nowhere else.
    Sandbox,
}

/// Why a token cannot be taken with these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExactEvmConfigError {
    /// The asset's id names no ERC-20 token.
    #[error("asset {0} is not of the form eip155:CHAIN/erc20:0x…")]
    Asset(String),
    /// The domain name or version is empty.
    #[error("the token's EIP-712 domain needs a name and a version")]
    Domain,
    /// Nobody owns the zero address.
    #[error("pay_to is the zero address")]
    PayTo,
    /// Every payment would come too late.
    #[error("max_timeout_seconds is {0}; it must be more than {SETTLE_MARGIN_SECONDS}")]
    Timeout(u64),
}

/// The rail of one token on one EVM network.
pub struct ExactEvm {
    config: ExactEvmConfig,
    network: String,
    target: mpp::evm::Target,
    token_text: String,
    pay_to_text: String,
    /// `eip155:CHAIN/0xtoken/`, in lower case: what every payment key of this rail opens with.
    key_prefix: String,
    domain: Domain,
}

impl ExactEvm {
    /// The rail with these settings.
    ///
    /// # Errors
    /// [`ExactEvmConfigError`]: which setting is wrong.
    pub fn new(config: ExactEvmConfig) -> Result<Self, ExactEvmConfigError> {
        let (chain_id, token) =
            erc20(&config.asset).ok_or_else(|| ExactEvmConfigError::Asset(config.asset.id().to_string()))?;
        if config.domain_name.is_empty() || config.domain_version.is_empty() {
            return Err(ExactEvmConfigError::Domain);
        }
        if config.pay_to == Address::ZERO {
            return Err(ExactEvmConfigError::PayTo);
        }
        if config.max_timeout_seconds <= SETTLE_MARGIN_SECONDS {
            return Err(ExactEvmConfigError::Timeout(config.max_timeout_seconds));
        }
        let network = format!("eip155:{chain_id}");
        Ok(Self {
            key_prefix: format!("{network}/{}/", token.to_lower()),
            network,
            target: mpp::evm::Target {
                chain_id,
                token,
                recipient: config.pay_to,
                decimals: config.asset.decimals(),
            },
            token_text: token.to_string(),
            pay_to_text: config.pay_to.to_string(),
            domain: Domain::new(&config.domain_name, &config.domain_version, chain_id, token),
            config,
        })
    }

    fn is_sandbox(&self) -> bool {
        matches!(self.config.settling, Settling::Sandbox)
    }

    /// The token's signing domain.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The key under which an authorization can be spent once: `eip155:CHAIN/0xtoken/0xpayer/0xnonce`, in lower case.
    /// EIP-3009 nonces are per payer and token.
    fn key(&self, authorization: &Authorization) -> Result<PaymentKey, PaymentRefusal> {
        let mut proof = String::with_capacity(self.key_prefix.len().saturating_add(KEY_DIGITS));
        proof.push_str(&self.key_prefix);
        push_hex(&mut proof, authorization.from.as_bytes());
        proof.push('/');
        push_hex(&mut proof, &authorization.nonce);
        PaymentKey::new(Rail::X402, proof).map_err(|error| PaymentRefusal::Unreadable(error.to_string()))
    }

    fn make_offer(&self, quote: &Quote, buyer: &Caller, nonce: [u8; 32]) -> Option<Offer> {
        let price =
            quote.price.options().iter().find(|option| option.asset.id() == self.config.asset.id())?;
        let mut seal_nonce = [0; 16];
        seal_nonce.copy_from_slice(&nonce[..16]);
        let seal = self.config.sealer.seal(&SealedQuote {
            binding: quote.binding.clone(),
            amount: price.amount,
            asset: price.asset.id().clone(),
            expires: quote.expires,
            buyer: buyer.is_known().then(|| buyer.principal()),
            nonce: seal_nonce,
        });
        let entry = ExactEntry {
            scheme: "exact",
            network: &self.network,
            amount: price.amount,
            asset: &self.token_text,
            pay_to: &self.pay_to_text,
            max_timeout_seconds: self.config.max_timeout_seconds,
            extra: ExactExtra {
                name: &self.config.domain_name,
                version: &self.config.domain_version,
                tollgate_quote: &seal,
                payment_flow: quote.settle.takes_first().then_some(UPFRONT),
                sandbox: self.is_sandbox(),
            },
        };
        let challenge = self.config.challenges.as_ref().map(|challenges| {
            mpp::evm::challenge(challenges, &self.target, price.amount, quote.expires, &seal)
        });
        Some(Offer {
            rail: Rail::X402,
            amount: price.amount,
            asset: price.asset.id().clone(),
            forms: OfferForms {
                x402_accepts: vec![entry.to_json()],
                www_authenticate: challenge.iter().map(mpp::Challenge::www_authenticate).collect(),
                l402: None,
                mpp_challenges: challenge.iter().map(mpp::Challenge::mcp_json).collect(),
            },
        })
    }
}

/// Appends `0x` and two digits for each byte.
fn push_hex(text: &mut String, bytes: &[u8]) {
    text.push_str("0x");
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    text.extend(nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)));
}

impl fmt::Debug for ExactEvm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExactEvm({:?} to {})", self.config.asset, self.pay_to_text)
    }
}

impl PaymentRail for ExactEvm {
    fn rail(&self) -> Rail {
        Rail::X402
    }

    fn reads(&self, presented: &Presented) -> bool {
        match presented {
            Presented::X402(_) => true,
            Presented::Mpp(credential) => self.config.challenges.is_some() && mpp::evm::is_evm(credential),
            Presented::L402 { .. } => false,
        }
    }

    fn offer<'a>(
        &'a self,
        quote: &'a Quote,
        buyer: &'a Caller,
        nonce: [u8; 32],
        _now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Offer>, OfferError>> {
        Box::pin(std::future::ready(Ok(self.make_offer(quote, buyer, nonce))))
    }

    fn demanded_caller<'a>(&self, proof: &'a Proof) -> Option<&'a Principal> {
        let opened: &Opened = proof.opened.downcast_ref()?;
        opened.sealed.as_ref().ok()?.buyer.as_ref()
    }

    fn open(&self, presented: &Presented) -> Result<Proof, PaymentRefusal> {
        let opened = match presented {
            Presented::X402(json) => self.read_x402(json)?,
            Presented::Mpp(credential) => self.read_mpp(credential)?,
            Presented::L402 { .. } => {
                return Err(PaymentRefusal::Unreadable("it is no x402 payment".to_owned()));
            }
        };
        let own = opened
            .signed
            .check(&self.domain)
            .map_err(|error: SignatureError| PaymentRefusal::Invalid(error.to_string()))?;
        if !own {
            return Err(PaymentRefusal::Invalid(
                "the signature is not the payer's over this authorization in this token's domain".to_owned(),
            ));
        }
        Ok(Proof {
            rail: Rail::X402,
            key: self.key(&opened.signed.authorization)?,
            payer: Caller::Wallet(*opened.signed.authorization.from.as_bytes()),
            quote: Some(opened.seal_digest),
            opened: Arc::new(opened),
        })
    }

    fn verify(&self, proof: &Proof, quote: &Quote, now: UnixMillis) -> Result<Payment, PaymentRefusal> {
        let opened = proof
            .opened
            .downcast_ref::<Opened>()
            .ok_or_else(|| PaymentRefusal::Unreadable("it was opened by another rail".to_owned()))?;
        let sealed = self.sealed_quote(opened, quote, now)?;
        // Nobody who agreed to pay for an answer pays before there is one.
        if opened.agreed.is_some_and(|agreed| agreed.takes_first() != quote.settle.takes_first()) {
            return Err(PaymentRefusal::OtherCall("payment flow"));
        }
        let authorization = &opened.signed.authorization;
        self.match_authorization(authorization, sealed.amount)?;
        match_window(authorization, now)?;
        Ok(Payment {
            key: proof.key.clone(),
            payer: proof.payer,
            // Everything that the payer signed can be read on the chain once it is settled. The seal cannot.
            binding: Binding { quote: proof.quote, ..sealed.binding },
            amount: sealed.amount,
            asset: sealed.asset,
            funds: match self.config.settling {
                Settling::Chain(_) => Funds::OnSettlement,
                Settling::Sandbox => Funds::Sandbox,
            },
            proof: opened.signed.to_proof_text(),
            expires: UnixMillis::from_secs(authorization.valid_before),
        })
    }

    fn settle<'a>(&'a self, settlement: &'a Settlement, now: UnixMillis) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move {
            match self.chain(settlement) {
                Ok((settler, signed)) => settler.settle(&signed, now).await,
                Err(answer) => answer,
            }
        })
    }

    fn look_up<'a>(
        &'a self,
        settlement: &'a Settlement,
        _now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move {
            match self.chain(settlement) {
                Ok((settler, signed)) => settler.look_up(&signed, settlement.since).await,
                Err(answer) => answer,
            }
        })
    }

    fn confirm<'a>(
        &'a self,
        settlement: &'a Settlement,
        reference: &'a str,
        _now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Amount>, String>> {
        Box::pin(async move {
            // Not `stored`: a row that contradicts its proof is what is looked for here.
            let signed = SignedAuthorization::from_proof_text(&settlement.proof)
                .map_err(|error| format!("stored proof: {error}"))?;
            match &self.config.settling {
                Settling::Chain(settler) => settler.confirm(&signed, reference).await,
                Settling::Sandbox => Err(NO_CHAIN.to_owned()),
            }
        })
    }

    fn arrivals(&self) -> RailFuture<'_, Result<Option<Arrivals>, String>> {
        Box::pin(async move {
            match &self.config.settling {
                Settling::Chain(settler) => {
                    let each = settler.arrivals(self.config.pay_to).await?;
                    Ok(Some(Arrivals { asset: self.config.asset.id().clone(), each }))
                }
                Settling::Sandbox => Ok(None),
            }
        })
    }
}

impl ExactEvm {
    /// The settler to ask about a settlement row, and its authorization; or what is known without asking.
    fn chain(
        &self,
        settlement: &Settlement,
    ) -> Result<(&dyn Settler, SignedAuthorization), SettlementAnswer> {
        let signed = self.stored(settlement).map_err(|evidence| SettlementAnswer::Unknown { evidence })?;
        match &self.config.settling {
            Settling::Chain(settler) => Ok((settler.as_ref(), signed)),
            Settling::Sandbox => Err(SettlementAnswer::Failed { reason: NO_CHAIN.to_owned() }),
        }
    }

    /// The authorization of a settlement row. A row that does not agree with itself, or with this rail, is never sent: it
    /// needs a person.
    fn stored(&self, settlement: &Settlement) -> Result<SignedAuthorization, String> {
        let signed = SignedAuthorization::from_proof_text(&settlement.proof)
            .map_err(|error| format!("stored proof: {error}"))?;
        let same = self.key(&signed.authorization).is_ok_and(|key| key == settlement.key)
            && signed.authorization.value == settlement.amount
            && settlement.asset == *self.config.asset.id();
        if same {
            Ok(signed)
        } else {
            Err("stored proof: it does not belong to its settlement row".to_owned())
        }
    }
}

/// The chain and the token of `eip155:CHAIN/erc20:0x…`.
fn erc20(asset: &Asset) -> Option<(u64, Address)> {
    let (network, kind) = asset.id().as_str().split_once('/')?;
    let chain: Amount = network.strip_prefix("eip155:")?.parse().ok()?;
    let token = kind.strip_prefix("erc20:")?.parse().ok()?;
    Some((u64::try_from(chain.get()).ok()?, token))
}

#[cfg(test)]
mod tests;
