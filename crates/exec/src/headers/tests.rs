use http::HeaderValue;

use super::*;

const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn what_ends_at_this_hop_is_removed_and_the_rest_stays() {
    let mut map = headers(&[
        ("connection", "close, X-Hop"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authorization", "Basic eA=="),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("expect", "100-continue"),
        ("x-hop", "1"),
        ("x-end", "1"),
        ("mcp-session-id", "s"),
    ]);
    strip_hop_by_hop(&mut map);
    assert_eq!(map, headers(&[("x-end", "1"), ("mcp-session-id", "s")]));
}

#[test]
fn each_of_them_alone_is_found() {
    for name in HOP_BY_HOP.map(HeaderName::from_static) {
        let mut map = headers(&[("x-end", "1")]);
        map.insert(name.clone(), HeaderValue::from_static("x"));
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("x-end", "1")]), "{name}");
    }
}

#[test]
fn headers_without_a_hop_are_left_alone() {
    let mut map = headers(&[("accept", "*/*"), ("x-end", "1"), ("close", "1")]);
    let before = map.clone();
    strip_hop_by_hop(&mut map);
    assert_eq!(map, before);
}
