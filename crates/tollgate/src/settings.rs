//! What a toll needs to know, said in code or in a file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tollgate_domain::ServerName;
use tollgate_gate::Mode;
use tollgate_till::raw::{RawLightning, RawPayment, RawX402};
use tollgate_till::{
    Complaint, Environment, Lightning, QUOTE_TTL_SECONDS, SandboxRails, Secret, X402, gate_secret, sandbox,
    url,
};

use crate::error::{OpenError, SettingsError};

/// The name under which a server's tools stand on receipts and in the books, where none is given.
const SERVER: &str = "own";
const BYTES_MAX: usize = 4 * 1024 * 1024;
const TOGETHER_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What a [`Tollgate`](crate::Tollgate) is opened with.
///
/// ```
/// # use tollgate::{Settings, X402Settings};
/// let play = Settings::dev("tollgate-data");
/// let real = Settings::live("tollgate-data")
///     .public_url("https://api.example.org")
///     .x402(X402Settings { network: Some("base".to_owned()), pay_to: Some("0x…".to_owned()), ..Default::default() });
/// # drop((play, real));
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) data: PathBuf,
    pub(crate) mode: Mode,
    pub(crate) server: String,
    pub(crate) public_url: Option<String>,
    payment: RawPayment,
    environment: Environment,
    pub(crate) limits: Limits,
    pub(crate) receipts_for_free_calls: bool,
    pub(crate) result_ttl_ms: u64,
}

/// Limits, each with a safe default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) body_bytes_max: usize,
    pub(crate) bodies_bytes_max: usize,
    pub(crate) body_ms_max: u64,
    pub(crate) answer_bytes_max: usize,
    pub(crate) answers_bytes_max: usize,
    pub(crate) calls_per_minute: u32,
    pub(crate) offers_per_minute: u32,
}

/// The shape of a settings file. `payment` is that of the gateway's `tollgate.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSettings {
    data: Option<PathBuf>,
    server: Option<String>,
    public_url: Option<String>,
    payment: RawPayment,
    limits: RawLimits,
    receipts: RawReceipts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    body_bytes_max: Option<usize>,
    bodies_bytes_max: Option<usize>,
    body_ms_max: Option<u64>,
    answer_bytes_max: Option<usize>,
    answers_bytes_max: Option<usize>,
    calls_per_minute: Option<u32>,
    offers_per_minute: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawReceipts {
    free_calls: bool,
    result_ttl_seconds: Option<u64>,
}

impl Settings {
    /// Sandbox money in a data directory, which is made when it is not there: no account, no faucet, no other server.
    pub fn dev(data: impl Into<PathBuf>) -> Self {
        Self::of(data.into(), Mode::Sandbox)
    }

    /// Real money. Nothing is taken until [`Settings::x402`] or [`Settings::lightning`] says how.
    pub fn live(data: impl Into<PathBuf>) -> Self {
        Self::of(data.into(), Mode::Live)
    }

    /// Real money as the environment (and a `.env` file in the working folder) says: `NETWORK`, `RPC_URL`, `PAY_TO`,
    /// `LNBITS_URL`, `LNBITS_INVOICE_KEY`, `GATE_HMAC_SECRET`, and `TOLLGATE__A__B` for any key of a settings file.
    ///
    /// # Errors
    /// Every value that cannot be used.
    pub fn from_env() -> Result<Self, SettingsError> {
        let environment = read_environment()?;
        Self::of_tree(Value::Object(Map::new()), environment)
    }

