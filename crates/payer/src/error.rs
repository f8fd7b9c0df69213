//! Every way in which a paying call can end without a result, and the exit code a command line gives it.

use tollgate_domain::Money;
use tollgate_egress::EgressError;

use crate::{LightningError, NoRandomness, Paid};

/// The exit code of a command that calls a tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitCode {
    /// The tool or its server said no.
    Failed,
    /// The request makes no sense as written.
    Usage,
    /// Nobody answered in a usable way.
    Unreachable,
    /// A payment was not made or not taken.
    PaymentRefused,
}

impl ExitCode {
    /// The number: 1, 2, 3 or 4.
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::PaymentRefused => 4,
        }
    }
}

/// Why there is no result. No text holds a key, a preimage or a signature.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// The URL is none, or the tool's name or arguments cannot be sent.
    #[error("{0}")]
    Request(String),
    /// The server could not be asked, and nothing was paid.
    #[error("could not reach {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: EgressError,
    },
    /// Something answered, but not an MCP server, and nothing was paid.
    #[error("{url} does not answer like an MCP server: {reason}")]
    NotMcp {
        /// Where.
        url: String,
        /// What it did.
        reason: String,
    },
    /// The server refused the call for a reason other than payment.
    #[error("the server refused the call: {message}")]
    Refused {
        /// Its stable word for it, where it gave one.
        code: Option<String>,
        /// Its sentence.
        message: String,
        /// What it advises.
        next_step: Option<String>,
    },
    /// The tool ran and reported failure. What became of the payment stands in the receipt.
    #[error("the tool failed")]
    ToolFailed(Box<Paid>),
    /// The price is above the limit. Nothing was signed or paid.
    #[error("the price is {price}, the limit is {limit}")]
    PriceAboveLimit {
        /// What is asked.
        price: Box<Money>,
        /// What was allowed.
        limit: Box<Money>,
    },
    /// No offer takes the asset of the limit on its network in a way this client pays. Nothing was signed or paid.
    #[error("the server takes no payment in {asset} on {network}; it offers {offers}")]
    NoOffer {
        /// The asset's symbol.
        asset: String,
        /// The network of the limit's asset.
        network: String,
        /// What is offered, for people.
        offers: String,
    },
    /// The network is not one that this client may pay on. Nothing was signed or paid.
    #[error("paying on {network} is not allowed here")]
    NetworkNotAllowed {
        /// The network of the limit's asset.
        network: String,
    },
    /// There is no wallet for this asset. Nothing was signed or paid.
    #[error("there is no wallet that pays in {asset}")]
    NoWallet {
        /// The asset's symbol.
        asset: String,
    },
    /// The offer contradicts itself (an invoice of another amount, hash or network; a malformed price). Nothing was
    /// signed or paid.
    #[error("the offer is not sound: {0}")]
    UnsoundOffer(String),
    /// The Lightning wallet did not pay.
    #[error(transparent)]
    Lightning(#[from] LightningError),
    /// The wallet's preimage does not belong to the invoice.
    #[error("the wallet's preimage does not belong to the invoice")]
    WrongPreimage,
    /// The server did not take the payment. It was presented to nobody else and is not used again.
    #[error("the server did not take the payment: {message}")]
    PaymentRefused {
        /// Its stable word for it, where it gave one.
        code: Option<String>,
        /// Its sentence.
        message: String,
    },
    /// The payment was sent and no definite answer came, however often the same payment was presented.
    #[error(
        "the payment was sent, but no definite answer came ({last}); do not pay anew before the call is looked up"
    )]
    InDoubt {
        /// The call to look up, where the server named it.
        call: Option<String>,
        /// The last thing that happened.
        last: String,
    },
    /// No randomness for a nonce. Nothing was signed or paid.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl PayError {
    /// The exit code of a command that ends like this.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            // The gateway's own word for a price above the limit.
            Self::Refused { code: Some(code), .. } if code == "price_above_maximum" => {
                ExitCode::PaymentRefused
            }
            Self::Refused { .. } | Self::ToolFailed(_) | Self::NoRandomness(_) => ExitCode::Failed,
            Self::Request(_) | Self::NoWallet { .. } => ExitCode::Usage,
            Self::Unreachable { .. } | Self::NotMcp { .. } | Self::InDoubt { .. } => ExitCode::Unreachable,
            Self::PriceAboveLimit { .. }
            | Self::NoOffer { .. }
            | Self::NetworkNotAllowed { .. }
            | Self::UnsoundOffer(_)
            | Self::Lightning(_)
            | Self::WrongPreimage
            | Self::PaymentRefused { .. } => ExitCode::PaymentRefused,
        }
    }
}
