//! Callers of one store at once, in the orders that a scheduler chooses: at each flag, queue and thread of the writer it decides who goes on.
//! Part of `cargo xtask test`; alone, with the features of every other test so that little is built anew:
//!
//! ```text
//! cargo test --workspace --features tollgate-gateway/failpoints,tollgate-gateway/otel,tollgate-gateway/postgres,tollgate-store/shuttle --test interleavings
//! ```
//!
//! An order that fails is printed with the panic, for `shuttle::replay`.

#[cfg(test)]
#[path = "it/world.rs"]
#[expect(dead_code, reason = "what other tests share, too")]
mod world;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use shuttle::future::block_on;
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use shuttle::sync::Mutex;
    use shuttle::{Config, Runner, thread};
    use tempfile::TempDir;
    use tollgate_domain::Rail;
    use tollgate_ledger::{Claimed, LedgerStore};
    use tollgate_store::Store;

    use crate::world::{alice, claim, grant, open, repeat};

    /// How many orders each scheduler tries.
    const ORDERS: usize = 300;
    /// How often a scheduler that goes for rare orders changes its mind.
    const CHANGES: usize = 3;
    const SEED: u64 = 0x7011_6a7e;
    /// What a task has for its stack, in words.
    const STACK_WORDS: usize = 1 << 18;

    fn in_many_orders(body: fn()) {
        let mut config = Config::new();
        config.stack_size = STACK_WORDS;
        Runner::new(RandomScheduler::new_from_seed(SEED, ORDERS), config.clone()).run(body);
        Runner::new(PctScheduler::new_from_seed(SEED, CHANGES, ORDERS), config).run(body);
    }

    /// A store of its own, with credit for one call; made once and copied, because making one takes longer than the test.
    fn with_credit_for_one() -> (TempDir, Store) {
        static MADE: OnceLock<TempDir> = OnceLock::new();
        let made = MADE.get_or_init(|| {
            let made = TempDir::new().unwrap();
            let store = open(&made);
            block_on(store.grant_credit(grant(&alice(), 10))).unwrap();
            made
        });
        let directory = TempDir::new().unwrap();
        for file in std::fs::read_dir(made.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
        let store = open(&directory);
        (directory, store)
    }

    /// Three copies of one proof, one of them answered ahead of its commit, and two calls that spend credit which is there once.
    fn five_claims_of_which_two_count() {
        let (directory, store) = with_credit_for_one();
        let proof = claim(Rail::X402, "0x1");
        let claims = [repeat(&proof), repeat(&proof), repeat(&proof)];
        let claims = claims.into_iter().chain(["alice/1", "alice/2"].map(|key| claim(Rail::Credit, key)));
        let tasks: Vec<_> = claims
            .enumerate()
            .map(|(number, claim)| {
                let store = store.clone();
                thread::spawn(move || match number {
                    0 => block_on(store.claim_ahead(claim)),
                    _ => block_on(store.claim(claim)),
                })
            })
            .collect();
        let answers: Vec<Claimed> = tasks.into_iter().map(|task| task.join().unwrap().unwrap()).collect();
        let (copies, spenders) = answers.split_at(3);
        let fresh = |answers: &[Claimed]| {
            answers.iter().filter(|answer| matches!(answer, Claimed::Fresh { .. })).count()
        };
        assert_eq!((fresh(copies), fresh(spenders)), (1, 1), "{answers:?}");
        for answer in copies.iter().chain(spenders) {
            let is_no = matches!(answer, Claimed::InProgress { .. } | Claimed::InsufficientFunds { .. });
            assert!(is_no || fresh(std::slice::from_ref(answer)) == 1, "{answer:?}");
        }
        // Its thread ends with it: everything that was answered is in the file.
        drop(store);
        let books = rusqlite::Connection::open(directory.path().join("ledger.db")).unwrap();
        let counted: i64 = books.query_row("SELECT count(*) FROM settlements", [], |row| row.get(0)).unwrap();
        assert_eq!(counted, 2, "{answers:?}");
    }

    #[test]
    fn p3_p15_in_every_order_that_is_tried_a_proof_is_claimed_once_and_credit_is_spent_once() {
        in_many_orders(five_claims_of_which_two_count);
    }

    /// Control: looks, and claims in a second step.
    fn two_claims_in_two_steps() {
        let is_claimed = Arc::new(Mutex::new(false));
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let is_claimed = Arc::clone(&is_claimed);
                thread::spawn(move || {
                    let was_claimed = *is_claimed.lock().unwrap();
                    *is_claimed.lock().unwrap() = true;
                    !was_claimed
                })
            })
            .collect();
        let fresh = tasks.into_iter().map(|task| task.join().unwrap()).filter(|fresh| *fresh).count();
        assert_eq!(fresh, 1, "claimed twice");
    }

    #[test]
    #[should_panic(expected = "claimed twice")]
    fn a_claim_in_two_steps_is_noticed_by_these_orders() {
        in_many_orders(two_claims_in_two_steps);
    }
}
