//! `tollgate keys`: API keys and admin keys. Works beside a running gateway.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;
use tollgate_domain::{AdminKeyId, KeyId, UnixMillis};
use tollgate_store::{AdminKeyRecord, AuditRecord, ControlStore, NewKey};
use tollgate_trust::{AdminKey, ApiKey};

use super::books::open;
use super::{DataArgs, KeysCommand, Out};
use crate::clock;

pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Create { name, admin: false, data } => create(name, &data).await?,
        KeysCommand::Create { name, admin: true, data } => create_admin(name, &data).await?,
        KeysCommand::Revoke { key, data } => revoke(&key, &data).await?,
        KeysCommand::List(data) => list(&data).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(name: String, data: &DataArgs) -> anyhow::Result<()> {
    std::fs::create_dir_all(&data.data)?;
    let store = open(data).await?;
    let secret = ApiKey::from_random(clock::random()?);
    let now = clock::now();
    let id = KeyId::new(now, clock::random()?);
    store.create_key(NewKey { id, name, hash: secret.hash(), tier: Default::default(), now }).await?;
    show(data, &id.to_string(), secret.expose());
    Ok(())
}

async fn create_admin(name: String, data: &DataArgs) -> anyhow::Result<()> {
    let store = ControlStore::open_shared(&data.data)?;
    let secret = AdminKey::from_random(clock::random()?);
    let created = clock::now();
    let id = AdminKeyId::new(created, clock::random()?);
    let record = told("create_admin_key", id, &json!({ "name": name }));
    let new = AdminKeyRecord { id, name, hash: secret.hash(), created, revoked: None };
    store.create_admin_key(new, record).await?;
    show(data, &id.to_string(), secret.expose());
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

async fn revoke(key: &str, data: &DataArgs) -> anyhow::Result<()> {
    let is_known = if let Ok(id) = key.parse::<AdminKeyId>() {
        let store = control(data)?;
        store.revoke_admin_key(id, told("revoke_admin_key", id, &json!({ "revoked": true }))).await?
    } else {
        open(data).await?.revoke_key(key.parse::<KeyId>()?, clock::now()).await?.is_some()
    };
    if !is_known {
        bail!("no key has the id {key}");
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
    for key in open(data).await?.keys().await? {
        show_one(data, &key.id.to_string(), "api", &key.name, key.created, key.revoked);
    }
    for key in control(data)?.admin_keys().await? {
        show_one(data, &key.id.to_string(), "admin", &key.name, key.created, key.revoked);
    }
    Ok(())
}

fn show_one(
    data: &DataArgs,
    id: &str,
    kind: &str,
    name: &str,
    created: UnixMillis,
    revoked: Option<UnixMillis>,
) {
    let state = if revoked.is_some() { "revoked" } else { "valid" };
    Out::line(&if data.json {
        json!({ "id": id, "kind": kind, "name": name, "state": state, "created": created.to_string() })
            .to_string()
    } else {
        format!("{id}  {kind:<5}  {state:<8} {created}  {name}")
    });
}
