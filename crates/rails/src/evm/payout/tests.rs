use std::sync::Mutex;

use serde_json::{Value, json};
use tollgate_domain::PayoutId;

use super::*;
use crate::evm::EvmSettlerConfig;
use crate::evm::chain::prefixed;
use crate::evm::eip712::word;
use crate::evm::rpc::JsonRpc;
use crate::evm::settler::{AUTHORIZATION_USED, TRANSFER};

const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_200);
const CONFIRMATIONS: u64 = 3;
const CHAIN: u64 = 84_532;

/// A chain as a payout sees it.
#[derive(Debug, Default)]
struct Node(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    head: u64,
    /// The block from which on the authorization is used.
    used: Option<u64>,
    /// From this block on, time is beyond every authorization.
    late: Option<u64>,
    authorization: Option<Authorization>,
}

impl State {
    fn answer(&self, method: &str, params: &Value) -> Value {
        let block_of = |tag: &Value| match tag.as_str().unwrap() {
            "latest" | "pending" => self.head,
            number => u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap(),
        };
        let is_used = |block| self.used.is_some_and(|used| used <= block);
        match method {
            "eth_chainId" => json!(format!("{CHAIN:#x}")),
            "eth_blockNumber" => json!(format!("{:#x}", self.head)),
            "eth_getTransactionCount" => json!("0x0"),
            "eth_call" => json!(prefixed(&word(u128::from(is_used(block_of(&params[1])))))),
            "eth_getBlockByNumber" => {
                let is_late = self.late.is_some_and(|late| late <= block_of(&params[0]));
                let time = NOW.secs() + if is_late { 2 * VALID_SECONDS } else { 10 };
                json!({ "timestamp": format!("{time:#x}") })
            }
            "eth_getLogs" => json!([self.logs()[0].clone()]),
            "eth_getTransactionReceipt" => json!({ "status": "0x1", "logs": self.logs() }),
            other => panic!("{other}"),
        }
    }

    fn logs(&self) -> [Value; 2] {
        let paid = self.authorization.unwrap();
        let log = |topics: &[[u8; 32]], value: u128| {
            let topics: Vec<String> = topics.iter().map(|topic| prefixed(topic)).collect();
            json!({ "address": token().to_lower(), "topics": topics, "data": prefixed(&word(value)),
                "transactionHash": prefixed(&[7; 32]), "blockNumber": "0x1" })
        };
        [
            log(&[AUTHORIZATION_USED, paid.from.to_word(), paid.nonce], 0),
            log(&[TRANSFER, paid.from.to_word(), paid.to.to_word()], paid.value.get()),
        ]
    }
}

impl JsonRpc for Node {
    fn call<'a>(&'a self, method: &'static str, params: Value) -> RailFuture<'a, Result<Value, RpcError>> {
        let answer = self.0.lock().unwrap().answer(method, &params);
        Box::pin(async move { Ok(answer) })
    }
}

fn token() -> Address {
    "0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse().unwrap()
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn rail(node: &Arc<Node>) -> EvmPayouts {
    let chain = Chain::new(Arc::clone(node) as _);
    let settler = EvmSettler::new(chain.clone(), EvmSettlerConfig::new(CHAIN, token()), key(1));
    let domain = Domain::new("USDC", "2", CHAIN, token());
    EvmPayouts::new((chain, token(), domain), Arc::new(settler), key(2), CONFIRMATIONS)
}

fn order(byte: u8) -> PayoutOrder {
    let to = format!("0x{}", "11".repeat(20));
    // The node says of every balance what it says of a use: 1.
    PayoutOrder { id: PayoutId::from_bytes([byte; 16]), to, amount: Amount::new(1), invoice: None }
}

async fn instruction(rail: &EvmPayouts, node: &Node, byte: u8) -> String {
    let before = std::mem::replace(&mut *node.0.lock().unwrap(), State { used: Some(0), ..State::default() });
    let prepared = rail.prepare(&order(byte), NOW).await;
    *node.0.lock().unwrap() = before;
    match prepared {
        Prepared::Ready(instruction) => instruction,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_nonce_follows_from_the_payout_whenever_it_is_prepared() {
    let node = Arc::new(Node::default());
    let rail = rail(&node);
    let read = |text: &str| SignedAuthorization::from_proof_text(text).unwrap();
    let (one, other) = (instruction(&rail, &node, 1).await, instruction(&rail, &node, 2).await);
    assert_ne!(read(&one).authorization.nonce, read(&other).authorization.nonce);
    assert_eq!(read(&one).authorization.nonce, read(&instruction(&rail, &node, 1).await).authorization.nonce);
    assert_eq!(read(&one).check(&Domain::new("USDC", "2", CHAIN, token())), Ok(true), "the treasury's own");
}

#[tokio::test]
async fn f34_only_what_enough_blocks_stand_on_is_settled_or_failed() {
    let node = Arc::new(Node::default());
    let rail = rail(&node);
    let signed = instruction(&rail, &node, 1).await;
    let authorization = SignedAuthorization::from_proof_text(&signed).unwrap().authorization;
    let seen = async |head, used, late| {
        *node.0.lock().unwrap() = State { head, used, late, authorization: Some(authorization) };
        rail.look_up(&signed, NOW).await
    };
    let unknown = |answer| matches!(answer, SettlementAnswer::Unknown { .. });
    assert!(unknown(seen(2, None, None).await), "too few blocks to know anything");
    assert_eq!(seen(10, None, None).await, SettlementAnswer::Absent);
    assert!(unknown(seen(10, Some(10), None).await), "in the newest block");
    assert!(unknown(seen(12, Some(10), None).await), "two blocks stand on it");
    assert_eq!(seen(12, None, None).await, SettlementAnswer::Absent, "a reorganization took it back");
    let reference = prefixed(&[7; 32]);
    assert_eq!(seen(13, Some(10), None).await, SettlementAnswer::Settled { reference });
    assert!(unknown(seen(13, None, Some(11)).await), "expired at the head, not below");
    assert!(matches!(seen(13, None, Some(10)).await, SettlementAnswer::Failed { .. }));
    assert!(unknown(seen(13, Some(12), Some(13)).await), "used just before it expired");
}

#[tokio::test]
async fn what_cannot_be_paid_is_refused_and_an_empty_treasury_waits() {
    let node = Arc::new(Node::default());
    let rail = rail(&node);
    let wrong = |to: &str, invoice: Option<&str>| {
        rail.read(&PayoutOrder { to: to.to_owned(), invoice: invoice.map(str::to_owned), ..order(1) }, NOW)
    };
    assert_eq!(wrong(&order(1).to, None), Ok(None), "control");
    assert!(wrong("0x12", None).is_err());
    assert!(wrong(&order(1).to, Some("lnbc1")).is_err());
    assert!(wrong(&key(2).address().to_lower(), None).is_err(), "the treasury itself");
    assert!(matches!(rail.prepare(&order(1), NOW).await, Prepared::NotNow(_)), "a balance of nothing");
}
