//! The toll of a tool: around one function of your own MCP server, whatever library it is written on.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tollgate_domain::{Assets, Origin, Outcome};
use tollgate_gate::{
    Answer, ArgumentSchema, Completed, CreditUse, Denial, Door, Ending, Fault, Found, Listed, MAXIMUM_META,
    Naming, Refusal, ToolAnswer, delivered, denied, faulted, render,
};
use tollgate_mcp::era::PROTOCOL_VERSION_KEY;
use tollgate_mcp::{Era, RequestId, result};

use crate::error::PriceError;
use crate::house::House;
use crate::paid::Paid;
use crate::run::{Claimed, Ended, Worked, authorize, run};
use crate::terms::Terms;

type Work = Pin<Box<dyn Future<Output = Outcome<ToolAnswer>> + Send>>;

/// A tool with a price. Made by [`Tollgate::tool`](crate::Tollgate::tool) from an async function of typed arguments and
/// [`Paid`].
///
/// The function returns what the tool says: an MCP tool result (anything that serialises to an object with `content`, such as
/// `rmcp::model::CallToolResult`), or any other value, which is wrapped into one. An error, and a result with
/// `isError: true`, cost nothing. Arguments that do not fit the function's type are refused before a price is named.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use serde_json::{Value, json};
/// use tollgate::{Asked, Paid, Settings, Tollgate};
///
/// #[derive(serde::Deserialize)]
/// struct Sum { a: i64, b: i64 }
///
/// let tollgate = Tollgate::open(Settings::dev(folder.path())).await?;
/// let add = tollgate.tool("add", "0.01USDC", |Sum { a, b }: Sum, _paid: Paid| async move {
///     Ok::<_, String>(json!({ "sum": a + b }))
/// })?;
/// let reply: Result<Value, Value> = add.call(Asked::new(&json!({ "a": 2, "b": 3 }))).await.read()?;
/// let demand = reply.map_err(|error| error.to_string())?;
/// assert_eq!(demand["structuredContent"]["accepts"][0]["amount"], "10000");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tool {
    house: Arc<House>,
    listed: Arc<Listed>,
    handler: Arc<dyn Fn(Bytes, Paid) -> Work + Send + Sync>,
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tool").field("tool", &self.listed.tool).finish_non_exhaustive()
    }
}

/// One call of a tool, as your server was asked.
#[derive(Debug)]
pub struct Asked {
    arguments: Result<Bytes, String>,
    meta: Result<BTreeMap<String, Vec<u8>>, String>,
    headers: HeaderMap,
    origin: Origin,
}

impl Asked {
    /// A call with these arguments: anything that serialises to a JSON object.
    pub fn new(arguments: &impl Serialize) -> Self {
        let arguments = object(arguments).map(|members| Value::Object(members).to_string().into());
        let origin = Origin::named("unknown");
        Self { arguments, meta: Ok(BTreeMap::new()), headers: HeaderMap::new(), origin }
    }

    /// What stands in the request's `_meta`: an x402 payment, an L402 credential, an idempotency key.
    #[must_use]
    pub fn meta(mut self, meta: &impl Serialize) -> Self {
        let bytes = |(key, value): (String, Value)| (key, value.to_string().into_bytes());
        self.meta = object(meta).map(|members| members.into_iter().map(bytes).collect());
        self
    }

    /// The headers of the HTTP request, where there is one: an API key, a payment.
    #[must_use]
    pub fn headers(mut self, headers: &HeaderMap) -> Self {
        self.headers = headers.clone();
        self
    }

    /// Where the request comes from (an address): limits of callers who are not known otherwise.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Origin::named(origin);
        self
    }

    /// The era of the request says how its result is written.
    fn era(&self) -> Era {
        let version = self.meta.as_ref().ok().and_then(|meta| meta.get(PROTOCOL_VERSION_KEY));
        let version = version.and_then(|raw| tollgate_mcp::json::string(raw));
        version.and_then(|version| Era::of_version(&version)).unwrap_or(Era::Legacy)
    }

    fn request(&self, listed: &Listed, assets: &Assets) -> Result<tollgate_gate::Request, Denial> {
        let refused = |problem: &String| Denial::InvalidArguments(vec![problem.clone()]);
        let arguments = self.arguments.as_ref().map_err(refused)?.clone();
        let meta = self.meta.as_ref().map_err(|reason| Denial::MalformedFrame {
            json_rpc: -32_602,
            reason: format!("_meta: {reason}"),
        })?;
        let said = meta.get(MAXIMUM_META).map(AsRef::as_ref);
        let maximum = tollgate_gate::maximum(said, &listed.price, assets)?;
        let found = Found {
            tool: listed.tool.clone(),
            arguments,
            headers: &self.headers,
            query: None,
            credit: CreditUse::Allowed,
            maximum,
            origin: self.origin,
        };
        tollgate_gate::request(found, |key| meta.get(key).map(AsRef::as_ref))
    }
}

