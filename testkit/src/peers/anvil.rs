//! A local EVM chain with a test stablecoin at the address where clients expect the real one.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::install::NodeSet;
use super::{PeerError, port};
use crate::http;
use crate::process::Guarded;

/// Base Sepolia: the chain of x402's examples, so that clients with default settings pay.
pub const CHAIN_ID: u64 = 84_532;

/// The same chain as CAIP-2 spells it.
pub const NETWORK: &str = "eip155:84532";

/// Where that chain's default stablecoin stands; x402 clients refuse any other by default.
pub const TOKEN: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";

/// The token's EIP-712 domain name.
pub const TOKEN_NAME: &str = "USDC";

/// The token's EIP-712 domain version.
pub const TOKEN_VERSION: &str = "2";

/// A funded account of the development chain. The key is public knowledge (the mnemonic "test test … junk").
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Checksummed address.
    pub address: &'static str,
    /// 32 bytes of hex with `0x`.
    pub private_key: &'static str,
}

/// Who pays in tests.
pub const PAYER: Account = Account {
    address: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    private_key: "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
};

/// Whose gas settles in tests.
pub const RELAYER: Account = Account {
    address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    private_key: "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
};

/// Who is paid in tests.
pub const PAYEE: Account = Account {
    address: "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    private_key: "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
};

/// Somebody else: a second payer, or a thief.
pub const STRANGER: Account = Account {
    address: "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    private_key: "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
};

/// Mints, from an account that no test signs with, so that nobody's nonce moves.
const MINTER: &str = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720";

/// What `contracts/compile.mjs` prints: the only Solidity in these tests is compiled beforehand.
const ARTIFACT: &str = include_str!("../../contracts/TestToken.json");

/// Measured 0.3 s; a loaded machine gets a hundred times that.
const READY_SECONDS_MAX: u64 = 30;

/// How often a receipt is asked for.
const RECEIPT_POLL_MILLISECONDS: u64 = 10;

/// How long a mint may take to be mined.
const RECEIPT_SECONDS_MAX: u64 = 30;

/// When the chain makes blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocks {
    /// One for each transaction, at once.
    #[default]
    PerTransaction,
    /// One every so many seconds, as on the real chain: settlement races show.
    EverySeconds(u32),
}

/// A running chain. It and its process die with this value.
#[derive(Debug)]
pub struct Chain {
    process: Guarded,
    rpc_url: String,
    artifact: Value,
    _folder: TempDir,
}

impl Chain {
    /// Starts a chain that mines each transaction at once, with the test token in place and nobody holding any.
    ///
    /// # Errors
    /// [`PeerError::Skip`] without Node and npm or on another platform than Linux on x86-64.
    pub async fn start() -> Result<Self, PeerError> {
        Self::start_with(Blocks::default()).await
    }

