use tollgate_domain::{Caller, Origin, ToolRef};

use super::*;

#[test]
fn d5_one_callers_calls_take_no_place_of_anothers_and_each_is_given_back() {
    let crowd = AtOnce::new("limits.calls_at_once", NonZeroU32::new(2).unwrap());
    let tool = ToolRef { server: "s".parse().unwrap(), tool: "t".parse().unwrap() };
    let (here, there) = (Origin::named("192.0.2.1"), Origin::named("192.0.2.2"));
    let (alice, bob) = (Caller::Wallet([1; 20]), Caller::Wallet([2; 20]));
    let enter = |caller, origin| crowd.enter(Asking { caller, origin, tool: &tool });
    let first = enter(Some(&alice), &here).unwrap();
    let second = enter(Some(&alice), &there).unwrap();
    let refused = enter(Some(&alice), &here).unwrap_err();
    assert_eq!((refused.retry_after_ms, refused.limit.name.as_str()), (1_000, "limits.calls_at_once"));
    let others = [enter(Some(&bob), &here).unwrap(), enter(None, &here).unwrap()];
    // Whoever is not known is where they call from.
    let anonymous = enter(Some(&Caller::Anonymous), &here).unwrap();
    assert!(enter(None, &here).is_err(), "two from here already");
    assert!(enter(None, &there).is_ok());
    assert_eq!((crowd.callers(), crowd.seen().1), (3, 2));
    drop(first);
    let again = enter(Some(&alice), &here).unwrap();
    assert!(enter(Some(&alice), &here).is_err(), "one was given back, not two");
    drop((second, again, others, anonymous));
    assert_eq!(crowd.callers(), 0, "nobody is remembered");
}