    /// Real money as a YAML file says, the environment over it.
    ///
    /// ```yaml
    /// data: tollgate-data
    /// server: mine
    /// public_url: https://api.example.org
    /// payment:
    ///   x402: { network: base-sepolia, pay_to: "${PAY_TO}" }
    ///   lightning: { lnbits_url: "${LNBITS_URL}", lnbits_invoice_key: "${LNBITS_INVOICE_KEY}" }
    /// limits:
    ///   { body_bytes_max: 4194304, bodies_bytes_max: 134217728, body_ms_max: 30000, answer_bytes_max: 4194304,
    ///     answers_bytes_max: 134217728, calls_per_minute: 6000, offers_per_minute: 600 }
    /// receipts: { free_calls: false, result_ttl_seconds: 86400 }
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, or a key in it is unknown.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SettingsError> {
        let path = path.as_ref();
        let at = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::one(&at, format!("cannot be read: {error}")))?;
        let tree = match serde_saphyr::from_str::<Value>(&text) {
            Ok(Value::Null) => Value::Object(Map::new()),
            Ok(tree @ Value::Object(_)) => tree,
            Ok(_) => return Err(SettingsError::one(&at, "is not a mapping of settings")),
            Err(error) => return Err(SettingsError::one(&at, format!("is not valid YAML: {error}"))),
        };
        Self::of_tree(tree, read_environment()?)
    }

    fn of(data: PathBuf, mode: Mode) -> Self {
        Self {
            data,
            mode,
            server: SERVER.to_owned(),
            public_url: None,
            payment: RawPayment::default(),
            environment: Environment::default(),
            limits: Limits {
                body_bytes_max: BYTES_MAX,
                bodies_bytes_max: TOGETHER_BYTES_MAX,
                body_ms_max: 30_000,
                answer_bytes_max: BYTES_MAX,
                answers_bytes_max: TOGETHER_BYTES_MAX,
                calls_per_minute: 6_000,
                offers_per_minute: 600,
            },
            receipts_for_free_calls: false,
            result_ttl_ms: 86_400_000,
        }
    }

    fn of_tree(mut tree: Value, environment: Environment) -> Result<Self, SettingsError> {
        environment.lay_over(&mut tree, true);
        environment.expand(&mut tree).map_err(|missing| {
            let unset = |name| Complaint {
                at: format!("${{{name}}}"),
                message: "this environment variable is not set".to_owned(),
            };
            SettingsError(missing.into_iter().map(unset).collect())
        })?;
        let raw: RawSettings = serde_json::from_value(tree)
            .map_err(|error| SettingsError::one("settings", error.to_string()))?;
        let data = raw.data.unwrap_or_else(|| "tollgate-data".into());
        let default = Self::of(data, Mode::Live);
        let limits = Limits {
            body_bytes_max: raw.limits.body_bytes_max.unwrap_or(default.limits.body_bytes_max),
            bodies_bytes_max: raw.limits.bodies_bytes_max.unwrap_or(default.limits.bodies_bytes_max),
            body_ms_max: raw.limits.body_ms_max.unwrap_or(default.limits.body_ms_max),
            answer_bytes_max: raw.limits.answer_bytes_max.unwrap_or(default.limits.answer_bytes_max),
            answers_bytes_max: raw.limits.answers_bytes_max.unwrap_or(default.limits.answers_bytes_max),
            calls_per_minute: raw.limits.calls_per_minute.unwrap_or(default.limits.calls_per_minute),
            offers_per_minute: raw.limits.offers_per_minute.unwrap_or(default.limits.offers_per_minute),
        };
        let kept_ms = raw.receipts.result_ttl_seconds.map(|seconds| seconds.saturating_mul(1_000));
        Ok(Self {
            server: raw.server.unwrap_or_else(|| SERVER.to_owned()),
            public_url: raw.public_url,
            payment: raw.payment,
            environment,
            limits,
            receipts_for_free_calls: raw.receipts.free_calls,
            result_ttl_ms: kept_ms.unwrap_or(default.result_ttl_ms),
            ..default
        })
    }

    /// The name under which what is sold here stands on receipts and in the books. Default: `own`.
    #[must_use]
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.server = name.into();
        self
    }

    /// The URL that callers use: it stands in demands, and pages of error codes are named below it. Default: what the
    /// caller's own `Host` header says.
    #[must_use]
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Takes x402 on an EVM chain; in live mode only.
    #[must_use]
    pub fn x402(mut self, x402: RawX402) -> Self {
        self.payment.x402 = Some(x402);
        self
    }

    /// Takes Lightning; in live mode only.
    #[must_use]
    pub fn lightning(mut self, lightning: RawLightning) -> Self {
        self.payment.lightning = Some(lightning);
        self
    }

    /// The largest request body, in bytes. Default: 4 MiB.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.body_bytes_max = bytes;
        self
    }

    /// How much the bodies of all requests behind tolls may take together, in bytes; those up to 16 KiB pass always. One that finds
    /// no room is refused with `no_room` (503) before anything is charged. Default: 128 MiB, and at least as much as one body.
    #[must_use]
    pub fn bodies_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.bodies_bytes_max = bytes;
        self
    }

    /// How long a request behind a toll may take to send its body, in milliseconds. A later one is refused with `request_timed_out`
    /// (408) before anything is charged. Default: 30 s.
    #[must_use]
    pub fn body_ms_max(mut self, milliseconds: u64) -> Self {
        self.limits.body_ms_max = milliseconds;
        self
    }

    /// The largest answer of what has a price, in bytes: it is kept until it is paid, and for repeated payments. Default: 4 MiB.
    #[must_use]
    pub fn answer_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.answer_bytes_max = bytes;
        self
    }

    /// How much all answers of HTTP services behind tolls may take together, in bytes, each until its caller has read it; those up
    /// to 16 KiB pass always. One that finds no room is dropped with `upstream_no_room` (503) and charged nothing; one that would
    /// flow is not begun where there is no room for a largest answer (`no_room`, 503), and breaks off, charged nothing, if the room is
    /// taken while it flows. Default: 128 MiB, and at least as much as one answer.
    #[must_use]
    pub fn answers_bytes_max(mut self, bytes: usize) -> Self {
        self.limits.answers_bytes_max = bytes;
        self
    }

    pub(crate) fn understood(&self) -> Result<Understood, OpenError> {
        let mut complaints = Vec::new();
        let secret = kept(&mut complaints, gate_secret(&self.environment)).flatten();
        let server = self
            .server
            .parse::<ServerName>()
            .map_err(|error| Complaint { at: "server".to_owned(), message: error.to_string() });
        let server = kept(&mut complaints, server);
        if let Some(public) = &self.public_url {
            kept(&mut complaints, url("public_url", public));
        }
        let (x402, lightning) = match self.mode {
            Mode::Sandbox => {
                if self.payment.x402.is_some() || self.payment.lightning.is_some() {
                    let message = "dev mode plays with SANDBOX money only; use Settings::live for real rails";
                    complaints.push(Complaint { at: "payment".to_owned(), message: message.to_owned() });
                }
                let SandboxRails { x402, lightning } = sandbox::rails(sandbox::payee(&self.data)?)?;
                (Some(x402), Some(lightning))
            }
            Mode::Live => (
                self.payment.x402.as_ref().and_then(|raw| kept(&mut complaints, X402::understand(raw))),
                self.payment
                    .lightning
                    .as_ref()
                    .and_then(|raw| kept(&mut complaints, Lightning::understand(raw))),
            ),
        };
        if complaints.is_empty() && x402.is_none() && lightning.is_none() {
            let message = "says neither x402 nor lightning: nobody could pay";
            complaints.push(Complaint { at: "payment".to_owned(), message: message.to_owned() });
        }
        // A Lightning credential lives no longer than the quote in it.
        let lived = lightning.as_ref().map_or(0, |lightning| lightning.ttl_seconds);
        let quote_ttl_seconds = self.payment.quote_ttl_seconds.unwrap_or(lived.max(QUOTE_TTL_SECONDS));
        match server {
            Some(server) if complaints.is_empty() => Ok(Understood {
                server,
                x402,
                lightning,
                secret,
                quote_ttl_ms: quote_ttl_seconds.saturating_mul(1_000),
            }),
            _ => Err(SettingsError(complaints).into()),
        }
    }
}

/// Settings that can be served.
pub(crate) struct Understood {
    pub(crate) server: ServerName,
    pub(crate) x402: Option<X402>,
    pub(crate) lightning: Option<Lightning>,
    pub(crate) secret: Option<Secret>,
    pub(crate) quote_ttl_ms: u64,
}

fn kept<T>(complaints: &mut Vec<Complaint>, understood: Result<T, Complaint>) -> Option<T> {
    understood.map_err(|complaint| complaints.push(complaint)).ok()
}

fn read_environment() -> Result<Environment, SettingsError> {
    Environment::read(Path::new(".")).map_err(|reason| SettingsError::one(".env", reason))
}

#[cfg(test)]
mod tests;
