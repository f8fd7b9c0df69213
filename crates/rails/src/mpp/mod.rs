//! MPP, the `Payment` HTTP authentication scheme (draft-ryan-httpauth-payment) and its MCP form
//! (draft-payment-transport-mcp): challenges, credentials and receipts, the same for every payment method.
//!
//! A challenge is **stateless**: its id is a MAC over everything it says, so a credential that echoes it can be checked
//! without a record of it. That an id is used once is not decided here: the method's proof (an EIP-3009 nonce, a payment
//! hash) is the unique key of the settlement row.

pub mod evm;
pub mod lightning;

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tollgate_domain::UnixMillis;

use crate::base64_text;
use crate::quote_seal::derived_mac;
use crate::rail::PaymentRefusal;

/// The key of the sealed text in a challenge's `opaque` map.
pub const OPAQUE_QUOTE_KEY: &str = "tollgateQuote";
/// Where a credential stands in the `_meta` of an MCP request.
pub const CREDENTIAL_META_KEY: &str = "org.paymentauth/credential";
/// Where a receipt stands in the `_meta` of an MCP result.
pub const RECEIPT_META_KEY: &str = "org.paymentauth/receipt";
/// Where challenges stand in the `_meta` of an unpaid MCP result.
pub const PAYMENT_REQUIRED_META_KEY: &str = "org.paymentauth/payment-required";
/// The longest credential that is parsed.
const CREDENTIAL_BYTES_MAX: usize = 32 * 1024;

/// One way to pay, as MPP says it: what the WWW-Authenticate line and the MCP object both carry.
#[derive(Clone, PartialEq, Debug)]
pub struct Challenge {
    id: String,
    realm: String,
    method: String,
    intent: String,
    /// The method's request, as native JSON. Over HTTP and in the id it is base64url of its canonical form (RFC 8785).
    request: Value,
    expires: Option<String>,
    digest: Option<String>,
    opaque: Option<String>,
}

/// What a caller sends back: the challenge it answers, and the method's proof.
#[derive(Clone, PartialEq)]
pub struct Credential {
    challenge: Challenge,
    source: Option<String>,
    payload: Map<String, Value>,
}

/// The realm cannot stand in a challenge: it is empty, longer than 255 bytes, or holds something other than visible ASCII
/// without `"`, `\` and `|`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no realm: expected 1 to 255 visible ASCII characters without quotes, backslashes and bars")]
pub struct RealmError(String);

/// Makes the challenges of one realm and recognises them again.
#[derive(Clone)]
pub struct Challenges {
    realm: Arc<str>,
    keyed: Hmac<Sha256>,
}

