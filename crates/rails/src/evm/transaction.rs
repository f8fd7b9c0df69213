//! The one kind of transaction a relayer sends: an EIP-1559 call of a contract, without ether.

use alloy_rlp::Encodable;

use super::eip712::word;
use super::eip3009::Authorization;
use super::{Address, Signature, SigningKey, keccak256};

/// The transaction type byte of EIP-1559.
const TYPE: u8 = 2;

/// `transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)`.
const TRANSFER_WITH_AUTHORIZATION: [u8; 4] = [0xe3, 0xee, 0x16, 0x0e];
/// `authorizationState(address,bytes32)`.
const AUTHORIZATION_STATE: [u8; 4] = [0xe9, 0x4a, 0x01, 0x02];
/// `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];

/// A contract call that has not been signed. Fees are in wei per gas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// The chain.
    pub chain_id: u64,
    /// The sender's transaction count.
    pub nonce: u64,
    /// The most that goes to the block's proposer.
    pub max_priority_fee_per_gas: u128,
    /// The most that is paid in all.
    pub max_fee_per_gas: u128,
    /// The most gas that may be used.
    pub gas_limit: u64,
    /// The contract.
    pub to: Address,
    /// The call data.
    pub data: Vec<u8>,
}

/// A signed transaction, ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedTransaction {
    /// What `eth_sendRawTransaction` takes.
    pub raw: Vec<u8>,
    /// What it will be known as.
    pub hash: [u8; 32],
}

impl Transaction {
    /// Signs it with the sender's key (EIP-1559: `keccak256(0x02 ‖ rlp(fields))`).
    pub fn sign(&self, key: &SigningKey) -> SignedTransaction {
        let signature = key.sign(&keccak256(&self.encode(None)));
        let raw = self.encode(Some(&signature));
        let hash = keccak256(&raw);
        SignedTransaction { raw, hash }
    }

    fn encode(&self, signature: Option<&Signature>) -> Vec<u8> {
        let (no_ether, access_list) = (0_u8, EmptyList);
        let data = Bytes(&self.data);
        let mut fields: Vec<&dyn Encodable> = vec![
            &self.chain_id,
            &self.nonce,
            &self.max_priority_fee_per_gas,
            &self.max_fee_per_gas,
            &self.gas_limit,
            self.to.as_bytes(),
            &no_ether,
            &data,
            &access_list,
        ];
        let numbers = signature.map(|signature| (u8::from(signature.is_odd()), signature.r(), signature.s()));
        let scalars = numbers.as_ref().map(|(parity, r, s)| (parity, Bytes(trimmed(r)), Bytes(trimmed(s))));
        if let Some((parity, r, s)) = &scalars {
            fields.push(*parity);
            fields.push(r);
            fields.push(s);
        }
        let mut out = vec![TYPE];
        alloy_rlp::encode_list::<&dyn Encodable, dyn Encodable>(&fields, &mut out);
        out
    }
}

/// Bytes as an RLP string.
struct Bytes<'a>(&'a [u8]);

impl Encodable for Bytes<'_> {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        self.0.encode(out);
    }
}

/// An RLP list of nothing: the access list.
struct EmptyList;

impl Encodable for EmptyList {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        alloy_rlp::Header { list: true, payload_length: 0 }.encode(out);
    }
}

/// A number without its leading zero bytes, as RLP wants it.
fn trimmed(number: &[u8; 32]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Call data that submits an authorization.
pub fn transfer_with_authorization(authorization: &Authorization, signature: &Signature) -> Vec<u8> {
    call(
        TRANSFER_WITH_AUTHORIZATION,
        &[
            authorization.from.to_word(),
            authorization.to.to_word(),
            word(authorization.value.get()),
            word(authorization.valid_after.into()),
            word(authorization.valid_before.into()),
            authorization.nonce,
            word(signature.v().into()),
            signature.r(),
            signature.s(),
        ],
    )
}

/// Call data that asks whether a payer has used or cancelled a nonce.
pub fn authorization_state(from: Address, nonce: [u8; 32]) -> Vec<u8> {
    call(AUTHORIZATION_STATE, &[from.to_word(), nonce])
}

/// Call data that asks for a balance.
pub fn balance_of(owner: Address) -> Vec<u8> {
    call(BALANCE_OF, &[owner.to_word()])
}

fn call(selector: [u8; 4], words: &[[u8; 32]]) -> Vec<u8> {
    selector.into_iter().chain(words.iter().flatten().copied()).collect()
}

#[cfg(test)]
mod tests;
