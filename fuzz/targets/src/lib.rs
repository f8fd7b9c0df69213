//! What reads bytes of strangers, each reader as one function that takes any bytes and fails by panicking.
//!
//! A target does not only see that nothing panics: it compares with a second reader (`serde_json`, a naive decoder), goes
//! there and back, or changes what was sealed. `cargo xtask test` gives each target its corpus and a fixed number of
//! inputs made from it ([`Mutator`]); `cargo fuzz run NAME` gives it to libFuzzer.
//!
//! Used by nothing that is shipped.
#![forbid(unsafe_code)]

mod corpus;
mod mutate;
mod targets;
#[cfg(test)]
mod tests;

pub use corpus::corpus;
pub use mutate::Mutator;

/// One reader under test.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: the folder of its corpus.
    pub name: &'static str,
    /// Takes any bytes; panics when the reader is wrong about them.
    pub check: fn(&[u8]),
    /// How many inputs a bounded run makes: about a second's work.
    pub inputs: u64,
    /// What its language is made of, to be put into inputs.
    pub words: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "json", check: targets::json::json, inputs: 10_000, words: targets::json::WORDS },
    Target { name: "frame", check: targets::frame::frame, inputs: 10_000, words: targets::frame::WORDS },
    Target { name: "batch", check: targets::frame::batch, inputs: 10_000, words: targets::frame::WORDS },
    Target {
        name: "events",
        check: targets::streams::events,
        inputs: 300,
        words: targets::streams::EVENT_WORDS,
    },
    Target {
        name: "lines",
        check: targets::streams::lines,
        inputs: 3_000,
        words: targets::streams::VALUE_WORDS,
    },
    Target {
        name: "values",
        check: targets::streams::values,
        inputs: 3_000,
        words: targets::streams::VALUE_WORDS,
    },
    Target {
        name: "cursor",
        check: targets::federation::cursor,
        inputs: 5_000,
        words: targets::federation::WORDS,
    },
    Target {
        name: "session",
        check: targets::federation::session,
        inputs: 5_000,
        words: targets::federation::WORDS,
    },
    Target { name: "config", check: targets::config::config, inputs: 60, words: targets::config::WORDS },
    Target {
        name: "openapi",
        check: targets::openapi::openapi,
        inputs: 3_000,
        words: targets::openapi::WORDS,
    },
    Target {
        name: "definition",
        check: targets::registry::definition,
        inputs: 3_000,
        words: targets::registry::WORDS,
    },
    Target {
        name: "result",
        check: targets::registry::result,
        inputs: 3_000,
        words: targets::registry::RESULT_WORDS,
    },
    Target {
        name: "carriers",
        check: targets::payments::carriers,
        inputs: 10_000,
        words: targets::payments::CARRIER_WORDS,
    },
    Target {
        name: "x402",
        check: targets::payments::x402,
        inputs: 10_000,
        words: targets::payments::X402_WORDS,
    },
    Target { name: "macaroon", check: targets::payments::macaroon, inputs: 10_000, words: &[] },
    Target {
        name: "bolt11",
        check: targets::payments::bolt11,
        inputs: 5_000,
        words: targets::payments::BOLT11_WORDS,
    },
    Target {
        name: "challenge",
        check: targets::payments::challenge,
        inputs: 10_000,
        words: targets::payments::CHALLENGE_WORDS,
    },
    Target {
        name: "formula",
        check: targets::pricing::formula,
        inputs: 20_000,
        words: targets::pricing::WORDS,
    },
    Target {
        name: "ids",
        check: targets::federation::ids,
        inputs: 3_000,
        words: targets::federation::ID_WORDS,
    },
    Target { name: "edit", check: targets::config::edit, inputs: 300, words: targets::config::WORDS },
    Target { name: "lists", check: targets::lists::lists, inputs: 3_000, words: targets::lists::WORDS },
    Target {
        name: "headers",
        check: targets::arrivals::headers,
        inputs: 10_000,
        words: targets::arrivals::WORDS,
    },
    Target {
        name: "quote",
        check: targets::payments::quote,
        inputs: 3_000,
        words: targets::payments::X402_WORDS,
    },
    Target {
        name: "foreign",
        check: targets::payments::foreign,
        inputs: 5_000,
        words: targets::payments::FOREIGN_WORDS,
    },
    Target { name: "receipt", check: targets::attest::receipt, inputs: 3_000, words: targets::attest::WORDS },
    Target { name: "schema", check: targets::schema::schema, inputs: 2_000, words: targets::schema::WORDS },
    Target { name: "demand", check: targets::payer::demand, inputs: 300, words: targets::payer::WORDS },
    Target { name: "doors", check: targets::doors::doors, inputs: 60, words: targets::doors::WORDS },
];

/// A target by its name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
