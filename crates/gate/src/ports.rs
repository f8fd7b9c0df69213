//! What the street needs from outside, bundled so that bounds stay one line.

use std::fmt;
use std::future::{Future, ready};
use std::sync::Arc;

use tollgate_domain::{
    CallId, Digest, Pricing, Requirement, ServerName, Settle, Splits, ToolRef, UnixMillis,
};
use tollgate_ledger::budget::{Plan, Warning};
use tollgate_ledger::escrow::EscrowStore;
use tollgate_rails::PaymentRail;
use tollgate_risk::{Ask, Crowded, Limits};
use tollgate_trust::KeyDirectory;

use crate::fault::Fault;

/// Checks arguments against one tool's compiled input schema.
pub trait ArgumentSchema: Send + Sync + fmt::Debug {
    /// Every way in which the arguments do not fit, one line each.
    ///
    /// # Errors
    /// The problems, at least one.
    fn check(&self, arguments: &[u8]) -> Result<(), Vec<String>>;
}

/// What the catalogue says of one tool.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Which tool of which server.
    pub tool: ToolRef,
    /// Its description, for people.
    pub description: Option<String>,
    /// What it asks of callers.
    pub requirement: Requirement,
    /// What calls cost.
    pub price: Pricing,
    /// When the money for it moves.
    pub settle: Settle,
    /// Whether it may run while the claim of prepaid credit is being committed.
    pub overlaps: bool,
    /// Who shares what it earns.
    pub splits: Splits,
    /// The version of the offer: in its lower half of the price list, in its upper half of the tool's definition.
    pub price_version: u32,
    /// Its compiled schema; `None` where the server declares none.
    pub schema: Option<Arc<dyn ArgumentSchema>>,
    /// The digest of the schema's bytes.
    pub schema_digest: Digest,
    /// Whether its server says by a schema what its results hold.
    pub has_output_schema: bool,
    /// How long the tool may run.
    pub deadline_ms: u64,
    /// Why it may not be called, although its server lists it.
    pub withheld: Option<Withheld>,
}

impl Listed {
    /// Whether a quote of this version was made for the tool as it is defined now. Its price may have changed since: while
    /// a quote lives, what it promised counts.
    pub fn is_defined_as_quoted(&self, version: u32) -> bool {
        let definition = |version: u32| {
            let [high, low, ..] = version.to_be_bytes();
            [high, low]
        };
        definition(version) == definition(self.price_version)
    }
}

/// Why a tool may not be called, although its server lists it. The digest is that of the definition which waits for an
/// approval.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Withheld {
    /// Its definition is not the approved one any more.
    Drifted(Digest),
    /// Its definition was never approved.
    Unapproved(Digest),
}

/// The tools behind this gateway, with requirements and prices.
pub trait Catalog: Send + Sync {
    /// What is known of a tool; `None` when no server lists it.
    fn tool(&self, tool: &ToolRef) -> Option<Arc<Listed>>;
}

/// Whether the money is real.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Built-in sandbox money, on loopback. Every text says so.
    Sandbox,
    /// Networks that the operator configured.
    Live,
}

impl Mode {
    /// The word in receipts and answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Live => "live",
        }
    }
}

/// Everything the street reaches outside itself.
pub trait Ports: Send + Sync + 'static {
    /// The tools.
    type Catalog: Catalog;
    /// Claims, bookings, receipts, reputation.
    type Ledger: EscrowStore;
    /// API keys.
    type Keys: KeyDirectory;

    /// The tools.
    fn catalog(&self) -> &Self::Catalog;
    /// Claims, bookings, receipts, reputation.
    fn ledger(&self) -> &Self::Ledger;
    /// API keys.
    fn keys(&self) -> &Self::Keys;
    /// The rails, in the order in which they are offered.
    fn rails(&self) -> &[Arc<dyn PaymentRail>];
    /// How often callers may call, and be given offers that cost us something (a Lightning invoice each).
    fn limits(&self) -> &Limits;
    /// Takes a call from what all gateways count together: from all of these buckets or from none. Where the count cannot be
    /// reached, each gateway's own has to do.
    ///
    /// # Errors
    /// [`Crowded`] when one of them has no room.
    fn take_shared(&self, _asks: &[Ask]) -> impl Future<Output = Result<(), Crowded>> + Send {
        ready(Ok(()))
    }
    /// How far callers may spend. Decided by the ledger, with the claim.
    fn budgets(&self) -> &Plan;
    /// A call has passed soft limits of its budgets.
    fn warned(&self, _warnings: &[Warning]) {}
    /// The time at this moment; only for what happens after the first `now` of a call.
    fn now(&self) -> UnixMillis;
    /// Fresh randomness from the operating system.
    ///
    /// # Errors
    /// A fault when there is none: nothing is signed or named with predictable bytes.
    fn random(&self) -> Result<[u8; 32], Fault>;
    /// Whether the tool of this paid call may have been asked to run, as far as this machine remembers: a call that a crash
    /// left `executing` is released if it certainly was not, and is in doubt otherwise.
    fn may_have_run(&self, call: CallId) -> bool;
    /// Whether the server takes calls just now: nobody is asked to pay for a call that would not be sent.
    ///
    /// # Errors
    /// The fault to answer with: the server failed too often and is given a rest.
    fn takes_calls(&self, _server: &ServerName) -> Result<(), Fault> {
        Ok(())
    }
    /// A named stop point of tests; does nothing in a shipped gateway.
    fn reached(&self, _point: &'static str) {}
}
