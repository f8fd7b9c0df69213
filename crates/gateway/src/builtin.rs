//! The built-in tools: what an agent wants to know of this gateway before and after it pays. They read, and change nothing.
//!
//! Off unless `builtin_tools` says otherwise, at an endpoint of their own, and no part of any other: not of `/mcp`, not of a
//! virtual server, not of the tools for sale.

mod definitions;
mod prices;
mod proofs;

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tollgate_domain::{Caller, ServerName, ToolRef};
use tollgate_gate::{ArgumentSchema, Denial, Fault};

use crate::catalog::Compiled;
use crate::gateway::Gateway;

/// The name under which they are reached; no server of the operator's has it.
pub const SERVER: &str = "tollgate";

/// One built-in tool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Builtin {
    /// The tools behind this gateway, with their prices.
    ListToolsForSale,
    /// What one call would cost.
    PriceOf,
    /// The caller's prepaid credit.
    MyBalance,
    /// The receipts of the caller's paid calls.
    MyReceipts,
    /// One receipt.
    Receipt,
    /// Whether a receipt is one of this gateway's.
    VerifyReceipt,
}

/// Why a built-in tool has no result.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The caller's turn.
    Denied(Denial),
    /// Our turn.
    Faulted(Fault),
    /// There is no such thing, in a sentence.
    NotFound(&'static str),
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<tollgate_ledger::StoreError> for Refused {
    fn from(error: tollgate_ledger::StoreError) -> Self {
        Self::Faulted(Fault::Internal(format!("read the books: {error}")))
    }
}

impl Builtin {
    /// All of them, in the order of their list.
    pub const ALL: [Self; 6] = [
        Self::ListToolsForSale,
        Self::PriceOf,
        Self::MyBalance,
        Self::MyReceipts,
        Self::Receipt,
        Self::VerifyReceipt,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ListToolsForSale => "list_tools_for_sale",
            Self::PriceOf => "price_of",
            Self::MyBalance => "my_balance",
            Self::MyReceipts => "my_receipts",
            Self::Receipt => "receipt",
            Self::VerifyReceipt => "verify_receipt",
        }
    }
}

/// A name that is that of no built-in tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no built-in tool; there are list_tools_for_sale, price_of, my_balance, my_receipts, receipt, verify_receipt"
)]
pub struct UnknownBuiltin(String);

impl FromStr for Builtin {
    type Err = UnknownBuiltin;

    fn from_str(text: &str) -> Result<Self, UnknownBuiltin> {
        let found = Self::ALL.into_iter().find(|builtin| builtin.name() == text);
        found.ok_or_else(|| UnknownBuiltin(text.chars().take(64).collect()))
    }
}

/// The built-in tools of one gateway, as they are offered.
#[derive(Debug)]
pub struct BuiltinTools {
    tools: Vec<Tool>,
}

/// One tool that is offered.
#[derive(Debug)]
struct Tool {
    builtin: Builtin,
    tool: ToolRef,
    definition: Value,
    schema: Compiled,
}

impl BuiltinTools {
    /// These tools.
    pub fn new(offered: &[Builtin]) -> Self {
        let tool = |builtin: Builtin| {
            let definition = definitions::of(builtin);
            let schema = definition.get("inputSchema").map(Value::to_string).unwrap_or_default();
            let server: ServerName = SERVER.parse().ok()?;
            let tool = ToolRef { server, tool: builtin.name().parse().ok()? };
            Some(Tool { builtin, tool, schema: Compiled::new(schema.as_bytes()), definition })
        };
        Self { tools: offered.iter().copied().filter_map(tool).collect() }
    }

    /// Their definitions, as in `tools/list`.
    pub(crate) fn definitions(&self) -> Vec<&Value> {
        self.tools.iter().map(|tool| &tool.definition).collect()
    }

    /// The tool of this name, as it is counted.
    pub(crate) fn find(&self, name: &str) -> Option<&ToolRef> {
        self.tools.iter().map(|tool| &tool.tool).find(|tool| tool.tool.as_str() == name)
    }

    /// Calls a tool for a caller who was found out before.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn call(
        &self,
        gateway: &Arc<Gateway>,
        tool: &ToolRef,
        arguments: &Bytes,
        caller: Caller,
    ) -> Result<Value, Refused> {
        let found = self.tools.iter().find(|known| known.tool == *tool);
        let Some(Tool { builtin, schema, .. }) = found else {
            return Err(Denial::UnknownTool(tool.clone()).into());
        };
        schema.check(arguments).map_err(Denial::InvalidArguments)?;
        match builtin {
            Builtin::ListToolsForSale => Ok(prices::for_sale(gateway, &read(arguments)?)),
            Builtin::PriceOf => prices::price_of(gateway, &read(arguments)?).await,
            Builtin::MyBalance => proofs::balance(gateway, &known(caller)?).await,
            Builtin::MyReceipts => proofs::receipts(gateway, &known(caller)?, &read(arguments)?).await,
            Builtin::Receipt => proofs::receipt(gateway, &read(arguments)?).await,
            Builtin::VerifyReceipt => proofs::verify(gateway, &read(arguments)?).await,
        }
    }
}

/// Arguments that fit their schema.
fn read<'a, T: serde::Deserialize<'a>>(arguments: &'a Bytes) -> Result<T, Denial> {
    serde_json::from_slice(arguments).map_err(|error| Denial::InvalidArguments(vec![error.to_string()]))
}

/// What is only for its owner is not for somebody whom nobody knows.
fn known(caller: Caller) -> Result<tollgate_domain::Principal, Denial> {
    if caller.is_known() {
        return Ok(caller.principal());
    }
    Err(Denial::no_key("This tool answers about the caller, so it needs an API key."))
}
