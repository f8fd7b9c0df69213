use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

#[test]
fn n1_an_address_in_disguise_is_no_host() {
    let disguised = [
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0X7F000001",
        "2130706433",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.1.1.1",
        "evil.0x7f",
        "evil.1",
        "0x",
        "[::1",
        "::1",
        "[::1%25eth0]",
        "[127.0.0.1]",
        "",
        ".",
        "a..b",
        "a b",
        "a/b",
        "user@host",
        "é.example",
    ];
    for text in disguised {
        assert_eq!(Host::parse(text), None, "{text}");
    }
    // Positive control: the same hosts in their plain spelling.
    assert_eq!(Host::parse("127.0.0.1"), Some(Host::Address(Ipv4Addr::LOCALHOST.into())));
    assert_eq!(Host::parse("[::1]"), Some(Host::Address(Ipv6Addr::LOCALHOST.into())));
    for name in
        ["localhost", "a.example", "a.example.", "xn--e1afmkfd.example", "1.2.3.example", "0x7f.example"]
    {
        assert_eq!(Host::parse(name), Some(Host::Name(name)));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_never_panics(text in ".{0,300}") {
        let _ = Host::parse(&text);
    }

    #[test]
    fn an_address_reads_back_as_itself(bits: u32, wide: u128) {
        let narrow = Ipv4Addr::from(bits);
        let text = narrow.to_string();
        prop_assert_eq!(Host::parse(&text), Some(Host::Address(narrow.into())));
        let wide = Ipv6Addr::from(wide);
        let text = format!("[{wide}]");
        prop_assert_eq!(Host::parse(&text), Some(Host::Address(wide.into())));
    }

    #[test]
    fn n1_no_name_is_an_address_for_the_standard_resolver_rules(text in "[0-9a-fA-Fx.]{1,20}") {
        // What is taken for a name must not consist of numbers in any of the spellings that inet_aton reads.
        if let Some(Host::Name(name)) = Host::parse(&text) {
            let number = |part: &str| {
                let digits = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
                part.bytes().all(|b| b.is_ascii_digit())
                    || digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            };
            prop_assert!(!name.trim_end_matches('.').split('.').all(number), "{}", name);
        }
    }
}
