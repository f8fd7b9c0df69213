use super::*;

fn map(headers: &[(HeaderName, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn host(host: &str, allowed: &AllowedHosts) -> Result<(), OriginError> {
    check(&map(&[(HOST, host)]), allowed)
}

fn origin(origin: &str, allowed: &AllowedHosts) -> Result<(), OriginError> {
    check(&map(&[(HOST, "localhost:3100"), (ORIGIN, origin)]), allowed)
}

#[test]
fn m1_a_loopback_listener_answers_to_loopback_names_only() {
    let allowed = AllowedHosts::loopback();
    for good in ["localhost", "localhost:3100", "LOCALHOST:3100", "127.0.0.1:3100", "[::1]", "[::1]:3100"] {
        assert_eq!(host(good, &allowed), Ok(()), "{good}");
    }
    let refused = [
        "evil.example",
        "evil.example:3100",
        "localhost.evil.example",
        "localhost.",
        "localhost.:3100",
        "localhost:",
        "localhost:x",
        "localhost:99999",
        "localhost:-1",
        "localhost:3100:1",
        "127.0.0.1.",
        "127.0.0.2",
        "127.1",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "[::]",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "[::1%25eth0]",
        "[2001:db8::1]",
        "127.0.0.1.nip.io",
        "user@localhost",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost/evil",
        " localhost",
        "localhost, evil.example",
        "null",
        "",
        "*",
        "lоcalhost",
    ];
    for bad in refused {
        assert_eq!(host(bad, &allowed), Err(OriginError::Host), "{bad}");
    }
    assert_eq!(check(&HeaderMap::new(), &allowed), Err(OriginError::HostMissing));
    assert_eq!(
        check(&map(&[(HOST, "localhost"), (HOST, "localhost")]), &allowed),
        Err(OriginError::Repeated)
    );
}

#[test]
fn m1_pages_of_other_sites_are_refused() {
    let allowed = AllowedHosts::loopback();
    assert_eq!(host("localhost:3100", &allowed), Ok(()));
    for good in ["http://localhost", "http://localhost:5173", "https://127.0.0.1", "http://[::1]:1"] {
        assert_eq!(origin(good, &allowed), Ok(()), "{good}");
    }
    let refused = [
        "null",
        "",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://localhost.",
        "https://localhost.:443",
        "file://localhost",
        "chrome-extension://localhost",
        "HTTP://localhost",
        "localhost",
        "http://",
        "http://localhost/",
        "http://localhost:3100/path",
        "http://user@localhost",
        "http://[::ffff:127.0.0.1]",
        "http://localhost http://evil.example",
        "http://localhost:3100, http://evil.example",
    ];
    for bad in refused {
        assert_eq!(origin(bad, &allowed), Err(OriginError::Origin), "{bad}");
    }
    let twice = map(&[(HOST, "localhost"), (ORIGIN, "http://localhost"), (ORIGIN, "http://evil.example")]);
    assert_eq!(check(&twice, &allowed), Err(OriginError::Repeated));
}

#[test]
fn m1_a_stated_port_is_the_only_one() {
    let allowed = AllowedHosts::new(["gw.example:443", "other.example"]).unwrap();
    let with = |host: &str, origin: &str| check(&map(&[(HOST, host), (ORIGIN, origin)]), &allowed);
    assert_eq!(with("gw.example", "https://gw.example"), Ok(()));
    assert_eq!(with("GW.example:443", "https://gw.example:443"), Ok(()));
    assert_eq!(with("other.example:8080", "http://other.example:1"), Ok(()));
    assert_eq!(with("gw.example:8443", "https://gw.example"), Err(OriginError::Host));
    assert_eq!(with("localhost", "https://gw.example"), Err(OriginError::Host));
    assert_eq!(with("gw.example", "http://gw.example"), Err(OriginError::Origin));
    assert_eq!(with("gw.example", "https://gw.example:8443"), Err(OriginError::Origin));
}

#[test]
fn m1_the_target_of_a_request_counts_as_its_host() {
    let allowed = AllowedHosts::loopback();
    let with = |uri: &str, headers: &[(HeaderName, &str)]| {
        check_request(&uri.parse().unwrap(), &map(headers), &allowed)
    };
    assert_eq!(with("http://localhost:1/mcp", &[]), Ok(()));
    assert_eq!(with("http://localhost:1/mcp", &[(HOST, "LOCALHOST:1")]), Ok(()));
    assert_eq!(with("/mcp", &[(HOST, "localhost")]), Ok(()));
    assert_eq!(with("/mcp", &[]), Err(OriginError::HostMissing));
    assert_eq!(with("http://evil.example/mcp", &[]), Err(OriginError::Host));
    assert_eq!(with("http://localhost:1/mcp", &[(HOST, "evil.example")]), Err(OriginError::Repeated));
    assert_eq!(with("http://localhost:1/mcp", &[(ORIGIN, "http://evil.example")]), Err(OriginError::Origin));
}

#[test]
fn lists_of_hosts_are_read_strictly() {
    assert_eq!(
        host("b.example", &AllowedHosts::loopback().and(AllowedHosts::new(["b.example"]).unwrap())),
        Ok(())
    );
    for bad in
        ["", "http://a.example", "a.example/", "a.example.", "a.example:0x50", "*", "::1", "[::1", "a b"]
    {
        assert!(AllowedHosts::new([bad]).is_err(), "{bad}");
    }
}
