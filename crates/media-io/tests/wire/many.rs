//! As many calls as two addresses have ports for.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

const CALLS: u64 = 20_000;
const DESCRIPTORS: u64 = 20_000;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Two pairs of ports for each call, of one shard.
fn pairs(plane: &mut Plane) -> Vec<[PortPair; 2]> {
    let mut calls = Vec::new();
    for (shard, interface) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
        let shard = ShardId(shard);
        let count = (CALLS / 2) as u16;
        plane.command(MediaCommand::BindPorts {
            shard,
            interface,
            count,
        });
        let bound = plane.event(|event| match event {
            MediaEvent::PortsBound { pairs } => Some(pairs.clone()),
            _ => None,
        });
        assert_eq!(bound.len(), count.into());
        calls.extend_from_slice(bound.as_chunks().0);
    }
    calls
}

#[test]
fn twenty_thousand_calls_are_open_under_a_limit_of_as_many_descriptors() {
    namespace::alone(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let limit = hard.min(DESCRIPTORS);
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
        let interface = |id, last| MediaInterface {
            id,
            bind: [192, 0, 2, last].into(),
            ports: 10_000..=59_999,
        };
        let relay = RelayConfig {
            max_legs: CALLS as usize,
            ..RelayConfig::default()
        };
        let steered = PathChoice::Prefer(PathKind::Steered);
        let before = descriptors();
        let mut plane = Plane::with(steered, vec![interface(1, 1), interface(2, 2)], relay);
        assert_eq!(plane.media.path().kind, PathKind::Steered);
        let calls = pairs(&mut plane);
        let parties = || [1, 2].map(|n| Party::plain([192, 0, 2, 1].into(), n));
        let [a, b] = parties();
        for (n, pairs) in (0u64..).zip(&calls) {
            for (leg, (party, pair)) in (2 * n..).zip([&a, &b].into_iter().zip(pairs)) {
                plane.open(leg, *pair, party.params());
            }
            plane.join(2 * n, 2 * n + 1);
            // Commands that wait are bounded.
            if n % 1000 == 999 {
                plane.settle(2 * n);
            }
        }
        let last = 2 * CALLS - 1;
        plane.settle(last);
        plane.settle(1);
        let total = plane.media.counters().total();
        assert_eq!((total.legs, total.ports), (2 * CALLS, 2 * CALLS));
        let used = descriptors() - before;
        assert!(used < 2_000, "{used} descriptors");
        for (n, pairs) in (0u64..).zip(&calls).step_by(997) {
            let [mut a, mut b] = parties();
            for (leg, party) in (2 * n..).zip([&a, &b]) {
                plane.command(MediaCommand::UpdateLeg {
                    leg: LegId(leg),
                    params: Box::new(party.params()),
                });
            }
            plane.settle(2 * n);
            talk(&mut a, &mut b, *pairs, 3);
        }
        let total = plane.media.counters().total();
        assert_eq!(
            (total.dropped, total.send_failed, total.overflowed),
            (0, 0, 0)
        );
    });
}
