//! What the benchmarks share.
#![allow(dead_code)]

pub mod credentials;
pub mod services;
pub mod statistics;
pub mod table;
