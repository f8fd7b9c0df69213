//! What escrows are agreed on with.

use tollgate_domain::Bps;
use tollgate_ledger::escrow::Timings;

use super::super::meaning::{Escrow, MediationService, Secret};
use super::super::raw::{RawEscrow, RawMediation, RawShare};
use super::{Environment, Reader};

/// The longest wait of an escrow, as the ledger has it: 366 days.
const SECONDS_MAX: u64 = 366 * 86_400;
/// The shortest secret of a webhook.
const SECRET_BYTES_MIN: usize = 32;
/// How often a service may be asked, and how long it may take.
const ATTEMPTS_MAX: u32 = 20;
const TIMEOUT_MS_MAX: u64 = 120_000;
const STAKE: Bps = Bps::new(500);
const CONFIDENCE: Bps = Bps::new(8_000);

impl Reader<'_> {
    pub(super) fn escrow(&mut self, raw: &RawEscrow, environment: &Environment) -> Escrow {
        let default = Timings::DEFAULT;
        let timeout = self.over(environment, "ESCROW_TIMEOUT", raw.timeout_seconds);
        let window = self.over(environment, "DISPUTE_WINDOW", raw.dispute_window_seconds);
        let mut wait = |name: &str, seconds: Option<u64>, otherwise: u64| match seconds {
            None => otherwise,
            Some(seconds) if (1..=SECONDS_MAX).contains(&seconds) => seconds.saturating_mul(1_000),
            Some(_) => {
                self.refuse(&format!("escrow.{name}"), "is between 1 second and 366 days");
                otherwise
            }
        };
        let timings = Timings {
            open_ms: wait("open_seconds", raw.open_seconds, default.open_ms),
            timeout_ms: wait("timeout_seconds", timeout, default.timeout_ms),
            window_ms: wait("dispute_window_seconds", window, default.window_ms),
            evidence_ms: wait("evidence_seconds", raw.evidence_seconds, default.evidence_ms),
            mediation_ms: wait("mediation_seconds", raw.mediation_seconds, default.mediation_ms),
        };
        Escrow {
            timings,
            dispute_stake: self.escrow_share("dispute_stake", raw.dispute_stake.as_ref(), STAKE),
            mediator_stake: self.escrow_share("mediator_stake", raw.mediator_stake.as_ref(), STAKE),
            confidence_min: self.escrow_share("confidence_min", raw.confidence_min.as_ref(), CONFIDENCE),
            mediation: raw.mediation.as_ref().and_then(|raw| self.mediation(raw)),
        }
    }

    /// The compatible name lies over the setting. What it says is whole seconds, of which zero would be no wait at all.
    fn over(&mut self, environment: &Environment, name: &str, written: Option<u64>) -> Option<u64> {
        let Some(text) = environment.get(name) else { return written };
        let seconds = text.parse().ok().filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
        if seconds.is_none() {
            self.refuse(name, format!("{text:?} is not a whole number of seconds, from 1 to 366 days"));
        }
        seconds
    }

    fn escrow_share(&mut self, name: &str, raw: Option<&RawShare>, otherwise: Bps) -> Bps {
        let Some(share) = raw else { return otherwise };
        let at = format!("escrow.{name}");
        self.parse(&at, &share.0, "a share between 0 and 1 with at most four decimals").unwrap_or(otherwise)
    }

    /// Whoever has the secret can make disputes up; whoever has the service decides them.
    fn mediation(&mut self, raw: &RawMediation) -> Option<MediationService> {
        let RawMediation { url, secret, timeout_ms, attempts, retry_ms } = raw;
        if secret.len() < SECRET_BYTES_MIN || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.refuse(
                "escrow.mediation.secret",
                "needs at least 32 random characters without spaces (openssl rand -hex 32)",
            );
        }
        let (timeout_ms, attempts_max) = (timeout_ms.unwrap_or(10_000), attempts.unwrap_or(5));
        if !(1..=TIMEOUT_MS_MAX).contains(&timeout_ms) {
            self.refuse("escrow.mediation.timeout_ms", "is between 1 and 120000");
        }
        if !(1..=ATTEMPTS_MAX).contains(&attempts_max) {
            self.refuse("escrow.mediation.attempts", "is between 1 and 20");
        }
        Some(MediationService {
            url: self.url("escrow.mediation.url", url)?,
            secret: Secret(secret.clone().into_bytes()),
            timeout_ms,
            attempts_max,
            retry_ms: retry_ms.unwrap_or(5_000),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Environment, Overrides, load};

    fn escrow(pairs: &[(&str, &str)]) -> Result<super::Escrow, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let read = load(None, &Environment::of(pairs), &Overrides::default(), None);
        read.map(|config| config.escrow).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_compatible_names_set_how_long_work_and_doubt_may_take() {
        let default = escrow(&[]).unwrap();
        assert_eq!((default.timings.timeout_ms, default.timings.window_ms), (300_000, 86_400_000));
        let set =
            [("ESCROW_TIMEOUT", "60"), ("TOLLGATE__ESCROW__TIMEOUT_SECONDS", "7"), ("DISPUTE_WINDOW", "120")];
        let set = escrow(&set).unwrap();
        assert_eq!((set.timings.timeout_ms, set.timings.window_ms), (60_000, 120_000));
        for (name, value) in [
            ("ESCROW_TIMEOUT", "0"),
            ("ESCROW_TIMEOUT", "0.5"),
            ("DISPUTE_WINDOW", "a day"),
            ("DISPUTE_WINDOW", "99999999999"),
            ("TOLLGATE__ESCROW__OPEN_SECONDS", "0"),
        ] {
            let refused = escrow(&[(name, value)]).unwrap_err();
            let named = name.strip_prefix("TOLLGATE__").map_or(name, |_| "escrow.open_seconds");
            assert!(refused.contains(named), "{name}={value}: {refused}");
        }
    }

    #[test]
    fn a_mediation_service_has_a_secret_that_cannot_be_guessed() {
        let url = ("TOLLGATE__ESCROW__MEDIATION__URL", "https://mediator.example/verdict");
        let weak = escrow(&[url, ("TOLLGATE__ESCROW__MEDIATION__SECRET", "secret")]).unwrap_err();
        assert!(weak.contains("escrow.mediation.secret"), "{weak}");
        let strong = "0123456789abcdef0123456789abcdef";
        let service = escrow(&[url, ("TOLLGATE__ESCROW__MEDIATION__SECRET", strong)]).unwrap();
        assert_eq!(service.mediation.as_ref().unwrap().attempts_max, 5, "control");
        assert!(!format!("{service:?}").contains(strong), "a secret is not shown");
    }
}
