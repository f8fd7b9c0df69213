//! What every rail does, and the words it does it in.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tollgate_domain::{
    Amount, AssetId, Binding, Caller, Digest, FreeCall, PaymentKey, Principal, Quote, Rail, UnixMillis,
};

/// A boxed future: rails are a run-time plural (`Arc<dyn PaymentRail>`).
pub type RailFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A payment as the caller presented it, taken out of its carrier and not yet believed.
#[derive(Clone, PartialEq, Eq)]
pub enum Presented {
    /// x402 `PaymentPayload` as JSON text (x402 specification v2, section 5).
    X402(String),
    /// L402 `token:preimage`: base64 or hex macaroon(s) and the preimage in hexadecimal.
    L402 {
        /// The macaroon, as sent.
        token: String,
        /// The preimage, as sent.
        preimage: String,
    },
    /// MPP credential as JSON text (draft-httpauth-payment, "Payment Credential"), with the challenge's `request` as the
    /// base64url text that was signed.
    Mpp(String),
}

impl fmt::Debug for Presented {
    /// Payments are bearer secrets until they are spent: never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X402(_) => "Presented::X402([redacted])",
            Self::L402 { .. } => "Presented::L402([redacted])",
            Self::Mpp(_) => "Presented::Mpp([redacted])",
        })
    }
}

/// A proof that was read and whose own evidence holds (signature, preimage): it shows who paid, not yet that this call
/// is paid. Made by [`PaymentRail::open`] and handed back to [`PaymentRail::verify`] of the same rail.
#[derive(Clone)]
pub struct Proof {
    /// The rail that opened it.
    pub rail: Rail,
    /// The unique key under which it can be spent once.
    pub key: PaymentKey,
    /// Who pays, as the proof shows.
    pub payer: Caller,
    /// The digest of the quote that it comes with, see [`Binding::quote`].
    pub quote: Option<Digest>,
    /// The rail's own reading of the proof.
    pub opened: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({})", self.key)
    }
}

/// Where the money of a payment comes from when the call is claimed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Funds {
    /// It arrives when the payment is settled on its rail (x402 `exact`, flow `authorization`).
    OnSettlement,
    /// It is already in the gateway's wallet (Lightning): booked as the holder's credit at the first claim, then spent.
    Arrived,
    /// It is sandbox money: the payer's balance is credit on the gateway's books, and the proof is the payer's leave to take
    /// the amount from it.
    Sandbox,
    /// It is credit of this principal on the gateway's books.
    Credit(Principal),
    /// There is none: the call is one of so many that the caller has free.
    Free(FreeCall),
}

impl Funds {
    /// Whether the money is on the gateway's own books from the claim on, so that no rail has to move it.
    pub fn settles_on_our_books(&self) -> bool {
        match self {
            Self::OnSettlement => false,
            Self::Arrived | Self::Sandbox | Self::Credit(_) | Self::Free(_) => true,
        }
    }
}

/// A verified payment for one particular call. Nothing has been claimed yet.
#[derive(Clone, Debug)]
pub struct Payment {
    /// What may be spent once.
    pub key: PaymentKey,
    /// Who pays.
    pub payer: Caller,
    /// What it pays for.
    pub binding: Binding,
    /// How much will be charged: the quoted amount.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Where the money is.
    pub funds: Funds,
    /// What settling needs, as text that survives a restart; opaque outside the rail. May hold a bearer secret.
    pub proof: String,
    /// Until when the proof can be used on its rail.
    pub expires: UnixMillis,
}

/// One way to pay a quote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The rail that would take the money.
    pub rail: Rail,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// The challenge in every form a door may need.
    pub forms: OfferForms,
}

/// The challenge of an offer in every form a door may need; each entry is ready to be placed on the wire.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OfferForms {
    /// Entries of the `accepts` array of x402 `PaymentRequired`: JSON objects as text.
    pub x402_accepts: Vec<String>,
    /// Values of `WWW-Authenticate` header lines, each a line of its own, L402 before `Payment`.
    pub www_authenticate: Vec<String>,
    /// The L402 challenge as a JSON object `{macaroon, invoice, payment_hash, price_sats, expires_at}`.
    pub l402: Option<String>,
    /// MPP challenges for MCP (`request` as native JSON): JSON objects as text.
    pub mpp_challenges: Vec<String>,
}

/// Why a rail could not make an offer. Ours or its wallet's fault, never the caller's.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The wallet or node did not give an invoice in time.
    #[error("get an invoice from the {backend} wallet: {reason}")]
    Wallet {
        /// Which backend.
        backend: &'static str,
        /// What it said or did.
        reason: String,
    },
}

