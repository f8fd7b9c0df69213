use super::*;

fn missing() -> Result<(), PeerError> {
    Err(Skip::because("no interpreter").into())
}

#[test]
fn a_missing_peer_is_skipped_with_its_reason() {
    assert_eq!(found_or_skip(missing(), false), Err(Skip::because("no interpreter")));
    assert_eq!(found_or_skip(Ok(()), false), Ok(()));
}

#[test]
fn a_skip_is_said_as_the_summary_of_all_tests_reads_it() {
    assert_eq!(said_of(&Skip::because("no interpreter")), "SKIPPED: no interpreter");
}

#[test]
#[should_panic(expected = "allows no skip, but: no interpreter")]
fn a_missing_peer_fails_where_peers_are_required() {
    let _never = found_or_skip(missing(), true);
}

#[test]
#[should_panic(expected = "an invoice, the peer said: 500")]
fn a_broken_peer_is_never_skipped() {
    let _never = found_or_skip::<()>(Err(PeerError::refused("make an invoice", 500)), false);
}
