//! What is asked of an escrow, from bodies and queries. A step without anything to say needs no body.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tollgate_domain::{Amount, Bps, Digest, Principal};
use tollgate_gate::Denial;
use tollgate_ledger::escrow::{
    EscrowEvent, EscrowFilter, EscrowRefusal, EscrowRow, EscrowState, EscrowTerms, Mediator, Milestone, Part,
    Phase, Proposal, Provider, Remark, Role, TermsError, stake_for,
};

use crate::config::{Config, Escrow};
use crate::doors::body::object;
use crate::doors::holder::malformed;
use crate::doors::pages;
use crate::escrow::verdict::Verdict;

/// One step, as far as its body says it.
pub(super) enum Step {
    /// All of it.
    Event(EscrowEvent),
    /// A dispute; its stake may be the one that was agreed on.
    Dispute { stake: Option<Amount>, reason: Remark },
}

/// The body of `POST /api/v1/escrow`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    #[serde(alias = "provider_id")]
    provider: Principal,
    amount: Amount,
    /// The id or the symbol of an asset.
    asset: String,
    #[serde(default)]
    description: Option<String>,
    /// `service`, or whose key.
    #[serde(default)]
    mediator: Option<String>,
    #[serde(default)]
    milestones: Vec<Piece>,
    #[serde(default)]
    timeout_seconds: Option<u64>,
    #[serde(default)]
    dispute_window_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Piece {
    title: String,
    amount: Amount,
}

impl Create {
    /// The terms that are asked for. What is not said comes from the configuration, or, where the same was asked for before, from
    /// what was agreed on then: a changed configuration makes no other request of it.
    pub(super) fn terms(
        self,
        payer: Principal,
        config: &Config,
        before: Option<&EscrowRow>,
        is_known: impl Fn(&Principal) -> bool,
    ) -> Result<EscrowTerms, Denial> {
        let refused = |error: TermsError| Denial::from(EscrowRefusal::Terms(error));
        let assets = &config.assets;
        let by_id = self.asset.parse().ok().and_then(|id| assets.by_id(&id));
        let asset = by_id.or_else(|| assets.by_symbol(&self.asset));
        let asset = asset.ok_or_else(|| refused(TermsError::Asset))?;
        if !is_known(&self.provider) && before.is_none() {
            return Err(refused(TermsError::Unknown("provider")));
        }
        let mediator = match self.mediator.as_deref() {
            None => Mediator::Nobody,
            Some("service") if config.escrow.mediation.is_some() || before.is_some() => Mediator::Service,
            Some("service") => return Err(refused(TermsError::NoService)),
            Some(text) => {
                let known = text.parse().ok().filter(|mediator| is_known(mediator) || before.is_some());
                Mediator::Principal(known.ok_or_else(|| refused(TermsError::Unknown("mediator")))?)
            }
        };
        let agreed = before.map(|row| &*row.terms);
        let Escrow { timings, dispute_stake, mediator_stake, confidence_min, .. } = config.escrow;
        let mut timings = agreed.map_or(timings, |agreed| agreed.timings);
        let millis = |seconds: u64| seconds.saturating_mul(1_000);
        timings.timeout_ms = self.timeout_seconds.map_or(timings.timeout_ms, millis);
        timings.window_ms = self.dispute_window_seconds.map_or(timings.window_ms, millis);
        let description = self.description.map(|text| text.parse::<Remark>());
        let milestone = |part: Piece| Milestone { title: part.title.into(), amount: part.amount };
        EscrowTerms::new(Proposal {
            payer,
            provider: Provider::Principal(self.provider),
            asset: asset.id().clone(),
            amount: self.amount,
            milestones: self.milestones.into_iter().map(milestone).collect(),
            description: description.transpose().map_err(|error| malformed(error.to_string()))?,
            timings,
            dispute_stake: agreed.map_or(stake(self.amount, dispute_stake), |agreed| agreed.dispute_stake),
            mediator_stake: agreed
                .map_or(stake_of(&mediator, self.amount, mediator_stake), |agreed| agreed.mediator_stake),
            confidence_min: agreed.map_or(confidence_min, |agreed| agreed.confidence_min),
            mediator,
            splits: Default::default(),
            call: None,
        })
        .map_err(refused)
    }
}

fn stake(amount: Amount, share: Bps) -> Amount {
    if share == Bps::ZERO { Amount::ZERO } else { stake_for(amount, share) }
}

/// Only a mediator with a purse stakes.
fn stake_of(mediator: &Mediator, amount: Amount, share: Bps) -> Amount {
    match mediator {
        Mediator::Principal(_) => stake(amount, share),
        Mediator::Nobody | Mediator::Service => Amount::ZERO,
    }
}

/// What a payer proposes.
pub(super) fn created(body: &Bytes) -> Result<Create, Denial> {
    parsed(
        body,
        r#"{"provider","amount","asset","description","mediator","milestones","timeout_seconds","dispute_window_seconds"}"#,
    )
}

pub(super) fn fund(body: &Bytes) -> Result<Step, Denial> {
    nothing(body).map(|()| Step::Event(EscrowEvent::Fund))
}

pub(super) fn lock(body: &Bytes) -> Result<Step, Denial> {
    nothing(body).map(|()| Step::Event(EscrowEvent::Lock))
}

