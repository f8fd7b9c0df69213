//! Settles authorizations on a real chain: a relayer submits them and pays the gas.
//!
//! What the chain says counts, and nothing else does: a receipt's status alone proves nothing, the token's own events do.
//! An authorization can be used once, by whoever submits it, so sending it twice never moves money twice; it only burns
//! gas. It is sent again only after a look-up found no effect and nothing of the relayer's waiting.

use std::fmt;
use std::time::Duration;

use tokio::sync::Mutex;
use tollgate_domain::{Amount, UnixMillis};

use super::chain::{Chain, Fees, Log, TransactionReceipt, prefixed};
use super::eip712::word;
use super::rpc::RpcError;
use super::transaction::{SignedTransaction, Transaction, transfer_with_authorization};
use super::{Address, Authorization, SignedAuthorization, SigningKey};
use crate::rail::{Arrival, RailFuture, SettlementAnswer};
use crate::x402::settler::{Settler, reason};

/// `Transfer(address,address,uint256)` (ERC-20).
pub(crate) const TRANSFER: [u8; 32] = [
    0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b, 0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa, 0x95,
    0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16, 0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef,
];
/// `AuthorizationUsed(address,bytes32)` (EIP-3009).
pub(crate) const AUTHORIZATION_USED: [u8; 32] = [
    0x98, 0xde, 0x50, 0x35, 0x28, 0xee, 0x59, 0xb5, 0x75, 0xef, 0x0c, 0x0a, 0x25, 0x76, 0xa8, 0x24, 0x97,
    0xbf, 0xc0, 0x29, 0xa5, 0x68, 0x5b, 0x20, 0x9e, 0x9e, 0xc3, 0x33, 0x47, 0x9b, 0x10, 0xa5,
];
/// `AuthorizationCanceled(address,bytes32)` (EIP-3009).
pub(crate) const AUTHORIZATION_CANCELED: [u8; 32] = [
    0x1c, 0xdd, 0x46, 0xff, 0x24, 0x27, 0x16, 0xcd, 0xaa, 0x72, 0xd1, 0x59, 0xd3, 0x39, 0xa4, 0x85, 0xb3,
    0x43, 0x83, 0x98, 0x34, 0x8d, 0x68, 0xf0, 0x9d, 0x7c, 0x8c, 0x0a, 0x59, 0x35, 0x3d, 0x81,
];

/// How often a submission is tried when the node says that its nonce or fee collides with another transaction.
const SUBMISSIONS_MAX: usize = 3;

/// How far a block's time may be behind the gateway's clock for a transaction that was sent just now: a block carries the time at which its
/// slot began, and clocks are off by seconds.
const CLOCKS_DIFFER_SECONDS_MAX: u64 = 15;

/// Where and with what limits authorizations are settled.
#[derive(Clone, Debug)]
pub struct EvmSettlerConfig {
    /// The chain that the node must serve.
    pub chain_id: u64,
    /// The token.
    pub token: Address,
    /// Between two looks for a receipt, in milliseconds.
    pub poll_ms: u64,
    /// Looks for a receipt before the answer is "unknown".
    pub polls_max: u32,
    /// The most that is paid for gas, in wei per gas.
    pub max_fee_per_gas_max: u128,
    /// How far back a look-up searches the token's events, in blocks.
    pub look_back_blocks_max: u64,
    /// How many blocks one search covers; nodes have limits.
    pub blocks_per_search_max: u64,
}

impl EvmSettlerConfig {
    /// Defaults for this token: a look every 200 ms for 20 s, at most 500 gwei, events of the last 50,000 blocks (a day of
    /// blocks of 2 s) in searches of 5,000.
    pub const fn new(chain_id: u64, token: Address) -> Self {
        Self {
            chain_id,
            token,
            poll_ms: 200,
            polls_max: 100,
            max_fee_per_gas_max: 500_000_000_000,
            look_back_blocks_max: 50_000,
            blocks_per_search_max: 5_000,
        }
    }
}

