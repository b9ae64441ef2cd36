//! Whole calls: parties, links and restarts do anything in any order, and the gateway's tables
//! agree with each other at every step and are empty in the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sim::operations::{Operation, run};

fuzz_target!(|data: &[u8]| {
    let Some(([seed, loss], operations)) = data.split_first_chunk::<2>() else {
        return;
    };
    let loss = if loss % 4 == 0 { 15 } else { 0 };
    let operations = Operation::read_all(operations);
    if let Err(violation) = run(u64::from(*seed), loss, &operations) {
        panic!("{operations:?}\n{violation}");
    }
});