pub(super) fn mediate(body: &Bytes) -> Result<Step, Denial> {
    nothing(body).map(|()| Step::Event(EscrowEvent::TakeUp))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Complete {
    result_sha256: Option<String>,
    note: Option<String>,
}

pub(super) fn complete(body: &Bytes) -> Result<Step, Denial> {
    let Complete { result_sha256, note } = optional(body, r#"{"result_sha256","note"}"#)?;
    let result = digest("result_sha256", result_sha256)?;
    Ok(Step::Event(EscrowEvent::Deliver { result, note: remark("note", note)? }))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Accept {
    milestone: Option<u8>,
    amount: Option<Amount>,
}

pub(super) fn accept(body: &Bytes) -> Result<Step, Denial> {
    let part = match optional(body, r#"{"milestone"} or {"amount"}, or nothing for all that is left"#)? {
        Accept { milestone: None, amount: None } => Part::Rest,
        Accept { milestone: Some(place), amount: None } => Part::Milestone(place),
        Accept { milestone: None, amount: Some(amount) } => Part::Amount(amount),
        Accept { milestone: Some(_), amount: Some(_) } => {
            return Err(malformed("name a milestone or an amount, not both"));
        }
    };
    Ok(Step::Event(EscrowEvent::Accept(part)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cancel {
    reason: Option<String>,
}

pub(super) fn cancel(body: &Bytes) -> Result<Step, Denial> {
    let Cancel { reason } = optional(body, r#"{"reason"}"#)?;
    Ok(Step::Event(EscrowEvent::Cancel { reason: remark("reason", reason)? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dispute {
    reason: String,
    #[serde(default)]
    stake: Option<Amount>,
}

pub(super) fn dispute(body: &Bytes) -> Result<Step, Denial> {
    let Dispute { reason, stake } = parsed(body, r#"{"reason","stake"}"#)?;
    Ok(Step::Dispute { stake, reason: needed("reason", &reason)? })
}

/// A dispute with the stake that was agreed on, unless another one is named.
pub(super) fn disputed(stake: Option<Amount>, reason: Remark, row: &EscrowRow) -> EscrowEvent {
    EscrowEvent::Dispute { stake: stake.unwrap_or(row.terms.dispute_stake), reason }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evidence {
    statement: String,
    #[serde(default)]
    document_sha256: Option<String>,
}

pub(super) fn evidence(body: &Bytes) -> Result<Step, Denial> {
    let Evidence { statement, document_sha256 } = parsed(body, r#"{"statement","document_sha256"}"#)?;
    let document = digest("document_sha256", document_sha256)?;
    Ok(Step::Event(EscrowEvent::Submit { statement: needed("statement", &statement)?, document }))
}

pub(super) fn resolve(body: &Bytes) -> Result<Step, Denial> {
    let verdict: Verdict = parsed(body, VERDICT)?;
    verdict.event().map(Step::Event).map_err(|error| malformed(error.to_string()))
}

/// What a verdict looks like.
const VERDICT: &str = r#"{"ruling":"release"|"refund"|"split","provider_share","confidence","stake":"return"|"forfeit","reason"}"#;

/// Which escrows are asked for, and how many: `role=`, `state=`, `phase=`, `limit=`, `before=`.
pub(in crate::doors) fn page(query: &str) -> Result<(EscrowFilter, u32), String> {
    let (mut filter, mut limit) = (EscrowFilter::default(), pages::LENGTH);
    let unknown = || {
        let most = pages::LENGTH_MAX;
        format!(
            "the query is role=payer|provider|mediator, state=STATE, phase=PHASE, limit=1..{most} and before=PLACE"
        )
    };
    for member in pages::members(query) {
        let (name, value) = member.ok_or_else(unknown)?;
        match name {
            "role" => {
                let roles = [Role::Payer, Role::Provider, Role::Mediator];
                filter.role = Some(roles.into_iter().find(|role| role.word() == value).ok_or_else(unknown)?);
            }
            "state" => filter.state = Some(EscrowState::word_of(value).ok_or_else(unknown)?),
            "phase" => {
                let known = Phase::WORDS.into_iter().find(|word| *word == value);
                filter.phase = Some(known.ok_or_else(unknown)?);
            }
            "limit" => limit = pages::limit(value).ok_or_else(unknown)?,
            "before" => filter.before = Some(pages::before(value).ok_or_else(unknown)?),
            _ => return Err(unknown()),
        }
    }
    Ok((filter, limit))
}

fn nothing(body: &Bytes) -> Result<(), Denial> {
    #[derive(Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Nothing {}
    optional::<Nothing>(body, "no body, or {}").map(|Nothing {}| ())
}

fn optional<T: DeserializeOwned + Default>(body: &Bytes, expected: &str) -> Result<T, Denial> {
    if body.is_empty() { Ok(T::default()) } else { parsed(body, expected) }
}

fn parsed<T: DeserializeOwned>(body: &Bytes, expected: &str) -> Result<T, Denial> {
    object(body).map_err(|reason| malformed(format!("{reason}; expected {expected}")))
}

fn needed(name: &str, text: &str) -> Result<Remark, Denial> {
    text.parse().map_err(|error| malformed(format!("`{name}`: {error}")))
}

fn remark(name: &str, text: Option<String>) -> Result<Option<Remark>, Denial> {
    text.map(|text| needed(name, &text)).transpose()
}

fn digest(name: &str, text: Option<String>) -> Result<Option<Digest>, Denial> {
    let read = text.map(|text| text.parse::<Digest>()).transpose();
    read.map_err(|_| malformed(format!("`{name}` is a SHA-256 digest in 64 lower-case hex digits")))
}
