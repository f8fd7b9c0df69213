//! What the tests of this rail share: one token, one price, one payer, and a token contract in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tollgate_domain::{Amount, Asset, Binding, Digest, Money, Price, Quote, Settle, ToolRef, UnixMillis};

use super::{ExactEvm, ExactEvmConfig, Settler, Settling};
use crate::evm::{Address, Authorization, SignedAuthorization, SigningKey};
use crate::mpp::Challenges;
use crate::quote_seal::QuoteSealer;
use crate::rail::{Arrival, RailFuture, SettlementAnswer};

pub(crate) const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_200);
pub(crate) const SECRET: [u8; 32] = [7; 32];
pub(crate) const PAY_TO: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// Account 0 of the public test mnemonic "test test … junk".
pub(crate) fn payer() -> SigningKey {
    let secret = hex::decode("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").unwrap();
    SigningKey::from_bytes(&secret.try_into().unwrap()).unwrap()
}

/// USDC of Base Sepolia.
pub(crate) fn usdc() -> Asset {
    Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6).unwrap()
}

pub(crate) fn quote_for(server: &str, tool: &str, arguments: &str, amount: u128) -> Quote {
    Quote {
        binding: Binding {
            tool: ToolRef { server: server.parse().unwrap(), tool: tool.parse().unwrap() },
            args: Digest::of(arguments.as_bytes()),
            price_version: 1,
            quote: None,
        },
        price: Price::any_of([Money { amount: Amount::new(amount), asset: usdc() }]),
        settle: Settle::After,
        expires: NOW.plus_millis(120_000),
    }
}

pub(crate) fn quote() -> Quote {
    quote_for("demo", "weather", r#"{"city":"Paris"}"#, 10_000)
}

pub(crate) fn config(settling: Settling) -> ExactEvmConfig {
    ExactEvmConfig {
        asset: usdc(),
        domain_name: "USDC".to_owned(),
        domain_version: "2".to_owned(),
        pay_to: PAY_TO.parse().unwrap(),
        max_timeout_seconds: 60,
        sealer: QuoteSealer::new(&SECRET),
        challenges: Some(Challenges::new(&SECRET, "gate.example").unwrap()),
        settling,
    }
}

pub(crate) fn rail() -> ExactEvm {
    ExactEvm::new(config(Settling::Sandbox)).unwrap()
}

/// Runs a future that never really waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the future waits"),
    }
}

/// A token contract in memory that has no balances: it takes every authorization once.
#[derive(Debug, Default)]
pub(crate) struct MemoryToken {
    moved: Mutex<BTreeMap<(Address, [u8; 32]), String>>,
}

impl MemoryToken {
    pub(crate) fn transfers(&self) -> usize {
        self.moved.lock().unwrap().len()
    }
}

impl Settler for MemoryToken {
    fn settle<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        _now: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        let Authorization { from, nonce, .. } = signed.authorization;
        let mut moved = self.moved.lock().unwrap();
        let reference = moved.entry((from, nonce)).or_insert_with(|| "0xabc".to_owned()).clone();
        Box::pin(std::future::ready(SettlementAnswer::Settled { reference }))
    }

    fn look_up<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        _since: UnixMillis,
    ) -> RailFuture<'a, SettlementAnswer> {
        let Authorization { from, nonce, .. } = signed.authorization;
        let found = self.moved.lock().unwrap().get(&(from, nonce)).cloned();
        let answer =
            found.map_or(SettlementAnswer::Absent, |reference| SettlementAnswer::Settled { reference });
        Box::pin(std::future::ready(answer))
    }

    fn confirm<'a>(
        &'a self,
        signed: &'a SignedAuthorization,
        reference: &'a str,
    ) -> RailFuture<'a, Result<Option<Amount>, String>> {
        let Authorization { from, nonce, value, .. } = signed.authorization;
        let moved = self.moved.lock().unwrap().get(&(from, nonce)).is_some_and(|known| known == reference);
        Box::pin(std::future::ready(Ok(moved.then_some(value))))
    }

    fn arrivals(&self, _recipient: Address) -> RailFuture<'_, Result<Vec<Arrival>, String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}