/// Why a presented payment does not pay for this call. The caller's turn; nothing was burned.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PaymentRefusal {
    /// The payment cannot be read.
    #[error("the payment cannot be read: {0}")]
    Unreadable(String),
    /// The signature, macaroon or preimage is wrong.
    #[error("the payment proof is invalid: {0}")]
    Invalid(String),
    /// It is made out to another network, asset, recipient, scheme or realm.
    #[error("the payment is made out for {presented}, expected {expected}")]
    WrongTarget {
        /// What the payment says.
        presented: String,
        /// What it should say.
        expected: String,
    },
    /// The amount is not exactly the quoted one.
    #[error("the payment is over {presented}, the price is {expected} (atomic units)")]
    WrongAmount {
        /// What the payment says.
        presented: String,
        /// The quoted amount.
        expected: Amount,
    },
    /// It was quoted for another tool, other arguments or another price version; carries which.
    #[error("the payment was quoted for another call: {0} differs")]
    OtherCall(&'static str),
    /// The quote or the proof has expired.
    #[error("the payment expired at {0}")]
    Expired(UnixMillis),
    /// The proof is valid only later, or not long enough to run the tool and settle.
    #[error("the payment's time window does not fit: {0}")]
    Window(String),
}

/// What a rail needs to settle or look up one payment: the stored facts of its settlement row.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// What is being spent.
    pub key: PaymentKey,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// The text of [`Payment::proof`].
    pub proof: String,
    /// Until when the proof can be used on its rail.
    pub expires: UnixMillis,
    /// Not before its call was claimed: what the rail moved earlier, it moved for something else.
    pub since: UnixMillis,
}

/// What a rail says about a settlement. `Unknown` is not `Failed`: it never frees the claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SettlementAnswer {
    /// The money moved; the reference names where (a transaction hash, an entry of our own books).
    Settled {
        /// The rail's reference.
        reference: String,
    },
    /// Definitely no effect, and there will be none from this attempt.
    Failed {
        /// The rail's reason, in its own error words where it has some.
        reason: String,
    },
    /// No definite answer (yet). Look up again; never send again before the look-up says `Absent`.
    Unknown {
        /// The last evidence, such as a transaction hash or an error text.
        evidence: String,
    },
    /// Looked up: there is no effect so far, and the proof could still be submitted.
    Absent,
}

/// Money that came in by a rail's own list, whatever the books know of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Where it is found: what a settlement of it would have as its reference.
    pub reference: String,
    /// Who sent it, as the rail writes it.
    pub payer: String,
    /// How much.
    pub amount: Amount,
}

/// What came in on a rail of late.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrivals {
    /// Of what.
    pub asset: AssetId,
    /// Each movement.
    pub each: Vec<Arrival>,
}

/// One way for money to arrive.
pub trait PaymentRail: Send + Sync + fmt::Debug {
    /// Which rail this is.
    fn rail(&self) -> Rail;

    /// Whether [`PaymentRail::open`] of this rail reads this form.
    fn reads(&self, presented: &Presented) -> bool;

    /// A challenge for this quote, made out to `buyer`: where [`Caller::is_known`], nobody else can use what is paid for it. `None`
    /// when none of the price's assets is this rail's, or when who pays by this rail cannot show that it is this buyer. `nonce` is
    /// 32 fresh random bytes.
    fn offer<'a>(
        &'a self,
        quote: &'a Quote,
        buyer: &'a Caller,
        nonce: [u8; 32],
        now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Offer>, OfferError>>;

    /// Who alone may use an opened proof, where it says so: the caller that was authenticated must be this principal.
    fn demanded_caller<'a>(&self, proof: &'a Proof) -> Option<&'a Principal>;

    /// Reads a presented payment and checks its own evidence. Pure; accepts nothing.
    ///
    /// # Errors
    /// [`PaymentRefusal::Unreadable`] or [`PaymentRefusal::Invalid`].
    fn open(&self, presented: &Presented) -> Result<Proof, PaymentRefusal>;

    /// Whether an opened proof pays exactly this quote, now. Pure; claims nothing.
    ///
    /// The proof carries a sealed quote of its own (tool, argument digest, price version, amount, expiry): while that
    /// is valid, its amount counts, even when `quote` (the price now) differs.
    ///
    /// # Errors
    /// [`PaymentRefusal`]: why not.
    fn verify(&self, proof: &Proof, quote: &Quote, now: UnixMillis) -> Result<Payment, PaymentRefusal>;

    /// Moves the money on the rail. Asked only where [`Funds::settles_on_our_books`] says no. The settlement row already says `submitted`. Moves it at most once by the payment's
    /// key; what had its effect before anything was sent for this row has paid for something else, and is refused. Whoever sends again looks it up
    /// first, and once more after a refusal.
    fn settle<'a>(&'a self, settlement: &'a Settlement, now: UnixMillis) -> RailFuture<'a, SettlementAnswer>;

    /// Finds out what became of a settlement, without sending anything.
    fn look_up<'a>(&'a self, settlement: &'a Settlement, now: UnixMillis)
    -> RailFuture<'a, SettlementAnswer>;

    /// How much came in for a settlement that is booked under `reference`, by the rail's own evidence; `None` when nothing did.
    /// Sends nothing.
    ///
    /// # Errors
    /// Why the rail cannot tell, in its words.
    fn confirm<'a>(
        &'a self,
        settlement: &'a Settlement,
        reference: &'a str,
        now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Amount>, String>>;

    /// What came in lately; `None` where the rail has no list, because nothing comes in but what a payer shows.
    ///
    /// # Errors
    /// Why the rail cannot tell, in its words.
    fn arrivals(&self) -> RailFuture<'_, Result<Option<Arrivals>, String>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
