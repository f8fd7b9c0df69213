//! The words for how calls end, numbered: one label value each.

use tollgate_domain::FailureKind;
use tollgate_gate::{CODES, Completed, Ending, Fault};

/// The caller went away before the call had ended.
pub(super) const ABANDONED: &str = "abandoned";
/// Words beside those of [`CODES`]; the frequent ones first, as they are looked for in this order.
const ENDINGS: [&str; 4] = ["delivered", "tool_failed", "repeated", ABANDONED];

/// How many words there are.
pub(super) const OUTCOMES: usize = ENDINGS.len() + CODES.len();

/// All words, by number.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    ENDINGS.into_iter().chain(CODES.iter().map(|code| code.word))
}

/// The number of a word; none for one that is not ours.
pub(super) fn number(word: &str) -> Option<usize> {
    words().position(|known| known == word)
}

/// The word for how a call ended: the code of the answer that its caller gets, where that is no result.
pub(super) fn of(completed: &Result<Completed, Fault>) -> &'static str {
    match completed {
        Err(fault) => fault.code().word,
        Ok(Completed { ending, .. }) => match ending {
            Ending::Lost(FailureKind::Abandoned) => ABANDONED,
            Ending::Lost(kind) => Fault::Upstream { kind: *kind }.code().word,
            Ending::Delivered(_)
            | Ending::ToolFailed(_)
            | Ending::PaymentFailed { .. }
            | Ending::Pending
            | Ending::PaymentPending => ending.word(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_number_of_its_own() {
        assert_eq!(words().count(), OUTCOMES);
        for (index, word) in words().enumerate() {
            assert_eq!(number(word), Some(index), "{word}");
        }
        for word in ["payment_failed", "settlement_pending", "store_busy", "upstream_timed_out"] {
            assert!(number(word).is_some(), "{word} is used by the metrics");
        }
        assert_eq!(number("a caller's word"), None);
    }
}
