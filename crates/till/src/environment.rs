//! The environment and the `.env` file of the working folder, read once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Names and values, those of the process before those of `.env`.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl std::fmt::Debug for Environment {
    /// Values may be secrets: names only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Names that the replaced products use, and where their value belongs in our configuration.
const COMPATIBLE: &[(&str, &[&str])] = &[
    ("NETWORK", &["payment", "x402", "network"]),
    ("RPC_URL", &["payment", "x402", "rpc_url"]),
    ("PAYMENT_TOKEN", &["payment", "x402", "asset", "symbol"]),
    ("PAYMENT_TOKEN_ADDRESS", &["payment", "x402", "asset", "address"]),
    ("PAY_TO", &["payment", "x402", "pay_to"]),
    ("LNBITS_URL", &["payment", "lightning", "lnbits_url"]),
    ("LNBITS_INVOICE_KEY", &["payment", "lightning", "lnbits_invoice_key"]),
];

impl Environment {
    /// The environment of this process and the `.env` file in `folder`, if there is one.
    ///
    /// # Errors
    /// The reason why `.env` cannot be read; a malformed line is named by its content's name, never its value.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        let file = folder.join(".env");
        if file.exists() {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
            // Editors of Windows put a mark before the first name.
            let text = text.trim_start_matches('\u{feff}');
            for line in dotenvy::from_read_iter(text.as_bytes()) {
                let (name, value) = line.map_err(|error| malformed(&file, text, &error))?;
                values.insert(name, value);
            }
        }
        values.extend(std::env::vars());
        Ok(Self { values })
    }

    /// An environment of exactly these values.
    pub fn of(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: values.into_iter().collect() }
    }

    /// The same with more values; what is set already stays.
    #[must_use]
    pub fn with(mut self, values: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in values {
            self.values.entry(name).or_insert(value);
        }
        self
    }

    /// Whether a variable of this name configures the gateway itself.
    pub fn is_own(name: &str) -> bool {
        const PREFIXES: [&str; 6] = ["TOLLGATE_", "MCP_TRUST_", "OAUTH_", "GATE_", "A2A_", "OTEL_"];
        const NAMES: [&str; 9] = [
            "DEBUG",
            "DISPUTE_WINDOW",
            "ESCROW_TIMEOUT",
            "HIGH_VALUE_THRESHOLD",
            "HOME",
            "HOST",
            "MAX_DAILY_SPENT",
            "PATH",
            "PORT",
        ];
        COMPATIBLE.iter().any(|(known, _)| *known == name)
            || NAMES.contains(&name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }

    /// The value of one name; an empty value counts as unset.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `TOLLGATE__LISTEN` > `MCP_TRUST_GATEWAY_PORT` > `HOST`/`PORT`: the address to listen on, with its origin.
    pub fn listen(&self) -> Option<(String, &'static str)> {
        if let Some(listen) = self.get("TOLLGATE__LISTEN") {
            return Some((listen.to_owned(), "TOLLGATE__LISTEN"));
        }
        let host = self.get("HOST").unwrap_or("127.0.0.1");
        if let Some(port) = self.get("MCP_TRUST_GATEWAY_PORT") {
            return Some((format!("{host}:{port}"), "MCP_TRUST_GATEWAY_PORT"));
        }
        match (self.get("HOST"), self.get("PORT")) {
            (None, None) => None,
            (_, port) => Some((format!("{host}:{}", port.unwrap_or("3100")), "HOST/PORT")),
        }
    }

    /// The compatible names of x402 settings that have no effect, because nobody is named who is paid: the replaced
    /// products' own `.env` names network and token, and no payee.
    pub fn without_payee(&self, x402_is_configured: bool) -> Vec<&'static str> {
        if x402_is_configured || self.get("PAY_TO").is_some() {
            return Vec::new();
        }
        let x402 = COMPATIBLE.iter().filter(|(_, path)| path.starts_with(&["payment", "x402"]));
        x402.map(|(name, _)| *name).filter(|name| self.get(name).is_some()).collect()
    }

    /// Lays the environment over a configuration tree; the compatible names of payment settings only where the money is
    /// configured at all. Returns the path and name of each value that was set.
    pub fn lay_over(&self, tree: &mut Value, with_payment: bool) -> Vec<(String, String)> {
        let mut set = Vec::new();
        let idle = self.without_payee(tree.pointer("/payment/x402").is_some());
        for (name, path) in COMPATIBLE.iter().filter(|(name, _)| with_payment && !idle.contains(name)) {
            if let Some(value) = self.get(name) {
                put(tree, path, value);
                set.push((path.join("."), (*name).to_owned()));
            }
        }
        for (name, value) in &self.values {
            let Some(path) = name.strip_prefix("TOLLGATE__").filter(|path| *path != "LISTEN") else {
                continue;
            };
            let path: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            put(tree, &path, value);
            set.push((path.join("."), name.clone()));
        }
        set
    }

    /// Replaces `${NAME}` in every string of a tree.
    ///
    /// # Errors
    /// The names that are not set.
    pub fn expand(&self, tree: &mut Value) -> Result<(), Vec<String>> {
        let mut missing = Vec::new();
        self.expand_in(tree, &mut missing);
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// A text with every `${NAME}` replaced.
    ///
    /// # Errors
    /// The first name that is not set.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut missing = Vec::new();
        let filled = self.filled(text, &mut missing);
        missing.into_iter().next().map_or(Ok(filled), Err)
    }

    fn filled(&self, text: &str, missing: &mut Vec<String>) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                filled.push_str("${");
                rest = after;
                continue;
            };
            match self.get(name) {
                Some(value) => filled.push_str(value),
                None => missing.push(name.to_owned()),
            }
            rest = tail;
        }
        filled.push_str(rest);
        filled
    }

    fn expand_in(&self, tree: &mut Value, missing: &mut Vec<String>) {
        match tree {
            Value::String(text) if text.contains("${") => *text = self.filled(text, missing),
            Value::Array(items) => items.iter_mut().for_each(|item| self.expand_in(item, missing)),
            Value::Object(members) => members.values_mut().for_each(|member| self.expand_in(member, missing)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Which line cannot be read, by its number and the name before its `=`: what stands behind may be a secret.
fn malformed(file: &Path, text: &str, error: &dotenvy::Error) -> String {
    let file = file.display();
    let dotenvy::Error::LineParse(line, _) = error else { return format!("{file} cannot be read") };
    // It is told from its value on, and one that does not end goes on to the end of the file.
    let said = line.lines().next().unwrap_or_default().trim_end();
    let found = text.lines().zip(1_u64..).find(|(whole, _)| whole.trim_end().ends_with(said));
    let (whole, number) = found.unwrap_or_default();
    let name = whole.split_once('=').map(|(name, _)| name.trim());
    let name = name.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_. ".contains(&b)));
    let named = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!(
        "{file} line {number}{named} cannot be read: write NAME=VALUE, a value with spaces, quotes or $ between single quotes"
    )
}

/// Sets one value of a tree; numbers and booleans are recognised, everything else is text.
fn put(tree: &mut Value, path: &[&str], value: &str) {
    let Some((name, rest)) = path.split_first() else {
        *tree = match serde_json::from_str::<Value>(value) {
            Ok(parsed @ (Value::Bool(_) | Value::Number(_) | Value::Array(_))) => parsed,
            Ok(Value::Null | Value::String(_) | Value::Object(_)) | Err(_) => json!(value),
        };
        return;
    };
    if !tree.is_object() {
        *tree = Value::Object(Map::new());
    }
    if let Value::Object(members) = tree {
        put(members.entry((*name).to_owned()).or_insert(Value::Null), rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Environment, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), text).unwrap();
        Environment::read(folder.path())
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_without_its_value() {
        for (text, named) in [
            ("A=1\nAPP=s3cret s3cret\n", "line 2 (APP)"),
            ("# what\nexport APP=s3cret s3cret\n", "line 2 (export APP)"),
            ("A=1\n\nAPP='s3cret\nB=s3cret\n", "line 3 (APP)"),
            ("APP: s3cret", "line 1 cannot"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(named) && !said.contains("s3cret"), "{said}");
        }
        assert_eq!(
            read("A=1\nTOLLGATE_TEST_APP='two words'\n").unwrap().get("TOLLGATE_TEST_APP"),
            Some("two words")
        );
    }

    #[test]
    fn a_mark_of_byte_order_is_no_part_of_a_name() {
        assert_eq!(read("\u{feff}TOLLGATE_TEST_A=1\n").unwrap().get("TOLLGATE_TEST_A"), Some("1"));
    }
}