/// Settles on a chain.
pub struct EvmSettler {
    chain: Chain,
    config: EvmSettlerConfig,
    relayer: SigningKey,
    /// One submitter: whoever holds it may take the relayer's next nonce. Holds the nonce after the last one sent, when
    /// every transaction before it was taken by the node.
    submitter: Mutex<Option<u64>>,
}

/// A step that ended early, with what is known then.
type Stopped = SettlementAnswer;

impl EvmSettler {
    /// Settles through this node with this relayer's key.
    pub fn new(chain: Chain, config: EvmSettlerConfig, relayer: SigningKey) -> Self {
        Self { chain, config, relayer, submitter: Mutex::new(None) }
    }

    /// The account that pays the gas.
    pub const fn relayer(&self) -> Address {
        self.relayer.address()
    }

    async fn settle_now(&self, signed: &SignedAuthorization) -> Result<SettlementAnswer, Stopped> {
        self.check_chain().await?;
        self.check_funds(signed).await?;
        let data = transfer_with_authorization(&signed.authorization, &signed.signature);
        let gas = match self.chain.estimate_gas(self.relayer.address(), self.config.token, &data).await {
            Ok(gas) => gas,
            Err(error) if is_revert(&error) => {
                return self.reverted(signed, reason::TRANSACTION_SIMULATION_FAILED).await;
            }
            Err(error) => return Err(unknown(&error)),
        };
        let fees = self.chain.fees().await.map_err(|error| unknown(&error))?;
        let sent = self.submit(data, gas, fees).await?;
        self.follow(signed, sent.hash).await
    }

    /// A definite "no" costs no gas: the wrong chain, a used nonce, a balance that is too low.
    async fn check_funds(&self, signed: &SignedAuthorization) -> Result<(), Stopped> {
        let (token, authorization) = (self.config.token, &signed.authorization);
        if self.chain.authorization_used(token, authorization).await.map_err(|error| unknown(&error))? {
            // Nothing was sent for this call yet: what the token has done by now was done for something else, perhaps at another house
            // that is paid at the same address, and everybody can read it there.
            return Err(failed(reason::NONCE_ALREADY_USED));
        }
        let balance = self.chain.balance(token, authorization.from).await.map_err(|error| unknown(&error))?;
        if balance < authorization.value { Err(failed(reason::INSUFFICIENT_BALANCE)) } else { Ok(()) }
    }

    async fn check_chain(&self) -> Result<(), Stopped> {
        let id = self.chain.id().await.map_err(|error| unknown(&error))?;
        if id == self.config.chain_id { Ok(()) } else { Err(failed(reason::NETWORK_MISMATCH)) }
    }

    /// Signs and sends, one at a time: two transactions must not take one nonce.
    async fn submit(&self, data: Vec<u8>, gas: u64, fees: Fees) -> Result<SignedTransaction, Stopped> {
        let max_fee_per_gas =
            fees.base.saturating_mul(2).saturating_add(fees.priority).min(self.config.max_fee_per_gas_max);
        if fees.base > max_fee_per_gas {
            return Err(SettlementAnswer::Unknown {
                evidence: "not sent: gas costs more than the configured limit".to_owned(),
            });
        }
        let mut transaction = Transaction {
            chain_id: self.config.chain_id,
            nonce: 0,
            max_priority_fee_per_gas: fees.priority.min(max_fee_per_gas),
            max_fee_per_gas,
            // A fifth more than estimated: the state may differ a little in the block that takes it.
            gas_limit: gas.saturating_add(gas / 5),
            to: self.config.token,
            data,
        };
        let mut next = self.submitter.lock().await;
        let mut last = None;
        for _ in 0..SUBMISSIONS_MAX {
            let pending = self.chain.transaction_count(self.relayer.address(), true).await;
            // A node may show its own pool late; one that lost a transaction is believed again after a collision.
            transaction.nonce = pending.map_err(|error| unknown(&error))?.max(next.unwrap_or(0));
            let signed = transaction.sign(&self.relayer);
            match self.chain.send(&signed.raw).await {
                Ok(()) => {
                    *next = transaction.nonce.checked_add(1);
                    return Ok(signed);
                }
                Err(error) if is_known(&error) => return Ok(signed),
                Err(error) if is_collision(&error) => {
                    *next = None;
                    last = Some(error);
                }
                Err(error) => {
                    *next = None;
                    let evidence = format!("{}: {error}", prefixed(&signed.hash));
                    return Err(SettlementAnswer::Unknown { evidence });
                }
            }
        }
        let evidence = last.map_or_else(String::new, |error| format!("not sent: {error}"));
        Err(SettlementAnswer::Unknown { evidence })
    }