impl Challenges {
    /// The challenges of this realm (the gateway's public host name), with a key derived from the gateway's secret.
    ///
    /// # Errors
    /// [`RealmError`] when the realm cannot stand in a header.
    pub fn new(secret: &[u8; 32], realm: &str) -> Result<Self, RealmError> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'|');
        if realm.is_empty() || realm.len() > 255 || !realm.bytes().all(allowed) {
            return Err(RealmError(realm.chars().take(64).collect()));
        }
        Ok(Self { realm: realm.into(), keyed: derived_mac(secret, b"tollgate mpp challenge id v1") })
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// A challenge for `request`, good until `expires`. `seal` is the method's sealed text that binds the tool call; it
    /// travels in `opaque`, which the client must send back unchanged.
    pub fn challenge(
        &self,
        method: &str,
        intent: &str,
        request: Value,
        expires: UnixMillis,
        seal: &str,
    ) -> Challenge {
        let opaque = base64_text::encode_url(canonical(&json!({ OPAQUE_QUOTE_KEY: seal })).as_bytes());
        let mut challenge = Challenge {
            id: String::new(),
            realm: self.realm.to_string(),
            method: method.to_owned(),
            intent: intent.to_owned(),
            request,
            expires: Some(expires.to_string()),
            digest: None,
            opaque: Some(opaque),
        };
        challenge.id = self.id_of(&challenge);
        challenge
    }

    /// Whether the challenge that a credential echoes is one of this realm, unchanged. Its expiry stands in the sealed
    /// text, which the method opens.
    ///
    /// # Errors
    /// [`PaymentRefusal::WrongTarget`] for another realm, [`PaymentRefusal::Invalid`] when the id does not match.
    pub fn recognise(&self, credential: &Credential) -> Result<(), PaymentRefusal> {
        let challenge = &credential.challenge;
        if challenge.realm != *self.realm {
            return Err(PaymentRefusal::WrongTarget {
                presented: format!("realm {:?}", challenge.realm.chars().take(64).collect::<String>()),
                expected: format!("realm {:?}", self.realm),
            });
        }
        // A bar inside a slot could shift the slots behind it. None of ours holds one.
        let mut slots = [&challenge.method, &challenge.intent]
            .into_iter()
            .chain(&challenge.expires)
            .chain(&challenge.digest)
            .chain(&challenge.opaque);
        let expected = self.id_of(challenge);
        let same = bool::from(expected.as_bytes().ct_eq(challenge.id.as_bytes()));
        if slots.any(|slot| slot.contains('|')) || !same {
            return Err(PaymentRefusal::Invalid(
                "the challenge is not one of this gateway, or was changed".to_owned(),
            ));
        }
        Ok(())
    }

    /// `base64url(HMAC-SHA256(key, realm|method|intent|request|expires|digest|opaque))`, an absent slot being empty
    /// (draft-httpauth-payment, "Stateless Challenge Binding").
    fn id_of(&self, challenge: &Challenge) -> String {
        let absent = String::new();
        let slots = [
            &challenge.realm,
            &challenge.method,
            &challenge.intent,
            &challenge.request_text(),
            challenge.expires.as_ref().unwrap_or(&absent),
            challenge.digest.as_ref().unwrap_or(&absent),
            challenge.opaque.as_ref().unwrap_or(&absent),
        ];
        let mut mac = self.keyed.clone();
        for (place, slot) in slots.into_iter().enumerate() {
            if place > 0 {
                mac.update(b"|");
            }
            mac.update(slot.as_bytes());
        }
        base64_text::encode_url(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenges({}, [redacted])", self.realm)
    }
}

impl Challenge {
    /// The id: the MAC over everything else.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The payment method: `evm`, `lightning`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The intent: `charge`.
    pub fn intent(&self) -> &str {
        &self.intent
    }

    /// The method's request.
    pub fn request(&self) -> &Value {
        &self.request
    }

    /// The sealed text in `opaque`, when there is one.
    pub fn seal(&self) -> Option<String> {
        let bytes = base64_text::decode_any(self.opaque.as_deref()?)?;
        let map: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
        Some(map.get(OPAQUE_QUOTE_KEY)?.as_str()?.to_owned())
    }

    /// The value of a `WWW-Authenticate` header line.
    pub fn www_authenticate(&self) -> String {
        let mut line = String::from("Payment ");
        let request = self.request_text();
        let parameters = [
            ("id", Some(&self.id)),
            ("realm", Some(&self.realm)),
            ("method", Some(&self.method)),
            ("intent", Some(&self.intent)),
            ("request", Some(&request)),
            ("expires", self.expires.as_ref()),
            ("digest", self.digest.as_ref()),
            ("opaque", self.opaque.as_ref()),
        ];
        for (place, (name, value)) in
            parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).enumerate()
        {
            if place > 0 {
                line.push_str(", ");
            }
            line.push_str(name);
            line.push_str("=\"");
            // No value of ours holds a quote or a backslash; escaped all the same (RFC 9110, section 5.6.4).
            for character in value.chars() {
                if matches!(character, '"' | '\\') {
                    line.push('\\');
                }
                line.push(character);
            }
            line.push('"');
        }
        line
    }

    /// The challenge as a JSON object for MCP, `request` as native JSON.
    pub fn mcp_json(&self) -> String {
        let mut object = Map::new();
        object.insert("id".to_owned(), self.id.clone().into());
        object.insert("realm".to_owned(), self.realm.clone().into());
        object.insert("method".to_owned(), self.method.clone().into());
        object.insert("intent".to_owned(), self.intent.clone().into());
        object.insert("request".to_owned(), self.request.clone());
        for (name, value) in [("expires", &self.expires), ("digest", &self.digest), ("opaque", &self.opaque)]
        {
            if let Some(value) = value {
                object.insert(name.to_owned(), value.clone().into());
            }
        }
        Value::Object(object).to_string()
    }

    /// The request as base64url of its canonical JSON.
    fn request_text(&self) -> String {
        base64_text::encode_url(canonical(&self.request).as_bytes())
    }
}

