//! Every place in which a payment may arrive, behind one extractor.
//!
//! A request carries **one** payment or none. Several at once are refused, never "the first wins": what was verified
//! must be what is settled. Nothing is believed here; the rails read what is taken out.
//!
//! URL queries, cookies and tool arguments are no carriers.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::base64_text;
use crate::rail::Presented;

/// Request headers that may carry a payment, in lower case. All of them are taken off before a request goes upstream;
/// an `Authorization` line only when [`is_payment_authorization`] says so.
pub const PAYMENT_HEADERS: &[&str] =
    &["payment-signature", "x-payment", "macaroon", "grpc-metadata-macaroon"];

/// Keys of an MCP request's `_meta` that may carry a payment. All of them are taken off before a call goes upstream.
pub const PAYMENT_META_KEYS: &[&str] =
    &["x402/payment", "x402.payment", "l402/authorization", crate::mpp::CREDENTIAL_META_KEY];

/// The longest payment that is looked at, in bytes as carried.
const CARRIED_BYTES_MAX: usize = 32 * 1024;

/// Why the payment cannot be taken out of a request. The caller's turn; nothing was burned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// More than one payment; carries where each stood.
    #[error("a request carries one payment, this one carries {}: {}", .0.len(), .0.join(", "))]
    Several(Vec<&'static str>),
    /// What stands in a carrier cannot be read.
    #[error("the payment in {carrier} cannot be read: {reason}")]
    Unreadable {
        /// Where it stands.
        carrier: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An x402 payment of version 1.
    #[error(
        "the payment in {0} is of x402 version 1; this gateway accepts x402 version 2 (PAYMENT-SIGNATURE header or \
         _meta[\"x402/payment\"] with \"x402Version\": 2)"
    )]
    X402Version1(&'static str),
}

/// Takes the payment out of a request's headers and of its `_meta`. `meta` returns the raw JSON of a `_meta` member.
///
/// L402 macaroons in the headers `Macaroon` and `Grpc-Metadata-Macaroon` carry the preimage in a caveat that the client
/// added: they come out with an empty `preimage`, which the L402 rail then looks for.
///
/// # Errors
/// [`CarrierError`]: several payments, or one that cannot be read.
pub fn extract<'m>(
    headers: &HeaderMap,
    meta: impl Fn(&str) -> Option<&'m [u8]>,
) -> Result<Option<Presented>, CarrierError> {
    let mut found = Vec::new();
    for key in PAYMENT_META_KEYS {
        // An explicit null is what some clients send for "none".
        if let Some(json) = meta(key).map(<[u8]>::trim_ascii).filter(|json| *json != b"null") {
            found.push(Carried::Meta(key, json));
        }
    }
    for (name, value) in headers {
        if let Some(name) = PAYMENT_HEADERS.iter().find(|known| **known == name.as_str()) {
            found.push(Carried::Header(name, value.as_bytes()));
        }
    }
    for line in headers.get_all(AUTHORIZATION) {
        for credential in credentials(line.as_bytes()) {
            if let Some(scheme) = Scheme::of(credential) {
                found.push(Carried::Authorization(scheme, credential));
            }
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [one] => one.read().map(Some),
        several => Err(CarrierError::Several(several.iter().map(Carried::name).collect())),
    }
}

/// Whether the value of an `Authorization` header holds a payment (`L402`, `LSAT` or `Payment`), so that the line must
/// not go upstream.
pub fn is_payment_authorization(value: &[u8]) -> bool {
    credentials(value).any(|credential| Scheme::of(credential).is_some())
}

/// An authentication scheme that carries a payment.
#[derive(Clone, Copy)]
enum Scheme {
    L402,
    Payment,
}

impl Scheme {
    /// The scheme of one credential, when it is one of payment.
    fn of(credential: &[u8]) -> Option<Self> {
        let word = credential.split(u8::is_ascii_whitespace).next()?;
        if word.eq_ignore_ascii_case(b"L402") || word.eq_ignore_ascii_case(b"LSAT") {
            Some(Self::L402)
        } else if word.eq_ignore_ascii_case(b"Payment") {
            Some(Self::Payment)
        } else {
            None
        }
    }
}

/// Splits an `Authorization` value into its credentials. One line should hold one; some clients join several with
/// commas. A part without a scheme word of its own belongs to the credential before it: L402 tokens may hold commas.
fn credentials(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let mut commas = text.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(place, _)| place);
        let end = commas.find(|place| text.get(place.saturating_add(1)..).is_some_and(starts_with_scheme));
        let (credential, tail) = match end {
            Some(place) => (text.get(..place).unwrap_or_default(), text.get(place.saturating_add(1)..)),
            None => (text, None),
        };
        rest = tail;
        Some(credential.trim_ascii())
    })
}