    /// Waits for a transaction's receipt and reads what it did.
    async fn follow(
        &self,
        signed: &SignedAuthorization,
        hash: [u8; 32],
    ) -> Result<SettlementAnswer, Stopped> {
        for poll in 0..self.config.polls_max {
            if poll > 0 {
                tokio::time::sleep(Duration::from_millis(self.config.poll_ms)).await;
            }
            // A node that hiccups now may answer the next time; the transaction is out either way.
            let Ok(Some(receipt)) = self.chain.receipt(hash).await else {
                continue;
            };
            if !receipt.succeeded {
                return self.reverted(signed, reason::TRANSACTION_FAILED).await;
            }
            return Ok(match self.effect(&signed.authorization, &receipt) {
                Effect::Paid => SettlementAnswer::Settled { reference: prefixed(&hash) },
                Effect::Unclear => SettlementAnswer::Unknown {
                    evidence: format!("{}: no clear transfer event", prefixed(&hash)),
                },
                Effect::Nothing => failed(reason::TRANSFER_EVENT_MISMATCH),
            });
        }
        // The transaction may have been dropped: the next one asks the node for its nonce again.
        *self.submitter.lock().await = None;
        Ok(SettlementAnswer::Unknown { evidence: prefixed(&hash) })
    }

    /// A revert is a failure, unless somebody else submitted the authorization first: then the money has moved.
    async fn reverted(
        &self,
        signed: &SignedAuthorization,
        reason: &'static str,
    ) -> Result<SettlementAnswer, Stopped> {
        let authorization = &signed.authorization;
        match self.chain.authorization_used(self.config.token, authorization).await {
            // It was not used when this submission began.
            Ok(true) => self.find(authorization, None).await,
            Ok(false) => Ok(failed(reason)),
            Err(error) => Err(unknown(&error)),
        }
    }

    /// Finds what a used nonce was used for, in the token's events, from the newest block backwards. A payment before `since` was made for
    /// something else.
    async fn find(
        &self,
        authorization: &Authorization,
        since: Option<UnixMillis>,
    ) -> Result<SettlementAnswer, Stopped> {
        let mut end = self.chain.block_number().await.map_err(|error| unknown(&error))?;
        let first = end.saturating_sub(self.config.look_back_blocks_max);
        let step = self.config.blocks_per_search_max.max(1).saturating_sub(1);
        loop {
            let start = end.saturating_sub(step).max(first);
            let events = [AUTHORIZATION_USED, AUTHORIZATION_CANCELED];
            let words = [authorization.from.to_word(), authorization.nonce];
            let logs = self.chain.logs(self.config.token, &events, words, start..=end).await;
            if let Some(log) = logs.map_err(|error| unknown(&error))?.first() {
                return self.read_use(authorization, log, since).await;
            }
            if start <= first {
                let evidence = "the nonce is used, but no event of its use was found".to_owned();
                return Ok(SettlementAnswer::Unknown { evidence });
            }
            end = start.saturating_sub(1);
        }
    }

    /// What the transaction behind an event did for this authorization.
    async fn read_use(
        &self,
        authorization: &Authorization,
        log: &Log,
        since: Option<UnixMillis>,
    ) -> Result<SettlementAnswer, Stopped> {
        if log.topics.first() == Some(&AUTHORIZATION_CANCELED) {
            return Ok(failed(reason::NONCE_ALREADY_USED));
        }
        let receipt = self.chain.receipt(log.transaction).await.map_err(|error| unknown(&error))?;
        let reference = prefixed(&log.transaction);
        Ok(match receipt.map(|receipt| self.effect(authorization, &receipt)) {
            Some(Effect::Paid) if self.is_before(log.block, since).await? => SettlementAnswer::Unknown {
                evidence: format!("{reference}: it moved before this call was claimed"),
            },
            Some(Effect::Paid) => SettlementAnswer::Settled { reference },
            // The payer signed two authorizations with one nonce, and the other one was used.
            Some(Effect::Nothing) => failed(reason::NONCE_ALREADY_USED),
            Some(Effect::Unclear) | None => SettlementAnswer::Unknown { evidence: reference },
        })
    }

