//! The targets, by what they read.

pub(crate) mod config;
pub(crate) mod federation;
pub(crate) mod frame;
pub(crate) mod json;
pub(crate) mod openapi;
pub(crate) mod payments;
pub(crate) mod pricing;
pub(crate) mod registry;
pub(crate) mod streams;