    /// Starts a chain with a block rhythm of choice.
    ///
    /// # Errors
    /// As [`Chain::start`].
    pub async fn start_with(blocks: Blocks) -> Result<Self, PeerError> {
        let packages = NodeSet::install("peers/chain").await?;
        let binary = super::install::platform_binary(&packages, "@foundry-rs/anvil-linux-amd64/bin/anvil")?;
        let mut chain = port::on_a_free_port(async |port| {
            let folder = tempfile::tempdir()?;
            let mut command = Command::new(&binary);
            // One worker is enough for one test, and nothing is written to the home folder.
            command
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--chain-id", &CHAIN_ID.to_string(), "--threads", "1"])
                .env("HOME", folder.path());
            if let Blocks::EverySeconds(seconds) = blocks {
                command.args(["--block-time", &seconds.to_string()]);
            }
            let process = Guarded::spawn(&command, &folder.path().join("anvil.log"))?;
            let artifact = serde_json::from_str(ARTIFACT)
                .map_err(|error| PeerError::refused("read TestToken.json", error))?;
            let rpc_url = format!("http://127.0.0.1:{port}");
            let mut chain = Self { process, rpc_url, artifact, _folder: folder };
            let url = chain.rpc_url.clone();
            let ready = async || {
                let id = call(&url, "eth_chainId", json!([])).await;
                id.is_ok_and(|id| id == json!(format!("0x{CHAIN_ID:x}")))
            };
            chain.process.wait_until(Duration::from_secs(READY_SECONDS_MAX), ready).await?;
            Ok(chain)
        })
        .await?;
        chain.place_token().await?;
        Ok(chain)
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// One JSON-RPC call; the `result` member.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the node's own error, [`PeerError::Http`] when it is down.
    pub async fn rpc(&self, method: &str, params: Value) -> Result<Value, PeerError> {
        call(&self.rpc_url, method, params).await
    }

    /// Makes token units (6 decimals: 1,000,000 is one) out of nothing. Waits until they are mined.
    ///
    /// # Errors
    /// As [`Chain::rpc`].
    pub async fn mint(&self, to: &str, amount: u128) -> Result<(), PeerError> {
        let data = self.call_data("mint(address,uint256)", &[address_word(to)?, format!("{amount:064x}")])?;
        let transaction = json!([{"from": MINTER, "to": TOKEN, "data": data}]);
        let hash = self.rpc("eth_sendTransaction", transaction).await?;
        let receipt = self.receipt(&hash).await?;
        if receipt.get("status") == Some(&json!("0x1")) {
            return Ok(());
        }
        Err(PeerError::refused("mint", receipt))
    }

    /// Token units of an address.
    ///
    /// # Errors
    /// As [`Chain::rpc`].
    pub async fn balance_of(&self, owner: &str) -> Result<u128, PeerError> {
        let word = self.view("balanceOf(address)", &[address_word(owner)?]).await?;
        u128::from_str_radix(word.trim_start_matches("0x"), 16)
            .map_err(|_large| PeerError::refused("tell a balance", word))
    }

    /// Whether an EIP-3009 nonce (32 bytes of hex) is used or cancelled.
    ///
    /// # Errors
    /// As [`Chain::rpc`].
    pub async fn authorization_state(&self, from: &str, nonce: &str) -> Result<bool, PeerError> {
        let nonce = nonce.trim_start_matches("0x");
        let arguments = [address_word(from)?, format!("{nonce:0>64}")];
        let word = self.view("authorizationState(address,bytes32)", &arguments).await?;
        Ok(word.ends_with('1'))
    }

    /// The token's EIP-712 domain separator, as hex with `0x`.
    ///
    /// # Errors
    /// As [`Chain::rpc`].
    pub async fn domain_separator(&self) -> Result<String, PeerError> {
        self.view("DOMAIN_SEPARATOR()", &[]).await
    }

    /// Every `Transfer` of the token so far that was not a mint, as (from, to, amount) in chain order.
    ///
    /// # Errors
    /// As [`Chain::rpc`].
    pub async fn transfers(&self) -> Result<Vec<Transfer>, PeerError> {
        let filter = json!([{"address": TOKEN, "fromBlock": "0x0", "topics": [TRANSFER_TOPIC]}]);
        let logs = self.rpc("eth_getLogs", filter).await?;
        let read = || logs.as_array()?.iter().map(Transfer::read).collect::<Option<Vec<_>>>();
        let mut transfers = read().ok_or_else(|| PeerError::refused("list transfers", &logs))?;
        transfers.retain(|transfer| transfer.from != ZERO_ADDRESS);
        Ok(transfers)
    }

    /// Whether transactions are mined as they come. Off: they wait in the pool until [`Chain::mine`].
    ///
    /// # Errors
    /// As [`Chain::rpc`].
    pub async fn set_automine(&self, on: bool) -> Result<(), PeerError> {
        self.rpc("evm_setAutomine", json!([on])).await.map(|_done| ())
    }

    /// Mines one block with what waits in the pool.
    ///
    /// # Errors
    /// As [`Chain::rpc`].
    pub async fn mine(&self) -> Result<(), PeerError> {
        self.rpc("evm_mine", json!([])).await.map(|_block| ())
    }

    /// Freezes the node: connections are accepted by the kernel, nothing answers.
    ///
    /// # Errors
    /// [`PeerError::Process`].
    pub fn pause(&self) -> Result<(), PeerError> {
        Ok(self.process.pause()?)
    }

    /// Undoes [`Chain::pause`].
    ///
    /// # Errors
    /// [`PeerError::Process`].
    pub fn resume(&self) -> Result<(), PeerError> {
        Ok(self.process.resume()?)
    }

    /// Kills the node: connections are refused from now on, and the chain is lost.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    async fn place_token(&mut self) -> Result<(), PeerError> {
        let code = self.artifact.get("runtimeBytecode").cloned();
        let code = code.ok_or_else(|| PeerError::refused("read TestToken.json", "no runtimeBytecode"))?;
        self.rpc("anvil_setCode", json!([TOKEN, code])).await?;
        for (slot, text) in [("0x0", TOKEN_NAME), ("0x1", TOKEN_VERSION)] {
            let slot = format!("0x{:0>64}", slot.trim_start_matches("0x"));
            self.rpc("anvil_setStorageAt", json!([TOKEN, slot, short_string(text)])).await?;
        }
        Ok(())
    }

