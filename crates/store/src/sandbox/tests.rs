use tempfile::TempDir;
use tokio::task::JoinSet;
use tollgate_rails::evm::Authorization;

use super::*;

const NOW: UnixMillis = UnixMillis::from_secs(50);

fn address(byte: u8) -> Address {
    Address::from_bytes([byte; 20])
}

fn transfer(from: u8, to: u8, value: u128, nonce: u8) -> SandboxTransfer {
    SandboxTransfer::new(Authorization {
        from: address(from),
        to: address(to),
        value: Amount::new(value),
        valid_after: 10,
        valid_before: 100,
        nonce: [nonce; 32],
    })
}

async fn balances<const N: usize>(book: &SandboxStore, owners: [u8; N]) -> [u128; N] {
    let mut found = [0; N];
    for (slot, owner) in found.iter_mut().zip(owners) {
        *slot = book.balance(address(owner)).await.unwrap().get();
    }
    found
}

#[tokio::test]
async fn money_moves_once_per_payer_and_nonce_and_survives_a_restart() {
    let directory = TempDir::new().unwrap();
    let book = SandboxStore::open(directory.path()).unwrap();
    book.mint(address(1), Amount::new(60)).await.unwrap();
    book.mint(address(1), Amount::new(40)).await.unwrap();
    let first = transfer(1, 2, 30, 1);
    assert_eq!(book.transfer(&first, NOW).await, Ok(first.reference.clone()));
    assert_eq!(
        book.transfer(&first, NOW).await,
        Ok(first.reference.clone()),
        "the same transfer, the same answer"
    );
    assert_eq!(balances(&book, [1, 2]).await, [70, 30]);

    let other = transfer(1, 2, 31, 1);
    assert_eq!(book.transfer(&other, NOW).await, Err(SandboxRefusal::NonceAlreadyUsed.into()));
    // The nonce is the payer's own: another payer may use the same.
    book.mint(address(3), Amount::new(5)).await.unwrap();
    assert!(book.transfer(&transfer(3, 2, 5, 1), NOW).await.is_ok(), "control");
    drop(book);

    let book = SandboxStore::open(directory.path()).unwrap();
    assert_eq!(balances(&book, [1, 2, 3]).await, [70, 35, 0]);
    assert_eq!(book.authorization_used(address(1), [1; 32]).await, Ok(Some(first.reference)));
    assert_eq!(book.authorization_used(address(1), [2; 32]).await, Ok(None));
}

#[tokio::test]
async fn what_the_token_refuses_moves_nothing_and_burns_no_nonce() {
    let directory = TempDir::new().unwrap();
    let book = SandboxStore::open(directory.path()).unwrap();
    book.mint(address(1), Amount::new(10)).await.unwrap();
    let asked = transfer(1, 2, 10, 1);
    for (transfer, now, refusal) in [
        (transfer(1, 2, 11, 1), NOW, SandboxRefusal::InsufficientBalance),
        (asked.clone(), UnixMillis::from_secs(10), SandboxRefusal::NotYetValid),
        (asked.clone(), UnixMillis::from_secs(100), SandboxRefusal::Expired),
    ] {
        assert_eq!(book.transfer(&transfer, now).await, Err(refusal.into()));
    }
    assert_eq!(balances(&book, [1, 2]).await, [10, 0]);
    assert!(book.transfer(&asked, NOW).await.is_ok(), "control: nothing was burned");
}

#[tokio::test]
async fn a_transfer_to_oneself_makes_no_money() {
    let directory = TempDir::new().unwrap();
    let book = SandboxStore::open(directory.path()).unwrap();
    book.mint(address(1), Amount::new(10)).await.unwrap();
    book.transfer(&transfer(1, 1, 7, 1), NOW).await.unwrap();
    assert_eq!(balances(&book, [1]).await, [10]);
}

