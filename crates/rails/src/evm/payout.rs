//! Payouts of a token on a chain: an authorization by the treasury, submitted by the relayer.
//!
//! The nonce follows from the payout, so the token itself pays it at most once, whoever submits it and however often. It counts as
//! done, or as never to be done, only what so many blocks stand on: what a reorganization takes back is submitted again.

use std::fmt;
use std::sync::Arc;

use tollgate_domain::{Amount, UnixMillis};

use super::eip712::keccak256;
use super::rpc::RpcError;
use super::settler::EvmSettler;
use super::{Address, Authorization, Chain, Domain, SignedAuthorization, SigningKey};
use crate::payout::{PayoutOrder, PayoutRail, Prepared};
use crate::rail::{RailFuture, SettlementAnswer};
use crate::x402::settler::Settler;

/// How long an authorization can be used, in seconds. What is not submitted by then goes back.
const VALID_SECONDS: u64 = 86_400;

/// The nonce follows from the payout: whenever it was used, it was for this payout.
const OURS_ALONE: UnixMillis = UnixMillis::from_secs(0);

/// Pays from a treasury on a chain.
pub struct EvmPayouts {
    chain: Chain,
    token: Address,
    domain: Domain,
    settler: Arc<EvmSettler>,
    treasury: SigningKey,
    confirmations: u64,
}

impl fmt::Debug for EvmPayouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvmPayouts(from {:?})", self.treasury)
    }
}

impl EvmPayouts {
    /// Pays `token` from the treasury's account, submitted by the settler's relayer. `domain` is the token's. A payout counts once
    /// `confirmations` blocks stand on its own.
    pub fn new(
        (chain, token, domain): (Chain, Address, Domain),
        settler: Arc<EvmSettler>,
        treasury: SigningKey,
        confirmations: u64,
    ) -> Self {
        Self { chain, token, domain, settler, treasury, confirmations }
    }

    async fn prepare_now(&self, order: &PayoutOrder, now: UnixMillis) -> Result<Prepared, RpcError> {
        let Ok(to) = order.to.parse() else {
            return Ok(Prepared::Never(format!("{:?} is not an EVM address", order.to)));
        };
        let from = self.treasury.address();
        let balance = self.chain.balance(self.token, from).await?;
        if balance < order.amount {
            return Ok(Prepared::NotNow(format!("the treasury {from} has {balance}, less than the payout")));
        }
        let authorization = Authorization {
            from,
            to,
            value: order.amount,
            valid_after: 0,
            valid_before: now.secs().saturating_add(VALID_SECONDS),
            nonce: keccak256(&[b"tollgate payout ".as_slice(), order.id.as_bytes()].concat()),
        };
        let signature = self.treasury.sign(&authorization.digest(&self.domain));
        Ok(Prepared::Ready(SignedAuthorization { authorization, signature }.to_proof_text()))
    }

    /// What is settled, or can be settled no more, below the blocks that may still be taken back.
    async fn look_up_now(&self, signed: &SignedAuthorization) -> Result<SettlementAnswer, RpcError> {
        let unknown = |evidence: &str| Ok(SettlementAnswer::Unknown { evidence: evidence.to_owned() });
        let authorization = &signed.authorization;
        let head = self.chain.block_number().await?;
        // Before there are so many blocks, nothing stands on enough of them.
        let Some(deep) = head.checked_sub(self.confirmations) else {
            return unknown("the chain has too few blocks");
        };
        if self.chain.authorization_used_at(self.token, authorization, deep).await? {
            return Ok(self.settler.look_up(signed, OURS_ALONE).await);
        }
        if self.chain.authorization_used(self.token, authorization).await? {
            return unknown("submitted, and waits for more blocks on its own");
        }
        // The chain's own time decides: the token refuses from `valid_before` on.
        if self.chain.block_time(deep).await? >= authorization.valid_before {
            let reason = "its authorization expired on the chain without effect".to_owned();
            return Ok(SettlementAnswer::Failed { reason });
        }
        if self.chain.block_time(head).await? >= authorization.valid_before {
            return unknown("expired, and waits for more blocks");
        }
        Ok(match self.settler.look_up(signed, OURS_ALONE).await {
            // It was used between the questions, and does not stand on enough blocks yet.
            SettlementAnswer::Settled { reference } => SettlementAnswer::Unknown { evidence: reference },
            SettlementAnswer::Failed { reason } => SettlementAnswer::Unknown { evidence: reason },
            other @ (SettlementAnswer::Unknown { .. } | SettlementAnswer::Absent) => other,
        })
    }
}

fn read(instruction: &str) -> Result<SignedAuthorization, SettlementAnswer> {
    SignedAuthorization::from_proof_text(instruction)
        .map_err(|error| SettlementAnswer::Unknown { evidence: format!("its instruction: {error}") })
}

impl PayoutRail for EvmPayouts {
    fn read(&self, order: &PayoutOrder, _now: UnixMillis) -> Result<Option<[u8; 32]>, String> {
        match (&order.invoice, order.to.parse::<Address>()) {
            (Some(_), _) => Err("a token goes to an address; leave `invoice` out".to_owned()),
            (None, Err(error)) => Err(error.to_string()),
            (None, Ok(to)) if to == self.treasury.address() => {
                Err("the treasury cannot pay itself".to_owned())
            }
            (None, Ok(_)) => Ok(None),
        }
    }

    fn prepare<'a>(&'a self, order: &'a PayoutOrder, now: UnixMillis) -> RailFuture<'a, Prepared> {
        Box::pin(async move {
            self.prepare_now(order, now).await.unwrap_or_else(|error| Prepared::NotNow(error.to_string()))
        })
    }

    fn send<'a>(&'a self, instruction: &'a str, now: UnixMillis) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move {
            let signed = match read(instruction) {
                Ok(signed) => signed,
                Err(unknown) => return unknown,
            };
            // An authorization that was sent once is everybody's: a reverted submission says nothing about the next one.
            match self.settler.settle(&signed, now).await {
                SettlementAnswer::Settled { reference } => {
                    let evidence = format!("{reference}: waits for {} blocks", self.confirmations);
                    SettlementAnswer::Unknown { evidence }
                }
                SettlementAnswer::Failed { reason } => SettlementAnswer::Unknown { evidence: reason },
                other @ (SettlementAnswer::Unknown { .. } | SettlementAnswer::Absent) => other,
            }
        })
    }

    fn look_up<'a>(&'a self, instruction: &'a str, _now: UnixMillis) -> RailFuture<'a, SettlementAnswer> {
        Box::pin(async move {
            let signed = match read(instruction) {
                Ok(signed) => signed,
                Err(unknown) => return unknown,
            };
            let found = self.look_up_now(&signed).await;
            found.unwrap_or_else(|error| SettlementAnswer::Unknown { evidence: error.to_string() })
        })
    }

    fn confirm<'a>(
        &'a self,
        instruction: &'a str,
        reference: &'a str,
        _now: UnixMillis,
    ) -> RailFuture<'a, Result<Option<Amount>, String>> {
        Box::pin(async move {
            let signed =
                SignedAuthorization::from_proof_text(instruction).map_err(|error| error.to_string())?;
            self.settler.confirm(&signed, reference).await
        })
    }

    fn paid_from(&self) -> Option<String> {
        Some(self.treasury.address().to_string())
    }
}

#[cfg(test)]
mod tests;
