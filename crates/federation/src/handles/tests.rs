use super::*;

fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}

#[test]
fn m7_m8_a_handle_is_its_callers_alone_for_what_it_was_given() {
    let keys = Keys::derive(&[1; 32]).unwrap();
    let (a, b) = (server("a"), server("b"));
    let of = |credential, server| Handles { keys: &keys, principal: Principal::of(credential), server };
    let (one, other) = ([1; 32], [2; 32]);
    for handle in [Handle::Session, Handle::State(&one)] {
        for own in ["s-1", "", "a.b.c", "\u{1f600}\0"] {
            let public = of(Some("k1"), &a).public(handle, own);
            assert_eq!(of(Some("k1"), &a).own(handle, &public), Some(own), "control");
            assert_eq!(of(Some("k2"), &a).own(handle, &public), None, "another caller");
            assert_eq!(of(None, &a).own(handle, &public), None, "nobody");
            assert_eq!(of(Some("k1"), &b).own(handle, &public), None, "another server");
            assert_eq!(of(Some("k1"), &a).own(Handle::State(&other), &public), None, "another call");
            let changed = format!("x{public}");
            for text in [
                own,
                changed.as_str(),
                &format!("{own}."),
                &format!("{own}.AAAA"),
                &public[..public.len() - 1],
            ] {
                assert_eq!(of(Some("k1"), &a).own(handle, text), None, "{text:?}");
            }
        }
    }
    let state = of(None, &a).public(Handle::State(&one), "s");
    assert_eq!(of(None, &a).own(Handle::Session, &state), None, "a state is no session");
}

#[test]
fn a_new_key_knows_what_the_one_before_handed_out() {
    let (older, newer) = (Keys::derive(&[1; 32]).unwrap(), Keys::derive(&[2; 32]).unwrap());
    let a = server("a");
    let by = |keys| Handles { keys, principal: Principal::of(None), server: &a };
    let before = by(&older).public(Handle::Session, "s");
    assert_eq!(by(&newer).own(Handle::Session, &before), None);
    let rotated = newer.clone().then(&older);
    assert_eq!(by(&rotated).own(Handle::Session, &before), Some("s"));
    let after = by(&rotated).public(Handle::Session, "s");
    assert_eq!(by(&newer).own(Handle::Session, &after), Some("s"), "the newest tags");
}
