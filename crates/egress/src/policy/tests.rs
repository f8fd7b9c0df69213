use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const EVERY_FORBIDDEN_KIND: [&str; 14] = [
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "fd12::1",
    "100.64.0.1",
    "169.254.0.1",
    "fec0::1",
    "169.254.169.254",
    "224.0.0.1",
    "0.0.0.0",
    "::ffff:10.0.0.1",
    "2002:a00:1::1",
    "64:ff9b::a00:1",
    "192.0.2.1",
];

#[test]
fn n1_only_public_addresses_are_reached_by_default() {
    let policy = Policy::public();
    for text in EVERY_FORBIDDEN_KIND {
        assert!(policy.check("name.example", 443, address(text)).is_err(), "{text}");
    }
    assert_eq!(policy.check("name.example", 443, address("1.1.1.1")), Ok(()));
    assert_eq!(policy.check("name.example", 443, address("2606:4700:4700::1111")), Ok(()));
}

#[test]
fn loopback_is_allowed_as_a_whole_and_nothing_else_with_it() {
    let policy = Policy::public().allow_loopback();
    for text in EVERY_FORBIDDEN_KIND {
        let permitted = policy.check("name.example", 1, address(text)).is_ok();
        assert_eq!(permitted, matches!(text, "127.0.0.1" | "::1"), "{text}");
    }
}

#[test]
fn a_named_endpoint_is_that_host_and_that_port() {
    let policy = Policy::public().allow_endpoint("LND.internal.", 8080);
    let private = address("10.0.0.7");
    assert_eq!(policy.check("lnd.internal", 8080, private), Ok(()));
    assert_eq!(policy.check("Lnd.Internal.", 8080, private), Ok(()));
    assert!(policy.check("lnd.internal", 8081, private).is_err());
    assert!(policy.check("other.internal", 8080, private).is_err());
}

#[test]
fn n3_a_named_host_that_turns_to_metadata_is_refused() {
    let policy = Policy::public().allow_endpoint("lnd.internal", 80);
    for text in ["169.254.169.254", "169.254.0.1", "fe80::1", "::ffff:10.0.0.1", "224.0.0.1", "0.0.0.0"] {
        assert!(policy.check("lnd.internal", 80, address(text)).is_err(), "{text}");
    }
    assert_eq!(policy.check("lnd.internal", 80, address("192.168.0.9")), Ok(()));
}

#[test]
fn an_address_that_the_operator_wrote_out_is_trusted_as_it_stands() {
    let policy = Policy::public().allow_endpoint("169.254.10.1", 80).allow_endpoint("fd12:0::1", 80);
    assert_eq!(policy.check("169.254.10.1", 80, address("169.254.10.1")), Ok(()));
    assert_eq!(policy.check("[fd12::1]", 80, address("fd12::1")), Ok(()));
    assert!(policy.check("169.254.10.1", 80, address("169.254.10.2")).is_err());
}

#[test]
fn a_url_names_its_endpoint_with_the_port_of_its_scheme() {
    let policy = Policy::public()
        .allow_url(&"http://a.internal/mcp".parse().unwrap())
        .allow_url(&"https://b.internal/".parse().unwrap())
        .allow_url(&"http://c.internal:8080/".parse().unwrap());
    let private = address("10.0.0.7");
    for (host, port) in [("a.internal", 80), ("b.internal", 443), ("c.internal", 8080)] {
        assert_eq!(policy.check(host, port, private), Ok(()));
        assert!(policy.check(host, port + 1, private).is_err());
    }
}