/// What your server answers: a tool result, or a JSON-RPC error.
#[derive(Clone, PartialEq, Debug)]
pub enum Reply {
    /// The `result` of `tools/call`: the tool's own with its receipt, or a demand to pay.
    Result(Value),
    /// The JSON-RPC `error` object.
    Error(Value),
}

impl Reply {
    /// The reply in the types of your MCP library: with rmcp, `Result<CallToolResult, ErrorData>`.
    ///
    /// # Errors
    /// When they do not take what the reply says.
    pub fn read<R: DeserializeOwned, E: DeserializeOwned>(self) -> Result<Result<R, E>, serde_json::Error> {
        match self {
            Self::Result(result) => serde_json::from_value(result).map(Ok),
            Self::Error(error) => serde_json::from_value(error).map(Err),
        }
    }

    /// Takes a reply out of a JSON-RPC message of our own making.
    fn of(answer: &Answer) -> Self {
        let message: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match message {
            Value::Object(mut members) => match (members.remove("result"), members.remove("error")) {
                (Some(result), _) => Self::Result(result),
                (None, Some(error)) => Self::Error(error),
                (None, None) => Self::Error(json!({ "code": -32_603, "message": "no reply" })),
            },
            _ => Self::Error(json!({ "code": -32_603, "message": "no reply" })),
        }
    }
}

impl Tool {
    pub(crate) fn new<A, H, F, T, E>(
        house: &Arc<House>,
        terms: &Terms,
        handler: H,
    ) -> Result<Self, PriceError>
    where
        A: DeserializeOwned + 'static,
        H: Fn(A, Paid) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Serialize,
    {
        let listed =
            house.offer_with(terms, |listed| listed.schema = Some(Arc::new(Typed::<A>(PhantomData))))?;
        let handler = move |arguments: Bytes, paid: Paid| -> Work {
            match serde_json::from_slice::<A>(&arguments) {
                Ok(arguments) => {
                    let working = handler(arguments, paid);
                    Box::pin(async move { outcome(working.await) })
                }
                // The street has checked it; a type that reads differently the second time delivers nothing.
                Err(error) => {
                    let failed = text_result(&error.to_string());
                    Box::pin(async move { Outcome::Failed(ToolAnswer::Result(failed)) })
                }
            }
        };
        Ok(Self { house: Arc::clone(house), listed, handler: Arc::new(handler) })
    }

    /// Carries out one call, or answers why not. Dropped before it is ready, it is a caller who hung up: the function is
    /// dropped too, and nothing is charged.
    pub async fn call(&self, asked: Asked) -> Reply {
        let host = asked.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let base_url = self.house.base_url(host);
        let resource_url = format!("mcp://tool/{}", self.listed.tool.tool);
        let naming = Naming { base_url: &base_url, resource_url: &resource_url };
        let id = RequestId::integer(1);
        let door = Door::Mcp { era: asked.era(), id: Some(&id), payment_as_http: false };
        let claimed = match self.authorized(&asked).await {
            Ok(claimed) => claimed,
            Err(Refusal { call, verdict, .. }) => {
                tracing::debug!(?call, tool = %self.listed.tool, verdict = verdict.word(), "call refused");
                return Reply::of(&render(&verdict, call, door, naming));
            }
        };
        let arguments = asked.arguments.unwrap_or_default();
        let (handler, paid) = (Arc::clone(&self.handler), Paid::of(&claimed.held));
        // Not begun before the money is taken, where that comes first.
        let working = async move { Worked::<()> { outcome: handler(arguments, paid).await, given: None } };
        let ended = run(&self.house, claimed, working);
        replied(ended.await, door, naming)
    }

    async fn authorized(&self, asked: &Asked) -> Result<Claimed, Refusal> {
        let request = asked.request(&self.listed, &self.house.assets).map_err(Refusal::denied)?;
        authorize(&self.house, request).await
    }
}

