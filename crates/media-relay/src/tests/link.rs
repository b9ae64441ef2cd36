use std::collections::BTreeSet;

use super::*;

/// A link that loses, repeats and reorders, from a seed.
struct Link {
    state: u64,
    late: Vec<(u64, Vec<u8>)>,
}

impl Link {
    fn draw(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % below
    }

    /// What arrives at `tick` after `datagram` was sent.
    fn pass(&mut self, tick: u64, datagram: Vec<u8>) -> Vec<Vec<u8>> {
        if self.draw(10) > 0 {
            let delay = if self.draw(5) == 0 { self.draw(40) } else { 0 };
            self.late.push((tick + delay, datagram.clone()));
        }
        if self.draw(10) == 0 {
            let delay = self.draw(60);
            self.late.push((tick + delay, datagram));
        }
        let (now, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|l| l.0 <= tick);
        self.late = later;
        let now: Vec<(u64, Vec<u8>)> = now;
        now.into_iter().map(|(_, datagram)| datagram).collect()
    }
}

#[test]
fn on_a_bad_link_each_packet_crosses_once_and_whole() {
    for seed in 1..=8 {
        let mut world = World::joined(plain(1), secure(2, 10, 20));
        let (mut out, mut reader) = (context(10), context(20));
        let mut links = [(); 2].map(|()| Link {
            state: seed,
            late: Vec::new(),
        });
        let mut crossed = [BTreeSet::new(), BTreeSet::new()];
        for tick in 0..8000 {
            world.pass_ms(20);
            let index = 62_000 + tick;
            for datagram in links[0].pass(tick, packet(7, index)) {
                let Ok(seen) = world.rtp(1, &datagram) else {
                    continue;
                };
                let seen = reader.decrypt_rtp(&seen).unwrap();
                assert_eq!(seen[12..], datagram[12..]);
                assert!(crossed[0].insert(seen[12..20].to_vec()), "seed {seed}");
            }
            let protected = out.encrypt_rtp(&packet(8, index)).unwrap().to_vec();
            for datagram in links[1].pass(tick, protected) {
                let Ok(seen) = world.rtp(2, &datagram) else {
                    continue;
                };
                assert!(crossed[1].insert(seen[12..20].to_vec()), "seed {seed}");
                assert_eq!(seen[20..], packet(8, index)[20..]);
            }
        }
        // What was not lost, or lost and repeated, came across, all but the last that is under way.
        for (leg, crossed) in [A, B].into_iter().zip(&crossed) {
            let stats = world.stats(leg);
            assert!(
                (7200..7500).contains(&crossed.len()),
                "{leg:?}: {}",
                crossed.len()
            );
            assert_eq!(stats.received, crossed.len() as u64);
            assert!(stats.received + stats.lost >= 7960 && stats.received + stats.lost <= 8000);
            let refused = stats.dropped[DropReason::Duplicate] + stats.dropped[DropReason::Replay];
            assert_eq!(stats.dropped.total(), refused);
            assert!(refused > 500 && stats.reordered > 500, "{stats:?}");
        }
    }
}
