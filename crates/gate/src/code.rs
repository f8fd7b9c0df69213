//! Every code of a no, with its numbers: the one table that answers, metrics and `docs/errors/` share.

/// Whether trying again can help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same request would be refused again: change it as the next step says.
    AfterChange,
    /// The same request, unchanged, may pass later. Repeating it never charges twice.
    Later,
}

/// One stable code. Codes are never renamed or reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// The word: in answers, as a metric label, and the name of its page under `docs/errors/`.
    pub word: &'static str,
    /// The HTTP status.
    pub http: u16,
    /// The JSON-RPC error code. Ours lie outside -32768..-32000, which JSON-RPC and MCP reserve.
    pub json_rpc: i32,
    /// Whether trying again can help.
    pub retry: Retry,
}

macro_rules! codes {
    ($($name:ident = $word:literal, $http:literal, $json_rpc:literal, $retry:ident;)*) => {
        $(pub(crate) const $name: Code = Code { word: $word, http: $http, json_rpc: $json_rpc, retry: Retry::$retry };)*
        /// All codes, in the order of `docs/errors/README.md`.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    UNAUTHENTICATED = "unauthenticated", 401, -31003, AfterChange;
    TRUST_INSUFFICIENT = "trust_insufficient", 403, -31001, AfterChange;
    UNKNOWN_TOOL = "unknown_tool", 404, -32602, AfterChange;
    UNKNOWN_SERVER = "unknown_server", 404, -31004, AfterChange;
    TOOL_NOT_APPROVED = "tool_not_approved", 403, -31028, AfterChange;
    INVALID_ARGUMENTS = "invalid_arguments", 422, -32602, AfterChange;
    PRICE_ABOVE_MAXIMUM = "price_above_maximum", 409, -31005, AfterChange;
    PRICE_UNKNOWN = "price_unknown", 422, -31060, AfterChange;
    PAYMENT_REQUIRED = "payment_required", 402, -31002, AfterChange;
    PAYMENT_UNREADABLE = "payment_unreadable", 402, -31006, AfterChange;
    PAYMENT_AMBIGUOUS = "payment_ambiguous", 400, -31007, AfterChange;
    PAYMENT_CARRIER_REFUSED = "payment_carrier_refused", 400, -31008, AfterChange;
    PAYMENT_INVALID = "payment_invalid", 402, -31009, AfterChange;
    PAYMENT_WRONG_TARGET = "payment_wrong_target", 402, -31010, AfterChange;
    PAYMENT_WRONG_AMOUNT = "payment_wrong_amount", 402, -31011, AfterChange;
    PAYMENT_OTHER_CALL = "payment_other_call", 402, -31012, AfterChange;
    PAYMENT_EXPIRED = "payment_expired", 402, -31013, AfterChange;
    PAYMENT_WINDOW = "payment_window", 402, -31014, AfterChange;
    PAYMENT_REPLAYED = "payment_replayed", 409, -31015, AfterChange;
    PAYMENT_IN_FLIGHT = "payment_in_flight", 409, -31016, Later;
    PAYMENT_FAILED = "payment_failed", 402, -31017, AfterChange;
    RESULT_EXPIRED = "result_expired", 410, -31064, AfterChange;
    AUTHORIZATION_UNKNOWN = "authorization_unknown", 404, -31061, AfterChange;
    AUTHORIZATION_ELSEWHERE = "authorization_elsewhere", 409, -31065, Later;
    AUTHORIZATION_OTHER_CALL = "authorization_other_call", 409, -31062, AfterChange;
    NOT_YOURS = "not_yours", 403, -31063, AfterChange;
    RATE_LIMITED = "rate_limited", 429, -31018, Later;
    BUDGET_EXCEEDED = "budget_exceeded", 403, -31040, Later;
    APPROVAL_REQUIRED = "approval_required", 403, -31041, Later;
    SPENDING_STOPPED = "spending_stopped", 403, -31042, Later;
    MALFORMED_FRAME = "malformed_frame", 400, -32600, AfterChange;
    SESSION_MISSING = "session_missing", 400, -31030, AfterChange;
    SESSIONS_ONLY = "sessions_only", 400, -31043, AfterChange;
    HANDLE_UNKNOWN = "handle_unknown", 400, -32602, AfterChange;
    HEADER_MISMATCH = "header_mismatch", 400, -32020, AfterChange;
    ORIGIN_REFUSED = "origin_refused", 403, -31019, AfterChange;
    BODY_TOO_LARGE = "body_too_large", 413, -31020, AfterChange;
    REQUEST_TIMED_OUT = "request_timed_out", 408, -31031, Later;
    NO_ROOM = "no_room", 503, -31032, Later;
    BATCH_REFUSED = "batch_refused", 400, -32600, AfterChange;
    ESCROW_NOT_FOUND = "escrow_not_found", 404, -31101, AfterChange;
    ESCROW_TERMS_REFUSED = "escrow_terms_refused", 422, -31102, AfterChange;
    ESCROW_WRONG_PARTY = "escrow_wrong_party", 403, -31103, AfterChange;
    ESCROW_WRONG_STATE = "escrow_wrong_state", 409, -31104, AfterChange;
    ESCROW_DEADLINE_PASSED = "escrow_deadline_passed", 409, -31105, AfterChange;
    ESCROW_CHANGED = "escrow_changed", 412, -31106, AfterChange;
    ESCROW_KEY_REUSED = "escrow_key_reused", 409, -31107, AfterChange;
    ESCROW_UNDERFUNDED = "escrow_underfunded", 409, -31108, Later;
    ESCROW_STAKE_TOO_SMALL = "escrow_stake_too_small", 422, -31109, AfterChange;
    ESCROW_NOT_TAKEN_UP = "escrow_not_taken_up", 409, -31110, AfterChange;
    ESCROW_PART_REFUSED = "escrow_part_refused", 422, -31111, AfterChange;
    ESCROW_FULL = "escrow_full", 409, -31112, AfterChange;
    PAYOUT_NOT_FOUND = "payout_not_found", 404, -31121, AfterChange;
    PAYOUT_NOT_ALLOWED = "payout_not_allowed", 403, -31122, AfterChange;
    PAYOUT_DESTINATION_UNLISTED = "payout_destination_unlisted", 403, -31123, AfterChange;
    PAYOUT_COOLING_OFF = "payout_cooling_off", 403, -31124, Later;
    PAYOUT_TOO_SMALL = "payout_too_small", 422, -31125, AfterChange;
    PAYOUT_LIMIT_EXCEEDED = "payout_limit_exceeded", 403, -31126, Later;
    PAYOUT_UNDERFUNDED = "payout_underfunded", 409, -31127, Later;
    PAYOUT_UNPAYABLE = "payout_unpayable", 422, -31128, AfterChange;
    PAYOUT_KEY_REUSED = "payout_key_reused", 409, -31129, AfterChange;
    PAYOUT_WRONG_STATE = "payout_wrong_state", 409, -31130, AfterChange;
    UPSTREAM_UNREACHABLE = "upstream_unreachable", 502, -31021, Later;
    UPSTREAM_TIMED_OUT = "upstream_timed_out", 504, -31022, Later;
    UPSTREAM_BROKEN = "upstream_broken", 502, -31023, Later;
    UPSTREAM_DEMANDS_PAYMENT = "upstream_demands_payment", 502, -31029, AfterChange;
    UPSTREAM_RESULT_WITHHELD = "upstream_result_withheld", 502, -31045, AfterChange;
    UPSTREAM_NO_ROOM = "upstream_no_room", 503, -31044, Later;
    SETTLEMENT_PENDING = "settlement_pending", 503, -31024, Later;
    STORE_BUSY = "store_busy", 503, -31025, Later;
    STORE_CLOSED = "store_closed", 503, -31026, Later;
    WALLET_UNAVAILABLE = "wallet_unavailable", 503, -31027, Later;
    INTERNAL = "internal", 500, -32603, Later;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_our_numbers_are_unique_and_lie_outside_the_reserved_range() {
        for (index, code) in CODES.iter().enumerate() {
            assert!(CODES[..index].iter().all(|other| other.word != code.word), "{} twice", code.word);
            let reserved = (-32_768..=-32_000).contains(&code.json_rpc);
            let standard = [-32_600, -32_602, -32_603, -32_020].contains(&code.json_rpc);
            assert!(!reserved || standard, "{} mints a reserved JSON-RPC code", code.word);
            let is_others = |other: &Code| other.json_rpc == code.json_rpc;
            assert!(
                reserved || !CODES[..index].iter().any(is_others),
                "{} has the number of another",
                code.word
            );
        }
    }
}