fn replied(ended: Ended<()>, door: Door<'_>, naming: Naming<'_>) -> Reply {
    let call = ended.call;
    let Completed { ending, evidence, .. } = match ended.completed {
        Ok(completed) => completed,
        Err(fault) => return Reply::of(&faulted(&fault, Some(call), door, naming)),
    };
    let answer = match ending {
        Ending::Delivered(result) | Ending::ToolFailed(ToolAnswer::Result(result)) => {
            delivered(&result, &evidence, call, door)
        }
        Ending::ToolFailed(ToolAnswer::Error(error)) => {
            return Reply::Error(serde_json::from_slice(&error).unwrap_or_default());
        }
        Ending::ToolFailed(ToolAnswer::Digest(_)) => {
            let fault = Fault::Internal("a tool of this process is known by its result".to_owned());
            faulted(&fault, Some(call), door, naming)
        }
        Ending::Lost(kind) => {
            let fault = Fault::Upstream { kind }.with_refund(&evidence);
            faulted(&fault, Some(call), door, naming)
        }
        Ending::PaymentPending => faulted(&Fault::PaymentPending { call }, Some(call), door, naming),
        Ending::Pending => faulted(&Fault::SettlementPending { call }, Some(call), door, naming),
        Ending::PaymentFailed { reason, demand } => {
            denied(&Denial::PaymentFailed { reason, demand }, Some(call), door, naming)
        }
    };
    Reply::of(&answer)
}

/// Arguments that a function's own type is read from.
struct Typed<A>(PhantomData<fn() -> A>);

impl<A> fmt::Debug for Typed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arguments of {}", std::any::type_name::<A>())
    }
}

impl<A: DeserializeOwned> ArgumentSchema for Typed<A> {
    fn check(&self, arguments: &[u8]) -> Result<(), Vec<String>> {
        serde_json::from_slice::<A>(arguments).map(drop).map_err(|error| vec![error.to_string()])
    }
}

fn object(value: &impl Serialize) -> Result<Map<String, Value>, String> {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err("must be an object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a function's answer means.
fn outcome(answered: Result<impl Serialize, impl Serialize>) -> Outcome<ToolAnswer> {
    match answered {
        Ok(answer) => match serde_json::to_value(&answer) {
            Ok(answer) => delivered_or_failed(tool_result(answer)),
            Err(error) => Outcome::Failed(ToolAnswer::Result(text_result(&error.to_string()))),
        },
        Err(error) => Outcome::Failed(match serde_json::to_value(&error) {
            Ok(error) if is_rpc_error(&error) => ToolAnswer::Error(error.to_string().into()),
            Ok(Value::String(text)) => ToolAnswer::Result(text_result(&text)),
            Ok(other) => ToolAnswer::Result(text_result(&other.to_string())),
            Err(error) => ToolAnswer::Result(text_result(&error.to_string())),
        }),
    }
}

fn is_rpc_error(error: &Value) -> bool {
    error.get("code").is_some_and(Value::is_i64) && error.get("message").is_some_and(Value::is_string)
}

fn delivered_or_failed(result: Value) -> Outcome<ToolAnswer> {
    let raw = Bytes::from(result.to_string());
    // A result that asks for more input is not the end of the call: nothing is charged yet.
    let is_unfinished = result::result_type(&raw).is_some_and(|kind| kind == "input_required");
    if is_unfinished || result::is_error(&raw) {
        Outcome::Failed(ToolAnswer::Result(raw))
    } else {
        Outcome::Delivered(ToolAnswer::Result(raw))
    }
}

/// A tool result as it is; anything else as the text and structure of one.
fn tool_result(answer: Value) -> Value {
    match answer {
        Value::Object(members) if members.get("content").is_some_and(Value::is_array) => {
            Value::Object(members)
        }
        Value::String(text) => json!({ "content": [{ "type": "text", "text": text }] }),
        Value::Object(members) => {
            let text = Value::Object(members.clone()).to_string();
            json!({ "content": [{ "type": "text", "text": text }], "structuredContent": members })
        }
        other => json!({ "content": [{ "type": "text", "text": other.to_string() }] }),
    }
}

/// A failure as a tool result.
fn text_result(text: &str) -> Bytes {
    json!({ "content": [{ "type": "text", "text": text }], "isError": true }).to_string().into()
}

#[cfg(test)]
mod tests;
