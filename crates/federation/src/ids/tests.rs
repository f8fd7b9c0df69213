use super::*;
use crate::names::Separator;

fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}

fn id(raw: &str) -> RequestId {
    RequestId::from_raw(raw).unwrap()
}

#[test]
fn m6_requests_of_two_servers_with_one_id_are_told_apart() {
    for raw in ["1", "\"1\"", "\"a:\\\"b\"", "-7"] {
        let (a, b) =
            (foreign_id(&server("a"), &id(raw)).unwrap(), foreign_id(&server("b"), &id(raw)).unwrap());
        assert_ne!(a, b);
        assert_eq!(home_id(&a), Some((server("a"), id(raw))));
        assert_eq!(home_id(&a).unwrap().1.raw(), raw, "its spelling too");
    }
    for strange in ["1", "\"1\"", "\"a:\"", "\"a:x\"", "\"a:null\"", "\"A:1\"", "\":1\""] {
        assert_eq!(home_id(&id(strange)), None, "{strange}");
    }
    assert_eq!(foreign_id(&server("a"), &id(&format!("\"{}\"", "x".repeat(256)))), None);
}

#[test]
fn progress_tokens_find_their_way_home() {
    let token = foreign_token(&server("a"), "\"t\"");
    assert_eq!(home_token(token.as_bytes()), Some((server("a"), "\"t\"".to_owned())));
    assert_eq!(home_token(b"5"), None);
    assert_eq!(home_token(b"\"a:nothing\""), None);
}

#[test]
fn m12_a_task_is_known_to_its_caller_only() {
    let keys = Keys::derive(&[1; 32]).unwrap();
    let names = Names::new(Separator::default(), ["a", "b"].map(server), Some(server("b")));
    let of = |credential| TaskIds { keys: &keys, principal: Principal::of(credential) };
    for (whose, task) in [("a", "t-1"), ("b", "t.2"), ("b", "a__x")] {
        let public = of(Some("k1")).public(&names, &server(whose), task);
        assert_eq!(of(Some("k1")).resolve(&names, &public), Some((&server(whose), task)), "control");
        assert_eq!(of(Some("k2")).resolve(&names, &public), None);
        assert_eq!(of(None).resolve(&names, &public), None);
        let other = Keys::derive(&[2; 32]).unwrap();
        let elsewhere = TaskIds { keys: &other, principal: Principal::of(Some("k1")) };
        assert_eq!(elsewhere.resolve(&names, &public), None);
    }
    let newer = Keys::derive(&[2; 32]).unwrap();
    let rotated = newer.clone().then(&keys);
    let principal = Principal::of(Some("k1"));
    let before = of(Some("k1")).public(&names, &server("a"), "t-1");
    let by = |keys| TaskIds { keys, principal };
    assert_eq!(by(&rotated).resolve(&names, &before), Some((&server("a"), "t-1")), "an older key knows it");
    let after = by(&rotated).public(&names, &server("a"), "t-1");
    assert_eq!(by(&newer).resolve(&names, &after), Some((&server("a"), "t-1")), "the newest tags");
    assert_eq!(by(&keys).resolve(&names, &after), None);
    assert_eq!(of(None).resolve(&names, "a__t-1"), None);
    assert_eq!(of(None).resolve(&names, "a__t-1.AAAA"), None);
}
