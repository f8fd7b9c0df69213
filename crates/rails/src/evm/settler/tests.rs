use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex as StdMutex};

use serde_json::{Value, json};
use tollgate_domain::Amount;

use super::*;
use crate::evm::keccak256;
use crate::evm::rpc::JsonRpc;
use crate::x402::testing::{PAY_TO, payer};

const NOW: UnixMillis = UnixMillis::from_secs(1_795_219_200);
const TOKEN: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";

/// A node with one EIP-3009 token, as far as a relayer can tell it from a real one.
#[derive(Debug, Default)]
struct Node {
    state: StdMutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chain_id: u64,
    block: u64,
    balance: u128,
    used: BTreeSet<String>,
    mined: u64,
    /// Transactions in the pool: hash and call data.
    pool: Vec<(String, Vec<u8>)>,
    receipts: BTreeMap<String, Value>,
    /// Logs with the block they stand in.
    logs: Vec<(u64, Value)>,
    /// Nonces of every transaction that was sent, in order.
    sent: Vec<u64>,
    mining: Mining,
    /// Errors that come instead of an answer to these methods, each once.
    errors: Vec<(&'static str, RpcError)>,
    base_fee: u128,
    /// Of the block of every event, in seconds.
    time_of_uses: u64,
    /// The answer to the next submission gets lost on its way back.
    lose_answer: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Mining {
    /// A block for each transaction.
    #[default]
    Automatic,
    /// Transactions wait.
    Never,
    /// Transactions are carried out, but the token logs nothing.
    Silent,
    /// Somebody else's transaction with the same authorization comes first.
    Overtaken,
    /// Transactions revert.
    Reverting,
}

impl Node {
    fn with<T>(&self, action: impl FnOnce(&mut State) -> T) -> T {
        action(&mut self.state.lock().unwrap())
    }

    fn sent(&self) -> Vec<u64> {
        self.with(|state| state.sent.clone())
    }

    fn fail(&self, method: &'static str, error: RpcError) {
        self.with(|state| state.errors.push((method, error)));
    }
}

fn hex_of(bytes: &[u8]) -> String {
    prefixed(bytes)
}

fn log(topics: &[[u8; 32]], value: u128, hash: &str) -> Value {
    let topics: Vec<String> = topics.iter().map(|topic| hex_of(topic)).collect();
    json!({"address": TOKEN, "topics": topics, "data": hex_of(&word(value)), "transactionHash": hash, "blockNumber": "0x5f"})
}

fn as_word(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap()
}

impl State {
    /// Carries out `transferWithAuthorization` as an EIP-3009 token does.
    fn mine(&mut self, hash: &str, data: &[u8], silent: bool) {
        let words: Vec<[u8; 32]> = data[4..].chunks(32).map(as_word).collect();
        let value = u128::from_be_bytes(words[2][16..].try_into().unwrap());
        let key = hex_of(&words[5]);
        self.block += 1;
        if self.used.contains(&key) || self.balance < value {
            self.receipts.insert(hash.to_owned(), json!({"status": "0x0", "logs": []}));
            return;
        }
        self.used.insert(key);
        self.balance -= value;
        let logs = [
            log(&[AUTHORIZATION_USED, words[0], words[5]], 0, hash),
            log(&[TRANSFER, words[0], words[1]], value, hash),
        ];
        let shown = if silent { json!([]) } else { json!(logs) };
        self.logs.extend(logs.into_iter().map(|log| (self.block, log)));
        self.receipts.insert(hash.to_owned(), json!({"status": "0x1", "logs": shown}));
    }

    fn send(&mut self, raw: &[u8]) -> Value {
        let mut body = &raw[1..];
        let mut list = alloy_rlp::Header::decode_bytes(&mut body, true).unwrap();
        let mut items = Vec::new();
        while !list.is_empty() && items.len() < 8 {
            items.push(alloy_rlp::Header::decode_bytes(&mut list, false).unwrap());
        }
        self.sent.push(items[1].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)));
        let (hash, data) = (hex_of(&keccak256(raw)), items[7].to_vec());
        match self.mining {
            Mining::Never => self.pool.push((hash.clone(), data)),
            Mining::Automatic => self.mine(&hash, &data, false),
            Mining::Silent => self.mine(&hash, &data, true),
            Mining::Overtaken => {
                self.mine(&hex_of(&[0xee; 32]), &data, false);
                self.mine(&hash, &data, false);
            }
            Mining::Reverting => {
                self.receipts.insert(hash.clone(), json!({"status": "0x0", "logs": []}));
            }
        }
        if self.mining != Mining::Never {
            self.mined += 1;
        }
        json!(hash)
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap().trim_start_matches("0x")).unwrap();
        let quantity = |number: u128| json!(format!("{number:#x}"));
        match method {
            "eth_chainId" => quantity(self.chain_id.into()),
            "eth_blockNumber" => quantity(self.block.into()),
            "eth_estimateGas" => quantity(90_579),
            "eth_maxPriorityFeePerGas" => quantity(1_000_000),
            "eth_getBlockByNumber" => {
                let time = if params[0] == "0x5f" { self.time_of_uses } else { NOW.secs() };
                json!({"baseFeePerGas": quantity(self.base_fee), "timestamp": quantity(time.into())})
            }
            "eth_getTransactionCount" if params[1] == "pending" => {
                quantity(u128::from(self.mined) + u128::try_from(self.pool.len()).unwrap())
            }
            "eth_getTransactionCount" => quantity(self.mined.into()),
            "eth_call" => {
                let data = bytes(&params[0]["data"]);
                if data.len() == 36 {
                    json!(hex_of(&word(self.balance)))
                } else {
                    json!(hex_of(&word(u128::from(self.used.contains(&hex_of(&data[36..]))))))
                }
            }
            "eth_sendRawTransaction" => self.send(&bytes(&params[0])),
            "eth_getTransactionReceipt" => {
                self.receipts.get(params[0].as_str().unwrap()).cloned().unwrap_or(Value::Null)
            }
            "eth_getLogs" => {
                let block = |name: &str| {
                    let text = params[0][name].as_str().unwrap();
                    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
                };
                let topics = &params[0]["topics"];
                let matches = |log: &Value| {
                    topics[0].as_array().unwrap().contains(&log["topics"][0])
                        && topics[1] == log["topics"][1]
                        && topics[2] == log["topics"][2]
                };
                let range = block("fromBlock")..=block("toBlock");
                self.logs
                    .iter()
                    .filter(|(at, log)| range.contains(at) && matches(log))
                    .map(|(_, log)| log.clone())
                    .collect()
            }
            other => panic!("unexpected method {other}"),
        }
    }
}

