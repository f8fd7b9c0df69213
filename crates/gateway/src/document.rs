//! Reading the OpenAPI document of a REST API, from a file or a URL that the operator named.

use anyhow::Context;
use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tollgate_egress::{Client, Limits, Policy};

use crate::config::Document;

/// How long reading it from a URL may take.
const READ_MS_MAX: u64 = 10_000;
/// One byte more than a document may have, so that a longer one is seen to be longer.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024 + 1;

/// A document as it lies there. It is read once: what is offered and priced does not change while the gateway runs.
///
/// # Errors
/// It cannot be read; the reason is a sentence for the operator.
pub async fn read(document: &Document) -> anyhow::Result<Bytes> {
    match document {
        Document::File(path) => {
            let file = tokio::fs::File::open(path).await;
            let file = file.with_context(|| format!("open the OpenAPI document {document}"))?;
            let mut bytes = Vec::new();
            let limit = u64::try_from(READ_BYTES_MAX).unwrap_or(u64::MAX);
            let read = file.take(limit).read_to_end(&mut bytes).await;
            read.with_context(|| format!("read the OpenAPI document {document}"))?;
            Ok(bytes.into())
        }
        Document::Url(url) => {
            let limits = Limits { timeout_ms_max: READ_MS_MAX, response_bytes_max: READ_BYTES_MAX };
            let client = Client::new(Policy::public().allow_url(url), limits);
            let accept = "application/json, application/yaml;q=0.9, */*;q=0.1";
            let request = http::Request::get(url.clone()).header("accept", accept).body(Bytes::new())?;
            let answer = client.send(request).await;
            let answer = answer.with_context(|| format!("fetch the OpenAPI document {document}"))?;
            anyhow::ensure!(answer.status().is_success(), "{document} answers with HTTP {}", answer.status());
            Ok(answer.into_body())
        }
    }
}
