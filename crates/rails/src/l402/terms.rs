//! What a Lightning payment was quoted for, and how that is written into a credential.
//!
//! The same five terms stand in a macaroon's caveats ([`super::caveats`]) and in the `opaque` map of an MPP challenge
//! ([`crate::mpp::lightning`]), each in one canonical text form.

use tollgate_domain::{Amount, AssetId, Digest, Principal, ToolRef, UnixMillis};

/// The sealed quote inside a credential: what was promised to its holder when the invoice was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The tool, in the form of [`tool_text`].
    pub(crate) tool: String,
    /// The digest of its canonical arguments.
    pub(crate) args: Digest,
    /// What it costs.
    pub(crate) price: PriceTerm,
    /// Until when, in Unix seconds: the first second in which it is no longer accepted.
    pub(crate) valid_until: u64,
    /// Who alone may use it; `None`: whoever holds it.
    pub(crate) caller: Option<Principal>,
}

/// A price as sealed: `version:amount:asset id`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PriceTerm {
    pub(crate) version: u32,
    pub(crate) amount: Amount,
    pub(crate) asset: AssetId,
}

impl Terms {
    /// The moment from which it is no longer accepted.
    pub(crate) fn expires(&self) -> UnixMillis {
        UnixMillis::from_secs(self.valid_until)
    }
}

impl PriceTerm {
    pub(crate) fn to_text(&self) -> String {
        format!("{}:{}:{}", self.version, self.amount, self.asset)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let version = parts.next()?.parse::<Amount>().ok()?;
        let amount = parts.next()?.parse().ok()?;
        let asset = parts.next()?.parse().ok()?;
        Some(Self { version: u32::try_from(version.get()).ok()?, amount, asset })
    }
}

/// Unix seconds in decimal digits, without a sign or leading zeros.
pub(crate) fn parse_seconds(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Amount>().ok()?.get()).ok()
}

/// `server/tool` in visible ASCII: a tool name may hold any character, a caveat may not, so everything outside visible
/// ASCII, and `%` itself, is percent-encoded (RFC 3986, section 2.1). Ordinary names stay as they are.
pub(crate) fn tool_text(tool: &ToolRef) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).map_or('0', |byte| char::from(*byte));
    let mut text = String::with_capacity(
        tool.server.as_str().len().saturating_add(tool.tool.as_str().len()).saturating_add(1),
    );
    text.push_str(tool.server.as_str());
    text.push('/');
    for byte in tool.tool.as_str().bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0x0f));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tool(server: &str, tool: &str) -> ToolRef {
        ToolRef { server: server.parse().unwrap(), tool: tool.parse().unwrap() }
    }

    #[test]
    fn ordinary_tool_names_stay_as_they_are_and_others_become_ascii() {
        for (name, text) in [
            ("weather", "demo/weather"),
            ("a/b=c:d", "demo/a/b=c:d"),
            (" padded ", "demo/%20padded%20"),
            ("100%", "demo/100%25"),
            ("wetter-für", "demo/wetter-f%C3%BCr"),
        ] {
            assert_eq!(tool_text(&tool("demo", name)), text);
        }
    }

    #[test]
    fn a_price_has_one_spelling() {
        let text = "3:10000:lightning:regtest/msat";
        assert_eq!(PriceTerm::parse(text).unwrap().to_text(), text);
        for wrong in [
            "",
            "3:10000",
            "+3:10000:lightning:regtest/msat",
            "03:10000:lightning:regtest/msat",
            "3:1e4:lightning:regtest/msat",
            "3:-1:lightning:regtest/msat",
            "3:0.1:lightning:regtest/msat",
            "4294967296:1:lightning:regtest/msat",
            "3:10000:sat",
            "3:340282366920938463463374607431768211456:lightning:regtest/msat",
        ] {
            assert_eq!(PriceTerm::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn two_tools_never_share_a_text(a in "[ -~äß%/]{1,12}", b in "[ -~äß%/]{1,12}") {
            let (left, right) = (tool("demo", &a), tool("demo", &b));
            prop_assert_eq!(tool_text(&left) == tool_text(&right), a == b);
            prop_assert!(tool_text(&left).bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