impl JsonRpc for Node {
    fn call<'a>(&'a self, method: &'static str, params: Value) -> RailFuture<'a, Result<Value, RpcError>> {
        Box::pin(async move {
            // Every answer takes a turn, so that concurrent settlements really interleave.
            tokio::task::yield_now().await;
            self.with(|state| match state.errors.iter().position(|(failing, _)| *failing == method) {
                Some(place) => Err(state.errors.remove(place).1),
                None => {
                    let answer = state.call(method, &params);
                    let lose = method == "eth_sendRawTransaction" && std::mem::take(&mut state.lose_answer);
                    if lose { Err(lost(method)) } else { Ok(answer) }
                }
            })
        })
    }
}

fn world() -> (Arc<Node>, EvmSettler) {
    let node = Arc::new(Node::default());
    node.with(|state| {
        state.chain_id = 84_532;
        state.block = 100;
        state.balance = 1_000_000;
        state.base_fee = 1_000_000_000;
        state.time_of_uses = NOW.secs();
    });
    (Arc::clone(&node), settler_of(&node))
}

fn settler_of(node: &Arc<Node>) -> EvmSettler {
    let relayer = SigningKey::from_bytes(&[0x22; 32]).unwrap();
    let config = EvmSettlerConfig::new(84_532, TOKEN.parse().unwrap());
    EvmSettler::new(Chain::new(Arc::clone(node) as Arc<dyn JsonRpc>), config, relayer)
}

fn signed(value: u128, nonce: u8) -> SignedAuthorization {
    let authorization = Authorization {
        from: payer().address(),
        to: PAY_TO.parse().unwrap(),
        value: Amount::new(value),
        valid_after: 0,
        valid_before: NOW.secs() + 60,
        nonce: [nonce; 32],
    };
    let domain = crate::evm::Domain::new("USDC", "2", 84_532, TOKEN.parse().unwrap());
    SignedAuthorization { authorization, signature: payer().sign(&authorization.digest(&domain)) }
}

fn node_error(method: &'static str, code: i64, message: &str) -> RpcError {
    RpcError::Node { method, code, message: message.to_owned() }
}

