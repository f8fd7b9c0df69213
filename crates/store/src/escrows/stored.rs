//! Escrows as JSON columns. These forms are on disk: members are added, never renamed.

use serde::{Deserialize, Serialize};
use tollgate_domain::{Amount, AssetId, Bps, CallId, Digest, EscrowId, Principal, UnixMillis};
use tollgate_ledger::escrow::{
    Dispute, EscrowEvent, EscrowRow, EscrowState, EscrowTerms, Mediator, Milestone, Part, Phase, Proposal,
    Ruling, StakeRuling, Timings, UsedKey,
};

/// A stored text that is not of the form it was written in.
#[derive(Debug, thiserror::Error)]
#[error("an escrow is not stored as it was written: {0}")]
pub(crate) struct Malformed(String);

fn malformed(what: impl ToString) -> Malformed {
    Malformed(what.to_string())
}

/// The state of an escrow that is none.
pub(crate) fn unknown_state(state: &str) -> Malformed {
    malformed(format!("{state:?} is no state"))
}

#[derive(Serialize, Deserialize)]
struct Terms {
    payer: Principal,
    /// A principal, or `server:<server>`.
    provider: String,
    /// `nobody`, `service`, or a principal.
    mediator: String,
    asset: AssetId,
    amount: Amount,
    milestones: Vec<(String, Amount)>,
    description: Option<String>,
    open_ms: u64,
    timeout_ms: u64,
    window_ms: u64,
    evidence_ms: u64,
    mediation_ms: u64,
    dispute_stake: Amount,
    mediator_stake: Amount,
    confidence_min: Bps,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    call: Option<CallId>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    splits: String,
}

/// What was agreed on, as text.
pub(crate) fn terms_text(terms: &EscrowTerms) -> Result<String, Malformed> {
    let Timings { open_ms, timeout_ms, window_ms, evidence_ms, mediation_ms } = terms.timings;
    let stored = Terms {
        payer: terms.payer.clone(),
        provider: terms.provider.to_string(),
        mediator: match &terms.mediator {
            Mediator::Nobody => "nobody".to_owned(),
            Mediator::Service => "service".to_owned(),
            Mediator::Principal(mediator) => mediator.to_string(),
        },
        asset: terms.asset.clone(),
        amount: terms.amount,
        milestones: terms.milestones.iter().map(|part| (part.title.to_string(), part.amount)).collect(),
        description: terms.description.as_ref().map(ToString::to_string),
        open_ms,
        timeout_ms,
        window_ms,
        evidence_ms,
        mediation_ms,
        dispute_stake: terms.dispute_stake,
        mediator_stake: terms.mediator_stake,
        confidence_min: terms.confidence_min,
        call: terms.call,
        splits: terms.splits.to_string(),
    };
    serde_json::to_string(&stored).map_err(malformed)
}

/// What was agreed on, from text.
pub(crate) fn terms(text: &str) -> Result<EscrowTerms, Malformed> {
    let stored: Terms = serde_json::from_str(text).map_err(malformed)?;
    let milestone = |(title, amount): (String, Amount)| Milestone { title: title.into(), amount };
    let proposal = Proposal {
        payer: stored.payer,
        provider: stored.provider.parse().map_err(malformed)?,
        mediator: match stored.mediator.as_str() {
            "nobody" => Mediator::Nobody,
            "service" => Mediator::Service,
            principal => Mediator::Principal(principal.parse().map_err(malformed)?),
        },
        asset: stored.asset,
        amount: stored.amount,
        milestones: stored.milestones.into_iter().map(milestone).collect(),
        description: stored.description.map(|text| text.parse()).transpose().map_err(malformed)?,
        timings: Timings {
            open_ms: stored.open_ms,
            timeout_ms: stored.timeout_ms,
            window_ms: stored.window_ms,
            evidence_ms: stored.evidence_ms,
            mediation_ms: stored.mediation_ms,
        },
        dispute_stake: stored.dispute_stake,
        mediator_stake: stored.mediator_stake,
        confidence_min: stored.confidence_min,
        call: stored.call,
        splits: stored.splits.parse().map_err(malformed)?,
    };
    EscrowTerms::new(proposal).map_err(malformed)
}

#[derive(Serialize, Deserialize)]
struct Standing {
    state: State,
    released: Amount,
    refunded: Amount,
    milestones_paid: u32,
    keys: Vec<(Digest, Digest)>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reserved: String,
    created: UnixMillis,
    updated: UnixMillis,
}

