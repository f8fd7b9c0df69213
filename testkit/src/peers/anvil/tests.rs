use super::*;
use crate::peers::available;
use crate::peers::install::{node, testkit};

/// Set to `1` to write a freshly compiled artifact instead of comparing.
const BLESS: &str = "TOLLGATE_BLESS";

#[tokio::test]
async fn the_token_stands_at_the_canonical_address_with_the_canonical_domain() {
    let Some(chain) = available(Chain::start().await) else {
        return;
    };
    // The domain separator of Base Sepolia's USDC: a signature made for the real token is valid here.
    let separator = chain.domain_separator().await.unwrap();
    assert!(separator.starts_with("0x71f17a3b") && separator.ends_with("9818"), "{separator}");

    assert_eq!(chain.balance_of(PAYER.address).await.unwrap(), 0);
    chain.mint(PAYER.address, 1_000_000).await.unwrap();
    chain.mint(PAYER.address, 5).await.unwrap();
    assert_eq!(chain.balance_of(PAYER.address).await.unwrap(), 1_000_005);
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 0);
    assert_eq!(chain.transfers().await.unwrap(), [], "mints are not transfers");
    let nonce = format!("0x{}", "ab".repeat(32));
    assert!(!chain.authorization_state(PAYER.address, &nonce).await.unwrap());
}

/// `eth_signTypedData_v4` of the node's own unlocked account makes the signature: no signer of ours is involved.
async fn authorize(chain: &Chain, nonce: &str, valid_before: u64) -> String {
    let typed = json!({
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}
            ],
            "TransferWithAuthorization": [
                {"name": "from", "type": "address"}, {"name": "to", "type": "address"},
                {"name": "value", "type": "uint256"}, {"name": "validAfter", "type": "uint256"},
                {"name": "validBefore", "type": "uint256"}, {"name": "nonce", "type": "bytes32"}
            ]
        },
        "domain": {"name": TOKEN_NAME, "version": TOKEN_VERSION, "chainId": CHAIN_ID, "verifyingContract": TOKEN},
        "primaryType": "TransferWithAuthorization",
        "message": {
            "from": PAYER.address, "to": PAYEE.address, "value": "10000", "validAfter": "0",
            "validBefore": valid_before.to_string(), "nonce": nonce
        }
    });
    let signature = chain.rpc("eth_signTypedData_v4", json!([PAYER.address, typed])).await.unwrap();
    signature.as_str().unwrap().trim_start_matches("0x").to_owned()
}

async fn transfer(
    chain: &Chain,
    nonce: &str,
    valid_before: u64,
    value: u64,
    signature: &str,
) -> Result<Value, PeerError> {
    let words = [
        address_word(PAYER.address).unwrap(),
        address_word(PAYEE.address).unwrap(),
        format!("{value:064x}"),
        format!("{:064x}", 0),
        format!("{valid_before:064x}"),
        nonce.trim_start_matches("0x").to_owned(),
        signature[128..].to_owned(),
        signature[..64].to_owned(),
        signature[64..128].to_owned(),
    ];
    let words: Vec<String> = words.iter().map(|word| format!("{word:0>64}")).collect();
    let signature =
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)";
    let data = chain.call_data(signature, &words).unwrap();
    let transaction = json!({"from": RELAYER.address, "to": TOKEN, "data": data});
    // The node mines what reverts; the reason is told by a call alone.
    chain.rpc("eth_call", json!([transaction, "latest"])).await?;
    let hash = chain.rpc("eth_sendTransaction", json!([transaction])).await?;
    let receipt = chain.receipt(&hash).await?;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    Ok(receipt)
}

#[tokio::test]
async fn an_authorization_moves_money_once_and_only_as_signed() {
    let Some(chain) = available(Chain::start().await) else {
        return;
    };
    chain.mint(PAYER.address, 50_000).await.unwrap();
    let nonce = format!("0x{}", "5a".repeat(32));
    let later = 4_000_000_000;
    let signature = authorize(&chain, &nonce, later).await;

    let widened = transfer(&chain, &nonce, later, 10_001, &signature).await.unwrap_err();
    assert!(widened.to_string().contains("invalid signature"), "{widened}");
    transfer(&chain, &nonce, later, 10_000, &signature).await.unwrap();
    let replayed = transfer(&chain, &nonce, later, 10_000, &signature).await.unwrap_err();
    assert!(replayed.to_string().contains("authorization is used or canceled"), "{replayed}");

    assert!(chain.authorization_state(PAYER.address, &nonce).await.unwrap());
    assert_eq!(chain.balance_of(PAYER.address).await.unwrap(), 40_000);
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 10_000);
    let moved =
        Transfer { from: PAYER.address.to_lowercase(), to: PAYEE.address.to_lowercase(), amount: 10_000 };
    assert_eq!(chain.transfers().await.unwrap(), [moved]);
}

#[tokio::test]
async fn an_expired_authorization_moves_nothing() {
    let Some(chain) = available(Chain::start().await) else {
        return;
    };
    chain.mint(PAYER.address, 50_000).await.unwrap();
    let nonce = format!("0x{}", "17".repeat(32));
    let signature = authorize(&chain, &nonce, 1_000).await;
    let expired = transfer(&chain, &nonce, 1_000, 10_000, &signature).await.unwrap_err();
    assert!(expired.to_string().contains("authorization is expired"), "{expired}");
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 0);

    let signature = authorize(&chain, &nonce, 4_000_000_000).await;
    transfer(&chain, &nonce, 4_000_000_000, 10_000, &signature).await.unwrap();
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 10_000);
}

#[tokio::test]
async fn faults_can_be_made_and_undone() {
    let Some(mut chain) = available(Chain::start().await) else {
        return;
    };
    chain.set_automine(false).await.unwrap();
    let minted = chain
        .call_data("mint(address,uint256)", &[address_word(PAYEE.address).unwrap(), format!("{:064x}", 7)]);
    let transaction = json!([{"from": MINTER, "to": TOKEN, "data": minted.unwrap(), "gas": "0x30d40"}]);
    chain.rpc("eth_sendTransaction", transaction).await.unwrap();
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 0, "it waits in the pool");
    chain.mine().await.unwrap();
    assert_eq!(chain.balance_of(PAYEE.address).await.unwrap(), 7);

    chain.pause().unwrap();
    let frozen = chain.rpc("eth_chainId", json!([]));
    let limit = Duration::from_millis(200);
    assert!(tokio::time::timeout(limit, frozen).await.is_err(), "a frozen node does not answer");
    chain.resume().unwrap();
    chain.rpc("eth_chainId", json!([])).await.unwrap();

    chain.kill();
    assert!(matches!(chain.rpc("eth_chainId", json!([])).await, Err(PeerError::Http(_))));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a switch for the person who renews the artifact")]
async fn the_committed_token_is_what_its_source_compiles_to() {
    let Some(packages) = available(NodeSet::install("peers/solc").await) else {
        return;
    };
    let script = packages.script("contracts/compile.mjs").unwrap();
    let output = node(&script).arg(testkit().join("contracts/TestToken.sol")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let compiled = String::from_utf8(output.stdout).unwrap();
    if std::env::var(BLESS).as_deref() == Ok("1") {
        std::fs::write(testkit().join("contracts/TestToken.json"), &compiled).unwrap();
    }
    assert_eq!(ARTIFACT.trim(), compiled.trim());
}
