//! What a presented payment says: read from the carrier of x402 or of MPP, and compared with what this rail offers and with
//! the call that it is presented for.

use tollgate_domain::{Amount, Digest, Quote, Settle, UnixMillis};

use super::{ExactEvm, SETTLE_MARGIN_SECONDS, UPFRONT};
use crate::evm::{Authorization, SignedAuthorization};
use crate::mpp;
use crate::quote_seal::{SealError, SealedQuote};
use crate::rail::PaymentRefusal;
use crate::x402::wire::{Accepted, AcceptedExtra, PaymentPayload, Text};

/// `extra.paymentFlow` of what is settled once there is an answer.
const AUTHORIZATION: &str = "authorization";

/// How much of a text from a peer is repeated in a refusal, in characters.
const SHOWN_CHARS_MAX: usize = 96;

/// What [`ExactEvm::open`] read: an authorization that its payer signed, and what its carrier says it answers.
pub(super) struct Opened {
    pub(super) signed: SignedAuthorization,
    /// The amount of the echoed offer.
    amount: Amount,
    /// What the echoed seal says.
    pub(super) sealed: Result<SealedQuote, SealError>,
    pub(super) seal_digest: Digest,
    /// When the payer agreed that the money moves, where the form of the payment says so.
    pub(super) agreed: Option<Settle>,
}

impl ExactEvm {
    pub(super) fn read_x402(&self, json: &str) -> Result<Opened, PaymentRefusal> {
        let unreadable = |reason: String| PaymentRefusal::Unreadable(format!("x402 payment: {reason}"));
        let payload = PaymentPayload::parse(json).map_err(|error| unreadable(error.to_string()))?;
        match payload.x402_version {
            Some(2) => {}
            Some(other) => {
                return Err(unreadable(format!("version {other} is not accepted, send version 2")));
            }
            None => return Err(unreadable("no x402Version".to_owned())),
        }
        let accepted = &payload.accepted;
        let none = AcceptedExtra::default();
        let extra = accepted.extra.as_ref().unwrap_or(&none);
        self.match_entry(accepted, extra)?;
        let amount: Amount = accepted
            .amount
            .as_str()
            .parse()
            .map_err(|error| unreadable(format!("accepted.amount: {error}")))?;
        let seal = extra.tollgate_quote.as_ref().ok_or_else(|| {
            PaymentRefusal::Invalid("it does not echo accepted.extra.tollgateQuote of the offer".to_owned())
        })?;
        let signed = payload.eip3009().map_err(|error| unreadable(error.to_string()))?;
        let agreed = match &extra.payment_flow {
            Some(flow) if flow.as_str() == UPFRONT => Settle::Before,
            Some(_) | None => Settle::After,
        };
        Ok(self.opened(signed, amount, seal.as_str(), Some(agreed)))
    }

    /// Compares the echoed entry with what this rail offers. The amount is the quote's affair.
    fn match_entry(&self, accepted: &Accepted<'_>, extra: &AcceptedExtra<'_>) -> Result<(), PaymentRefusal> {
        expect("scheme", Some(&accepted.scheme), "exact")?;
        expect("network", Some(&accepted.network), &self.network)?;
        if !Accepted::names(&accepted.asset, self.target.token) {
            return Err(wrong_target("asset", accepted.asset.as_str(), &self.token_text));
        }
        if !Accepted::names(&accepted.pay_to, self.config.pay_to) {
            return Err(wrong_target("payTo", accepted.pay_to.as_str(), &self.pay_to_text));
        }
        expect("extra.name", extra.name.as_ref(), &self.config.domain_name)?;
        expect("extra.version", extra.version.as_ref(), &self.config.domain_version)?;
        if let Some(method) = &extra.asset_transfer_method {
            expect("extra.assetTransferMethod", Some(method), "eip3009")?;
        }
        // Which of the two it has to be is the quote's affair.
        if let Some(flow) = extra.payment_flow.as_ref().filter(|flow| flow.as_str() != UPFRONT) {
            expect("extra.paymentFlow", Some(flow), AUTHORIZATION)?;
        }
        let sandbox = self.is_sandbox();
        if extra.sandbox.unwrap_or(false) != sandbox {
            let word = |sandbox| if sandbox { "sandbox money" } else { "real money" };
            return Err(wrong_target("kind", word(!sandbox), word(sandbox)));
        }
        Ok(())
    }

