//! The few questions a relayer asks an EVM chain, with typed answers.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tollgate_domain::Amount;

use super::rpc::{JsonRpc, RpcError};
use super::transaction::{authorization_state, balance_of};
use super::{Address, Authorization};

/// A chain as one node shows it.
#[derive(Clone, Debug)]
pub struct Chain {
    node: Arc<dyn JsonRpc>,
}

/// What gas costs now, in wei per gas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fees {
    /// The base fee of the latest block.
    pub base: u128,
    /// What proposers are usually given on top.
    pub priority: u128,
}

/// One event of a contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Which contract.
    pub address: Address,
    /// Its indexed words, the event's hash first.
    pub topics: Vec<[u8; 32]>,
    /// The rest of it.
    pub data: Vec<u8>,
    /// The transaction it belongs to.
    pub transaction: [u8; 32],
    /// The number of its block.
    pub block: u64,
}

/// What became of a transaction that is in a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionReceipt {
    /// Whether it was carried out; otherwise it reverted.
    pub succeeded: bool,
    /// Its events, in order.
    pub logs: Vec<Log>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogWire {
    address: String,
    topics: Vec<String>,
    data: String,
    transaction_hash: String,
    block_number: Value,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
struct ReceiptWire {
    status: String,
    logs: Vec<LogWire>,
}

impl Chain {
    /// The chain behind this node.
    pub fn new(node: Arc<dyn JsonRpc>) -> Self {
        Self { node }
    }

    /// `eth_chainId`.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn id(&self) -> Result<u64, RpcError> {
        let method = "eth_chainId";
        small(method, &self.node.call(method, json!([])).await?)
    }

    /// How many transactions an account has sent: with those waiting (`pending`) or without (`latest`).
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn transaction_count(&self, account: Address, pending: bool) -> Result<u64, RpcError> {
        let method = "eth_getTransactionCount";
        let tag = if pending { "pending" } else { "latest" };
        small(method, &self.node.call(method, json!([account.to_lower(), tag])).await?)
    }

    /// Whether the payer has used or cancelled the nonce, as the token says.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn authorization_used(
        &self,
        token: Address,
        authorization: &Authorization,
    ) -> Result<bool, RpcError> {
        let word = self.read(token, &authorization_state(authorization.from, authorization.nonce)).await?;
        Ok(word != [0; 32])
    }

    /// The same as it stood at the end of a block.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn authorization_used_at(
        &self,
        token: Address,
        authorization: &Authorization,
        block: u64,
    ) -> Result<bool, RpcError> {
        let data = authorization_state(authorization.from, authorization.nonce);
        Ok(self.read_at(token, &data, &format!("{block:#x}")).await? != [0; 32])
    }

    /// The time of a block, in seconds since the epoch.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn block_time(&self, block: u64) -> Result<u64, RpcError> {
        let method = "eth_getBlockByNumber";
        let found = self.node.call(method, json!([format!("{block:#x}"), false])).await?;
        small(method, found.get("timestamp").ok_or_else(|| unreadable(method, "no timestamp"))?)
    }

    /// What an account has of a token. A balance of more than 128 bits is shown as the largest amount.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn balance(&self, token: Address, owner: Address) -> Result<Amount, RpcError> {
        let word = self.read(token, &balance_of(owner)).await?;
        let (high, low) = word.split_at(16);
        let low = low.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
        Ok(Amount::new(if high.iter().all(|byte| *byte == 0) { low } else { u128::MAX }))
    }

    /// One 32-byte word read from a contract by `eth_call`.
    async fn read(&self, contract: Address, data: &[u8]) -> Result<[u8; 32], RpcError> {
        self.read_at(contract, data, "latest").await
    }

    async fn read_at(&self, contract: Address, data: &[u8], block: &str) -> Result<[u8; 32], RpcError> {
        let method = "eth_call";
        let call = json!({ "to": contract.to_lower(), "data": prefixed(data) });
        let result = self.node.call(method, json!([call, block])).await?;
        word(method, text(method, &result)?)
    }

    /// How much gas a call would use; a [`RpcError::Node`] when it would revert.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn estimate_gas(&self, from: Address, to: Address, data: &[u8]) -> Result<u64, RpcError> {
        let method = "eth_estimateGas";
        let call = json!({ "from": from.to_lower(), "to": to.to_lower(), "data": prefixed(data) });
        small(method, &self.node.call(method, json!([call])).await?)
    }

    /// What gas costs now.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn fees(&self) -> Result<Fees, RpcError> {
        let method = "eth_getBlockByNumber";
        let block = self.node.call(method, json!(["latest", false])).await?;
        let base = block.get("baseFeePerGas").ok_or_else(|| unreadable(method, "no baseFeePerGas"))?;
        let base = quantity(method, base)?;
        let method = "eth_maxPriorityFeePerGas";
        let priority = quantity(method, &self.node.call(method, json!([])).await?)?;
        Ok(Fees { base, priority })
    }

    /// The number of the latest block.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn block_number(&self) -> Result<u64, RpcError> {
        let method = "eth_blockNumber";
        small(method, &self.node.call(method, json!([])).await?)
    }

    /// Sends a signed transaction.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn send(&self, raw: &[u8]) -> Result<(), RpcError> {
        self.node.call("eth_sendRawTransaction", json!([prefixed(raw)])).await.map(drop)
    }

    /// The receipt of a transaction, or `None` while it is in no block.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn receipt(&self, hash: [u8; 32]) -> Result<Option<TransactionReceipt>, RpcError> {
        let method = "eth_getTransactionReceipt";
        let receipt = self.node.call(method, json!([prefixed(&hash)])).await?;
        if receipt.is_null() {
            return Ok(None);
        }
        let wire: ReceiptWire = serde_json::from_value(receipt).map_err(|error| unreadable(method, error))?;
        let logs = wire.logs.iter().map(|log| log.read(method)).collect::<Result<_, _>>()?;
        let succeeded = match wire.status.as_str() {
            "0x1" => true,
            "0x0" => false,
            _ => return Err(unreadable(method, "its status is neither 0x0 nor 0x1")),
        };
        Ok(Some(TransactionReceipt { succeeded, logs }))
    }

    /// The events of a contract in a range of blocks whose first topic is one of `events` and whose second and third are
    /// these.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn logs(
        &self,
        contract: Address,
        events: &[[u8; 32]],
        second_and_third: [[u8; 32]; 2],
        blocks: std::ops::RangeInclusive<u64>,
    ) -> Result<Vec<Log>, RpcError> {
        let [second, third] = second_and_third.map(|word| prefixed(&word));
        let events: Vec<String> = events.iter().map(|event| prefixed(event)).collect();
        self.filtered(contract, json!([events, second, third]), blocks).await
    }

    /// The events of one kind in a range of blocks whose third topic is this, such as the transfers to one account.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn logs_to(
        &self,
        contract: Address,
        event: [u8; 32],
        third: [u8; 32],
        blocks: std::ops::RangeInclusive<u64>,
    ) -> Result<Vec<Log>, RpcError> {
        self.filtered(contract, json!([prefixed(&event), null, prefixed(&third)]), blocks).await
    }

    async fn filtered(
        &self,
        contract: Address,
        topics: Value,
        blocks: std::ops::RangeInclusive<u64>,
    ) -> Result<Vec<Log>, RpcError> {
        let method = "eth_getLogs";
        let filter = json!({
            "address": contract.to_lower(),
            "fromBlock": format!("{:#x}", blocks.start()),
            "toBlock": format!("{:#x}", blocks.end()),
            "topics": topics,
        });
        let logs = self.node.call(method, json!([filter])).await?;
        let wires: Vec<LogWire> = serde_json::from_value(logs).map_err(|error| unreadable(method, error))?;
        wires.iter().filter(|log| !log.removed).map(|log| log.read(method)).collect()
    }
}

