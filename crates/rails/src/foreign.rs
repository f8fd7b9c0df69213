//! Recognising somebody else's demand to pay: what a client of x402, L402 or MPP would take for one.
//!
//! A server behind the gateway must not be able to say "pay me" in the gateway's place. What is looked for is deliberately more
//! than any one client reads: names of members wherever they stand, under any number of JSON escapes and in any case. What such
//! a demand says is never read here.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName};

use crate::l402::www_authenticate::challenges;

#[cfg(test)]
mod tests;

/// Response headers that ask for a payment or confirm one, in lower case.
const HEADERS: [&str; 6] = [
    "payment-required",
    "payment-response",
    "x-payment-response",
    "payment-receipt",
    "extension-responses",
    "settlement-overrides",
];

/// Authentication schemes that are paid for.
const SCHEMES: [&str; 4] = ["l402", "lsat", "payment", "x402"];

/// How deep JSON may stand in strings of JSON before a client would have to be written for just that.
const LEVELS_MAX: usize = 8;

/// Whether an error of a tool (its raw `result`, or the raw JSON-RPC `error`) would be taken for a demand to pay by a client
/// that knows how to.
pub fn is_demand(raw: &[u8]) -> bool {
    let text = spelled_out(&String::from_utf8_lossy(raw));
    let says = |names: &[&str]| names.iter().any(|name| has_member(&text, name));
    let x402 = says(&["x402version"]) && says(&["accepts"]);
    let token = says(&["macaroon"]) || (says(&["token"]) && (text.contains("l402") || text.contains("lsat")));
    let l402 = token && says(&["invoice", "payment_request", "paymentrequest", "bolt11"]);
    let challenge = says(&["challenges"]) || text.contains("payment id");
    let mpp = challenge && says(&["request"]) && says(&["intent", "realm"]) && says(&["method"]);
    x402 || l402 || mpp
}

/// Takes away every header of a response that asks for a payment or confirms one. Returns whether there was one.
pub fn strip_headers(headers: &mut HeaderMap) -> bool {
    // Most responses have none: one walk over their few headers is cheaper than a look-up for each name.
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| HEADERS.contains(&name.as_str())).cloned().collect();
    for name in &names {
        headers.remove(name);
    }
    let mut found = !names.is_empty();
    let is_paid_for = |value: &http::HeaderValue| {
        value.to_str().map_or(true, |text| asks_for_payment(&text.to_lowercase()))
    };
    if headers.get_all(WWW_AUTHENTICATE).iter().any(is_paid_for) {
        let kept: Vec<_> =
            headers.get_all(WWW_AUTHENTICATE).iter().filter(|value| !is_paid_for(value)).cloned().collect();
        headers.remove(WWW_AUTHENTICATE);
        for value in kept {
            headers.append(WWW_AUTHENTICATE, value);
        }
        found = true;
    }
    found
}

/// Whether a lower-case `WWW-Authenticate` value holds a challenge that is paid for; one value may hold several challenges.
fn asks_for_payment(value: &str) -> bool {
    let behind_comma = value.split(',').any(|part| {
        let scheme = part.trim_start().split([' ', '\t']).next().unwrap_or_default();
        SCHEMES.contains(&scheme)
    });
    // Readers who are glad of anything, ours among them, need no comma before a challenge.
    behind_comma || challenges(value).iter().any(|challenge| SCHEMES.contains(&&*challenge.scheme))
}

/// Whether `name` stands somewhere as the name of a member or parameter: not inside another word, and before `:` or `=`.
fn has_member(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at.saturating_add(name.len())..).unwrap_or_default();
        let after = after.trim_start_matches(|character: char| {
            character.is_whitespace() || ['\\', '"', '\'', '`'].contains(&character)
        });
        before.is_none_or(|character| !character.is_alphanumeric() && character != '_')
            && after.starts_with([':', '='])
    })
}

/// `text` in lower case, with every `\uXXXX` written out, however many backslashes stand before it.
fn spelled_out(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..LEVELS_MAX {
        match unescaped(&text) {
            Some(next) => text = next,
            None => break,
        }
    }
    // Some readers fold these two onto ASCII when they ignore case; the other one, K of Kelvin, becomes a small k as it is.
    text.to_lowercase().replace('\u{17f}', "s")
}

/// One level of escapes written out; `None` where there is none.
fn unescaped(text: &str) -> Option<String> {
    text.find("\\u")?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find('\\') {
        let (plain, from) = rest.split_at(at);
        out.push_str(plain);
        let behind = from.trim_start_matches('\\');
        let code = behind.strip_prefix('u').and_then(|hex| hex.get(..4));
        match code.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
            Some(code) => {
                // A half of a pair spells no name that is looked for.
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = behind.get(5..).unwrap_or_default();
                changed = true;
            }
            None => {
                out.push('\\');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    changed.then_some(out)
}
