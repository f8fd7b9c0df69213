//! Settings without their secrets. A reference to the environment is no secret: it says where one is.

use serde_json::Value;
use tollgate_egress::shown_url;

/// What is shown in place of a secret.
pub const MASK: &str = "***";
/// Words in the name of an argument whose value is a secret.
const SECRET_WORDS: [&str; 6] = ["key", "token", "secret", "password", "auth", "credential"];

/// Settings as they may be shown.
pub fn masked(settings: &Value) -> Value {
    let mut shown = settings.clone();
    let Some(members) = shown.as_object_mut() else { return shown };
    for server in
        members.get_mut("servers").and_then(Value::as_object_mut).into_iter().flat_map(|s| s.values_mut())
    {
        mask_server(server);
    }
    let headers = shown.pointer_mut("/telemetry/otlp/headers").and_then(Value::as_object_mut);
    headers.into_iter().flat_map(|headers| headers.values_mut()).for_each(mask);
    let places = [
        "/metrics/token",
        "/gate_api/key",
        "/payment/lightning/lnbits_invoice_key",
        "/payouts/lnbits_admin_key",
        "/database/url",
        "/escrow/mediation/secret",
    ];
    for place in places {
        mask_at(&mut shown, place);
    }
    let session_keys = members_of(&mut shown, "/federation/session_keys");
    session_keys.filter(|key| key.as_str() != Some("own")).for_each(mask);
    if let Some(Value::String(url)) = shown.pointer_mut("/telemetry/otlp/endpoint") {
        *url = shown_url(url);
    }
    // The URL of a node often carries its key.
    for place in ["/payment/x402/rpc_url", "/payment/lightning/lnbits_url", "/escrow/mediation/url"] {
        if let Some(Value::String(url)) = shown.pointer_mut(place) {
            *url = node_url(url);
        }
    }
    shown
}

fn mask_server(server: &mut Value) {
    mask_at(server, "/credential/value");
    for values in ["env", "headers"] {
        let values = server.get_mut(values).and_then(Value::as_object_mut);
        values.into_iter().flat_map(|values| values.values_mut()).for_each(mask);
    }
    for name in ["url", "openapi"] {
        if let Some(Value::String(url)) = server.get_mut(name) {
            *url = shown_url(url);
        }
    }
    let mut hides = false;
    for argument in server.get_mut("command").and_then(Value::as_array_mut).into_iter().flatten() {
        let Value::String(text) = argument else { continue };
        let is_named = text.starts_with('-') && {
            let name = text.split('=').next().unwrap_or_default().to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        };
        match (hides, is_named, text.split_once('=')) {
            (true, false, _) => mask(argument),
            (_, true, Some((name, value))) if !is_reference(value) => *text = format!("{name}={MASK}"),
            _ => {}
        }
        hides = is_named && !argument.as_str().unwrap_or_default().contains('=');
    }
}

fn mask_at(tree: &mut Value, place: &str) {
    if let Some(value) = tree.pointer_mut(place) {
        mask(value);
    }
}

fn members_of<'v>(tree: &'v mut Value, place: &str) -> impl Iterator<Item = &'v mut Value> {
    tree.pointer_mut(place).and_then(Value::as_array_mut).into_iter().flatten()
}

fn mask(value: &mut Value) {
    match value {
        Value::String(text) if is_reference(text) => {}
        Value::Null => {}
        _ => *value = Value::String(MASK.to_owned()),
    }
}

/// Whether a text is nothing but references to the environment, perhaps behind the name of a scheme.
fn is_reference(text: &str) -> bool {
    let mut rest =
        ["Bearer ", "Basic ", "Token "].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
    while let Some((name, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// Scheme and host alone.
fn node_url(url: &str) -> String {
    if is_reference(url) {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else { return MASK.to_owned() };
    match rest.split_once('/') {
        Some((host, path)) if !path.is_empty() => format!("{scheme}://{host}/{MASK}"),
        _ => shown_url(url),
    }
}

/// Whether what is shown in place of a secret stands where a value is meant.
pub fn is_masked(value: &Value) -> bool {
    match value {
        Value::String(text) => text.split(['/', '?', '=', '@']).any(|part| part == MASK),
        Value::Array(items) => items.iter().any(is_masked),
        Value::Object(members) => members.values().any(is_masked),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_secret_is_masked_and_where_one_is_stays_readable() {
        let shown = masked(&json!({
            "servers": { "a": {
                "url": "https://a.example/mcp?key=s3cret",
                "credential": { "header": "x-key", "value": "Bearer s3cret" },
                "tools": { "t": { "price": ["1sat"] } },
            }, "b": {
                "command": ["npx", "server", "--api-key", "s3cret", "--token=s3cret", "--port", "80"],
                "env": { "TOKEN": "s3cret", "OTHER": "${OTHER}" },
            }, "c": { "url": "https://c.example/mcp", "credential": { "value": "Bearer ${C_TOKEN}" } },
            "d": { "url": "https://d.example/s/s3cret-0b81f2c96a7d4e53/mcp" },
            "e": { "url": "https://e.example/mcp", "headers": { "x-key": "s3cret", "x-other": "${OTHER}" } } },
            "telemetry": { "otlp": { "endpoint": "https://o.example/otlp?key=s3cret" } },
            "metrics": { "token": "s3cret" },
            "gate_api": { "key": "s3cret" },
            "federation": { "session_keys": ["s3cret", "${OLDER}", "own"] },
            "payment": {
                "x402": { "rpc_url": "https://node.example/v2/s3cret", "pay_to": "0x1" },
                "lightning": { "lnbits_url": "https://ln.example", "lnbits_invoice_key": "s3cret" },
            },
        }));
        assert!(!shown.to_string().contains("s3cret"), "{shown}");
        let servers = &shown["servers"];
        assert_eq!(servers["a"]["tools"]["t"]["price"], json!(["1sat"]));
        assert_eq!(servers["a"]["url"], "https://a.example/mcp?***");
        assert_eq!(
            servers["b"]["command"],
            json!(["npx", "server", "--api-key", "***", "--token=***", "--port", "80"])
        );
        assert_eq!(servers["b"]["env"]["OTHER"], "${OTHER}");
        assert_eq!(
            servers["c"],
            json!({ "url": "https://c.example/mcp", "credential": { "value": "Bearer ${C_TOKEN}" } })
        );
        assert_eq!(shown["federation"]["session_keys"], json!(["***", "${OLDER}", "own"]));
        assert_eq!(shown["payment"]["lightning"]["lnbits_url"], "https://ln.example");
        assert_eq!(servers["d"]["url"], "https://d.example/s/***/mcp");
        assert_eq!(servers["e"]["headers"], json!({ "x-key": "***", "x-other": "${OTHER}" }));
        assert!(is_masked(&servers["a"]) && is_masked(&servers["b"]) && is_masked(&servers["d"]));
        assert!(!is_masked(&servers["c"]), "control: a reference can be sent back");
    }
}
