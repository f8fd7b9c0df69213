//! The holder of an API key at the doors for such: who it is, what it asks, and what it is told.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tollgate_testkit::http::{HttpError, send};

use crate::paid_calls::api_key;
use crate::world::{Gateway, soon};

/// An API key, and the gateway at which it is shown.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) id: String,
    secret: Option<String>,
    url: String,
    pub(crate) folder: PathBuf,
}

/// What a holder was told.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Told {
    /// What it asked for was done.
    #[track_caller]
    pub(crate) fn done(self) -> Value {
        assert!(self.status == 200 || self.status == 201, "{} {}", self.status, self.body);
        self.body
    }

    /// It was not.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, &self.body["error"]["code"]), (status, &json!(code)), "{}", self.body);
    }
}

impl Holder {
    /// A new key.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self::of(gateway, api_key(gateway))
    }

    /// The holder of this key: its id and its secret.
    pub(crate) fn of(gateway: &Gateway, (id, secret): (String, String)) -> Self {
        Self { id, secret: Some(secret), url: gateway.url.clone(), folder: gateway.folder.clone() }
    }

    /// The same at another gateway.
    #[cfg(feature = "postgres")]
    pub(crate) fn at(&self, gateway: &Gateway) -> Self {
        Self { url: gateway.url.clone(), folder: gateway.folder.clone(), ..self.clone() }
    }

    /// The same without a key.
    pub(crate) fn anonymous(&self) -> Self {
        Self { secret: None, ..self.clone() }
    }

    /// How it calls tools.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.secret.as_deref().unwrap_or_default())
    }

    /// Asks at a path; `null` is no body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Told {
        self.try_send(method, path, body, headers).await.unwrap()
    }

    /// The same where there may be no answer.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Result<Told, HttpError> {
        let bearer = self.secret.as_ref().map(|_| self.bearer());
        let mut all = vec![("content-type", "application/json")];
        all.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        all.extend(headers);
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let answer = send(method, &format!("{}{path}", self.url), &all, body).await?;
        Ok(Told { status: answer.status.as_u16(), body: answer.json().unwrap_or_default() })
    }

    pub(crate) async fn get(&self, path: &str) -> Told {
        self.send(Method::GET, path, &Value::Null, &[]).await
    }

    /// Asks at a path until it is answered: a running gateway learns of a new key within a moment.
    pub(crate) async fn until_known(&self, path: &str) {
        soon(async {
            while self.get(path).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}
