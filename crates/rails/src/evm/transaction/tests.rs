use tollgate_domain::Amount;

use super::*;

fn key(secret: &str) -> SigningKey {
    SigningKey::from_bytes(&hex::decode(secret).unwrap().try_into().unwrap()).unwrap()
}

fn hash(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// A transaction of Ethereum mainnet, 0x0ec0b6a2…2ee0: `setApprovalForAll` by 0xdD6B8b3d….
#[test]
fn a_transaction_of_mainnet_is_encoded_as_it_is_on_chain() {
    let transaction = Transaction {
        chain_id: 1,
        nonce: 0x42,
        max_priority_fee_per_gas: 0x3b9a_ca00,
        max_fee_per_gas: 0x4_a817_c800,
        gas_limit: 44_386,
        to: "0x6069a6c32cf691f5982febae4faf8a6f3ab2f0f6".parse().unwrap(),
        data: hex::decode(
            "a22cb4650000000000000000000000005eee75727d804a2b13038928d36f8b188945a57a\
             0000000000000000000000000000000000000000000000000000000000000000",
        )
        .unwrap(),
    };
    let signature = Signature::from_hex(
        "0x840cfc572845f5786e702984c2a582528cad4b49b2a10b9db1be7fca90058565\
         25e7109ceb98168d95b09b18bbf6b685130e0562f233877d492b94eee0c5b6d100",
    )
    .unwrap();
    let raw = transaction.encode(Some(&signature));
    assert_eq!(keccak256(&raw), hash("0ec0b6a2df4d87424e5f6ad2a654e27aaeb7dac20ae9e8385cc09087ad532ee0"));
    let signer = signature.recover(&keccak256(&transaction.encode(None))).unwrap();
    assert_eq!(signer, "0xdd6b8b3dc6b7ad97db52f08a275ff4483e024cea".parse().unwrap());
}

/// Made with viem 2.57.0 (`encodeFunctionData`, `signTransaction`; MIT), accounts 0 and 1 of the public test mnemonic.
#[test]
fn a_submission_is_byte_for_byte_what_viem_makes() {
    let payer = key("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let relayer = key("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d");
    let token: Address = "0x036CbD53842c5426634e7929541eC2318f3dCF7e".parse().unwrap();
    let authorization = Authorization {
        from: payer.address(),
        to: relayer.address(),
        value: Amount::new(10_000),
        valid_after: 0,
        valid_before: 1_795_219_260,
        nonce: [0x1f; 32],
    };
    let domain = crate::evm::Domain::new("USDC", "2", 84_532, token);
    let signature = payer.sign(&authorization.digest(&domain));
    let data = transfer_with_authorization(&authorization, &signature);
    let expected_data = "e3ee160e\
        000000000000000000000000f39fd6e51aad88f6f4ce6ab8827279cfffb92266\
        00000000000000000000000070997970c51812dc3a010c7d01b50e0d17dc79c8\
        0000000000000000000000000000000000000000000000000000000000002710\
        0000000000000000000000000000000000000000000000000000000000000000\
        000000000000000000000000000000000000000000000000000000006b00df3c\
        1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f\
        000000000000000000000000000000000000000000000000000000000000001c\
        f2d040f42f240ff37cbade3c7e9752fda071db7f674d67aab892211a2fd48d51\
        27af8a60302fd19fe1c5d82b10936342d634f1aaa899cd67af437ec32fb8ce37";
    assert_eq!(hex::encode(&data), expected_data);
    let transaction = Transaction {
        chain_id: 84_532,
        nonce: 0,
        max_priority_fee_per_gas: 1_000_000,
        max_fee_per_gas: 3_000_000_000,
        gas_limit: 108_694,
        to: token,
        data,
    };
    let signed = transaction.sign(&relayer);
    let expected_raw = format!(
        "02f9019383014a3480830f424084b2d05e008301a89694036cbd53842c5426634e7929541ec2318f3dcf7e80b90124{expected_data}c080\
         a0fcdf364e92fabf2d021ea31b30c38cb70cf390ec85148663a3ab01034a2d4a4e\
         a03729da9732933037e00f8c8aefc7bbab4cfc4b4df339249b5c1202dd91d3751a"
    );
    assert_eq!(hex::encode(&signed.raw), expected_raw);
    assert_eq!(signed.hash, hash("e150abbadb802c6af02c07603ae1787fe34b60e8b625acaabd19d352f444aacb"));
}

#[test]
fn selectors_are_those_of_their_functions() {
    for (selector, function) in [
        (
            TRANSFER_WITH_AUTHORIZATION,
            "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
        ),
        (AUTHORIZATION_STATE, "authorizationState(address,bytes32)"),
        (BALANCE_OF, "balanceOf(address)"),
    ] {
        assert_eq!(selector, keccak256(function.as_bytes())[..4], "{function}");
    }
}

#[test]
fn numbers_lose_their_leading_zeros() {
    let mut number = [0; 32];
    assert_eq!(trimmed(&number), [0_u8; 0]);
    number[30] = 1;
    assert_eq!(trimmed(&number), [1, 0]);
}
