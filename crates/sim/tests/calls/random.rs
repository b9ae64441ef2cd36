//! Anything in any order, against a model that only counts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sim::operations::{Operation, run};

#[test]
fn the_tables_agree_whatever_happens() {
    let config = Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config, chance);
    let cases = (
        any::<u64>(),
        prop_oneof![Just(0_u8), Just(15)],
        vec(any::<[u8; 3]>(), 1..40),
    );
    let outcome = runner.run(&cases, |(seed, loss, octets)| {
        let operations: Vec<Operation> = octets.into_iter().map(Operation::read).collect();
        run(seed, loss, &operations)
            .map_err(|violation| TestCaseError::fail(format!("{operations:?}\n{violation}")))
    });
    if let Err(found) = outcome {
        panic!("{found}");
    }
}
