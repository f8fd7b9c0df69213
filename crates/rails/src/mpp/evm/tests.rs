use super::*;

fn target() -> Target {
    Target {
        chain_id: 84_532,
        token: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".parse().unwrap(),
        recipient: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".parse().unwrap(),
        decimals: 6,
    }
}

#[test]
fn a_challenge_has_the_shape_of_the_draft() {
    let challenges = Challenges::new(&[7; 32], "gate.example").unwrap();
    let made =
        challenge(&challenges, &target(), Amount::new(10_000), UnixMillis::from_secs(1_795_219_320), "seal");
    let object: Value = serde_json::from_str(&made.mcp_json()).unwrap();
    assert_eq!((&object["method"], &object["intent"]), (&json!("evm"), &json!("charge")));
    assert_eq!(object["expires"], "2026-11-21T00:02:00.000Z");
    assert_eq!(
        object["request"],
        json!({
            "amount": "10000",
            "currency": "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
            "recipient": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
            "methodDetails": {"chainId": 84532, "credentialTypes": ["authorization"], "decimals": 6},
        })
    );
}

#[test]
fn the_nonce_is_the_hash_of_id_and_realm() {
    let challenges = Challenges::new(&[7; 32], "gate.example").unwrap();
    let made = challenge(&challenges, &target(), Amount::new(10_000), UnixMillis::from_secs(1), "seal");
    let packed = format!("{}gate.example", made.id());
    assert_eq!(challenge_nonce(&made), crate::evm::keccak256(packed.as_bytes()));
}