    async fn is_before(&self, block: u64, since: Option<UnixMillis>) -> Result<bool, Stopped> {
        let Some(since) = since else { return Ok(false) };
        let at = self.chain.block_time(block).await.map_err(|error| unknown(&error))?;
        Ok(at.saturating_add(CLOCKS_DIFFER_SECONDS_MAX) < since.secs())
    }

    /// Reads a receipt for this authorization. One transaction may carry several payments of one payer, so a transfer
    /// counts only as the one that belongs to this nonce: EIP-3009 tokens log the use of a nonce, then its transfer.
    fn effect(&self, authorization: &Authorization, receipt: &TransactionReceipt) -> Effect {
        let (from, to) = (authorization.from.to_word(), authorization.to.to_word());
        let mut logs = receipt.logs.iter().filter(|log| log.address == self.config.token);
        let used = [AUTHORIZATION_USED, from, authorization.nonce];
        if !logs.by_ref().any(|log| log.topics == used) {
            let transfer = |log: &Log| log.topics == [TRANSFER, from, to];
            return if receipt.logs.iter().any(transfer) { Effect::Unclear } else { Effect::Nothing };
        }
        match logs.find(|log| matches!(log.topics.first(), Some(&TRANSFER | &AUTHORIZATION_USED))) {
            Some(log)
                if log.topics == [TRANSFER, from, to] && log.data == word(authorization.value.get()) =>
            {
                Effect::Paid
            }
            Some(log) if log.topics.first() == Some(&TRANSFER) => Effect::Nothing,
            Some(_) | None => Effect::Unclear,
        }
    }

    async fn look_up_now(
        &self,
        signed: &SignedAuthorization,
        since: UnixMillis,
    ) -> Result<SettlementAnswer, Stopped> {
        self.check_chain().await.map_err(|stopped| match stopped {
            // A look-up sends nothing, so a node of another chain proves nothing about ours.
            SettlementAnswer::Failed { reason } => SettlementAnswer::Unknown { evidence: reason },
            other @ (SettlementAnswer::Settled { .. }
            | SettlementAnswer::Unknown { .. }
            | SettlementAnswer::Absent) => other,
        })?;
        // Asked in this order: a transaction that leaves the pool between the two questions is seen by the second.
        let relayer = self.relayer.address();
        let pending = self.chain.transaction_count(relayer, true).await.map_err(|error| unknown(&error))?;
        let mined = self.chain.transaction_count(relayer, false).await.map_err(|error| unknown(&error))?;
        let used = self.chain.authorization_used(self.config.token, &signed.authorization).await;
        if used.map_err(|error| unknown(&error))? {
            return self.find(&signed.authorization, Some(since)).await;
        }
        if pending > mined {
            let evidence = "transactions of the relayer are still waiting".to_owned();
            return Ok(SettlementAnswer::Unknown { evidence });
        }
        Ok(SettlementAnswer::Absent)
    }
}

impl EvmSettler {
    async fn confirm_now(
        &self,
        signed: &SignedAuthorization,
        reference: &str,
    ) -> Result<Option<Amount>, String> {
        let id = self.chain.id().await.map_err(|error| error.to_string())?;
        if id != self.config.chain_id {
            return Err(reason::NETWORK_MISMATCH.to_owned());
        }
        let mut hash = [0; 32];
        let digits = reference.strip_prefix("0x").unwrap_or_default();
        if hex::decode_to_slice(digits, &mut hash).is_err() {
            return Ok(None);
        }
        let receipt = self.chain.receipt(hash).await.map_err(|error| error.to_string())?;
        let receipt = receipt.filter(|receipt| receipt.succeeded);
        Ok(receipt.and_then(|receipt| self.moved(&signed.authorization, &receipt)))
    }

