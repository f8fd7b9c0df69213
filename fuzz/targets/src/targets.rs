//! The targets, by what they read.

pub(crate) mod arrivals;
pub(crate) mod attest;
pub(crate) mod config;
pub(crate) mod doors;
pub(crate) mod federation;
pub(crate) mod frame;
pub(crate) mod json;
pub(crate) mod lists;
pub(crate) mod openapi;
pub(crate) mod payer;
pub(crate) mod payments;
pub(crate) mod pricing;
pub(crate) mod registry;
pub(crate) mod schema;
pub(crate) mod streams;
