use proptest::prelude::*;
use tollgate_domain::{AdminKeyId, KeyId};

use super::*;
use crate::escrow::split::halves;
use crate::escrow::{EscrowEvent, EscrowState, Who, provider_share};

fn who(byte: u8) -> Principal {
    Caller::ApiKey(KeyId::from_bytes([byte; 16])).principal()
}

fn proposal() -> Proposal {
    Proposal {
        payer: who(1),
        provider: Provider::Principal(who(2)),
        mediator: Mediator::Principal(who(3)),
        asset: "lightning:regtest/msat".parse().unwrap(),
        amount: Amount::new(100),
        milestones: vec![part("one", 40), part("two", 60)],
        description: None,
        timings: Timings::DEFAULT,
        dispute_stake: Amount::new(10),
        mediator_stake: Amount::ZERO,
        confidence_min: Bps::new(8_000),
        splits: Default::default(),
        call: None,
    }
}

fn part(title: &str, units: u128) -> Milestone {
    Milestone { title: title.into(), amount: Amount::new(units) }
}

#[test]
fn terms_that_cannot_be_carried_out_are_refused_each_for_its_reason() {
    let with = |change: &dyn Fn(&mut Proposal)| {
        let mut proposal = proposal();
        change(&mut proposal);
        EscrowTerms::new(proposal).map(drop)
    };
    assert_eq!(with(&|_| {}), Ok(()), "control");
    assert_eq!(with(&|p| p.milestones.clear()), Ok(()), "control");
    assert_eq!(with(&|p| p.amount = Amount::ZERO), Err(TermsError::Zero));
    assert_eq!(with(&|p| p.provider = Provider::Principal(who(1))), Err(TermsError::SelfEscrow));
    assert_eq!(with(&|p| p.mediator = Mediator::Principal(who(1))), Err(TermsError::PartialMediator));
    assert_eq!(with(&|p| p.mediator = Mediator::Principal(who(2))), Err(TermsError::PartialMediator));
    let nobody = Caller::Anonymous.principal();
    assert_eq!(
        with(&|p| p.provider = Provider::Principal(nobody.clone())),
        Err(TermsError::Nobody("provider"))
    );
    assert_eq!(with(&|p| p.payer = nobody.clone()), Err(TermsError::Nobody("payer")));
    let anyone = Mediator::Principal(nobody.clone());
    assert_eq!(with(&|p| p.mediator = anyone.clone()), Err(TermsError::Nobody("mediator")));
    assert_eq!(with(&|p| p.milestones[1].amount = Amount::new(59)), Err(TermsError::MilestoneSum));
    assert_eq!(with(&|p| p.milestones[0].amount = Amount::new(u128::MAX)), Err(TermsError::MilestoneSum));
    assert_eq!(with(&|p| p.milestones.push(part("three", 0))), Err(TermsError::Milestone(2)));
    assert_eq!(with(&|p| p.milestones[0].title = "".into()), Err(TermsError::Milestone(0)));
    assert_eq!(with(&|p| p.milestones = vec![part("x", 1); 33]), Err(TermsError::Milestones(33)));
    assert_eq!(with(&|p| p.timings.timeout_ms = 999), Err(TermsError::Wait("the time to deliver")));
    assert_eq!(with(&|p| p.timings.window_ms = u64::MAX), Err(TermsError::Wait("the dispute window")));
}

#[test]
fn the_defaults_are_the_documented_ones() {
    assert_eq!((Timings::DEFAULT.timeout_ms, Timings::DEFAULT.window_ms), (300_000, 86_400_000));
}

#[test]
fn a_remark_is_bounded_and_has_no_control_characters() {
    for text in ["a", "two\nlines\tand a tab", &"x".repeat(4_096), "ümlaut"] {
        assert!(text.parse::<Remark>().is_ok(), "{text:?}");
    }
    for text in ["", "bell\u{7}", "esc\u{1b}[2J", &"x".repeat(4_097)] {
        assert!(text.parse::<Remark>().is_err(), "{text:?}");
    }
}

#[test]
fn events_that_say_different_things_have_different_digests() {
    let cancel = |reason: Option<&str>| EscrowEvent::Cancel { reason: reason.map(|r| r.parse().unwrap()) };
    let dispute = |stake, reason: &str| EscrowEvent::Dispute {
        stake: Amount::new(stake),
        reason: reason.parse().unwrap(),
    };
    let events = [
        EscrowEvent::Fund,
        EscrowEvent::Lock,
        cancel(None),
        cancel(Some("a")),
        cancel(Some("b")),
        dispute(1, "1"),
        dispute(11, "1"),
        dispute(1, "11"),
    ];
    for (place, event) in events.iter().enumerate() {
        assert_eq!(event.digest(), event.clone().digest());
        assert!(events[..place].iter().all(|other| other.digest() != event.digest()), "{event:?}");
    }
}

proptest! {
    #[test]
    fn p13_the_parts_of_a_split_sum_to_the_whole(units in any::<u128>(), bps in 0_u16..=10_000) {
        let share = provider_share(Amount::new(units), Bps::new(bps)).get();
        prop_assert!(share <= units);
        // Against 256 bits of arithmetic done by hand: share·10000 ≤ units·bps < (share + 1)·10000.
        let scaled = |value: u128, by: u128| {
            let (high, low) = ((value >> 64) * by, (value & u128::from(u64::MAX)) * by);
            (high + (low >> 64), low & u128::from(u64::MAX))
        };
        let exact = scaled(units, u128::from(bps));
        prop_assert!(scaled(share, 10_000) <= exact);
        if let Some(next) = share.checked_add(1) {
            prop_assert!(scaled(next, 10_000) > exact);
        }
        let (first, second) = halves(Amount::new(units));
        prop_assert_eq!(first.checked_add(second), Some(Amount::new(units)));
        prop_assert!(first.get() - second.get() <= 1);
    }

    #[test]
    fn a_stake_is_the_share_rounded_up_and_at_least_ten(units in 0_u128..1_000_000_000, bps in 0_u16..=10_000) {
        let stake = stake_for(Amount::new(units), Bps::new(bps)).get();
        prop_assert_eq!(stake, (units * u128::from(bps)).div_ceil(10_000).max(10));
    }
}

#[test]
fn providers_and_states_have_one_text_form() {
    for text in ["anonymous", "server:demo"] {
        assert_eq!(text.parse::<Provider>().unwrap().to_string(), text);
    }
    for text in ["", "demo", "server:", "server:A"] {
        assert!(text.parse::<Provider>().is_err(), "{text:?}");
    }
    for word in EscrowState::OPEN_WORDS {
        assert_eq!(EscrowState::word_of(word), Some(word));
    }
    assert_eq!(EscrowState::word_of("open"), None);
}

#[test]
fn whoever_acts_has_one_text_form() {
    for (text, who) in [
        ("operator", Who::Operator(None)),
        ("service", Who::Service),
        ("server", Who::Server),
        ("clock", Who::Clock),
        ("anonymous", Who::Principal("anonymous".parse().unwrap())),
    ] {
        assert_eq!((text.parse(), who.to_string().as_str()), (Ok(who.clone()), text));
    }
    let with_key = Who::Operator(Some(AdminKeyId::from_bytes([1; 16])));
    assert_eq!(with_key.to_string().parse(), Ok(with_key));
    for text in ["", "operator:", "servers"] {
        assert!(text.parse::<Who>().is_err(), "{text:?}");
    }
}
