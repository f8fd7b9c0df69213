//! `tollgate keys`: API keys and admin keys. Works beside a running gateway.

use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::json;
use tollgate_domain::{AdminKeyId, KeyId, Labels, UnixMillis};
use tollgate_store::{AdminKeyRecord, AuditRecord, ControlStore, NewKey};
use tollgate_trust::{AdminKey, ApiKey};

use super::books::{open, open_or_make};
use super::{DataArgs, KeysCommand, Out};
use crate::clock;
use crate::data::DataDirectory;

pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Create { name, admin: false, label, data } => create(name, &label, &data).await?,
        KeysCommand::Create { name, admin: true, data, .. } => create_admin(name, &data).await?,
        KeysCommand::Revoke { key, data } => revoke(&key, &data).await?,
        KeysCommand::List(data) => list(&data).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(name: String, labels: &[String], data: &DataArgs) -> anyhow::Result<()> {
    let labels = Labels::new(labels.iter().map(String::as_str))?;
    let is_new = !data.data.exists();
    DataDirectory::open(&data.data)?;
    let store = open_or_make(data).await?;
    let secret = ApiKey::from_random(clock::random()?);
    let now = clock::now();
    let id = KeyId::new(now, clock::random()?);
    let new = NewKey { id, name, hash: secret.hash(), tier: Default::default(), labels, now };
    store.create_key(new).await?;
    show(data, &id.to_string(), secret.expose());
    say_if_made(data, is_new);
    Ok(())
}

async fn create_admin(name: String, data: &DataArgs) -> anyhow::Result<()> {
    let is_new = !data.data.exists();
    let store = ControlStore::open_shared(&data.data)?;
    let secret = AdminKey::from_random(clock::random()?);
    let created = clock::now();
    let id = AdminKeyId::new(created, clock::random()?);
    let record = told("create_admin_key", id, &json!({ "name": name }));
    let new = AdminKeyRecord { id, name, hash: secret.hash(), created, revoked: None };
    store.create_admin_key(new, record).await?;
    show(data, &id.to_string(), secret.expose());
    say_if_made(data, is_new);
    Ok(())
}

/// A change of keys in the audit: whoever has the data directory made it.
pub(super) fn told(what: &str, id: AdminKeyId, after: &serde_json::Value) -> AuditRecord {
    AuditRecord {
        at: clock::now(),
        admin: None,
        what: what.to_owned(),
        target: id.to_string(),
        before: "null".to_owned(),
        after: after.to_string(),
    }
}

fn show(data: &DataArgs, id: &str, secret: &str) {
    if data.json {
        Out::line(&json!({ "id": id, "secret": secret }).to_string());
    } else {
        Out::line(secret);
        Out::note(&format!("{id}: send it as `Authorization: Bearer …`. It is not shown again."));
    }
}

/// A first key may be made before the first start. Where a gateway runs already, its data directory was named wrong.
fn say_if_made(data: &DataArgs, is_new: bool) {
    if is_new {
        let made = data.data.display();
        Out::note(&format!(
            "{made} is a new data directory: a gateway with another one does not know this key"
        ));
    }
}

/// How a key is named.
const NAMED: &str = "a key is named by its id, key_1… or adm_1…; see `tollgate keys list`";

async fn revoke(key: &str, data: &DataArgs) -> anyhow::Result<()> {
    let is_known = if let Ok(id) = key.parse::<AdminKeyId>() {
        let store = control(data)?;
        store.revoke_admin_key(id, told("revoke_admin_key", id, &json!({ "revoked": true }))).await?
    } else {
        open(data).await?.revoke_key(key.parse::<KeyId>().context(NAMED)?, clock::now()).await?.is_some()
    };
    if !is_known {
        bail!("no key has the id {key}; see `tollgate keys list`");
    }
    Out::line(&format!("revoked {key}"));
    Ok(())
}

fn control(data: &DataArgs) -> anyhow::Result<ControlStore> {
    if !data.data.is_dir() {
        bail!("{} is no data directory; name it with --data, or start a gateway first", data.data.display());
    }
    Ok(ControlStore::open_shared(&data.data)?)
}

async fn list(data: &DataArgs) -> anyhow::Result<()> {
    for key in open_or_make(data).await?.keys().await? {
        let labels = Shown { kind: "api", labels: Some(&key.labels) };
        show_one(data, &key.id.to_string(), labels, &key.name, key.created, key.revoked);
    }
    for key in control(data)?.admin_keys().await? {
        let kind = Shown { kind: "admin", labels: None };
        show_one(data, &key.id.to_string(), kind, &key.name, key.created, key.revoked);
    }
    Ok(())
}

/// What kind of key it is, and its labels where such keys have any.
struct Shown<'a> {
    kind: &'static str,
    labels: Option<&'a Labels>,
}

fn show_one(
    data: &DataArgs,
    id: &str,
    Shown { kind, labels }: Shown<'_>,
    name: &str,
    created: UnixMillis,
    revoked: Option<UnixMillis>,
) {
    let state = if revoked.is_some() { "revoked" } else { "valid" };
    Out::line(&if data.json {
        let mut key = serde_json::Map::new();
        for (member, text) in [("id", id), ("kind", kind), ("name", name), ("state", state)] {
            key.insert(member.to_owned(), json!(text));
        }
        key.insert("created".to_owned(), json!(created.to_string()));
        if let Some(labels) = labels {
            key.insert("labels".to_owned(), json!(labels));
        }
        json!(key).to_string()
    } else {
        let labels = labels.filter(|labels| !labels.is_empty()).map(|labels| format!("  [{labels}]"));
        format!("{id}  {kind:<5}  {state:<8} {created}  {name}{}", labels.unwrap_or_default())
    });
}