impl LogWire {
    fn read(&self, method: &'static str) -> Result<Log, RpcError> {
        Ok(Log {
            address: self.address.parse().map_err(|error| unreadable(method, error))?,
            topics: self.topics.iter().map(|topic| word(method, topic)).collect::<Result<_, _>>()?,
            data: self
                .data
                .strip_prefix("0x")
                .and_then(|digits| hex::decode(digits).ok())
                .ok_or_else(|| unreadable(method, "the data of a log is not hexadecimal"))?,
            transaction: word(method, &self.transaction_hash)?,
            block: small(method, &self.block_number)?,
        })
    }
}

/// `0x` and hexadecimal digits.
pub(crate) fn prefixed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn unreadable(method: &'static str, reason: impl ToString) -> RpcError {
    RpcError::Answer { method, reason: reason.to_string() }
}

fn text<'a>(method: &'static str, value: &'a Value) -> Result<&'a str, RpcError> {
    value.as_str().ok_or_else(|| unreadable(method, "it is no text"))
}

/// A `QUANTITY`: `0x` and at most 32 hexadecimal digits here.
fn quantity(method: &'static str, value: &Value) -> Result<u128, RpcError> {
    text(method, value)?
        .strip_prefix("0x")
        .filter(|digits| !digits.starts_with('+'))
        .and_then(|digits| u128::from_str_radix(digits, 16).ok())
        .ok_or_else(|| unreadable(method, "it is no hexadecimal quantity"))
}

/// A `QUANTITY` of at most 64 bits.
fn small(method: &'static str, value: &Value) -> Result<u64, RpcError> {
    u64::try_from(quantity(method, value)?).map_err(|error| unreadable(method, error))
}

/// 32 bytes.
fn word(method: &'static str, text: &str) -> Result<[u8; 32], RpcError> {
    let mut word = [0; 32];
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode_to_slice(digits, &mut word).ok())
        .ok_or_else(|| unreadable(method, "it is not 32 bytes in hexadecimal"))?;
    Ok(word)
}
