//! One binary for the tests that need a database, sockets or a browser. Named by promise.

// A test, and what helps it, fails by panicking; clippy's own exception covers only functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../bench/domain_cases.rs"]
mod domain_cases;
#[path = "../bench/nerve_damage.rs"]
mod nerve_damage;

mod browser;
mod card;
mod certificates;
mod classes;
mod cli;
mod conformance;
mod corruption;
mod daemon;
mod dataset;
mod delivery;
mod doctor;
mod domain;
mod durability;
mod evaluate;
mod faults;
mod fuzz;
mod house;
mod http;
mod nerve;
mod net;
mod outlines;
mod outputs;
mod routing;
mod shapes;
mod sides;
mod store;
mod support;
mod system;
mod validate;
mod web;
