//! The dev wallet: signs real BOLT11 invoices on regtest with a key of its own and pays them itself, so that the whole
//! L402 flow runs with real preimages and no other server. No money is involved, and no mainnet invoice is ever accepted.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lightning_invoice::{Bolt11Invoice, Currency, InvoiceBuilder, PaymentSecret};
use secp256k1::{Message, SECP256K1, SecretKey};
use tollgate_domain::{Amount, UnixMillis};

use super::invoice::{InvoiceFacts, LightningNetwork};
use super::{Invoice, InvoiceRequest, InvoiceState, LightningWallet, Preimage, WalletError};
use crate::rail::RailFuture;

/// Blocks a last hop must leave for claiming (BOLT 11, field `c`): what common nodes ask for today.
const FINAL_CLTV_EXPIRY_BLOCKS: u64 = 144;

/// An invoice of the dev wallet as its store keeps it. Holds the preimage: a store must not print it either.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevInvoice {
    /// The unique key.
    pub payment_hash: [u8; 32],
    /// What the payer gets for paying.
    pub preimage: Preimage,
    /// The payment request.
    pub bolt11: String,
    /// Whole satoshi.
    pub sats: u64,
    /// From when it can no longer be paid.
    pub expires: UnixMillis,
    /// When it was paid, if it was.
    pub paid_at: Option<UnixMillis>,
}

/// Where the dev wallet keeps its invoices. Implemented by the store.
pub trait InvoiceBook: Send + Sync + 'static {
    /// Adds a new invoice, created at `now`.
    ///
    /// # Errors
    /// [`BookError`] when it could not be written, or the payment hash is there already.
    fn insert(
        &self,
        invoice: DevInvoice,
        now: UnixMillis,
    ) -> impl Future<Output = Result<(), BookError>> + Send;

    /// The invoice with this payment hash.
    ///
    /// # Errors
    /// [`BookError`] when the store cannot be read.
    fn get(
        &self,
        payment_hash: [u8; 32],
    ) -> impl Future<Output = Result<Option<DevInvoice>, BookError>> + Send;

    /// Notes that it was paid at `now`, unless it was noted before. Returns the moment that stands in the book;
    /// `None` when there is no such invoice.
    ///
    /// # Errors
    /// [`BookError`] when it could not be written.
    fn mark_paid(
        &self,
        payment_hash: [u8; 32],
        now: UnixMillis,
    ) -> impl Future<Output = Result<Option<UnixMillis>, BookError>> + Send;
}

/// The store behind the dev wallet failed.
#[derive(Debug, thiserror::Error)]
#[error("use the dev wallet's book of invoices")]
pub struct BookError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl BookError {
    /// The failure of a store.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Where 32 fresh random bytes come from: the operating system, or a test.
pub type Randomness = Arc<dyn Fn() -> Result<[u8; 32], RandomnessError> + Send + Sync>;

/// The source of randomness failed.
#[derive(Debug, thiserror::Error)]
#[error("draw random bytes")]
pub struct RandomnessError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A wallet on regtest that plays both sides.
pub struct DevWallet<B> {
    key: SecretKey,
    book: Arc<B>,
    randomness: Randomness,
}

/// A payment that the dev wallet made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paid {
    /// The proof of payment.
    pub preimage: Preimage,
    /// The payment hash.
    pub payment_hash: [u8; 32],
    /// Whole satoshi.
    pub sats: u64,
    /// When it was first paid.
    pub paid_at: UnixMillis,
}

