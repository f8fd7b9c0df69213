//! Two gateways over one database of PostgreSQL. Their connections are lost in the middle of a batch, and their processes are taken
//! for dead there: a successor starts in a new epoch, and the process that was only standing still wakes up behind it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::{join, join_all};
use tempfile::TempDir;
use tollgate_attest::Signer;
use tollgate_ledger::{Command, LedgerStore as _, StoreError};
use tollgate_store::{Options, Store};
use tollgate_testkit::peers::postgres::Database;
use tollgate_testkit::peers::{self, postgres};

use super::broken::Broken;
use super::dice::Dice;
use super::machine::{Answer, Machine, Told};
use super::pause::{Pause, Place};
use super::seen::Seen;
use super::tally::Tally;
use super::{Simulation, add_up, seeds};
use crate::postgres::cut::{Cut, Way};

/// How many seeds are tried by default; in two tests.
const SEEDS: u64 = 8;

/// A fence that does not hold: a successor has the epoch of the process before it.
const UNFENCED: &str = "CREATE FUNCTION tollgate.same() RETURNS trigger LANGUAGE plpgsql AS \
    $$BEGIN NEW.epoch := OLD.epoch; RETURN NEW; END$$; \
    CREATE TRIGGER same BEFORE UPDATE ON tollgate.gateways FOR EACH ROW EXECUTE FUNCTION tollgate.same()";

/// What comes over a gateway in the middle of a batch.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is taken for dead, and replaced.
    Dies(Place),
    /// It loses its connections.
    Loses(Place),
    /// It loses the connection while its commit is under way, there or back.
    Cut(Cut),
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Dies(Place::Write) => "dies before it writes",
            Self::Dies(Place::Commit) => "dies before it commits",
            Self::Dies(Place::Answer) => "dies before it answers",
            Self::Loses(Place::Write) => "loses its connections before it writes",
            Self::Loses(Place::Commit) => "loses its connections before it commits",
            Self::Loses(Place::Answer) => "loses its connections before it answers",
            Self::Cut(Cut::CommitLost) => "loses a commit",
            Self::Cut(Cut::AnswerLost) => "loses the answer to a commit",
        }
    }

    fn place(self) -> Place {
        match self {
            Self::Dies(place) | Self::Loses(place) => place,
            Self::Cut(_) => Place::Commit,
        }
    }
}

/// One life of a gateway; its folder lives as long.
struct Gateway {
    store: Store,
    pause: Arc<Pause>,
    way: Arc<Way>,
    _directory: TempDir,
}

pub(super) struct Gateways {
    database: Database,
    gateways: [Gateway; 2],
    dice: Dice,
    fault: Option<Fault>,
    /// Who had the last batch.
    last: usize,
}

impl Gateways {
    /// In an empty database, whatever was there before.
    pub(super) async fn start(database: &Database, seed: u64, is_fenced: bool) -> Self {
        database.psql("DROP SCHEMA IF EXISTS tollgate CASCADE").unwrap();
        let gateways = [Gateway::start(database, 0).await, Gateway::start(database, 1).await];
        if !is_fenced {
            database.psql(UNFENCED).unwrap();
        }
        let dice = Dice::new(!seed);
        Self { database: database.clone(), gateways, dice, fault: None, last: 0 }
    }
}

impl Gateway {
    /// The gateway of this number in its next epoch: each has a key of its own.
    async fn start(database: &Database, number: usize) -> Self {
        let (way, directory) = (Way::to(database.port()).await, TempDir::new().unwrap());
        let url = database.url_at(way.port).parse().unwrap();
        let pause = Arc::new(Pause::default());
        let failpoints: Arc<dyn tollgate_store::Failpoints> = Arc::<Pause>::clone(&pause);
        let options = Options { failpoints: Some(failpoints), ..Options::default() };
        let signer = Signer::from_seed(&[u8::try_from(number + 1).unwrap(); 32]).unwrap();
        let store = Store::connect(url, directory.path(), signer, options).await.unwrap();
        Self { store, pause, way: Arc::new(way), _directory: directory }
    }
}

impl Machine for Gateways {
    const HAS_OTHERS: bool = true;

    fn arm(&mut self, dice: &mut Dice) {
        let place = dice.pick(&[Place::Write, Place::Commit, Place::Answer]);
        self.fault = match dice.below(10) {
            0..3 => Some(Fault::Dies(place)),
            3..5 => Some(Fault::Loses(place)),
            5 => Some(Fault::Cut(Cut::CommitLost)),
            6 => Some(Fault::Cut(Cut::AnswerLost)),
            _ => return,
        };
    }

