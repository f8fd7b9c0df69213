//! A verdict as it is written: by a mediator, by an operator, and in the answer of the mediation service.

use serde::Deserialize;
use tollgate_domain::Bps;
use tollgate_ledger::escrow::{EscrowEvent, Remark, Ruling, StakeRuling};

/// `{"ruling":"split","provider_share":"0.25","confidence":"0.9","stake":"return","reason":"…"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verdict {
    ruling: Word,
    /// The provider's share of what is left; with `split`, and only there.
    #[serde(default)]
    provider_share: Option<Bps>,
    /// How sure; wholly, unless it is said.
    #[serde(default)]
    confidence: Option<Bps>,
    /// What becomes of the payer's stake; what follows from the ruling, unless it is said.
    #[serde(default)]
    stake: Option<Stake>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Release,
    Refund,
    Split,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stake {
    Return,
    Forfeit,
}

/// Why a verdict means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerdictError {
    /// A split without its share.
    #[error("a split says `provider_share`, between 0 and 1 with at most four decimals")]
    NoShare,
    /// A share of what is not split.
    #[error("`provider_share` belongs to `split` alone")]
    Share,
    /// What is said is too long or no text.
    #[error("`reason`: {0}")]
    Reason(String),
    /// Only a mediator is more or less sure.
    #[error("`confidence` is for mediators: an operator's ruling counts as it is")]
    Confidence,
}

impl Verdict {
    /// What it asks of the escrow.
    ///
    /// # Errors
    /// [`VerdictError`].
    pub(crate) fn event(self) -> Result<EscrowEvent, VerdictError> {
        let ruling = match (self.ruling, self.provider_share) {
            (Word::Split, Some(share)) => Ruling::Split(share),
            (Word::Split, None) => return Err(VerdictError::NoShare),
            (Word::Release | Word::Refund, Some(_)) => return Err(VerdictError::Share),
            (Word::Release, None) => Ruling::Release,
            (Word::Refund, None) => Ruling::Refund,
        };
        let reason = self.reason.map(|text| text.parse::<Remark>());
        let reason = reason.transpose().map_err(|error| VerdictError::Reason(error.to_string()))?;
        let stake = self.stake.map(|stake| match stake {
            Stake::Return => StakeRuling::Return,
            Stake::Forfeit => StakeRuling::Forfeit,
        });
        Ok(EscrowEvent::Rule { ruling, confidence: self.confidence.unwrap_or(Bps::ONE), stake, reason })
    }

    /// The same of an operator, who has the last word.
    ///
    /// # Errors
    /// [`VerdictError`].
    pub(crate) fn of_operator(self) -> Result<EscrowEvent, VerdictError> {
        if self.confidence.is_some() {
            return Err(VerdictError::Confidence);
        }
        self.event()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EscrowEvent, VerdictError> {
        serde_json::from_str::<Verdict>(text).unwrap().event()
    }

    #[test]
    fn a_share_belongs_to_a_split_and_a_split_needs_one() {
        let split = read(r#"{"ruling":"split","provider_share":"0.25"}"#).unwrap();
        assert!(
            matches!(split, EscrowEvent::Rule { ruling: Ruling::Split(share), .. } if share.get() == 2_500)
        );
        assert_eq!(read(r#"{"ruling":"split"}"#), Err(VerdictError::NoShare));
        assert_eq!(read(r#"{"ruling":"refund","provider_share":"0.25"}"#), Err(VerdictError::Share));
        assert!(read(r#"{"ruling":"refund"}"#).is_ok(), "control");
    }

    #[test]
    fn a_number_is_no_share_and_another_word_is_no_ruling() {
        for text in [
            r#"{"ruling":"split","provider_share":0.25}"#,
            r#"{"ruling":"split","provider_share":"1.5"}"#,
            r#"{"ruling":"pay me"}"#,
            r#"{"ruling":"release","amount":"7"}"#,
        ] {
            assert!(serde_json::from_str::<Verdict>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_operator_is_not_more_or_less_sure() {
        let unsure = r#"{"ruling":"release","confidence":"0.5"}"#;
        let verdict = serde_json::from_str::<Verdict>(unsure).unwrap();
        assert_eq!(verdict.of_operator(), Err(VerdictError::Confidence));
        assert!(read(unsure).is_ok(), "control: a mediator is");
    }
}
