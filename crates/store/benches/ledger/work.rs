//! What is booked: transfers from ten thousand prepaid accounts, to one account of fees or to each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tollgate_attest::Signer;
use tollgate_domain::{Amount, AssetId, Caller, KeyId, Principal, TransferId, UnixMillis};
use tollgate_ledger::{AccountName, Clearing, Command, Grant, LedgerStore, Transfer, TransferKind};
use tollgate_store::{Commits, Options, Store};

use super::Failure;

/// How many prepaid accounts there are.
pub(crate) const ACCOUNTS: u64 = 10_000;
/// How many commands are under way: enough for the writer to find a full batch waiting after each commit.
pub(crate) const IN_FLIGHT: usize = 2_048;
/// What the writer commits together at most.
pub(crate) const BATCH: usize = 512;
/// Fewer transfers than this in the mean commit would be another measurement.
const BATCH_MIN: u64 = 256;

/// Who is credited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum To {
    /// One account, by every transfer.
    Hot,
    /// Another of the prepaid accounts each time.
    Spread,
}

/// The accounts and what is common to all transfers.
#[derive(Debug)]
pub(crate) struct Work {
    payers: Vec<Principal>,
    fees: AccountName,
    pub(crate) asset: AssetId,
}

impl Work {
    pub(crate) fn new() -> Result<Self, Failure> {
        let payers = (0..ACCOUNTS).map(|number| Caller::ApiKey(KeyId::from_bytes(bytes(number))).principal());
        Ok(Self {
            payers: payers.collect(),
            fees: "payable:fees".parse()?,
            asset: "lightning:regtest/msat".parse()?,
        })
    }

    pub(crate) fn payer(&self, number: u64) -> Result<&Principal, Failure> {
        let place = usize::try_from(number % ACCOUNTS)?;
        self.payers.get(place).ok_or_else(|| "there is no such payer".into())
    }

    /// The transfer with this number, and an id that is in order with those of its neighbours.
    pub(crate) fn transfer(&self, number: u64, to: To, kind: TransferKind) -> Result<Transfer, Failure> {
        // A prime apart, so that neighbours in a batch are strangers.
        let from = number.wrapping_mul(7_919);
        let credit = match to {
            To::Hot => self.fees.clone(),
            To::Spread => AccountName::Credit(self.payer(from.wrapping_add(3_571))?.clone()),
        };
        Ok(Transfer {
            id: TransferId::from_bytes(bytes(ACCOUNTS + number)),
            kind,
            debit: AccountName::Credit(self.payer(from)?.clone()),
            credit,
            asset: self.asset.clone(),
            amount: Amount::new(1),
            call: None,
            note: "price of the call".to_owned(),
            at: UnixMillis::new(1_795_219_200_000 + number),
            expires: None,
        })
    }

    /// What every payer is given before the first transfer.
    pub(crate) fn gifts(&self) -> impl Iterator<Item = Grant> + '_ {
        self.payers.iter().zip(0..).map(|(payer, number)| Grant {
            from: Clearing::Manual,
            to: payer.clone(),
            amount: Amount::new(1_000_000_000_000),
            asset: self.asset.clone(),
            id: TransferId::from_bytes(bytes(number)),
            note: "bench".to_owned(),
            now: UnixMillis::new(1),
        })
    }

    /// Gives every payer enough.
    pub(crate) async fn fund(&self, store: &Store) -> Result<(), Failure> {
        let gifts = stream::iter(self.gifts()).map(|gift| store.commit(Command::Grant(gift)));
        Ok(gifts.buffer_unordered(IN_FLIGHT).try_for_each(|_| async { Ok(()) }).await?)
    }

    /// Books the transfers with these numbers, each as a command of its own.
    pub(crate) async fn book(
        &self,
        store: &Store,
        numbers: std::ops::Range<u64>,
        to: To,
    ) -> Result<(), Failure> {
        let booked = stream::iter(numbers).map(|number| async move {
            let transfer = self.transfer(number, to, TransferKind::Posted)?;
            Ok::<_, Failure>(store.book(vec![transfer]).await?)
        });
        booked.buffer_unordered(IN_FLIGHT).try_for_each(|_| async { Ok(()) }).await
    }
}

/// Counts commits.
#[derive(Debug, Default)]
pub(crate) struct Counted(AtomicU64);

impl Commits for Counted {
    fn begins(&self) {}

    fn ended(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counted {
    pub(crate) fn commits(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Refuses a turn in which the writer found too little to commit together.
    pub(crate) fn check(&self, before: u64, transfers: u64) -> Result<(), Failure> {
        let commits = self.commits().saturating_sub(before).max(1);
        if transfers / commits < BATCH_MIN {
            return Err(
                format!("{transfers} transfers took {commits} commits: that is no batch of 256").into()
            );
        }
        Ok(())
    }
}

pub(crate) fn options(commits: &Arc<Counted>) -> Options {
    Options { commits: Some(Arc::<Counted>::clone(commits)), ..Options::default() }
}

pub(crate) fn signer() -> Result<Signer, Failure> {
    Ok(Signer::from_seed(&[7; 32])?)
}

fn bytes(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}