    async fn view(&self, signature: &str, words: &[String]) -> Result<String, PeerError> {
        let call = json!([{"to": TOKEN, "data": self.call_data(signature, words)?}, "latest"]);
        let answer = self.rpc("eth_call", call).await?;
        answer.as_str().map(str::to_owned).ok_or_else(|| PeerError::refused(signature, answer))
    }

    fn call_data(&self, signature: &str, words: &[String]) -> Result<String, PeerError> {
        let selector = self.artifact.pointer("/selectors").and_then(|all| all.get(signature)?.as_str());
        let selector = selector.ok_or_else(|| PeerError::refused("name a selector", signature))?;
        Ok(format!("{selector}{}", words.concat()))
    }

    async fn receipt(&self, hash: &Value) -> Result<Value, PeerError> {
        let waiting = async {
            loop {
                let receipt = self.rpc("eth_getTransactionReceipt", json!([hash])).await?;
                if !receipt.is_null() {
                    return Ok(receipt);
                }
                tokio::time::sleep(Duration::from_millis(RECEIPT_POLL_MILLISECONDS)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(RECEIPT_SECONDS_MAX), waiting)
            .await
            .map_err(|_elapsed| PeerError::refused("mine a transaction", hash))?
    }
}

/// One movement of the token on the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Lower-case address.
    pub from: String,
    /// Lower-case address.
    pub to: String,
    /// Token units.
    pub amount: u128,
}

/// keccak256("Transfer(address,address,uint256)"), EIP-20.
const TRANSFER_TOPIC: &str = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef";

const ZERO_ADDRESS: &str = "0x0000000000000000000000000000000000000000";

impl Transfer {
    fn read(log: &Value) -> Option<Self> {
        let address = |index: usize| {
            let topic = log.get("topics")?.get(index)?.as_str()?;
            Some(format!("0x{}", topic.get(topic.len().checked_sub(40)?..)?))
        };
        let amount = log.get("data")?.as_str()?.trim_start_matches("0x");
        Some(Self { from: address(1)?, to: address(2)?, amount: u128::from_str_radix(amount, 16).ok()? })
    }
}

async fn call(url: &str, method: &str, params: Value) -> Result<Value, PeerError> {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut answer = http::post_json(url, &[], &request).await?.json()?;
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(PeerError::refused(method, answer)),
    }
}

/// An address as an ABI word: 64 hex digits.
fn address_word(address: &str) -> Result<String, PeerError> {
    let digits = address.trim_start_matches("0x");
    if digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(format!("{:0>64}", digits.to_ascii_lowercase()));
    }
    Err(PeerError::refused("read an address", address))
}

/// Solidity's storage form of a string below 32 bytes: the text to the left, twice its length in the last byte.
fn short_string(text: &str) -> String {
    format!("0x{:0<62}{:02x}", hex::encode(text), text.len() * 2)
}

#[cfg(test)]
mod tests;