    pub(super) fn read_mpp(&self, credential: &str) -> Result<Opened, PaymentRefusal> {
        let challenges = self
            .config
            .challenges
            .as_ref()
            .ok_or_else(|| PaymentRefusal::Unreadable("this gateway takes no MPP payments".to_owned()))?;
        let charge = mpp::evm::open(challenges, &self.target, credential)?;
        Ok(self.opened(charge.signed, charge.amount, &charge.seal, None))
    }

    fn opened(
        &self,
        signed: SignedAuthorization,
        amount: Amount,
        seal: &str,
        agreed: Option<Settle>,
    ) -> Opened {
        let sealed = self.config.sealer.open(seal);
        Opened { signed, amount, sealed, seal_digest: Digest::of(seal.as_bytes()), agreed }
    }

    /// The quote that the payment answers, checked against the call it is presented for.
    pub(super) fn sealed_quote(
        &self,
        opened: &Opened,
        quote: &Quote,
        now: UnixMillis,
    ) -> Result<SealedQuote, PaymentRefusal> {
        let sealed = opened.sealed.clone().map_err(|error| PaymentRefusal::Invalid(error.to_string()))?;
        if sealed.expires <= now {
            return Err(PaymentRefusal::Expired(sealed.expires));
        }
        // The price version may differ: while the seal is good, what it promised counts.
        if sealed.binding.tool.server != quote.binding.tool.server {
            return Err(PaymentRefusal::OtherCall("server"));
        }
        if sealed.binding.tool.tool != quote.binding.tool.tool {
            return Err(PaymentRefusal::OtherCall("tool"));
        }
        if sealed.binding.args != quote.binding.args {
            return Err(PaymentRefusal::OtherCall("arguments"));
        }
        if sealed.asset != *self.config.asset.id() {
            let (presented, expected) = (sealed.asset.to_string(), self.config.asset.id().to_string());
            return Err(PaymentRefusal::WrongTarget { presented, expected });
        }
        if opened.amount != sealed.amount {
            return Err(wrong_amount(opened.amount, sealed.amount));
        }
        Ok(sealed)
    }

    /// What the payer signed must be exactly what was quoted: neither less nor more.
    pub(super) fn match_authorization(
        &self,
        authorization: &Authorization,
        amount: Amount,
    ) -> Result<(), PaymentRefusal> {
        if authorization.value != amount {
            return Err(wrong_amount(authorization.value, amount));
        }
        if authorization.to != self.config.pay_to {
            return Err(wrong_target("recipient", &authorization.to.to_string(), &self.pay_to_text));
        }
        Ok(())
    }
}

/// Whether the authorization can be submitted now and for [`SETTLE_MARGIN_SECONDS`] to come.
pub(super) fn match_window(authorization: &Authorization, now: UnixMillis) -> Result<(), PaymentRefusal> {
    let seconds = now.secs();
    // The contract wants a block later than `validAfter` itself (EIP-3009).
    if authorization.valid_after >= seconds {
        let until = authorization.valid_after.saturating_sub(seconds).saturating_add(1);
        return Err(PaymentRefusal::Window(format!("it becomes valid only in {until} s")));
    }
    if authorization.valid_before <= seconds {
        return Err(PaymentRefusal::Expired(UnixMillis::from_secs(authorization.valid_before)));
    }
    let left = authorization.valid_before.saturating_sub(seconds);
    if left < SETTLE_MARGIN_SECONDS {
        return Err(PaymentRefusal::Window(format!(
            "it is valid for {left} s more, at least {SETTLE_MARGIN_SECONDS} s are needed to run the tool and settle"
        )));
    }
    Ok(())
}

fn expect(what: &str, presented: Option<&Text<'_>>, expected: &str) -> Result<(), PaymentRefusal> {
    match presented {
        Some(presented) if presented.as_str() == expected => Ok(()),
        Some(other) => Err(wrong_target(what, other.as_str(), expected)),
        None => Err(PaymentRefusal::WrongTarget {
            presented: format!("no {what}"),
            expected: format!("{what} {expected}"),
        }),
    }
}

fn wrong_target(what: &str, presented: &str, expected: &str) -> PaymentRefusal {
    let presented: String = presented.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    PaymentRefusal::WrongTarget {
        presented: format!("{what} {presented}"),
        expected: format!("{what} {expected}"),
    }
}

fn wrong_amount(presented: Amount, expected: Amount) -> PaymentRefusal {
    PaymentRefusal::WrongAmount { presented: presented.to_string(), expected }
}
