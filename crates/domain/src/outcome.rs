/// How the carrying out of a call ended. What it means for the money is decided by the ledger from the tool's policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<R> {
    /// The tool answered; its result is to be delivered and paid for.
    Delivered(R),
    /// The tool answered that it failed (`isError: true`, or a JSON-RPC error); its answer is delivered, not paid for.
    Failed(R),
    /// No usable answer came. Nothing is paid for.
    Lost(FailureKind),
}

/// Why no usable answer came from where the tool runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailureKind {
    /// The server could not be reached, so nothing was sent.
    Unreachable,
    /// The deadline passed.
    TimedOut,
    /// The connection broke, or what came was no answer to the call.
    Broken,
    /// The caller went away before the answer.
    Abandoned,
    /// The server demanded a payment of its own, past the gateway.
    DemandedPayment,
    /// The answer says what the operator does not let through to a model.
    Suspicious,
    /// The gateway had no memory left to hold the answer in.
    NoRoom,
}

impl FailureKind {
    /// The word used in receipts, metrics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Abandoned => "abandoned",
            Self::DemandedPayment => "demanded_payment",
            Self::Suspicious => "suspicious",
            Self::NoRoom => "no_room",
        }
    }
}
