use proptest::prelude::*;

use super::*;

fn trusting(addresses: &[&str], header: ForwardedIn) -> TrustedProxies {
    TrustedProxies::new(addresses.iter().map(|text| text.parse().unwrap()).collect(), header)
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn client(proxies: &TrustedProxies, peer: &str, lines: &[(&'static str, &str)]) -> String {
    proxies.client(peer.parse().unwrap(), &headers(lines)).to_string()
}

const XFF: &str = "x-forwarded-for";

#[test]
fn a_strangers_header_is_not_believed() {
    let nobody = TrustedProxies::default();
    let proxies = trusting(&["10.0.0.0/8"], ForwardedIn::XForwardedFor);
    let said = [(XFF, "192.0.2.1")];
    assert_eq!(client(&nobody, "10.0.0.1", &said), "10.0.0.1");
    assert_eq!(client(&proxies, "198.51.100.7", &said), "198.51.100.7");
    assert_eq!(client(&proxies, "10.0.0.1", &said), "192.0.2.1", "control: a proxy is");
    assert_eq!(client(&proxies, "::ffff:10.0.0.1", &said), "192.0.2.1");
    assert_eq!(client(&proxies, "10.0.0.1", &[]), "10.0.0.1", "who says nothing speaks for itself");
}

#[test]
fn what_a_client_wrote_before_its_proxy_is_hearsay() {
    let proxies = trusting(&["10.0.0.0/8"], ForwardedIn::XForwardedFor);
    for lines in [
        &[(XFF, "127.0.0.1, 192.0.2.1")][..],
        &[(XFF, "10.9.9.9, 192.0.2.1")],
        &[(XFF, "127.0.0.1"), (XFF, "192.0.2.1")],
        &[(XFF, "nonsense, 192.0.2.1,10.0.0.2 , 10.0.0.3")],
        &[(XFF, "127.0.0.1, 192.0.2.1:4711"), (XFF, "10.0.0.2")],
    ] {
        assert_eq!(client(&proxies, "10.0.0.1", lines), "192.0.2.1", "{lines:?}");
    }
    assert_eq!(
        client(&proxies, "10.0.0.1", &[("forwarded", "for=127.0.0.1"), (XFF, "192.0.2.1")]),
        "192.0.2.1"
    );
}

#[test]
fn what_cannot_be_read_counts_for_the_proxy_that_passed_it_on() {
    let proxies = trusting(&["10.0.0.0/8"], ForwardedIn::XForwardedFor);
    for line in
        ["", "unknown", "192.0.2.1, ", "192.0.2.1 192.0.2.2", "192.0.2.1:x", "[2001:db8::1", "192.0.2.256"]
    {
        assert_eq!(client(&proxies, "10.0.0.1", &[(XFF, line)]), "10.0.0.1", "{line:?}");
    }
    assert_eq!(client(&proxies, "10.0.0.1", &[(XFF, "192.0.2.1, unknown, 10.0.0.2")]), "10.0.0.2");
    let mut unreadable = headers(&[(XFF, "192.0.2.1")]);
    unreadable.append(XFF, HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(proxies.client("10.0.0.1".parse().unwrap(), &unreadable).to_string(), "10.0.0.1");
    assert_eq!(client(&proxies, "10.0.0.1", &[(XFF, "192.0.2.1")]), "192.0.2.1", "control");
}

#[test]
fn forwarded_is_read_in_its_own_form() {
    let proxies = trusting(&["10.0.0.0/8", "2001:db8:1::/48"], ForwardedIn::Forwarded);
    for (line, expected) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("proto=https; For=192.0.2.1;by=10.0.0.1", "192.0.2.1"),
        ("for=127.0.0.1, for=192.0.2.1", "192.0.2.1"),
        ("for=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
        ("for=192.0.2.1, for=\"[2001:db8:1::7]\"", "192.0.2.1"),
        ("for=\", for=192.0.2.1", "192.0.2.1"),
        ("for=_hidden", "10.0.0.1"),
        ("for=192.0.2.1;for=192.0.2.2", "10.0.0.1"),
        ("for=\"192.0.2.1", "10.0.0.1"),
        ("by=192.0.2.1", "10.0.0.1"),
    ] {
        assert_eq!(client(&proxies, "10.0.0.1", &[("forwarded", line)]), expected, "{line}");
    }
    assert_eq!(
        client(&proxies, "10.0.0.1", &[(XFF, "192.0.2.9")]),
        "10.0.0.1",
        "the other header is not read"
    );
}

#[test]
fn networks_are_read_strictly_and_hold_what_they_say() {
    let holds =
        |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
    assert!(holds("10.0.0.0/8", "10.255.1.2") && !holds("10.0.0.0/8", "11.0.0.1"));
    assert!(holds("192.0.2.4", "192.0.2.4") && !holds("192.0.2.4", "192.0.2.5"));
    assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
    assert!(holds("::/0", "2001:db8::1") && holds("2001:db8::/33", "2001:db8:7fff::1"));
    assert!(!holds("2001:db8::/33", "2001:db8:8000::1"));
    for text in
        ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::/129", "localhost", "10.0.0.0/8/8"]
    {
        assert!(text.parse::<Network>().is_err(), "{text:?}");
    }
}

proptest! {
    /// However much a client writes, the address that its proxy saw is the one that counts.
    #[test]
    fn no_text_of_a_client_moves_it_elsewhere(written in "[ -~]{0,80}") {
        let proxies = trusting(&["10.0.0.0/8"], ForwardedIn::XForwardedFor);
        let line = format!("{written}, 192.0.2.1");
        prop_assert_eq!(client(&proxies, "10.0.0.1", &[(XFF, &line)]), "192.0.2.1");
        let proxies = trusting(&["10.0.0.0/8"], ForwardedIn::Forwarded);
        let line = format!("{written}, for=192.0.2.1");
        prop_assert_eq!(client(&proxies, "10.0.0.1", &[("forwarded", &line)]), "192.0.2.1");
    }
}
