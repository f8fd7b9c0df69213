use std::sync::atomic::{AtomicU8, Ordering};

use super::*;

/// Every call gives other bytes.
fn counting() -> impl Randomness {
    let next = AtomicU8::new(1);
    move || Ok([next.fetch_add(1, Ordering::Relaxed); 32])
}

#[test]
fn a_new_key_file_is_private_and_opens_again_to_the_same_account() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("payer.key");
    let created = EvmWallet::open_or_create(&path, &counting()).expect("a new wallet");

    let mode = fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let again = EvmWallet::open_or_create(&path, &|| Err(NoRandomness)).expect("needs no randomness");
    assert_eq!(again.address(), created.address());
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "no temporary file stays");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("payer.key");
    EvmWallet::open_or_create(&path, &counting()).expect("a new wallet");
    EvmWallet::open(&path).expect("positive control: mode 600 opens");

    for mode in [0o640, 0o604, 0o620, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the mode");
        assert!(
            matches!(EvmWallet::open(&path), Err(WalletError::OpenToOthers { mode: found, .. }) if found == mode)
        );
        let created = EvmWallet::open_or_create(&path, &counting());
        assert!(matches!(created, Err(WalletError::OpenToOthers { .. })), "it is not replaced either");
    }
}

#[test]
fn a_malformed_key_file_is_refused_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("payer.key");
    for text in ["", "abc", "00", &"0".repeat(64), &"f".repeat(64), &"g".repeat(64), &"1".repeat(66)] {
        write_private(&path, text).expect("the file");
        let opened = EvmWallet::open_or_create(&path, &counting());
        assert!(matches!(opened, Err(WalletError::Malformed(_))), "{text:?}");
        assert_eq!(fs::read_to_string(&path).expect("the file"), text, "an unreadable key is not replaced");
        fs::remove_file(&path).expect("the file goes");
    }
    for text in ["1".repeat(64), format!("0x{}\n", "1".repeat(64))] {
        write_private(&path, &text).expect("the file");
        EvmWallet::open(&path).expect("positive control: a valid key opens");
        fs::remove_file(&path).expect("the file goes");
    }
}

#[test]
fn the_address_is_the_one_that_others_derive() {
    // The first account of the mnemonic that Hardhat and Anvil publish in their documentation for local chains.
    let secret =
        hex::decode("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80").expect("hex");
    let wallet =
        EvmWallet::new(SigningKey::from_bytes(&secret.try_into().expect("32 bytes")).expect("a key"));
    assert_eq!(wallet.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    assert!(!format!("{wallet:?}").contains("ac0974"));
}