#[tokio::test]
async fn more_than_fits_is_not_minted() {
    let directory = TempDir::new().unwrap();
    let book = SandboxStore::open(directory.path()).unwrap();
    book.mint(address(1), Amount::new(u128::MAX)).await.unwrap();
    assert!(matches!(book.mint(address(1), Amount::new(1)).await, Err(SandboxError::Unavailable(_))));
    assert_eq!(balances(&book, [1]).await, [u128::MAX]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p15_many_spenders_of_one_balance_never_overdraw_it() {
    let directory = TempDir::new().unwrap();
    let book = SandboxStore::open(directory.path()).unwrap();
    book.mint(address(1), Amount::new(100)).await.unwrap();
    let mut tasks = JoinSet::new();
    for nonce in 0..=255 {
        let book = book.clone();
        tasks.spawn(async move { book.transfer(&transfer(1, 2, 1, nonce), NOW).await });
    }
    let moved = tasks.join_all().await.into_iter().filter(Result::is_ok).count();
    assert_eq!(moved, 100);
    assert_eq!(balances(&book, [1, 2]).await, [0, 100]);
}

#[tokio::test]
async fn what_was_answered_outlives_the_process_without_a_sync() {
    let directory = TempDir::new().unwrap();
    let book = SandboxStore::open(directory.path()).unwrap();
    book.mint(address(1), Amount::new(100)).await.unwrap();
    let moved = transfer(1, 2, 30, 1);
    book.transfer(&moved, NOW).await.unwrap();
    // What a killed process leaves behind: the files as they are at this moment, the log not moved into the file.
    let left_behind = TempDir::new().unwrap();
    for file in ["sandbox.db", "sandbox.db-wal"] {
        std::fs::copy(directory.path().join(file), left_behind.path().join(file)).unwrap();
    }
    let after = SandboxStore::open(left_behind.path()).unwrap();
    assert_eq!(balances(&after, [1, 2]).await, [70, 30]);
    assert_eq!(after.authorization_used(address(1), [1; 32]).await, Ok(Some(moved.reference)));

    let only_file = TempDir::new().unwrap();
    std::fs::copy(directory.path().join("sandbox.db"), only_file.path().join("sandbox.db")).unwrap();
    let after = SandboxStore::open(only_file.path()).unwrap();
    assert_eq!(balances(&after, [1, 2]).await, [0, 0], "control: it stood in the log");
}

#[tokio::test]
async fn a_book_of_the_first_version_is_carried_over() {
    let directory = TempDir::new().unwrap();
    let moved = transfer(1, 2, 30, 1);
    {
        let old = Connection::open(directory.path().join(SANDBOX.file)).unwrap();
        old.execute_batch(SANDBOX.migrations[0]).unwrap();
        old.pragma_update(None, "application_id", SANDBOX.application_id).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute("INSERT INTO movements (recipient, amount) VALUES (?1, '100')", params![[1_u8; 20]])
            .unwrap();
        old.execute(
            "INSERT INTO movements (payer, nonce, recipient, amount, reference, at) VALUES (?1, ?2, ?3, '30', ?4, 50000)",
            params![[1_u8; 20], [1_u8; 32], [2_u8; 20], moved.reference],
        )
        .unwrap();
        old.execute("INSERT INTO balances VALUES (?1, '70'), (?2, '30')", params![[1_u8; 20], [2_u8; 20]])
            .unwrap();
    }
    let book = SandboxStore::open(directory.path()).unwrap();
    assert_eq!(balances(&book, [1, 2]).await, [70, 30]);
    assert_eq!(book.transfer(&moved, NOW).await, Ok(moved.reference.clone()), "the same answer as before");
    assert_eq!(
        book.transfer(&transfer(1, 2, 31, 1), NOW).await,
        Err(SandboxRefusal::NonceAlreadyUsed.into())
    );
    assert_eq!(balances(&book, [1, 2]).await, [70, 30], "neither moved anything");
    assert!(book.transfer(&transfer(1, 2, 31, 2), NOW).await.is_ok(), "control: a fresh nonce does");
}