/// What an escrow was agreed on for, and what of it was released so far, from its two columns.
pub(crate) fn released(terms: &str, standing: &str) -> Result<(Amount, Amount), Malformed> {
    #[derive(Deserialize)]
    struct Agreed {
        amount: Amount,
    }
    #[derive(Deserialize)]
    struct Gone {
        released: Amount,
    }
    let Agreed { amount } = serde_json::from_str(terms).map_err(malformed)?;
    let Gone { released } = serde_json::from_str(standing).map_err(malformed)?;
    Ok((amount, released))
}

/// What of an escrow went back so far.
pub(crate) fn given_back(standing: &str) -> Result<Amount, Malformed> {
    #[derive(Deserialize)]
    struct Gone {
        refunded: Amount,
    }
    serde_json::from_str(standing).map(|Gone { refunded }| refunded).map_err(malformed)
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum State {
    Created {
        until: UnixMillis,
    },
    Funded {
        until: UnixMillis,
    },
    Locked {
        until: UnixMillis,
    },
    Delivered {
        until: UnixMillis,
    },
    Disputed {
        /// `None`: the operator decides.
        until: Option<UnixMillis>,
        in_mediation: bool,
        payer_evidence: u8,
        provider_evidence: u8,
        stake: Amount,
        mediator_stake: Option<Amount>,
    },
    Released,
    Refunded,
    Resolved {
        ruling: Decided,
        by_default: bool,
    },
    Cancelled,
    Expired,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decided {
    Release,
    Refund,
    Split(Bps),
}

impl From<Ruling> for Decided {
    fn from(ruling: Ruling) -> Self {
        match ruling {
            Ruling::Release => Self::Release,
            Ruling::Refund => Self::Refund,
            Ruling::Split(share) => Self::Split(share),
        }
    }
}

impl From<Decided> for Ruling {
    fn from(decided: Decided) -> Self {
        match decided {
            Decided::Release => Self::Release,
            Decided::Refund => Self::Refund,
            Decided::Split(share) => Self::Split(share),
        }
    }
}

impl From<EscrowState> for State {
    fn from(state: EscrowState) -> Self {
        match state {
            EscrowState::Created { expires } => Self::Created { until: expires },
            EscrowState::Funded { expires } => Self::Funded { until: expires },
            EscrowState::Locked { deadline } => Self::Locked { until: deadline },
            EscrowState::Delivered { window_ends } => Self::Delivered { until: window_ends },
            EscrowState::Disputed(dispute) => {
                let Dispute { phase, payer_evidence, provider_evidence, stake, mediator_stake } = dispute;
                let (until, in_mediation) = match phase {
                    Phase::Evidence { until } => (Some(until), false),
                    Phase::Mediation { until } => (Some(until), true),
                    Phase::Operator => (None, false),
                };
                Self::Disputed {
                    until,
                    in_mediation,
                    payer_evidence,
                    provider_evidence,
                    stake,
                    mediator_stake,
                }
            }
            EscrowState::Released => Self::Released,
            EscrowState::Refunded => Self::Refunded,
            EscrowState::Resolved { ruling, by_default } => {
                Self::Resolved { ruling: ruling.into(), by_default }
            }
            EscrowState::Cancelled => Self::Cancelled,
            EscrowState::Expired => Self::Expired,
        }
    }
}

impl From<State> for EscrowState {
    fn from(state: State) -> Self {
        match state {
            State::Created { until } => Self::Created { expires: until },
            State::Funded { until } => Self::Funded { expires: until },
            State::Locked { until } => Self::Locked { deadline: until },
            State::Delivered { until } => Self::Delivered { window_ends: until },
            State::Disputed {
                until,
                in_mediation,
                payer_evidence,
                provider_evidence,
                stake,
                mediator_stake,
            } => {
                let phase = match until {
                    None => Phase::Operator,
                    Some(until) if in_mediation => Phase::Mediation { until },
                    Some(until) => Phase::Evidence { until },
                };
                Self::Disputed(Dispute { phase, payer_evidence, provider_evidence, stake, mediator_stake })
            }
            State::Released => Self::Released,
            State::Refunded => Self::Refunded,
            State::Resolved { ruling, by_default } => Self::Resolved { ruling: ruling.into(), by_default },
            State::Cancelled => Self::Cancelled,
            State::Expired => Self::Expired,
        }
    }
}

/// Where an escrow stands, as text.
pub(crate) fn standing_text(row: &EscrowRow) -> Result<String, Malformed> {
    let stored = Standing {
        state: row.state.into(),
        released: row.released,
        refunded: row.refunded,
        milestones_paid: row.milestones_paid,
        keys: row.keys.iter().map(|used| (used.key, used.event)).collect(),
        reserved: row.reserved.to_string(),
        created: row.created,
        updated: row.updated,
    };
    serde_json::to_string(&stored).map_err(malformed)
}

/// An escrow from its columns.
pub(crate) fn row(
    id: EscrowId,
    terms: EscrowTerms,
    version: u64,
    standing: &str,
) -> Result<EscrowRow, Malformed> {
    let stored: Standing = serde_json::from_str(standing).map_err(malformed)?;
    Ok(EscrowRow {
        id,
        terms,
        state: stored.state.into(),
        released: stored.released,
        refunded: stored.refunded,
        milestones_paid: stored.milestones_paid,
        version,
        keys: stored.keys.into_iter().map(|(key, event)| UsedKey { key, event }).collect(),
        reserved: stored.reserved.parse().map_err(malformed)?,
        created: stored.created,
        updated: stored.updated,
    })
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum Event {
    Create,
    Fund,
    Lock,
    Complete { result: Option<Digest>, note: Option<String> },
    AcceptRest,
    AcceptMilestone { place: u8 },
    AcceptAmount { amount: Amount },
    Cancel { reason: Option<String> },
    Dispute { stake: Amount, reason: String },
    Evidence { statement: String, document: Option<Digest> },
    Mediate,
    Resolve { ruling: Decided, confidence: Bps, stake_returned: Option<bool>, reason: Option<String> },
    Expire,
}

/// What happened, as text.
pub(crate) fn event_text(event: Option<&EscrowEvent>) -> Result<String, Malformed> {
    let text = |remark: &tollgate_ledger::escrow::Remark| remark.to_string();
    let stored = match event {
        None => Event::Create,
        Some(EscrowEvent::Fund) => Event::Fund,
        Some(EscrowEvent::Lock) => Event::Lock,
        Some(EscrowEvent::Deliver { result, note }) => {
            Event::Complete { result: *result, note: note.as_ref().map(text) }
        }
        Some(EscrowEvent::Accept(Part::Rest)) => Event::AcceptRest,
        Some(EscrowEvent::Accept(Part::Milestone(place))) => Event::AcceptMilestone { place: *place },
        Some(EscrowEvent::Accept(Part::Amount(amount))) => Event::AcceptAmount { amount: *amount },
        Some(EscrowEvent::Cancel { reason }) => Event::Cancel { reason: reason.as_ref().map(text) },
        Some(EscrowEvent::Dispute { stake, reason }) => {
            Event::Dispute { stake: *stake, reason: text(reason) }
        }
        Some(EscrowEvent::Submit { statement, document }) => {
            Event::Evidence { statement: text(statement), document: *document }
        }
        Some(EscrowEvent::TakeUp) => Event::Mediate,
        Some(EscrowEvent::Rule { ruling, confidence, stake, reason }) => Event::Resolve {
            ruling: (*ruling).into(),
            confidence: *confidence,
            stake_returned: stake.map(|stake| stake == StakeRuling::Return),
            reason: reason.as_ref().map(text),
        },
        Some(EscrowEvent::Expire) => Event::Expire,
    };
    serde_json::to_string(&stored).map_err(malformed)
}

/// What happened, from text; `None`: the escrow was created.
pub(crate) fn event(text: &str) -> Result<Option<EscrowEvent>, Malformed> {
    let remark = |text: String| text.parse().map_err(malformed);
    let maybe = |text: Option<String>| text.map(remark).transpose();
    let stored: Event = serde_json::from_str(text).map_err(malformed)?;
    Ok(Some(match stored {
        Event::Create => return Ok(None),
        Event::Fund => EscrowEvent::Fund,
        Event::Lock => EscrowEvent::Lock,
        Event::Complete { result, note } => EscrowEvent::Deliver { result, note: maybe(note)? },
        Event::AcceptRest => EscrowEvent::Accept(Part::Rest),
        Event::AcceptMilestone { place } => EscrowEvent::Accept(Part::Milestone(place)),
        Event::AcceptAmount { amount } => EscrowEvent::Accept(Part::Amount(amount)),
        Event::Cancel { reason } => EscrowEvent::Cancel { reason: maybe(reason)? },
        Event::Dispute { stake, reason } => EscrowEvent::Dispute { stake, reason: remark(reason)? },
        Event::Evidence { statement, document } => {
            EscrowEvent::Submit { statement: remark(statement)?, document }
        }
        Event::Mediate => EscrowEvent::TakeUp,
        Event::Resolve { ruling, confidence, stake_returned, reason } => EscrowEvent::Rule {
            ruling: ruling.into(),
            confidence,
            stake: stake_returned.map(|returned| match returned {
                true => StakeRuling::Return,
                false => StakeRuling::Forfeit,
            }),
            reason: maybe(reason)?,
        },
        Event::Expire => EscrowEvent::Expire,
    }))
}
