//! One binary for the tests that need a database, sockets or a browser. Named by promise.

mod browser;
mod http;
mod net;
mod store;
mod web;
