//! The gateway beside nginx: the same load on both, in turns, within one run.
//!
//! Every process stays up for the whole run: a mock upstream, nginx, a relay of bare bytes, and one `tollgate dev` with
//! servers in front of that upstream: without any policy, with one, two as one, and two whose tool costs something; and another one that
//! is only asked to hold calls. Rounds of one-second slices go over all of
//! them, every other round in reverse order, so that what a shared machine does to one it does to its neighbour as well.
//! What counts afterwards are ratios within a round.
//!
//! Each answer must be below 400, and in the end the books must show that every answered call was paid for.
//!
//! `cargo bench -p tollgate-gate --bench paired -- --tollgate PATH [--quick] [--only SUBJECT,…] [--connections N]` prints one
//! JSON object per slice; with some subjects, as a profiler wants it, or one number of connections, only theirs. `cargo xtask bench`
//! runs it and judges. With `--upstream` this program is the mock upstream, with `--relay ADDRESS` the relay.

mod calls;
mod gateway;
#[path = "../common/program.rs"]
mod program;
mod relay;
mod samples;
mod upstream;

use std::error::Error;
use std::path::PathBuf;

use tollgate_testkit::nginx::{Buffering, Nginx};
use tollgate_testkit::wrk::{Load, Order, Report, Request};

use calls::Payments;
use gateway::{Credit, Gateway};
use program::Arguments;
use relay::Relay;
use samples::{Sample, Subject};
use upstream::Upstream;

/// Connections of a load that saturates the machine, and of one that shows latency.
const CONNECTIONS: [u32; 2] = [32, 1];
const ROUNDS: u32 = 7;
const ROUNDS_QUICK: u32 = 2;
const SLICE_SECONDS: u32 = 1;
/// Bodies with a payment that nginx carries over and over.
const CARRIED_PAYMENTS: usize = 500;

/// Everything that runs at the same time.
struct Course {
    upstream: Upstream,
    relay: Relay,
    nginx: Nginx,
    gateway: Gateway,
    /// One for calls that are only held, and not for longer than a slice: it stands still outside its own slices and until they have
    /// run out, so that what it does for them is in no other subject's way.
    holding: Gateway,
    payments: Payments,
    /// One round.
    slices: Vec<(Subject, u32)>,
    /// Answers to paid calls so far, warm-up included.
    answered: Answered,
}

/// How many calls were answered, and how many may have been cut off at the end of a slice.
#[derive(Default)]
struct Answered {
    prepaid: u64,
    held: u64,
    x402: u64,
    cut_off_max: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read();
    if arguments.has("--upstream") {
        return upstream::serve();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(upstream) = arguments.value("--relay") {
        return runtime.block_on(relay::serve(upstream.parse()?));
    }
    let tollgate = arguments.tollgate()?;
    let mut slices = slices();
    slices.retain(|(subject, _)| arguments.wants(subject.word()));
    if let Some(connections) = arguments.value("--connections") {
        let wanted: u32 = connections.parse()?;
        slices.retain(|(_, connections)| *connections == wanted);
    }
    let rounds = if arguments.has("--quick") { ROUNDS_QUICK } else { ROUNDS };
    runtime.block_on(async {
        let mut course = Course::start(tollgate, slices).await?;
        course.warm_up().await?;
        for round in 1..=rounds {
            note(&format!("round {round} of {rounds}"));
            course.round(round).await?;
        }
        course.compare_with_books().await
    })
}

impl Course {
    async fn start(tollgate: PathBuf, slices: Vec<(Subject, u32)>) -> Result<Self, Box<dyn Error>> {
        let upstream = Upstream::start().await?;
        let relay = Relay::start(upstream.address()).await?;
        let nginx = Nginx::start(upstream.address(), Buffering::On).await?;
        let gateway = Gateway::start(tollgate.clone(), &upstream.url()).await?;
        let holding = Gateway::start(tollgate, &upstream.url()).await?;
        holding.pause()?;
        let payments = Payments::funded_at(&gateway).await?;
        let answered = Answered::default();
        Ok(Self { upstream, relay, nginx, gateway, holding, payments, slices, answered })
    }

    /// One slice each that nobody counts: connections are open, caches are filled, and it is known how many payments a
    /// slice needs.
    async fn warm_up(&mut self) -> Result<(), Box<dyn Error>> {
        note("warming up");
        for (subject, connections) in self.slices.clone() {
            self.slice(subject, connections).await?;
        }
        Ok(())
    }

    async fn round(&mut self, round: u32) -> Result<(), Box<dyn Error>> {
        let mut slices = self.slices.clone();
        if round.is_multiple_of(2) {
            slices.reverse();
        }
        for (subject, connections) in slices {
            let sample = self.slice(subject, connections).await?;
            print(&sample.json(round));
        }
        Ok(())
    }