    async fn batch(
        &mut self,
        first: Command,
        commands: &[Command],
        beside: &[Command],
    ) -> Result<Told, String> {
        let here = self.dice.place(2);
        self.last = here;
        let (gateway, other) = (&self.gateways[here], &self.gateways[1 - here]);
        let (store, other) = (gateway.store.clone(), other.store.clone());
        let (pause, way) = (Arc::clone(&gateway.pause), Arc::clone(&gateway.way));

        // The first one waits until all the others are in the queue behind it.
        pause.until(Some(Place::Commit));
        let mut first = pin!(store.commit(first));
        tokio::select! {
            answer = &mut first => return Err(format!("not held in its commit: {answer:?}")),
            () = pause.reached.notified() => {}
        }
        let mut answers = pin!(all(&store, commands));
        let is_early = begin(answers.as_mut()).await;
        assert!(!is_early || commands.is_empty(), "answered while the shard was held");
        let fault = self.fault;
        pause.until(Some(fault.map_or(Place::Commit, Fault::place)));
        let first = first.await;
        if commands.is_empty() {
            pause.until(None);
            return Ok(Told::of(first, Vec::new(), all(&other, beside).await));
        }
        let answered = tokio::select! {
            answers = &mut answers => Some(answers),
            () = pause.reached.notified() => None,
        };
        if let Some(answers) = answered {
            // Nothing of it was to be written.
            pause.until(None);
            return Ok(Told::of(first, answers, all(&other, beside).await));
        }
        self.fault = None;

        // It holds the shard, and the other gateway's batch is open and waits for it. Not where a refusal may come behind which
        // its commands are tried one by one: between those of the other.
        let waits = !pause.is_one_by_one()
            && !matches!(
                fault,
                Some(Fault::Dies(Place::Write) | Fault::Loses(Place::Write) | Fault::Cut(Cut::CommitLost))
            );
        let (has_beside, mut beside) = (!beside.is_empty(), pin!(all(&other, beside)));
        if waits && has_beside {
            assert!(!begin(beside.as_mut()).await, "answered while the shard was held");
        }
        let mut told = Told { fault: fault.map(Fault::name), ..Told::of(first, Vec::new(), Vec::new()) };
        match fault {
            Some(Fault::Dies(_)) => {}
            Some(Fault::Loses(Place::Commit)) if waits => {
                way.sever().await;
                (told.beside, told.beside_came_first) = (beside.await, true);
                pause.until(None);
                told.answers = answers.await;
                return Ok(told);
            }
            Some(Fault::Loses(_)) => way.sever().await,
            Some(Fault::Cut(cut)) => way.cut(cut),
            None => {}
        }
        if !matches!(fault, Some(Fault::Dies(_))) {
            pause.until(None);
            (told.answers, told.beside) = if waits {
                join(answers, beside).await
            } else {
                let answers = answers.await;
                (answers, beside.await)
            };
            return Ok(told);
        }

        way.sever().await;
        told.beside = beside.await;
        let successor = Gateway::start(&self.database, here).await;
        let before = Seen::of(&successor.store).await;
        // The process that was replaced wakes up.
        pause.until(None);
        let answers = answers.await;
        if Seen::of(&successor.store).await != before {
            return Err(format!("a process that was replaced has written: {answers:?}"));
        }
        let is_heard = |answer: &&Answer| matches!(answer, Ok(_) | Err(StoreError::Refused(_)));
        told.answers = answers.iter().take_while(is_heard).cloned().collect();
        if answers.iter().filter(is_heard).count() != told.answers.len() {
            return Err(format!("answered behind what is not answered: {answers:?}"));
        }
        told.died = Some(told.answers.len());
        self.gateways[here] = successor;
        Ok(told)
    }

    /// As the other gateway sees it.
    fn store(&self) -> &Store {
        &self.gateways[1 - self.last].store
    }

    async fn open_settlements(&self) -> usize {
        let [one, two] = &self.gateways;
        let (one, two) =
            (one.store.open_settlements(None, 99).await, two.store.open_settlements(None, 99).await);
        one.unwrap().len() + two.unwrap().len()
    }
}

/// Everything in this order, in one queue.
async fn all(store: &Store, commands: &[Command]) -> Vec<Answer> {
    join_all(commands.iter().map(|command| store.commit(command.clone()))).await
}

/// Has it begun; whether it has ended at that.
async fn begin(mut future: Pin<&mut impl Future>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

/// Runs something over an empty database, where there is a server.
fn over_a_database(run: impl FnOnce(&tokio::runtime::Runtime, &Database)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(postgres::shared());
    if let Some(server) = peers::available(server) {
        run(&runtime, &server.database().unwrap());
    }
}

async fn simulate(
    database: &Database,
    seed: u64,
    broken: Option<Broken>,
    is_fenced: bool,
) -> Result<Tally, String> {
    let gateways = Gateways::start(database, seed, is_fenced).await;
    Simulation::new(gateways, seed, broken).run().await
}

fn every_second_seed_from(first: u64) {
    over_a_database(|runtime, database| {
        let simulate = |seed| runtime.block_on(simulate(database, seed, None, true));
        if let Some(all) = add_up(&seeds(first, 2, SEEDS), simulate) {
            let Tally { crashes, refused, again, ended, beside, faults, .. } = &all;
            assert!(*crashes > 3 && *beside > 5 && faults.len() == 8, "every kind: {all:?}");
            assert!(*refused > 10 && *again > 2 && *ended > 5, "{all:?}");
        }
    });
}

#[test]
fn f58_whatever_two_gateways_lose_and_whoever_is_replaced_it_is_what_the_reference_says_even_seeds() {
    every_second_seed_from(0);
}

#[test]
fn f58_whatever_two_gateways_lose_and_whoever_is_replaced_it_is_what_the_reference_says_odd_seeds() {
    every_second_seed_from(1);
}

#[test]
fn f58_a_database_without_a_fence_and_gateways_that_book_twice_or_misrule_are_noticed() {
    over_a_database(|runtime, database| {
        let simulate =
            |seed, broken, is_fenced| runtime.block_on(simulate(database, seed, broken, is_fenced));
        let wrong = simulate(0, None, false).expect_err("it is noticed");
        assert!(wrong.contains("that was replaced has written"), "{wrong}");
        for broken in [Broken::AppliesTwice, Broken::Misrules] {
            assert!(simulate(0, Some(broken), true).is_err(), "{broken:?}");
        }
    });
}
