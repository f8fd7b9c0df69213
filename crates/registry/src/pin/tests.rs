use super::*;

const THEN: UnixMillis = UnixMillis::new(1_000);
const NOW: UnixMillis = UnixMillis::new(2_000);

fn tool() -> ToolRef {
    ToolRef { server: "up".parse().unwrap(), tool: "echo".parse().unwrap() }
}

fn definition(description: &str) -> Definition {
    let text = serde_json::json!({ "name": "echo", "description": description, "inputSchema": {} });
    Definition::read(text.to_string().as_bytes(), |_| false).unwrap()
}

fn seen(description: &str) -> Sighting {
    Sighting { tool: tool(), definition: definition(description), is_suspicious: false }
}

fn suspicious(description: &str) -> Sighting {
    Sighting { is_suspicious: true, ..seen(description) }
}

fn policy(drift: Drift, first_use: FirstUse, findings: Findings) -> PinPolicy {
    PinPolicy { drift, first_use, findings }
}

fn pinned() -> PinRecord {
    observe(None, &seen("old"), PinPolicy::default(), THEN).record
}

#[test]
fn what_is_seen_first_is_pinned_or_waits_as_the_policy_says() {
    let trusted = observe(None, &seen("old"), PinPolicy::default(), NOW);
    assert_eq!((trusted.standing, trusted.record.state()), (Standing::Approved, State::Pinned));
    assert_eq!(trusted.record.approved.unwrap().by, Approver::FirstUse);
    let asked = observe(None, &seen("old"), policy(Drift::Block, FirstUse::Approve, Findings::Block), NOW);
    assert_eq!((asked.standing, asked.record.state()), (Standing::Unapproved, State::Held));
    let odd = observe(None, &suspicious("odd"), PinPolicy::default(), NOW);
    assert_eq!((odd.standing, odd.record.state()), (Standing::Unapproved, State::Held));
    let warned =
        observe(None, &suspicious("odd"), policy(Drift::Block, FirstUse::Trust, Findings::Warn), NOW);
    assert_eq!((warned.standing, warned.record.state()), (Standing::Approved, State::Pinned));
}

#[test]
fn t3_a_changed_definition_waits_until_it_is_approved_or_gone() {
    let same = observe(Some(&pinned()), &seen("old"), PinPolicy::default(), NOW);
    assert_eq!((same.standing, &same.record), (Standing::Approved, &pinned()), "control");
    let drifted = observe(Some(&pinned()), &seen("new"), PinPolicy::default(), NOW);
    assert_eq!((drifted.standing, drifted.record.state()), (Standing::Drifted, State::Drifted));
    assert_eq!(drifted.record.approved, pinned().approved, "the pin stays what it was");
    let again = observe(Some(&drifted.record), &seen("new"), PinPolicy::default(), UnixMillis::new(9_000));
    assert_eq!(again.record, drifted.record, "nothing new, and since when stays");
    let back = observe(Some(&drifted.record), &seen("old"), PinPolicy::default(), NOW);
    assert_eq!((back.standing, back.record), (Standing::Approved, pinned()));
}

#[test]
fn drift_that_is_warned_of_or_ignored_stays_usable_unless_it_looks_suspicious() {
    let warn = policy(Drift::Warn, FirstUse::Trust, Findings::Block);
    let off = policy(Drift::Off, FirstUse::Trust, Findings::Block);
    let warned = observe(Some(&pinned()), &seen("new"), warn, NOW);
    assert_eq!((warned.standing, warned.record.state()), (Standing::Approved, State::Drifted));
    let ignored = observe(Some(&pinned()), &seen("new"), off, NOW);
    assert_eq!((ignored.standing, ignored.record.state()), (Standing::Approved, State::Pinned));
    assert_eq!(ignored.record.approved.unwrap().by, Approver::Policy);
    for lax in [warn, off] {
        assert_eq!(observe(Some(&pinned()), &suspicious("odd"), lax, NOW).standing, Standing::Drifted);
    }
}

#[test]
fn a_held_tool_is_pinned_once_the_policy_trusts_it() {
    let held = observe(None, &suspicious("odd"), PinPolicy::default(), THEN).record;
    let still = observe(Some(&held), &suspicious("odd"), PinPolicy::default(), NOW);
    assert_eq!((still.standing, &still.record), (Standing::Unapproved, &held));
    let lax = policy(Drift::Block, FirstUse::Trust, Findings::Off);
    assert_eq!(observe(Some(&held), &suspicious("odd"), lax, NOW).standing, Standing::Approved);
}

#[test]
fn t3_an_approval_is_bound_to_the_hash_that_was_reviewed() {
    let drifted = observe(Some(&pinned()), &seen("new"), PinPolicy::default(), NOW).record;
    let moved = observe(Some(&drifted), &seen("newer"), PinPolicy::default(), NOW).record;
    let reviewed = definition("new").hash();
    assert_eq!(approve(&moved, reviewed, NOW), Approval::Moved(moved.clone()));
    let Approval::Given(given) = approve(&drifted, reviewed, NOW) else { panic!("control: nothing moved") };
    assert_eq!((given.state(), given.approved_hash()), (State::Pinned, Some(reviewed)));
    assert_eq!(given.approved.as_ref().unwrap().by, Approver::Operator);
    assert_eq!(approve(&given, reviewed, NOW), Approval::Already(given.clone()));
    let old = definition("old").hash();
    assert_eq!(
        approve(&drifted, old, NOW),
        Approval::Moved(drifted.clone()),
        "the pin is not what it says now"
    );
}

#[test]
fn approvers_have_words() {
    for approver in [Approver::FirstUse, Approver::Policy, Approver::Operator] {
        assert_eq!(Approver::of_word(approver.word()), Some(approver));
    }
    assert_eq!(Approver::of_word("somebody"), None);
}
