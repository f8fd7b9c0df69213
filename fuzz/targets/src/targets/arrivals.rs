//! The headers of a request, held against its body and against the hosts that the gateway answers for.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::Value;
use tollgate_gateway::proxies::{ForwardedIn, Network, TrustedProxies};
use tollgate_mcp::headers::{self, check_params, mirrored_params};
use tollgate_mcp::origin::{self, AllowedHosts};
use tollgate_mcp::{Era, Frame, Kind};

pub(crate) const WORDS: &[&str] = &[
    "host: localhost\n",
    "origin: http://localhost\n",
    "origin: https://shop.example:8443\n",
    "mcp-protocol-version: 2026-07-28\n",
    "mcp-method: tools/call\n",
    "mcp-name: t\n",
    "mcp-name: =?base64?dA==?=\n",
    "mcp-param-city: Oslo\n",
    "content-type: application/json; charset=utf-8\n",
    "x-forwarded-for: 203.0.113.7, 10.0.0.2\n",
    "forwarded: for=\"[fd00::1]:80\";proto=https\n",
    "[::1]",
    "127.0.0.1",
    "@",
    "\n\n",
    "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",",
    "\"io.modelcontextprotocol/clientCapabilities\":{}",
    "\"x-mcp-header\":\"city\"",
    "\"properties\":{\"city\":{\"type\":\"string\",",
    "\"arguments\":{\"city\":\"Oslo\"}",
];

/// Header lines, an empty line, a message, an empty line, the schema of its tool. Whoever passes says the same in both places, and
/// named a host of ours to every reader of URLs.
pub(crate) fn headers(input: &[u8]) {
    let mut parts = Parts(input);
    let (headers, body, schema) = (header_map(parts.take()), parts.take(), parts.take());
    hosts(&headers);
    proxies(&headers);
    let Ok(frame) = Frame::parse(Bytes::copy_from_slice(body)) else { return };
    let Ok(era) = headers::check(&headers, &frame) else { return };
    if era == Era::Modern && frame.kind() == Kind::Request {
        assert_eq!(one(&headers, "mcp-method").as_deref(), frame.method(), "another method");
        let source = frame.method().and_then(headers::name_source);
        let named = source.and_then(|source| frame.param(source)).and_then(text);
        if let Some(named) = named {
            let shown = one(&headers, "mcp-name").unwrap_or_default();
            assert!(shown == named || is_base64_of(&shown, &named), "{shown:?} for {named:?}");
        }
    }
    let (Some(call), Ok(mirrored)) = (frame.tool_call(), mirrored_params(schema)) else { return };
    if check_params(&headers, &call.arguments, &mirrored).is_err() {
        return;
    }
    // A number past the range of a float is nothing that `serde_json` can hand over.
    let Ok(arguments) = serde_json::from_slice::<Value>(&call.arguments) else { return };
    for parameter in &mirrored {
        let step = |value: &Value, name: &String| value.as_object()?.get(name).cloned();
        let argument = parameter.path().iter().try_fold(arguments.clone(), |value, name| step(&value, name));
        let argument = argument.filter(|argument| !argument.is_null());
        let shown = one(&headers, parameter.header().as_str());
        assert_eq!(argument.is_some(), shown.is_some(), "{argument:?} and {shown:?}: one of them is alone");
        if let (Some(Value::String(argument)), Some(shown)) = (argument, shown) {
            assert!(shown == argument || is_base64_of(&shown, &argument), "{shown:?} for {argument:?}");
        }
    }
}

/// `text` is shown in its base64 form.
fn is_base64_of(shown: &str, text: &str) -> bool {
    let inner = shown.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    inner.and_then(|inner| BASE64_STANDARD.decode(inner).ok()).is_some_and(|bytes| bytes == text.as_bytes())
}

fn hosts(headers: &HeaderMap) {
    let Ok(named) = AllowedHosts::new(["shop.example:8443"]) else { return };
    if origin::check(headers, &AllowedHosts::loopback().and(named)).is_err() {
        return;
    }
    let host = one(headers, HOST.as_str()).unwrap_or_default();
    let mut urls = vec![format!("http://{host}/")];
    urls.extend(one(headers, ORIGIN.as_str()));
    for url in urls {
        let Ok(read) = url.parse::<Uri>() else { continue };
        let host = read.host().unwrap_or_default().to_ascii_lowercase();
        let is_ours = ["localhost", "127.0.0.1", "[::1]"].contains(&&*host)
            || (host == "shop.example" && read.port_u16() == Some(8443));
        assert!(is_ours, "{url:?} is {host:?} to another reader");
    }
}

/// What a client wrote before its proxy did makes it nobody else.
fn proxies(headers: &HeaderMap) {
    let networks: Vec<Network> =
        ["10.0.0.0/8", "fd00::/8"].iter().filter_map(|text| text.parse().ok()).collect();
    for form in [ForwardedIn::XForwardedFor, ForwardedIn::Forwarded] {
        let proxies = TrustedProxies::new(networks.clone(), form);
        let (near, far) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        assert_eq!(proxies.client(far, headers), far, "whoever is no proxy says who it is");
        let client = proxies.client(near, headers);
        for (name, forged) in [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")] {
            let said: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
            let mut headers = headers.clone();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(forged));
            for value in said {
                headers.append(HeaderName::from_static(name), value);
            }
            let ours = matches!(client, IpAddr::V4(address) if address.octets().starts_with(&[10]))
                || matches!(client, IpAddr::V6(address) if address.octets().starts_with(&[0xfd]));
            assert!(ours || proxies.client(near, &headers) == client, "a forged line made it another");
        }
    }
}

fn header_map(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn one(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.to_owned();
    assert!(values.next().is_none(), "{name} stands twice, and passed");
    Some(value)
}

fn text(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(raw).ok()
}

/// Parts between empty lines.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take(&mut self) -> &'a [u8] {
        let end = self.0.windows(2).position(|pair| pair == b"\n\n").unwrap_or(self.0.len());
        let (part, rest) = self.0.split_at(end);
        self.0 = rest.get(2..).unwrap_or_default();
        part
    }
}