/// Whether a part opens with a token, white space and something else: the shape of `scheme credentials`.
fn starts_with_scheme(part: &[u8]) -> bool {
    let part = part.trim_ascii();
    let token = part.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
    token > 0 && part.get(token).is_some_and(u8::is_ascii_whitespace)
}

/// One payment and where it stands.
enum Carried<'a> {
    Meta(&'static str, &'a [u8]),
    Header(&'static str, &'a [u8]),
    Authorization(Scheme, &'a [u8]),
}

impl Carried<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta("x402/payment", _) => "_meta[\"x402/payment\"]",
            Self::Meta("x402.payment", _) => "_meta[\"x402.payment\"]",
            Self::Meta("l402/authorization", _) => "_meta[\"l402/authorization\"]",
            Self::Meta(..) => "_meta[\"org.paymentauth/credential\"]",
            Self::Header("payment-signature", _) => "header PAYMENT-SIGNATURE",
            Self::Header("x-payment", _) => "header X-PAYMENT",
            Self::Header("macaroon", _) => "header Macaroon",
            Self::Header(..) => "header Grpc-Metadata-Macaroon",
            Self::Authorization(Scheme::L402, _) => "header Authorization: L402",
            Self::Authorization(Scheme::Payment, _) => "header Authorization: Payment",
        }
    }

    fn read(&self) -> Result<Presented, CarrierError> {
        let (Self::Meta(_, bytes) | Self::Header(_, bytes) | Self::Authorization(_, bytes)) = *self;
        self.parse(bytes).map_err(|reason| match reason {
            Unread::Reason(reason) => CarrierError::Unreadable { carrier: self.name(), reason },
            Unread::Version1 => CarrierError::X402Version1(self.name()),
        })
    }

    fn parse(&self, bytes: &[u8]) -> Result<Presented, Unread> {
        if bytes.len() > CARRIED_BYTES_MAX {
            return Err(Unread::Reason("longer than 32 KiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Unread::Reason("not text"))?.trim();
        match self {
            Self::Meta("l402/authorization", _) => l402(&json_text(text)?),
            Self::Meta(key, _) => {
                let json = if text.starts_with('{') { text.to_owned() } else { decoded(&json_text(text)?)? };
                if *key == crate::mpp::CREDENTIAL_META_KEY { Ok(Presented::Mpp(json)) } else { x402(json) }
            }
            Self::Header("payment-signature" | "x-payment", _) => x402(decoded(text)?),
            Self::Header(..) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Presented::L402 { token: text.to_owned(), preimage: String::new() })
            }
            Self::Header(..) => Err(Unread::Reason("not hexadecimal")),
            Self::Authorization(scheme, _) => {
                let credential =
                    text.split_once(char::is_whitespace).map_or("", |(_, credential)| credential.trim());
                match scheme {
                    Scheme::L402 => l402(credential),
                    Scheme::Payment => decoded(credential).map(Presented::Mpp),
                }
            }
        }
    }
}

/// Why one carrier's text is no payment.
enum Unread {
    Reason(&'static str),
    Version1,
}

/// An x402 payment of any version but 1; the rail reads the rest.
fn x402(json: String) -> Result<Presented, Unread> {
    #[derive(serde::Deserialize)]
    struct Version {
        #[serde(rename = "x402Version")]
        x402_version: Option<u64>,
    }
    let version: Version =
        serde_json::from_str(&json).map_err(|_| Unread::Reason("not an x402 payment in JSON"))?;
    match version.x402_version {
        Some(1) => Err(Unread::Version1),
        _ => Ok(Presented::X402(json)),
    }
}

/// `token:preimage`, with the scheme word before it or not.
fn l402(text: &str) -> Result<Presented, Unread> {
    let credential = match text.split_once(char::is_whitespace) {
        Some((scheme, credential)) if Scheme::of(scheme.as_bytes()).is_some() => credential.trim(),
        _ => text.trim(),
    };
    match credential.rsplit_once(':') {
        Some((token, preimage)) if !token.is_empty() && !preimage.is_empty() => {
            Ok(Presented::L402 { token: token.trim().to_owned(), preimage: preimage.trim().to_owned() })
        }
        _ => Err(Unread::Reason("not of the form macaroon:preimage")),
    }
}

/// The text of a JSON string.
fn json_text(json: &str) -> Result<Cow<'_, str>, Unread> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let text: Text<'_> =
        serde_json::from_str(json).map_err(|_| Unread::Reason("neither a JSON object nor a string"))?;
    Ok(text.0)
}

/// Base64, in whichever dialect, of something that opens like a JSON object.
fn decoded(text: &str) -> Result<String, Unread> {
    base64_text::decode_any(text.trim())
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|json| json.trim_start().starts_with('{'))
        .ok_or(Unread::Reason("not base64 of a JSON object"))
}

#[cfg(test)]
mod tests;
