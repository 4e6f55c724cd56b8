//! One target under libFuzzer, chosen by the environment: CONTOURD_FUZZ_TARGET=pdus contourd-fuzz CORPUS [options].
#![no_main]

#[allow(clippy::unwrap_used, clippy::panic)]
mod targets;

use std::sync::LazyLock;

use targets::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CONTOURD_FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        panic!("CONTOURD_FUZZ_TARGET is {name:?}: one of {}", names.join(", "))
    })
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET.try_on(bytes));
