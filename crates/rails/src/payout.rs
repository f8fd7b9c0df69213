//! How money goes out: the port of a rail that pays providers, and the rail of sandbox money.
//!
//! A payout is carried out by one **instruction**, made before anything is sent and kept by whoever asks. Sending the same
//! instruction again never pays twice; so what became of it may always be looked up, and sent again.

use std::fmt;

use tollgate_domain::{Amount, PayoutId, UnixMillis};

use crate::rail::{RailFuture, SettlementAnswer};

/// What is to be paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayoutOrder {
    /// Which payout: what makes its instruction unlike every other.
    pub id: PayoutId,
    /// To whom: an EVM address, a node's public key.
    pub to: String,
    /// How much, in atomic units of the rail's asset.
    pub amount: Amount,
    /// The invoice that is paid, on a rail of invoices.
    pub invoice: Option<String>,
}

/// What a rail says before anything is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Prepared {
    /// This is how it will be carried out. May hold a bearer secret.
    Ready(String),
    /// Not now, for this reason; worth another try.
    NotNow(String),
    /// Not any more, for this reason. Nothing was sent and nothing will be.
    Never(String),
}

impl fmt::Debug for Prepared {
    /// Without the instruction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(_) => f.write_str("Ready([redacted])"),
            Self::NotNow(reason) => write!(f, "NotNow({reason})"),
            Self::Never(reason) => write!(f, "Never({reason})"),
        }
    }
}

/// One way for money to go out.
pub trait PayoutRail: Send + Sync + fmt::Debug {
    /// Reads what is asked for, without asking anybody: whether it can be paid at all, and the payment hash of its invoice.
    ///
    /// # Errors
    /// Why it cannot be paid, for whoever asks.
    fn read(&self, order: &PayoutOrder, now: UnixMillis) -> Result<Option<[u8; 32]>, String>;

    /// Makes the instruction. Sends nothing.
    fn prepare<'a>(&'a self, order: &'a PayoutOrder, now: UnixMillis) -> RailFuture<'a, Prepared>;

    /// Carries an instruction out, or goes on with it. Never says `Failed`: only a look-up knows that nothing will come of it.
    fn send<'a>(&'a self, instruction: &'a str, now: UnixMillis) -> RailFuture<'a, SettlementAnswer>;

    /// Finds out what became of an instruction, without sending anything. `Failed`: there is no effect, and there will be none
    /// whoever sends it again.
    fn look_up<'a>(&'a self, instruction: &'a str, now: UnixMillis) -> RailFuture<'a, SettlementAnswer>;

    /// How much went out for an instruction that is booked under `reference`, by the rail's own evidence; `None`: nothing did.
    ///
    /// # Errors
    /// Why the rail cannot tell, in its words.
    fn confirm<'a>(
        &'a self,
        instruction: &'a str,
        reference: &'a str,
        now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Amount>, String>>;

    /// Who pays, for the operator who has to fund it; `None`: nobody has to.
    fn paid_from(&self) -> Option<String> {
        None
    }
}

/// Sandbox money: on the gateway's own books, so that its settlement is its payment.
#[derive(Clone, Copy, Debug, Default)]
pub struct SandboxPayouts;

impl PayoutRail for SandboxPayouts {
    fn read(&self, order: &PayoutOrder, _now: UnixMillis) -> Result<Option<[u8; 32]>, String> {
        match order.invoice {
            None => Ok(None),
            Some(_) => Err("sandbox money goes to a wallet; leave `invoice` out".to_owned()),
        }
    }

    fn prepare<'a>(&'a self, order: &'a PayoutOrder, _now: UnixMillis) -> RailFuture<'a, Prepared> {
        Box::pin(async move { Prepared::Ready(format!("sandbox:{}:{}", order.id, order.amount)) })
    }

    fn send<'a>(&'a self, instruction: &'a str, _now: UnixMillis) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move { SettlementAnswer::Settled { reference: instruction.to_owned() } })
    }

    fn look_up<'a>(&'a self, _instruction: &'a str, _now: UnixMillis) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async { SettlementAnswer::Absent })
    }

    fn confirm<'a>(
        &'a self,
        instruction: &'a str,
        reference: &'a str,
        _now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Amount>, String>> {
        let amount = instruction.rsplit(':').next().and_then(|amount| amount.parse().ok());
        Box::pin(async move { Ok(amount.filter(|_| instruction == reference)) })
    }
}
