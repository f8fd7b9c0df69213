//! What the command line asks of a running gateway, for what that gateway alone can do.

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{Method, Request};
use serde_json::{Value, json};
use tollgate_domain::AdminKeyId;
use tollgate_egress::{Client, Limits, Policy};
use tollgate_store::{AdminKeyRecord, ControlStore};
use tollgate_trust::AdminKey;

use super::DataArgs;
use super::keys::told;
use crate::clock;

/// A gateway that compares its books waits for its node and its wallet, each in its own time, before it answers; and it may have much
/// to tell.
const ANSWER_MS_MAX: u64 = 120_000;
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A running gateway.
#[derive(Debug, Args)]
pub(crate) struct RunningGateway {
    /// The running gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3100")]
    url: String,
}

/// What is asked at its admin API.
pub(crate) struct Asked<'a> {
    /// The command: it is the name of the admin key.
    pub(crate) command: &'a str,
    /// What the command is for, as the audit tells it.
    pub(crate) of: Value,
    /// The path, from `/admin/v1/` on.
    pub(crate) path: &'a str,
    /// `None`: it is read.
    pub(crate) body: Option<Value>,
}

impl RunningGateway {
    /// Asks with an admin key that lives as long as the request: whoever has the data directory may make admin keys.
    ///
    /// # Errors
    /// When there is no data directory, or no gateway answers. What the gateway refuses is its answer: `false`, and its error.
    pub(crate) async fn ask(&self, data: &DataArgs, asked: Asked<'_>) -> anyhow::Result<(bool, Value)> {
        if !data.data.is_dir() {
            bail!("{} is no data directory; name it with --data", data.data.display());
        }
        let control = ControlStore::open_shared(&data.data)?;
        let secret = AdminKey::from_random(clock::random()?);
        let created = clock::now();
        let id = AdminKeyId::new(created, clock::random()?);
        let name = asked.command.to_owned();
        let made = told("create_admin_key", id, &json!({ "name": name, "for": asked.of }));
        let new = AdminKeyRecord { id, name, hash: secret.hash(), created, revoked: None };
        control.create_admin_key(new, made).await?;
        let answer = self.send(&asked, secret.expose()).await;
        control.revoke_admin_key(id, told("revoke_admin_key", id, &json!({ "revoked": true }))).await?;
        answer
    }

    async fn send(&self, asked: &Asked<'_>, secret: &str) -> anyhow::Result<(bool, Value)> {
        let url: http::Uri = format!("{}/admin/v1/{}", self.url.trim_end_matches('/'), asked.path).parse()?;
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
        // The operator named it.
        let policy = Policy::public().allow_endpoint(url.host().unwrap_or_default(), port);
        let method = if asked.body.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("authorization", format!("Bearer {secret}"))
            .header("content-type", "application/json")
            .body(Bytes::from(asked.body.as_ref().map(Value::to_string).unwrap_or_default()))?;
        let limits = Limits { timeout_ms_max: ANSWER_MS_MAX, response_bytes_max: ANSWER_BYTES_MAX };
        let answer = Client::new(policy, limits).send(request).await.with_context(|| {
            let shown = tollgate_egress::shown_url(&self.url);
            format!("ask the gateway at {shown}: it has to be running; name it with --url")
        })?;
        let is_done = answer.status().is_success();
        Ok((is_done, serde_json::from_slice(answer.body()).unwrap_or_default()))
    }
}