    async fn slice(&mut self, subject: Subject, connections: u32) -> Result<Sample, Box<dyn Error>> {
        loop {
            let (url, requests, order) = match subject {
                Subject::Direct => (self.upstream.url(), vec![self.gateway.prepaid_call()], Order::Around),
                Subject::Relay => (self.relay.url(), vec![self.gateway.prepaid_call()], Order::Around),
                Subject::Nginx => {
                    (self.nginx.url(upstream::PATH), vec![self.gateway.prepaid_call()], Order::Around)
                }
                Subject::NginxPaying => {
                    let requests = self.payments.calls(&self.gateway, CARRIED_PAYMENTS).await?;
                    (self.nginx.url(upstream::PATH), requests, Order::Around)
                }
                Subject::Plain => {
                    (self.gateway.plain_url(), vec![self.gateway.prepaid_call()], Order::Around)
                }
                Subject::Routed => (self.gateway.gated_url(), vec![calls::ping()], Order::Around),
                Subject::Gated => {
                    (self.gateway.gated_url(), vec![self.gateway.prepaid_call()], Order::Around)
                }
                Subject::Federated => {
                    (self.gateway.federated_url(), vec![self.gateway.federated_call()], Order::Around)
                }
                Subject::Prepaid => {
                    (self.gateway.paid_url(), vec![self.gateway.prepaid_call()], Order::Around)
                }
                Subject::PrepaidAhead => {
                    (self.gateway.paid_ahead_url(), vec![self.gateway.prepaid_call()], Order::Around)
                }
                Subject::Held => {
                    (self.holding.holding_url(), vec![self.holding.held_call("echo")], Order::Around)
                }
                Subject::HeldAhead => {
                    (self.holding.holding_url(), vec![self.holding.held_call("look")], Order::Around)
                }
                Subject::X402 => {
                    let requests = self.payments.calls_for_a_slice(&self.gateway, connections).await?;
                    (self.gateway.paid_url(), requests, Order::Once)
                }
            };
            if subject.is_held() {
                self.holding.resume()?;
            }
            let before = self.cpu_seconds(subject)?;
            let report = load(&url, &requests, connections, order).await?;
            let cpu_seconds = self.cpu_seconds(subject)? - before;
            if subject.is_held() {
                self.holding.wait_for_held().await?;
                self.holding.pause()?;
            }
            self.account(subject, connections, &report);
            if !report.is_clean() {
                return Err(format!("{} with {connections} connections: {report:?}", subject.word()).into());
            }
            // Too few payments were prepared: what was measured is waiting. The next attempt knows better.
            if !report.exhausted {
                return Ok(Sample { subject, connections, report, cpu_seconds });
            }
        }
    }

    fn cpu_seconds(&self, subject: Subject) -> Result<f64, Box<dyn Error>> {
        let time = match subject {
            Subject::Direct => self.upstream.cpu_time()?,
            Subject::Nginx | Subject::NginxPaying => self.nginx.cpu_time()?,
            Subject::Relay => self.relay.cpu_time()?,
            Subject::Held | Subject::HeldAhead => self.holding.cpu_time()?,
            Subject::Plain
            | Subject::Routed
            | Subject::Gated
            | Subject::Federated
            | Subject::Prepaid
            | Subject::PrepaidAhead
            | Subject::X402 => self.gateway.cpu_time()?,
        };
        Ok(time.as_secs_f64())
    }

    fn account(&mut self, subject: Subject, connections: u32, report: &Report) {
        match subject {
            Subject::Direct
            | Subject::Relay
            | Subject::Nginx
            | Subject::NginxPaying
            | Subject::Plain
            | Subject::Routed
            | Subject::Gated
            | Subject::Federated => return,
            Subject::Prepaid | Subject::PrepaidAhead => self.answered.prepaid += report.requests,
            Subject::Held | Subject::HeldAhead => self.answered.held += report.requests,
            Subject::X402 => {
                self.answered.x402 += report.requests;
                self.payments.learn(connections, report);
            }
        }
        self.answered.cut_off_max += u64::from(connections);
    }

    /// Every answer was paid for, nothing was paid twice, and the books are in order.
    async fn compare_with_books(self) -> Result<(), Box<dyn Error>> {
        let Answered { prepaid, held, x402, cut_off_max } = self.answered;
        note("comparing with the books");
        let spent = self.payments.spent(&self.gateway).await?;
        within("x402", spent, x402, cut_off_max)?;
        let Credit { spent, .. } = self.gateway.stop_and_audit()?;
        within("prepaid", spent, prepaid, cut_off_max)?;
        self.holding.resume()?;
        let released = self.holding.held_until_the_end().await?;
        let Credit { held: kept, spent } = self.holding.stop_and_audit()?;
        within("held", released, held, cut_off_max)?;
        match (kept, spent) {
            (0, 0) => Ok(()),
            _ => {
                Err(format!("{kept} units of calls that ran out are still held, {spent} were charged").into())
            }
        }
    }
}

fn within(what: &str, charged: u64, answered: u64, cut_off_max: u64) -> Result<(), Box<dyn Error>> {
    // A call that was cut off may have been charged for or not.
    if (answered..=answered + cut_off_max).contains(&charged) {
        note(&format!("{what}: {answered} calls answered, {charged} charged"));
        return Ok(());
    }
    Err(format!(
        "{what}: {answered} calls were answered and at most {cut_off_max} cut off, but {charged} charged"
    )
    .into())
}

/// One round: what is compared stands side by side.
fn slices() -> Vec<(Subject, u32)> {
    let saturated = Subject::ALL.into_iter();
    let alone = [
        Subject::Direct,
        Subject::Held,
        Subject::HeldAhead,
        Subject::Nginx,
        Subject::Plain,
        Subject::Prepaid,
        Subject::PrepaidAhead,
        Subject::X402,
    ];
    let [many, one] = CONNECTIONS;
    saturated.map(|subject| (subject, many)).chain(alone.map(|subject| (subject, one))).collect()
}

async fn load(
    url: &str,
    requests: &[Request],
    connections: u32,
    order: Order,
) -> Result<Report, Box<dyn Error>> {
    let load = Load::new(url, requests)?.connections(connections).seconds(SLICE_SECONDS).order(order);
    Ok(load.run().await?)
}

#[expect(clippy::print_stdout, reason = "the result of a bench belongs on standard output")]
fn print(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "whoever waits for a minute wants to know for what")]
fn note(line: &str) {
    eprintln!("paired: {line}");
}
