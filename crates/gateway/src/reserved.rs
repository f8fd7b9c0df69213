//! The gateway's own words in `_meta`.

/// Keys by which a client knows a gateway's own word: a server behind the gateway cannot say them, in no spelling that a
/// careless reader could take for ours.
pub(crate) fn is_reserved(key: &str) -> bool {
    let key = key.to_lowercase();
    ["tollgate/", "x402/", "x402.", "l402/", "org.paymentauth/", "agents-x402/"]
        .iter()
        .any(|own| key.starts_with(own))
}
