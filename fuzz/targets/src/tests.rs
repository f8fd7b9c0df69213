//! Each target with its corpus and a number of inputs made from it: no clock decides how many.
//!
//! `TOLLGATE_FUZZ_INPUTS` asks for more of them, `TOLLGATE_FUZZ_SEED` for others.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

#[expect(clippy::disallowed_methods, reason = "a person's wish for a longer run")]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn run(target: &Target) {
    let (count, seed) = (number("TOLLGATE_FUZZ_INPUTS", target.inputs), number("TOLLGATE_FUZZ_SEED", 1));
    let corpus = corpus(target.name).unwrap();
    assert!(!corpus.is_empty());
    let mut mutator = Mutator::new(seed);
    let made = (0..count).map(|_| mutator.input(&corpus, target.words));
    for input in corpus.iter().cloned().chain(made) {
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(&input)));
        assert!(outcome.is_ok(), "{} (seed {seed}) is wrong about: {}", target.name, input.escape_ascii());
    }
}

macro_rules! bounded {
    ($($name:ident),*) => {
        $(#[test] fn $name() { run(target(stringify!($name)).unwrap()); })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

bounded!(
    json, frame, batch, events, lines, values, cursor, session, config, openapi, definition, result,
    carriers, x402, macaroon, bolt11, challenge, formula, ids, edit, lists, headers, quote, foreign, receipt,
    schema, demand, doors
);

#[test]
fn libfuzzer_has_a_program_for_every_target() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    let (_, programs) = manifest.split_once("[[bin]]").unwrap();
    let programs = programs.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    assert_eq!(programs.collect::<Vec<_>>(), TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_is_wrong_is_found() {
    let careless = Target { check: |input| assert!(!input.contains(&b'}')), ..*target("json").unwrap() };
    assert!(catch_unwind(|| run(&careless)).is_err());
}

#[test]
fn a_seed_decides_the_inputs() {
    let corpus = corpus("frame").unwrap();
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..50).map(|_| mutator.input(&corpus, &["x"])).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}
