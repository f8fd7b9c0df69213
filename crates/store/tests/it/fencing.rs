//! The protocol by which several gateways write one database, without the database: every interleaving of two gateways and the
//! successor of one of them, each of which may lose its session at any step, walked through to the end.
//!
//! What one process does is tried with the real writer, in `tests/interleavings.rs`: commands reach it through a queue, are decided one after
//! the other, and nothing of the books is shared between threads.

use std::collections::BTreeSet;

/// The parts of the protocol that can be left out, to see that each is needed.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// A transaction holds the shard's row from its first statement on.
    holds: bool,
    /// It is counted only in the epoch of its process.
    fences: bool,
}

/// Where a process stands on its way to one claim of the same proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    /// Not started: it will take the next epoch of its gateway.
    Absent,
    Ready,
    /// In a transaction, which holds the shard.
    Holding,
    /// Counted in its epoch: the gateway's row is held as well.
    Counted,
    /// Has read whether the proof is claimed.
    Read {
        is_claimed: bool,
    },
    /// Has its answer, was refused, or lost its session.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Process {
    gateway: usize,
    epoch: u8,
    /// The last receipt of the gateway's chain, as this process remembers it.
    head: u8,
    step: Step,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct World {
    processes: [Process; 3],
    /// Who holds the shard's row.
    holder: Option<usize>,
    epochs: [u8; 2],
    /// Whose claims are committed: the process, and the place of its receipt in the gateway's chain.
    claims: Vec<(usize, usize, u8)>,
    /// Whether a process wrote after its successor had started.
    is_overtaken: bool,
}

impl World {
    /// A gateway and its successor, who is not there yet; and another gateway.
    fn new() -> Self {
        let process = |gateway, epoch, step| Process { gateway, epoch, head: 0, step };
        Self {
            processes: [process(0, 1, Step::Ready), process(0, 0, Step::Absent), process(1, 1, Step::Ready)],
            holder: None,
            epochs: [1, 1],
            claims: Vec::new(),
            is_overtaken: false,
        }
    }

    /// Everything that may come next.
    fn nexts(&self, rules: Rules) -> Vec<Self> {
        let mut nexts = Vec::new();
        for number in 0..self.processes.len() {
            nexts.extend(self.step(number, rules));
            let step = self.processes[number].step;
            if !matches!(step, Step::Absent | Step::Ended) {
                // The session is lost, and its transaction undone, whatever the process believes.
                let mut lost = self.clone();
                lost.end(number);
                nexts.push(lost);
            }
        }
        nexts
    }

    fn step(&self, number: usize, rules: Rules) -> Option<Self> {
        let mut next = self.clone();
        let Process { gateway, epoch, head, step } = self.processes[number];
        let is_row_held = self
            .processes
            .iter()
            .any(|other| other.gateway == gateway && matches!(other.step, Step::Counted | Step::Read { .. }));
        match step {
            Step::Absent if is_row_held => return None,
            Step::Absent => {
                next.epochs[gateway] += 1;
                let head = self.claims.iter().filter(|(_, of, _)| *of == gateway).count();
                next.processes[number] = Process {
                    epoch: next.epochs[gateway],
                    head: u8::try_from(head).unwrap(),
                    step: Step::Ready,
                    gateway,
                };
            }
            Step::Ready if rules.holds && self.holder.is_some() => return None,
            Step::Ready => {
                next.holder = Some(number);
                next.processes[number].step = Step::Holding;
            }
            Step::Holding if rules.fences && self.epochs[gateway] != epoch => next.end(number),
            Step::Holding => next.processes[number].step = Step::Counted,
            Step::Counted => {
                next.processes[number].step = Step::Read { is_claimed: !self.claims.is_empty() };
            }
            Step::Read { is_claimed } => {
                if !is_claimed {
                    next.claims.push((number, gateway, head + 1));
                    next.is_overtaken |= self.epochs[gateway] != epoch;
                }
                next.end(number);
            }
            Step::Ended => return None,
        }
        Some(next)
    }

    fn end(&mut self, number: usize) {
        self.processes[number].step = Step::Ended;
        if self.holder == Some(number) {
            self.holder = None;
        }
    }
}

/// Every world that can come about.
fn worlds(rules: Rules) -> BTreeSet<World> {
    let mut seen = BTreeSet::from([World::new()]);
    let mut open = vec![World::new()];
    while let Some(world) = open.pop() {
        for next in world.nexts(rules) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn p3_f13_f58_in_every_interleaving_a_proof_is_claimed_once_and_a_replaced_process_writes_nothing() {
    let worlds = worlds(Rules { holds: true, fences: true });
    assert!(worlds.len() > 100, "{} worlds: something must be able to happen", worlds.len());
    for world in &worlds {
        assert!(world.claims.len() <= 1 && !world.is_overtaken, "{world:?}");
    }
    // Whoever gets through claims it: each of the three can.
    let winners: BTreeSet<usize> =
        worlds.iter().flat_map(|world| &world.claims).map(|(process, ..)| *process).collect();
    assert_eq!(winners, BTreeSet::from([0, 1, 2]));
}

#[test]
fn without_the_row_of_the_shard_or_without_the_epoch_it_goes_wrong() {
    let unheld = worlds(Rules { holds: false, fences: true });
    assert!(unheld.iter().any(|world| world.claims.len() > 1), "a proof is claimed twice");
    let unfenced = worlds(Rules { holds: true, fences: false });
    assert!(unfenced.iter().any(|world| world.is_overtaken), "a replaced process writes");
}