/// Why the dev wallet does not pay an invoice.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// It is no valid invoice.
    #[error("the invoice cannot be read")]
    Malformed(#[source] super::InvoiceError),
    /// It is not a regtest invoice, so it might be over real money.
    #[error("the invoice is on {}; the dev wallet only plays on regtest", .0.word())]
    NotRegtest(LightningNetwork),
    /// The dev wallet did not make it, and there is no network to reach another.
    #[error("the dev wallet made no such invoice")]
    UnknownInvoice,
    /// It could be paid until then.
    #[error("the invoice expired at {0}")]
    Expired(UnixMillis),
    /// The store failed. Nothing was noted; paying again is safe.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// 32 bytes that are no secp256k1 secret key (zero, or not below the group order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the dev wallet's key is no secp256k1 secret key")]
pub struct KeyError;

impl<B: InvoiceBook> DevWallet<B> {
    /// A wallet with this node key, this store and this randomness.
    ///
    /// # Errors
    /// [`KeyError`] when the bytes are no secret key.
    pub fn new(node_key: &[u8; 32], book: Arc<B>, randomness: Randomness) -> Result<Self, KeyError> {
        let key = SecretKey::from_slice(node_key).map_err(|_| KeyError)?;
        Ok(Self { key, book, randomness })
    }

    /// Pays one of its own invoices. Paying it again, even after it expired, gives the same answer.
    ///
    /// # Errors
    /// [`PayError`]: why not.
    pub async fn pay(&self, bolt11: &str, now: UnixMillis) -> Result<Paid, PayError> {
        // BOLT 11 may be written in upper case (for QR codes); the book holds lower case.
        let bolt11 = bolt11.trim().to_ascii_lowercase();
        let facts = InvoiceFacts::read(&bolt11).map_err(PayError::Malformed)?;
        if facts.network != LightningNetwork::Regtest {
            return Err(PayError::NotRegtest(facts.network));
        }
        let invoice = self.book.get(facts.payment_hash).await?.ok_or(PayError::UnknownInvoice)?;
        // The whole text is compared: anyone can write an invoice of another amount over a known payment hash.
        if invoice.bolt11 != bolt11 {
            return Err(PayError::UnknownInvoice);
        }
        let paid_at = match invoice.paid_at {
            Some(moment) => moment,
            None if now >= invoice.expires => return Err(PayError::Expired(invoice.expires)),
            None => self.book.mark_paid(invoice.payment_hash, now).await?.ok_or(PayError::UnknownInvoice)?,
        };
        Ok(Paid {
            preimage: invoice.preimage,
            payment_hash: invoice.payment_hash,
            sats: invoice.sats,
            paid_at,
        })
    }

    fn draw(&self) -> Result<[u8; 32], WalletError> {
        (self.randomness)().map_err(|error| WalletError::Backing(Box::new(error)))
    }

    fn write(&self, request: &InvoiceRequest) -> Result<DevInvoice, WalletError> {
        let refused = |reason: &dyn fmt::Display| WalletError::Request(reason.to_string());
        if !(1..=super::SATS_MAX).contains(&request.sats) {
            return Err(refused(&"the amount is nothing, or more bitcoin than there is"));
        }
        let msat = request.sats.checked_mul(1000).ok_or_else(|| refused(&"the amount does not fit"))?;
        let preimage = Preimage::new(self.draw()?);
        let payment_hash = preimage.payment_hash();
        let invoice: Bolt11Invoice = InvoiceBuilder::new(Currency::Regtest)
            .description(request.memo.clone())
            .payment_hash(hex::encode(payment_hash).parse().map_err(|error| refused(&error))?)
            .payment_secret(PaymentSecret(self.draw()?))
            .duration_since_epoch(Duration::from_secs(request.now.secs()))
            .min_final_cltv_expiry_delta(FINAL_CLTV_EXPIRY_BLOCKS)
            .amount_milli_satoshis(msat)
            .expiry_time(Duration::from_secs(request.expiry_seconds))
            .build_signed(|hash: &Message| SECP256K1.sign_ecdsa_recoverable(hash, &self.key))
            .map_err(|error| refused(&error))?;
        let expires = UnixMillis::from_secs(request.now.secs().saturating_add(request.expiry_seconds));
        Ok(DevInvoice {
            payment_hash,
            preimage,
            bolt11: invoice.to_string(),
            sats: request.sats,
            expires,
            paid_at: None,
        })
    }
}

impl<B: InvoiceBook> LightningWallet for DevWallet<B> {
    fn name(&self) -> &'static str {
        "dev"
    }

    fn create_invoice(&self, request: InvoiceRequest) -> RailFuture<'_, Result<Invoice, WalletError>> {
        Box::pin(async move {
            let invoice = self.write(&request)?;
            let made = Invoice { bolt11: invoice.bolt11.clone(), payment_hash: invoice.payment_hash };
            // Stored before it is shown: an invoice that somebody holds can always be paid.
            self.book
                .insert(invoice, request.now)
                .await
                .map_err(|error| WalletError::Backing(Box::new(error)))?;
            Ok(made)
        })
    }

    fn look_up(
        &self,
        payment_hash: [u8; 32],
        now: UnixMillis,
    ) -> RailFuture<'_, Result<InvoiceState, WalletError>> {
        Box::pin(async move {
            let found =
                self.book.get(payment_hash).await.map_err(|error| WalletError::Backing(Box::new(error)))?;
            Ok(match found {
                None => InvoiceState::Unknown,
                Some(invoice) if invoice.paid_at.is_some() => InvoiceState::Settled {
                    preimage: Some(invoice.preimage),
                    amount: Some(Amount::new(u128::from(invoice.sats).saturating_mul(1_000))),
                },
                Some(invoice) if now >= invoice.expires => InvoiceState::Expired,
                Some(_) => InvoiceState::Open,
            })
        })
    }
}

impl<B> fmt::Debug for DevWallet<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DevWallet([redacted])")
    }
}

#[cfg(test)]
mod tests;