fn lost(method: &'static str) -> RpcError {
    RpcError::NoAnswer { method, reason: "cut".to_owned(), nothing_was_sent: false }
}

fn failed_with(reason: &str) -> SettlementAnswer {
    SettlementAnswer::Failed { reason: reason.to_owned() }
}

#[track_caller]
fn reference(answer: &SettlementAnswer) -> String {
    match answer {
        SettlementAnswer::Settled { reference } => reference.clone(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn evidence(answer: &SettlementAnswer) -> String {
    match answer {
        SettlementAnswer::Unknown { evidence } => evidence.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_are_those_of_the_standards() {
    for (event, text) in [
        (TRANSFER, "Transfer(address,address,uint256)"),
        (AUTHORIZATION_USED, "AuthorizationUsed(address,bytes32)"),
        (AUTHORIZATION_CANCELED, "AuthorizationCanceled(address,bytes32)"),
    ] {
        assert_eq!(event, keccak256(text.as_bytes()), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_authorization_is_submitted_once_and_found_again() {
    let (node, settler) = world();
    let first = settler.settle(&signed(10_000, 1), NOW).await;
    assert_eq!(reference(&first).len(), 66);
    assert_eq!(settler.look_up(&signed(10_000, 1), NOW).await, first);
    assert_eq!(settler_of(&node).look_up(&signed(10_000, 1), NOW).await, first, "also after a restart");
    assert_eq!(settler.settle(&signed(10_000, 1), NOW).await, failed_with(reason::NONCE_ALREADY_USED));
    assert_eq!(node.sent(), [0]);
    assert_eq!(node.with(|state| state.balance), 990_000);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_costs_no_gas() {
    let (node, settler) = world();
    let answer = settler.settle(&signed(1_000_001, 1), NOW).await;
    assert_eq!(answer, failed_with(reason::INSUFFICIENT_BALANCE));
    node.fail(
        "eth_estimateGas",
        node_error("eth_estimateGas", 3, "execution reverted: authorization is expired"),
    );
    let answer = settler.settle(&signed(10_000, 1), NOW).await;
    assert_eq!(answer, failed_with(reason::TRANSACTION_SIMULATION_FAILED));
    node.with(|state| state.chain_id = 1);
    assert_eq!(settler.settle(&signed(10_000, 1), NOW).await, failed_with(reason::NETWORK_MISMATCH));
    assert_eq!(evidence(&settler.look_up(&signed(10_000, 1), NOW).await), reason::NETWORK_MISMATCH);
    assert_eq!(node.sent(), [0_u64; 0]);
    node.with(|state| state.chain_id = 84_532);
    reference(&settler.settle(&signed(10_000, 1), NOW).await);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_nonce_is_a_failure() {
    let (node, settler) = world();
    let it = signed(10_000, 1).authorization;
    node.with(|state| {
        state.used.insert(it.nonce_hex());
        state
            .logs
            .push((90, log(&[AUTHORIZATION_CANCELED, it.from.to_word(), it.nonce], 0, &hex_of(&[1; 32]))));
    });
    assert_eq!(settler.settle(&signed(10_000, 1), NOW).await, failed_with(reason::NONCE_ALREADY_USED));
    assert_eq!(settler.look_up(&signed(10_000, 1), NOW).await, failed_with(reason::NONCE_ALREADY_USED));
    reference(&settler.settle(&signed(10_000, 2), NOW).await);
}

/// One transaction, made by the payer: a nonce that we hold an authorization for goes to a friend, and an authorization
/// with another nonce pays us the same amount. Only the second is a payment.
#[tokio::test(start_paused = true)]
async fn a_transfer_counts_only_for_its_own_nonce() {
    let (node, settler) = world();
    let (ours, other) = (signed(10_000, 1).authorization, signed(10_000, 2).authorization);
    let hash = hex_of(&[1; 32]);
    let friend = [9; 32];
    for orders in [[true, false], [false, true]] {
        let logs: Vec<Value> = orders
            .into_iter()
            .flat_map(|to_friend| {
                let (it, to) = if to_friend { (&ours, friend) } else { (&other, other.to.to_word()) };
                [
                    log(&[AUTHORIZATION_USED, it.from.to_word(), it.nonce], 0, &hash),
                    log(&[TRANSFER, it.from.to_word(), to], 10_000, &hash),
                ]
            })
            .collect();
        node.with(|state| {
            state.used.extend([ours.nonce_hex(), other.nonce_hex()]);
            state.logs = logs.iter().map(|log| (95, log.clone())).collect();
            state.receipts.insert(hash.clone(), json!({"status": "0x1", "logs": logs}));
        });
        assert_eq!(settler.look_up(&signed(10_000, 1), NOW).await, failed_with(reason::NONCE_ALREADY_USED));
        assert_eq!(
            reference(&settler.look_up(&signed(10_000, 2), NOW).await),
            hash,
            "control: this one did pay"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_waits_is_unknown_until_the_chain_decides() {
    let (node, settler) = world();
    node.with(|state| state.mining = Mining::Never);
    let hash = evidence(&settler.settle(&signed(10_000, 1), NOW).await);
    assert_eq!(hash.len(), 66);
    evidence(&settler.look_up(&signed(10_000, 1), NOW).await);
    let waiting = node.with(|state| std::mem::take(&mut state.pool));
    // Dropped from the pool: only now may it be sent again.
    assert_eq!(settler.look_up(&signed(10_000, 1), NOW).await, SettlementAnswer::Absent);
    node.with(|state| {
        state.mined += 1;
        let (hash, data) = &waiting[0];
        state.mine(hash, data, false);
    });
    assert_eq!(reference(&settler.look_up(&signed(10_000, 1), NOW).await), hash);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_submission_is_unknown_and_found_later() {
    let (node, settler) = world();
    node.with(|state| state.lose_answer = true);
    let evidence = evidence(&settler.settle(&signed(10_000, 1), NOW).await);
    let found = reference(&settler.look_up(&signed(10_000, 1), NOW).await);
    assert!(evidence.starts_with(&found), "the evidence names the transaction: {evidence}");
    assert_eq!(settler.settle(&signed(10_000, 1), NOW).await, failed_with(reason::NONCE_ALREADY_USED));
    assert_eq!(reference(&settler.look_up(&signed(10_000, 1), NOW).await), found);
    assert_eq!(node.sent(), [0], "nothing was sent twice");
}

/// Whoever found it on the chain may have shown it with a quote of their own, and the gateway died before it could refuse it.
#[tokio::test(start_paused = true)]
async fn what_moved_before_the_claim_does_not_count_for_it() {
    let (node, settler) = world();
    reference(&settler.settle(&signed(10_000, 1), NOW).await);
    node.with(|state| state.time_of_uses = NOW.secs() - 16);
    let evidence = evidence(&settler.look_up(&signed(10_000, 1), NOW).await);
    assert!(evidence.ends_with("it moved before this call was claimed"), "{evidence}");
    // A slot has begun before, and clocks differ.
    node.with(|state| state.time_of_uses = NOW.secs() - 15);
    reference(&settler.look_up(&signed(10_000, 1), NOW).await);
    // Nor can it be told while the node does not say when that was.
    node.fail("eth_getBlockByNumber", lost("eth_getBlockByNumber"));
    self::evidence(&settler.look_up(&signed(10_000, 1), NOW).await);
}

#[tokio::test(start_paused = true)]
async fn a_lost_submission_is_sent_again_only_after_a_look_up() {
    let (node, settler) = world();
    node.fail("eth_sendRawTransaction", lost("eth_sendRawTransaction"));
    evidence(&settler.settle(&signed(10_000, 1), NOW).await);
    assert_eq!(node.sent(), [0_u64; 0]);
    assert_eq!(settler.look_up(&signed(10_000, 1), NOW).await, SettlementAnswer::Absent);
    reference(&settler.settle(&signed(10_000, 1), NOW).await);
    assert_eq!(node.sent(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_is_never_a_failure() {
    for method in [
        "eth_chainId",
        "eth_call",
        "eth_estimateGas",
        "eth_getBlockByNumber",
        "eth_maxPriorityFeePerGas",
        "eth_getTransactionCount",
    ] {
        let (node, settler) = world();
        node.fail(method, lost(method));
        evidence(&settler.settle(&signed(10_000, 1), NOW).await);
        assert_eq!(node.sent(), [0_u64; 0], "{method}");
        reference(&settler.settle(&signed(10_000, 1), NOW).await);
    }
    for method in ["eth_chainId", "eth_call", "eth_getTransactionCount"] {
        let (node, settler) = world();
        node.fail(method, lost(method));
        evidence(&settler.look_up(&signed(10_000, 1), NOW).await);
    }
    // A hiccup while waiting for the receipt is waited out.
    let (node, settler) = world();
    node.fail("eth_getTransactionReceipt", lost("eth_getTransactionReceipt"));
    reference(&settler.settle(&signed(10_000, 1), NOW).await);
}

#[tokio::test(start_paused = true)]
async fn an_authorization_that_somebody_else_submitted_first_has_paid_us_all_the_same() {
    let (node, settler) = world();
    node.with(|state| state.mining = Mining::Overtaken);
    assert_eq!(reference(&settler.settle(&signed(10_000, 1), NOW).await), hex_of(&[0xee; 32]));
    assert_eq!(node.with(|state| state.balance), 990_000);
}

/// What was paid at another house with the same payee, or to the payee directly, can be read on the chain by everybody.
#[tokio::test(start_paused = true)]
async fn p3_an_authorization_that_was_used_before_it_came_here_pays_for_nothing() {
    let (node, elsewhere) = world();
    reference(&elsewhere.settle(&signed(10_000, 1), NOW).await);
    let here = settler_of(&node);
    assert_eq!(here.settle(&signed(10_000, 1), NOW).await, failed_with(reason::NONCE_ALREADY_USED));
    assert_eq!(node.sent(), [0], "and costs no gas");
    reference(&here.settle(&signed(10_000, 2), NOW).await); // control
    assert_eq!(node.with(|state| state.balance), 980_000);
}

#[tokio::test(start_paused = true)]
async fn p5_success_without_the_transfer_events_is_no_payment() {
    let (node, settler) = world();
    node.with(|state| state.mining = Mining::Silent);
    assert_eq!(settler.settle(&signed(10_000, 1), NOW).await, failed_with(reason::TRANSFER_EVENT_MISMATCH));
    let (node, settler) = world();
    node.with(|state| state.mining = Mining::Reverting);
    assert_eq!(settler.settle(&signed(10_000, 1), NOW).await, failed_with(reason::TRANSACTION_FAILED));
}

#[tokio::test(start_paused = true)]
async fn concurrent_settlements_take_different_nonces() {
    let (node, settler) = world();
    let settler = Arc::new(settler);
    let tasks: Vec<_> = (1..=20)
        .map(|nonce| {
            let settler = Arc::clone(&settler);
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(async move { settler.settle(&signed(10_000, nonce), NOW).await });
            tasks
        })
        .collect();
    for mut task in tasks {
        reference(&task.join_next().await.unwrap().unwrap());
    }
    assert_eq!(node.sent(), (0..20).collect::<Vec<u64>>());
    assert_eq!(node.with(|state| state.balance), 800_000);
}

#[tokio::test(start_paused = true)]
async fn a_nonce_that_collides_is_asked_for_again() {
    let (node, settler) = world();
    let method = "eth_sendRawTransaction";
    node.fail(method, node_error(method, -32000, "nonce too low"));
    node.fail(method, node_error(method, -32000, "replacement transaction underpriced"));
    reference(&settler.settle(&signed(10_000, 1), NOW).await);
    for _ in 0..SUBMISSIONS_MAX {
        node.fail(method, node_error(method, -32000, "nonce too low"));
    }
    assert!(evidence(&settler.settle(&signed(10_000, 2), NOW).await).starts_with("not sent"));
    assert_eq!(node.sent(), [0]);
}

#[tokio::test(start_paused = true)]
async fn gas_above_the_limit_is_not_paid() {
    let (node, settler) = world();
    node.with(|state| state.base_fee = 600_000_000_000);
    assert!(evidence(&settler.settle(&signed(10_000, 1), NOW).await).starts_with("not sent"));
    assert_eq!(node.sent(), [0_u64; 0]);
    node.with(|state| state.base_fee = 400_000_000_000);
    reference(&settler.settle(&signed(10_000, 1), NOW).await);
}

#[tokio::test(start_paused = true)]
async fn an_old_use_is_searched_in_steps() {
    let (node, settler) = world();
    let hash = reference(&settler.settle(&signed(10_000, 1), NOW).await);
    node.with(|state| state.block += 30_000);
    assert_eq!(reference(&settler.look_up(&signed(10_000, 1), NOW).await), hash);
    node.with(|state| state.block += 30_000);
    evidence(&settler.look_up(&signed(10_000, 1), NOW).await);
}

#[test]
fn the_relayer_key_is_not_printed() {
    let (_, settler) = world();
    let printed = format!("{settler:?}");
    assert!(printed.contains(&settler.relayer().to_string()) && !printed.contains("2222"), "{printed}");
}
