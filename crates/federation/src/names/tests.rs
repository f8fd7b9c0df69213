use proptest::prelude::*;

use super::*;

fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}

fn names(plain: Option<&str>) -> Names {
    Names::new(Separator::default(), ["b", "a", "a-b"].map(server), plain.map(server))
}

#[test]
fn a_name_says_whose_it_is() {
    let names = names(None);
    assert_eq!(names.servers(), ["a", "a-b", "b"].map(server));
    assert_eq!(names.public(&server("a"), "echo"), "a__echo");
    assert_eq!(names.resolve("a__echo"), Some((&server("a"), "echo")));
    assert_eq!(names.resolve("a-b__echo"), Some((&server("a-b"), "echo")));
    assert_eq!(names.resolve("a____x"), Some((&server("a"), "__x")));
    for nobodys in ["echo", "c__echo", "a_echo", "a__", "__echo", "A__echo", "a/echo", "", "../a__echo"] {
        assert_eq!(names.resolve(nobodys), None, "{nobodys}");
    }
}

#[test]
fn t4_a_plain_server_cannot_take_the_names_of_another() {
    let names = names(Some("a"));
    assert_eq!(names.public(&server("a"), "echo"), "echo");
    assert_eq!(names.resolve("echo"), Some((&server("a"), "echo")));
    assert_eq!(names.resolve("b__echo"), Some((&server("b"), "echo")));
    // The plain server lists a tool under what is the name of a tool of `b`.
    assert_eq!(names.public(&server("a"), "b__echo"), "a__b__echo");
    assert_eq!(names.resolve("a__b__echo"), Some((&server("a"), "b__echo")));
    assert_eq!(names.public(&server("a"), "c__echo"), "c__echo", "control: there is no server c");
}

#[test]
fn uris_keep_their_scheme() {
    let names = names(None);
    for (own, public) in [
        ("ui://chart/1", "ui://a__chart/1"),
        ("file:///etc/hosts", "file://a__/etc/hosts"),
        ("test://template/{id}/data", "test://a__template/{id}/data"),
        ("urn:isbn:1", "urn:a__isbn:1"),
        ("about:", "about:a__"),
        ("{+any}", "a__{+any}"),
        ("note", "a__note"),
    ] {
        assert_eq!(names.public_uri(&server("a"), own), public);
        assert_eq!(names.resolve_uri(public), Some((&server("a"), own.into())));
        assert_eq!(names.resolve_uri(own), None, "{own}");
    }
    let plain = self::names(Some("b"));
    assert_eq!(plain.public_uri(&server("b"), "ui://chart/1"), "ui://chart/1");
    assert_eq!(plain.resolve_uri("ui://chart/1"), Some((&server("b"), "ui://chart/1".into())));
    assert_eq!(plain.public_uri(&server("b"), "x://a__y"), "x://b__a__y");
    // Not even one that names nothing behind its scheme.
    assert_eq!(plain.resolve_uri("about:a__"), Some((&server("a"), "about:".into())));
    assert_eq!(plain.public_uri(&server("b"), "about:a__"), "about:b__a__");
}

#[test]
fn a_separator_starts_with_what_no_server_name_has() {
    for good in ["_", "__", ".", "_-a"] {
        assert!(good.parse::<Separator>().is_ok(), "{good}");
    }
    for bad in ["", "-", "a", "/", "_/", "_________", "_ ", "__\u{e9}"] {
        assert_eq!(bad.parse::<Separator>(), Err(SeparatorError), "{bad}");
    }
}

proptest! {
    #[test]
    fn what_is_public_resolves_to_where_it_came_from(
        name in "\\PC{1,40}",
        uri in "([a-z]{1,5}(:|://))?\\PC{0,40}",
        index in 0_usize..3,
        plain in proptest::option::of(0_usize..3),
        separator in "[_.][a-z_.-]{0,3}",
    ) {
        let servers = ["a", "a-b", "b"].map(server);
        let names = Names::new(separator.parse().unwrap(), servers.clone(), plain.map(|at| servers[at].clone()));
        let whose = &servers[index];
        let public = names.public(whose, &name).into_owned();
        prop_assert_eq!(names.resolve(&public), Some((whose, name.as_str())));
        // A text without a scheme may get one only by a separator that starts with a dot.
        prop_assume!(!separator.starts_with('.') || behind_scheme(&uri) > 0);
        let public = names.public_uri(whose, &uri).into_owned();
        prop_assert_eq!(names.resolve_uri(&public), Some((whose, uri.as_str().into())));
    }
}
