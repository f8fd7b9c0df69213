//! What the tests of this rail share: one token, one price, one payer, and a sandbox book in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tollgate_domain::{Amount, Asset, Binding, Digest, Money, Price, Quote, ToolRef, UnixMillis};

use super::{
    ExactEvm, ExactEvmConfig, SandboxBook, SandboxDecision, SandboxError, SandboxSettler, SandboxTransfer,
};
use crate::evm::{Address, SigningKey};
use crate::mpp::Challenges;
use crate::quote_seal::QuoteSealer;

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
        },
        price: Price::any_of([Money { amount: Amount::new(amount), asset: usdc() }]),
        expires: NOW.plus_millis(120_000),
    }
}

pub(crate) fn quote() -> Quote {
    quote_for("demo", "weather", r#"{"city":"Paris"}"#, 10_000)
}

pub(crate) fn config(book: &Arc<MemoryBook>) -> ExactEvmConfig {
    ExactEvmConfig {
        asset: usdc(),
        domain_name: "USDC".to_owned(),
        domain_version: "2".to_owned(),
        pay_to: PAY_TO.parse().unwrap(),
        max_timeout_seconds: 60,
        sealer: QuoteSealer::new(&SECRET),
        challenges: Some(Challenges::new(&SECRET, "gate.example").unwrap()),
        settler: Arc::new(SandboxSettler::new(Arc::clone(book))),
        sandbox: true,
    }
}

pub(crate) fn rail() -> ExactEvm {
    ExactEvm::new(config(&Arc::new(MemoryBook::default()))).unwrap()
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

/// A sandbox book in memory: the model that a store's book behaves like.
#[derive(Default)]
pub(crate) struct MemoryBook {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    balances: BTreeMap<Address, Amount>,
    used: BTreeMap<(Address, [u8; 32]), String>,
    broken: bool,
}

impl MemoryBook {
    /// From now on the book cannot be read or written.
    pub(crate) fn break_down(&self) {
        self.state.lock().unwrap().broken = true;
    }

    fn with<T>(&self, action: impl FnOnce(&mut State) -> Result<T, SandboxError>) -> Result<T, SandboxError> {
        let mut state = self.state.lock().unwrap();
        if state.broken {
            return Err(SandboxError::Unavailable("broken".to_owned()));
        }
        action(&mut state)
    }
}

impl SandboxBook for MemoryBook {
    async fn transfer(&self, transfer: &SandboxTransfer, now: UnixMillis) -> Result<String, SandboxError> {
        self.with(|state| {
            let authorization = &transfer.authorization;
            let used = (authorization.from, authorization.nonce);
            let balance = state.balances.get(&authorization.from).copied().unwrap_or_default();
            let known = state.used.get(&used).map(String::as_str);
            if transfer.decide(known, balance, now)? == SandboxDecision::Move {
                state.balances.insert(authorization.from, balance.checked_sub(authorization.value).unwrap());
                let received = state.balances.entry(authorization.to).or_default();
                *received = received.checked_add(authorization.value).unwrap();
                state.used.insert(used, transfer.reference.clone());
            }
            Ok(transfer.reference.clone())
        })
    }

    async fn authorization_used(
        &self,
        from: Address,
        nonce: [u8; 32],
    ) -> Result<Option<String>, SandboxError> {
        self.with(|state| Ok(state.used.get(&(from, nonce)).cloned()))
    }

    async fn balance(&self, owner: Address) -> Result<Amount, SandboxError> {
        self.with(|state| Ok(state.balances.get(&owner).copied().unwrap_or_default()))
    }

    async fn mint(&self, owner: Address, amount: Amount) -> Result<(), SandboxError> {
        self.with(|state| {
            let balance = state.balances.entry(owner).or_default();
            *balance = balance.checked_add(amount).unwrap();
            Ok(())
        })
    }
}
