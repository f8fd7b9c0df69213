use sha2::{Digest as _, Sha256};

use super::*;
use crate::peers::available;

#[tokio::test]
async fn an_invoice_is_paid_once_and_its_preimage_fits() {
    let Some(wallet) = available(Lnbits::start().await) else {
        return;
    };
    assert_eq!(wallet.payer_balance_msat().await.unwrap(), PAYER_SATS * 1_000);
    assert_eq!(wallet.gate_balance_msat().await.unwrap(), 0);

    let invoice = wallet.invoice(10, "gate").await.unwrap();
    let preimage = wallet.pay(&invoice.bolt11).await.unwrap();
    let hash = Sha256::digest(hex::decode(&preimage).unwrap());
    assert_eq!(hex::encode(hash), invoice.payment_hash);
    assert_eq!(wallet.gate_balance_msat().await.unwrap(), 10_000);
    assert_eq!(wallet.payer_balance_msat().await.unwrap(), PAYER_SATS * 1_000 - 10_000);

    assert!(matches!(wallet.pay(&invoice.bolt11).await, Err(PeerError::Refused { .. })));
    assert_eq!(wallet.gate_balance_msat().await.unwrap(), 10_000);
}