    /// What a receipt moved for this authorization: the transfer that its token logged behind the use of its nonce.
    fn moved(&self, authorization: &Authorization, receipt: &TransactionReceipt) -> Option<Amount> {
        let (from, to) = (authorization.from.to_word(), authorization.to.to_word());
        let mut logs = receipt.logs.iter().filter(|log| log.address == self.config.token);
        let used = [AUTHORIZATION_USED, from, authorization.nonce];
        logs.by_ref().find(|log| log.topics == used)?;
        let moved = logs.find(|log| matches!(log.topics.first(), Some(&TRANSFER | &AUTHORIZATION_USED)))?;
        (moved.topics == [TRANSFER, from, to]).then(|| amount_of(&moved.data))
    }

    async fn arrivals_now(&self, recipient: Address) -> Result<Vec<Arrival>, RpcError> {
        let mut end = self.chain.block_number().await?;
        let first = end.saturating_sub(self.config.look_back_blocks_max);
        let step = self.config.blocks_per_search_max.max(1).saturating_sub(1);
        let mut arrived = Vec::new();
        loop {
            let start = end.saturating_sub(step).max(first);
            let logs =
                self.chain.logs_to(self.config.token, TRANSFER, recipient.to_word(), start..=end).await?;
            arrived.extend(logs.iter().map(|log| Arrival {
                reference: prefixed(&log.transaction),
                payer: log.topics.get(1).map(|word| prefixed(&word[12..])).unwrap_or_default(),
                amount: amount_of(&log.data),
            }));
            if start <= first {
                return Ok(arrived);
            }
            end = start.saturating_sub(1);
        }
    }
}

/// The number in the data of a transfer. One of more than 128 bits, which no token here has, is shown as the largest.
fn amount_of(data: &[u8]) -> Amount {
    let (high, low) = data.split_at(data.len().saturating_sub(16));
    let low = low.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    Amount::new(if high.iter().all(|byte| *byte == 0) { low } else { u128::MAX })
}

/// What a transaction did for one authorization.
enum Effect {
    Paid,
    Nothing,
    Unclear,
}

impl fmt::Debug for EvmSettler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EvmSettler({} on eip155:{} by {:?})",
            self.config.token, self.config.chain_id, self.relayer
        )
    }
}

impl Settler for EvmSettler {
    fn settle<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        _now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move { self.settle_now(signed).await.unwrap_or_else(|stopped| stopped) })
    }

    fn look_up<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        since: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move { self.look_up_now(signed, since).await.unwrap_or_else(|stopped| stopped) })
    }

    fn confirm<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        reference: &'a str,
    ) -> RailFuture<'a, Result<Option<Amount>, String>> {
        Box::pin(self.confirm_now(signed, reference))
    }

    fn arrivals(&self, recipient: Address) -> RailFuture<'_, Result<Vec<Arrival>, String>> {
        Box::pin(async move { self.arrivals_now(recipient).await.map_err(|error| error.to_string()) })
    }
}

fn failed(reason: &str) -> SettlementAnswer {
    SettlementAnswer::Failed { reason: reason.to_owned() }
}

fn unknown(error: &RpcError) -> SettlementAnswer {
    SettlementAnswer::Unknown { evidence: error.to_string() }
}

/// Whether the node says that the call would revert, rather than that it cannot tell.
fn is_revert(error: &RpcError) -> bool {
    matches!(error, RpcError::Node { code, message, .. } if *code == 3 || contains(message, "revert"))
}

/// Whether the node has this very transaction already.
fn is_known(error: &RpcError) -> bool {
    matches!(error, RpcError::Node { message, .. } if contains(message, "already known") || contains(message, "known transaction") || contains(message, "already imported"))
}

/// Whether the node did not take the transaction because another one has its nonce.
fn is_collision(error: &RpcError) -> bool {
    matches!(error, RpcError::Node { message, .. } if contains(message, "nonce too low") || contains(message, "underpriced"))
}

fn contains(message: &str, words: &str) -> bool {
    message.to_ascii_lowercase().contains(words)
}

#[cfg(test)]
mod tests;
