//! What a BOLT11 payment request says. Parsing recovers a signature (about 50 µs), so it has no place on the paid path:
//! a wallet checks its own invoices when they are made, a payer before it pays.

use std::time::Duration;

use lightning_invoice::{
    Bolt11ParseError, Currency, DEFAULT_EXPIRY_TIME, SignedRawBolt11Invoice, TaggedField,
};
use tollgate_domain::{Amount, UnixMillis};

/// The parts of an invoice that a payer or a payee acts on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvoiceFacts {
    /// The network its prefix names.
    pub network: LightningNetwork,
    /// How much, in millisatoshi; `None` when the payer may choose.
    pub amount: Option<Amount>,
    /// The payment hash.
    pub payment_hash: [u8; 32],
    /// From when it can no longer be paid.
    pub expires: UnixMillis,
}

/// A network that BOLT 11 has a prefix for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LightningNetwork {
    /// `lnbc`: real money (LNbits' FakeWallet writes it too).
    Mainnet,
    /// `lntb`.
    Testnet,
    /// `lnbcrt`.
    Regtest,
    /// `lnsb`.
    Simnet,
    /// `lntbs`.
    Signet,
}

/// Why a text is no invoice that may be acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// Not the BOLT 11 text form.
    #[error("the invoice is no BOLT11 text: {0}")]
    Malformed(String),
    /// Well-formed, but its signature, its amount or its required fields are wrong.
    #[error("the invoice breaks BOLT11: {0}")]
    Invalid(String),
}

impl InvoiceFacts {
    /// Reads and checks a BOLT11 text, signature included.
    ///
    /// # Errors
    /// [`InvoiceError`]: what is wrong with it.
    pub fn read(bolt11: &str) -> Result<Self, InvoiceError> {
        let invoice: SignedRawBolt11Invoice =
            bolt11.parse().map_err(|error| InvoiceError::Malformed(parse_reason(&error)))?;
        // Not the library's own `Bolt11Invoice`: it refuses invoices without feature bits, which wallets in the field
        // write (LNbits' FakeWallet) and which BOLT 11 allowed for years. What is acted on here is checked here.
        let invalid = |reason: &str| InvoiceError::Invalid(reason.to_owned());
        if !invoice.check_signature() {
            return Err(invalid("its signature is not its payee's"));
        }
        let mut hashes = invoice.known_tagged_fields().filter_map(|field| match field {
            TaggedField::PaymentHash(hash) => Some(hash),
            _ => None,
        });
        let (Some(hash), None) = (hashes.next(), hashes.next()) else {
            return Err(invalid("it has not exactly one payment hash"));
        };
        let hash: &[u8; 32] = hash.0.as_ref();
        // Ten picobitcoin are one millisatoshi; there is nothing smaller to pay with.
        let amount = match invoice.amount_pico_btc() {
            None if invoice.raw_invoice().hrp.raw_amount.is_some() => {
                return Err(invalid("its amount is too large"));
            }
            None => None,
            Some(pico) if pico % 10 == 0 => Some(Amount::new(u128::from(pico / 10))),
            Some(_) => return Err(invalid("its amount is no whole number of millisatoshi")),
        };
        let valid_for = invoice
            .expiry_time()
            .map_or(Duration::from_secs(DEFAULT_EXPIRY_TIME), |time| *time.as_duration());
        Ok(Self {
            network: LightningNetwork::of(invoice.currency()),
            amount,
            payment_hash: *hash,
            expires: moment(
                invoice.raw_invoice().data.timestamp.as_duration_since_epoch().saturating_add(valid_for),
            ),
        })
    }
}

impl LightningNetwork {
    fn of(currency: Currency) -> Self {
        match currency {
            Currency::Bitcoin => Self::Mainnet,
            Currency::BitcoinTestnet => Self::Testnet,
            Currency::Regtest => Self::Regtest,
            Currency::Simnet => Self::Simnet,
            Currency::Signet => Self::Signet,
        }
    }

    /// Its word in asset ids (`lightning:regtest/msat`) and in MPP challenges.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Regtest => "regtest",
            Self::Simnet => "simnet",
            Self::Signet => "signet",
        }
    }
}

/// How much an invoice asks for, in millisatoshi; `None` when the payer may choose, which no careful payer accepts.
///
/// # Errors
/// [`InvoiceError`] when the text is no valid invoice.
pub fn invoice_amount_msat(bolt11: &str) -> Result<Option<Amount>, InvoiceError> {
    InvoiceFacts::read(bolt11).map(|facts| facts.amount)
}

/// The payment hash of an invoice.
///
/// # Errors
/// [`InvoiceError`] when the text is no valid invoice.
pub fn invoice_payment_hash(bolt11: &str) -> Result<[u8; 32], InvoiceError> {
    InvoiceFacts::read(bolt11).map(|facts| facts.payment_hash)
}

/// The public key of the node that is paid, as 66 hexadecimal digits: the one the invoice names, which its signature must be of, or
/// the one whose signature it is.
///
/// # Errors
/// [`InvoiceError`] when the text is no valid invoice.
pub fn invoice_payee(bolt11: &str) -> Result<String, InvoiceError> {
    InvoiceFacts::read(bolt11)?;
    let invoice: SignedRawBolt11Invoice =
        bolt11.parse().map_err(|error| InvoiceError::Malformed(parse_reason(&error)))?;
    if let Some(named) = invoice.raw_invoice().payee_pub_key() {
        return Ok(named.0.to_string());
    }
    let recovered = invoice.recover_payee_pub_key();
    recovered.map(|key| key.0.to_string()).map_err(|error| InvoiceError::Invalid(error.to_string()))
}

/// The whole satoshi that pay `msat`: rounded up, so that a price is never undercut. `None` when that is nothing, or
/// more than there is ([`super::SATS_MAX`]).
pub fn sats_for(msat: Amount) -> Option<u64> {
    let sats = u64::try_from(msat.div_ceil(1000)?).ok()?;
    (1..=super::SATS_MAX).contains(&sats).then_some(sats)
}

fn moment(since_epoch: Duration) -> UnixMillis {
    UnixMillis::new(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The parser's reason without the text it was given: a stranger's invoice is not echoed into our logs.
fn parse_reason(error: &Bolt11ParseError) -> String {
    error.to_string().chars().take(120).collect()
}

#[cfg(test)]
mod tests;
