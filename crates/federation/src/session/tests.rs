use super::*;

fn keys(byte: u8) -> Keys {
    Keys::derive(&[byte; 32]).unwrap()
}

fn session() -> Session {
    let member = |server: &str, session: Option<&str>| Member {
        server: server.parse().unwrap(),
        session: session.map(str::to_owned),
        version: "2025-11-25".to_owned(),
        features: Features::from_bits(5),
    };
    Session {
        expires: UnixMillis::new(2_000),
        members: vec![member("a", Some("s-1 \u{e9}")), member("b", None)],
    }
}

#[test]
fn m7_a_session_opens_for_its_principal_at_its_door_before_its_end_only() {
    let (principal, other) = (Principal::of(Some("tg_key_1")), Principal::of(Some("tg_key_2")));
    let sealed = session().seal(&keys(1), "mcp", &principal, [7; 12]).unwrap();
    assert!(sealed.bytes().all(|byte| byte.is_ascii_graphic()));
    let at = UnixMillis::new(1_999);
    assert_eq!(Session::open(&sealed, &keys(1), "mcp", &principal, at), Ok(session()), "control");
    let open = |keys: &Keys, door, principal: &Principal, now| {
        Session::open(&sealed, keys, door, principal, UnixMillis::new(now)).unwrap_err()
    };
    assert_eq!(open(&keys(1), "mcp", &other, 1_999), SessionError::Unknown);
    assert_eq!(open(&keys(1), "mcp", &Principal::of(None), 1_999), SessionError::Unknown);
    assert_eq!(open(&keys(1), "virtual", &principal, 1_999), SessionError::Unknown);
    assert_eq!(open(&keys(2), "mcp", &principal, 1_999), SessionError::Unknown);
    assert_eq!(open(&keys(1), "mcp", &principal, 2_000), SessionError::Expired);
}

#[test]
fn an_older_key_opens_what_it_has_sealed_and_the_newest_seals() {
    let principal = Principal::of(None);
    let open = |text: &str, keys: &Keys| Session::open(text, keys, "mcp", &principal, UnixMillis::new(0));
    let before = session().seal(&keys(1), "mcp", &principal, [7; 12]).unwrap();
    let rotated = keys(2).then(&keys(1));
    assert_eq!(open(&before, &rotated), Ok(session()));
    assert_eq!(open(&before, &keys(2)), Err(SessionError::Unknown), "control: once the older one is dropped");
    let after = session().seal(&rotated, "mcp", &principal, [8; 12]).unwrap();
    assert_eq!(open(&after, &keys(2)), Ok(session()));
    assert_eq!(open(&after, &keys(1)), Err(SessionError::Unknown), "nothing new is sealed by the older one");
    assert_eq!(open(&before, &keys(3).then(&rotated)), Ok(session()), "as often as one likes");
}

#[test]
fn m7_no_changed_character_opens() {
    let principal = Principal::of(None);
    let sealed = session().seal(&keys(1), "mcp", &principal, [7; 12]).unwrap();
    let now = UnixMillis::new(0);
    let opens = |text: &str| Session::open(text, &keys(1), "mcp", &principal, now).is_ok();
    assert!(opens(&sealed), "control");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(!opens(std::str::from_utf8(&changed).unwrap()), "character {at}");
    }
    for text in ["", "A", "session-1", &sealed[..20], &format!("{sealed}A")] {
        assert!(!opens(text), "{text}");
    }
}

#[test]
fn a_session_that_an_id_cannot_carry_is_refused() {
    let mut long = session();
    long.members[0].session = Some("x".repeat(SEALED_BYTES_MAX));
    let sealed = long.seal(&keys(1), "mcp", &Principal::of(None), [7; 12]);
    assert_eq!(sealed, Err(SessionError::TooLong));
}
