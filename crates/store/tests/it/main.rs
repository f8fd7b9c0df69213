//! The stores: over their port, the same for each engine; the embedded one as a file, the other one as a database of several gateways.

// `cfg(test)` is always on here; it tells clippy that these are tests.
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod entrusted;
#[cfg(test)]
mod escrows;
#[cfg(test)]
mod fencing;
#[cfg(test)]
mod files;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod measured;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod model;
#[cfg(test)]
mod payouts;
#[cfg(test)]
mod pins;
#[cfg(feature = "postgres")]
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod power;
#[cfg(feature = "postgres")]
#[cfg(test)]
mod shared_limits;
#[cfg(feature = "failpoints")]
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod world;