impl Credential {
    /// Reads a credential from JSON. The challenge's `request` may be native JSON (MCP) or base64url text (HTTP), its
    /// `opaque` a text or the map itself (older clients); null is absent; unknown fields are ignored.
    ///
    /// # Errors
    /// [`PaymentRefusal::Unreadable`]: what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PaymentRefusal> {
        let refused = |reason: &str| PaymentRefusal::Unreadable(format!("MPP credential: {reason}"));
        if text.len() > CREDENTIAL_BYTES_MAX {
            return Err(refused("longer than 32 KiB"));
        }
        let mut credential: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| refused("not a JSON object"))?;
        let Some(Value::Object(mut challenge)) = credential.remove("challenge") else {
            return Err(refused("no challenge object"));
        };
        let Some(Value::Object(payload)) = credential.remove("payload") else {
            return Err(refused("no payload object"));
        };
        let mut required = |name: &'static str| match challenge.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(refused(&format!("challenge.{name} is no text"))),
        };
        let (id, realm, method, intent) =
            (required("id")?, required("realm")?, required("method")?, required("intent")?);
        let request = match challenge.remove("request") {
            Some(object @ Value::Object(_)) => object,
            Some(Value::String(text)) => base64_text::decode_any(&text)
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .filter(Value::is_object)
                .ok_or_else(|| refused("challenge.request is not base64url of a JSON object"))?,
            _ => return Err(refused("no challenge.request")),
        };
        let optional = |object: &mut Map<String, Value>, name: &'static str| match object.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(map @ Value::Object(_)) if name == "opaque" => {
                Ok(Some(base64_text::encode_url(canonical(&map).as_bytes())))
            }
            Some(_) => Err(refused(&format!("{name} is no text"))),
        };
        Ok(Self {
            challenge: Challenge {
                id,
                realm,
                method,
                intent,
                request,
                expires: optional(&mut challenge, "expires")?,
                digest: optional(&mut challenge, "digest")?,
                opaque: optional(&mut challenge, "opaque")?,
            },
            source: optional(&mut credential, "source")?,
            payload,
        })
    }

    /// The echoed challenge, not yet recognised: see [`Challenges::recognise`].
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Who pays, as the client says (a DID), when it says so.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// A text of the method's proof, when it is there.
    pub fn payload_text(&self, name: &str) -> Option<&str> {
        self.payload.get(name)?.as_str()
    }
}

impl fmt::Debug for Credential {
    /// A credential is a bearer secret until it is spent: never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({}, [redacted])", self.challenge.method.escape_debug())
    }
}

/// The method of a credential, without reading the rest of it: which rail a credential is for.
pub fn method_of(credential: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Outer {
        challenge: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        method: String,
    }
    serde_json::from_str::<Outer>(credential).ok().map(|outer| outer.challenge.method)
}

/// A receipt for a settled payment: JSON, for `_meta["org.paymentauth/receipt"]` as it is and for the header
/// `Payment-Receipt` through [`receipt_header`].
pub fn receipt(method: &str, timestamp: UnixMillis, reference: &str, challenge_id: &str) -> String {
    json!({
        "status": "success",
        "method": method,
        "timestamp": timestamp.to_string(),
        "reference": reference,
        "challengeId": challenge_id,
    })
    .to_string()
}

/// The value of the header `Payment-Receipt`: base64url of the receipt.
pub fn receipt_header(receipt: &str) -> String {
    base64_text::encode_url(receipt.as_bytes())
}

/// The canonical form of JSON (RFC 8785). Numbers that no double can hold have none; their plain form stands in, which
/// makes an id that no challenge of ours has.
fn canonical(value: &Value) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests;
