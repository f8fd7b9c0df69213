//! An HTTP answer as it is kept for repeated payments, and as a receipt's digest of the result is made of it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use tollgate_risk::Room;
use tollgate_risk::room::Share;

use super::Body;

/// Headers that belong to one connection or one moment. Cookies are not kept: they are secrets of a session.
const NOT_KEPT: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::DATE,
    header::SET_COOKIE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// `{"status":200,"headers":[["content-type","text/plain"]],"body":"…"}`; a body that is no UTF-8 stands in `body_base64`.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// An answer in the form in which it is kept.
pub(super) fn written(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Bytes {
    let kept_headers = headers
        .iter()
        .filter(|(name, _)| !NOT_KEPT.contains(name))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let text = std::str::from_utf8(body).ok();
    let kept = Kept {
        status: status.as_u16(),
        headers: kept_headers.collect(),
        body: text.map(str::to_owned),
        body_base64: text.is_none().then(|| STANDARD.encode(body)),
    };
    // A struct of texts and numbers has a JSON form.
    serde_json::to_vec(&kept).unwrap_or_default().into()
}

/// The answer that was kept; `None` where it is none of ours. It was paid for, so it is not refused for want of room.
pub(super) fn read(kept: &[u8], room: &Arc<Room>) -> Option<Response<Body>> {
    let kept: Kept = serde_json::from_slice(kept).ok()?;
    let body: Bytes = match (kept.body, kept.body_base64) {
        (Some(text), None) => text.into(),
        (None, Some(text)) => STANDARD.decode(text).ok()?.into(),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    let mut response = Response::new(Body::from(Share::promised(room, body.len()).keep(body)));
    *response.status_mut() = StatusCode::from_u16(kept.status).ok()?;
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_read_back_byte_for_byte() {
        for body in [&b"plain \"text\"\n"[..], &[0xff, 0x00, 0x80], b""] {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static("text/plain"));
            headers.append("link", HeaderValue::from_static("</a>"));
            headers.append("link", HeaderValue::from_static("</b>"));
            headers.insert("set-cookie", HeaderValue::from_static("session=secret"));
            let kept = written(StatusCode::CREATED, &headers, body);
            assert!(!String::from_utf8_lossy(&kept).contains("secret"));
            let response = read(&kept, &Room::new(0)).unwrap();
            assert_eq!(response.status(), StatusCode::CREATED);
            assert_eq!(response.headers()["content-type"], "text/plain");
            assert_eq!(response.headers().get_all("link").iter().count(), 2);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
        }
        assert!(read(b"{\"content\":[]}", &Room::new(0)).is_none(), "a tool's result is no HTTP answer");
    }
}
