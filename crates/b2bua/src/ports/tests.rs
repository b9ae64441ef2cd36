use proptest::prelude::*;

use super::*;
use crate::profile::MediaInterface;

fn config(shards: u8, reserve: u16) -> MediaConfig {
    let local = "127.0.0.1".parse().unwrap();
    MediaConfig {
        interfaces: vec![MediaInterface {
            id: 0,
            bind: local,
            advertise: local,
            pairs: 10,
        }],
        shards: (0..shards).map(ShardId).collect(),
        reserve,
        cool_down: Duration::from_secs(5),
        cool_down_floor: Duration::from_secs(2),
        alarm_percent: 80,
    }
}

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn pair(id: u32, shard: u8) -> PortPair {
    let port = 20_000 + u16::try_from(id).unwrap() * 2;
    PortPair {
        id: PortPairId(id),
        shard: ShardId(shard),
        interface: 0,
        address: [127, 0, 0, 1].into(),
        port,
    }
}

/// Binds whatever the pool asks for, up to `limit` pairs in all.
struct Shards {
    bound: u32,
    limit: u32,
}

impl Shards {
    fn serve(&mut self, pool: &mut PortPool, now: Moment) {
        while let Some(command) = pool.poll_command() {
            let MediaCommand::BindPorts {
                shard,
                interface,
                count,
            } = command
            else {
                panic!("nothing else is asked for")
            };
            let can = u32::from(count).min(self.limit - self.bound);
            let pairs: Vec<PortPair> = (self.bound..self.bound + can)
                .map(|id| pair(id, shard.0))
                .collect();
            self.bound += can;
            pool.handle_bound(&pairs);
            let missing = count - u16::try_from(can).unwrap();
            if missing > 0 {
                pool.handle_failed(now, shard, interface, missing);
            }
        }
    }
}

#[test]
fn nothing_is_leased_before_a_shard_has_bound_it() {
    let mut pool = PortPool::new(at(0), &config(1, 4));
    assert_eq!(pool.lease(at(0), 0, None), Err(Exhausted::NotBound));
    assert_eq!(pool.lease(at(0), 9, None), Err(Exhausted::NoInterface));
    Shards {
        bound: 0,
        limit: 10,
    }
    .serve(&mut pool, at(0));
    let lease = pool.lease(at(0), 0, None).unwrap();
    assert_eq!(pool.usage().leased, 1);
    pool.release(at(0), lease);
}

#[test]
fn both_legs_of_a_call_share_a_shard_if_they_can() {
    let mut pool = PortPool::new(at(0), &config(2, 2));
    Shards { bound: 0, limit: 4 }.serve(&mut pool, at(0));
    let a = pool.lease(at(0), 0, None).unwrap();
    let b = pool.lease(at(0), 0, Some(a.shard())).unwrap();
    assert_eq!(a.shard(), b.shard());
    let c = pool.lease(at(0), 0, Some(a.shard())).unwrap();
    assert_ne!(a.shard(), c.shard(), "another shard is better than no call");
    [a, b, c]
        .into_iter()
        .for_each(|lease| pool.release(at(0), lease));
}

#[test]
fn a_released_pair_rests_before_it_is_leased_again() {
    let mut pool = PortPool::new(at(0), &config(1, 1));
    Shards { bound: 0, limit: 1 }.serve(&mut pool, at(0));
    let lease = pool.lease(at(0), 0, None).unwrap();
    let id = lease.pair().id;
    pool.release(at(10), lease);
    assert_eq!(pool.lease(at(11), 0, None), Err(Exhausted::InUse));
    assert_eq!(pool.usage().hurried, 0);
    let again = pool.lease(at(15), 0, None).unwrap();
    assert_eq!((again.pair().id, pool.usage().hurried), (id, 0));
    pool.release(at(15), again);
    // Too few pairs for the calls: the rest is cut short, down to its floor, and that is told.
    assert_eq!(pool.lease(at(16), 0, None), Err(Exhausted::InUse));
    let hurried = pool.lease(at(17), 0, None).unwrap();
    assert_eq!(pool.usage().hurried, 1);
    pool.release(at(17), hurried);
}

#[test]
fn the_pair_released_the_longest_ago_is_leased_first() {
    let mut pool = PortPool::new(at(0), &config(2, 2));
    Shards { bound: 0, limit: 4 }.serve(&mut pool, at(0));
    let leases: Vec<_> = (0..4)
        .map(|_| pool.lease(at(0), 0, None).unwrap())
        .collect();
    let order: Vec<_> = leases.iter().map(|lease| lease.pair().id).collect();
    for (second, lease) in (10..).zip(leases) {
        pool.release(at(second), lease);
    }
    let again: Vec<_> = (0..3)
        .map(|_| pool.lease(at(14), 0, None).unwrap())
        .collect();
    let ids: Vec<_> = again.iter().map(|lease| lease.pair().id).collect();
    assert_eq!(ids, order[..3]);
    again
        .into_iter()
        .for_each(|lease| pool.release(at(14), lease));
}

#[test]
fn a_million_calls_leak_no_port_and_none_rests_too_short() {
    let mut pool = PortPool::new(at(0), &config(2, 64));
    let mut shards = Shards {
        bound: 0,
        limit: 512,
    };
    shards.serve(&mut pool, at(0));
    let (mut held, mut released) = (VecDeque::new(), BTreeMap::new());
    // A hundred calls a second of one second each, and now and then a burst.
    for call in 0..1_000_000_u64 {
        let now = Moment::from_nanos(call * 10_000_000);
        let long = if call % 1000 < 200 { 200 } else { 100 };
        while held.len() > long {
            let lease: PortLease = held.pop_front().unwrap();
            released.insert(lease.pair().id, now);
            pool.release(now, lease);
        }
        if let Ok(lease) = pool.lease(now, 0, None) {
            if let Some(at) = released.get(&lease.pair().id) {
                assert!(now.saturating_since(*at) >= Duration::from_secs(2));
            }
            held.push_back(lease);
        }
        shards.serve(&mut pool, now);
    }
    held.into_iter()
        .for_each(|lease| pool.release(at(20_000), lease));
    let usage = pool.usage();
    assert_eq!((usage.leased, usage.asked), (0, 0));
    assert_eq!(usage.free + usage.resting, shards.bound as usize);
}

#[test]
fn the_reserve_is_filled_ahead_of_need() {
    let mut config = config(1, 8);
    config.interfaces[0].pairs = 1000;
    let mut pool = PortPool::new(at(0), &config);
    let mut shards = Shards {
        bound: 0,
        limit: 1000,
    };
    shards.serve(&mut pool, at(0));
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(pool.lease(at(0), 0, None).unwrap());
        shards.serve(&mut pool, at(0));
        assert!(pool.usage().free >= 4);
    }
    held.into_iter()
        .for_each(|lease| pool.release(at(0), lease));
}

#[test]
fn a_reserve_that_does_not_last_is_doubled() {
    let mut wide = config(1, 8);
    wide.interfaces[0].pairs = 400;
    let mut pool = PortPool::new(at(0), &wide);
    let mut shards = Shards {
        bound: 0,
        limit: 400,
    };
    // A call every fifty milliseconds: eight pairs are enough.
    let mut now = at(1);
    let mut leases = Vec::new();
    let mut lease = |pool: &mut PortPool, now| leases.push(pool.lease(now, 0, None).unwrap());
    for _ in 0..20 {
        shards.serve(&mut pool, now);
        lease(&mut pool, now);
        now = now + Duration::from_millis(50);
    }
    assert!(pool.usage().free <= 8);
    // Every millisecond, they are not; yet no more than a quarter of the range is ever kept.
    for _ in 0..200 {
        shards.serve(&mut pool, now);
        lease(&mut pool, now);
        now = now + Duration::from_millis(1);
        assert!(pool.usage().free + pool.usage().asked <= 100);
    }
    assert!(pool.usage().free > 32, "{:?}", pool.usage());
    // In the end all are bound, and nobody is asked for more.
    for _ in 220..400 {
        shards.serve(&mut pool, now);
        lease(&mut pool, now);
    }
    assert_eq!(shards.bound, 400);
    assert_eq!(pool.lease(now, 0, None), Err(Exhausted::InUse));
    assert!(pool.poll_command().is_none());
}

#[test]
fn the_reserve_leaves_most_of_a_small_range_to_others() {
    for (pairs, shards, reserve, bound) in [
        (512, 2, 128, 64),
        (4000, 2, 128, 128),
        (10, 2, 128, 4),
        (512, 1, 8, 8),
    ] {
        let mut config = config(shards, reserve);
        config.interfaces[0].pairs = pairs;
        let mut pool = PortPool::new(at(0), &config);
        let mut asked = 0;
        while let Some(MediaCommand::BindPorts { count, .. }) = pool.poll_command() {
            asked += count;
        }
        assert_eq!(asked, u16::from(shards) * bound, "{pairs} pairs");
    }
}

#[test]
fn a_shard_that_cannot_bind_is_left_in_peace_for_a_while() {
    let mut pool = PortPool::new(at(0), &config(1, 4));
    Shards { bound: 0, limit: 0 }.serve(&mut pool, at(0));
    assert!(pool.lease(at(1), 0, None).is_err());
    assert_eq!(pool.poll_command(), None);
    assert!(pool.lease(at(5), 0, None).is_err());
    assert!(pool.poll_command().is_some());
}

#[test]
fn a_restored_leg_has_its_pair_back_and_nobody_else_gets_it() {
    let mut pool = PortPool::new(at(0), &config(1, 2));
    Shards { bound: 0, limit: 2 }.serve(&mut pool, at(0));
    let lease = pool.adopt(pair(0, 0)).unwrap();
    assert_eq!(pool.adopt(pair(0, 0)), None);
    let other = pool.lease(at(0), 0, None).unwrap();
    assert_ne!(other.pair().id, lease.pair().id);
    pool.handle_bound(&[lease.pair()]);
    assert_eq!(
        pool.usage().free,
        0,
        "a pair in use is not free because it is bound again"
    );
    [lease, other]
        .into_iter()
        .for_each(|lease| pool.release(at(0), lease));
}

proptest! {
    #[test]
    fn no_pair_is_held_twice_and_none_is_lost(
        steps in prop::collection::vec((any::<bool>(), 0usize..8, 0u64..4), 1..120),
    ) {
        let mut pool = PortPool::new(at(0), &config(2, 4));
        let mut shards = Shards { bound: 0, limit: 12 };
        let mut held: Vec<PortLease> = Vec::new();
        let mut now = 0;
        for (take, which, wait) in steps {
            now += wait;
            shards.serve(&mut pool, at(now));
            if take {
                let prefer = held.first().map(PortLease::shard);
                if let Ok(lease) = pool.lease(at(now), 0, prefer) {
                    let id = lease.pair().id;
                    prop_assert!(held.iter().all(|other| other.pair().id != id));
                    held.push(lease);
                }
            } else if !held.is_empty() {
                let lease = held.swap_remove(which % held.len());
                pool.release(at(now), lease);
            }
            let usage = pool.usage();
            prop_assert_eq!(usage.leased, held.len());
            prop_assert_eq!(
                usage.free + usage.resting + usage.leased,
                usize::try_from(shards.bound).unwrap()
            );
        }
        held.into_iter().for_each(|lease| pool.release(at(now), lease));
    }
}

#[test]
fn an_interface_that_fills_up_raises_its_alarm_once_and_ends_it_once() {
    let mut config = config(2, 4);
    config.interfaces.push(MediaInterface {
        id: 1,
        ..config.interfaces[0].clone()
    });
    let mut pool = PortPool::new(at(0), &config);
    let mut bound = 0;
    let mut leases = Vec::new();
    let mut lease = |pool: &mut PortPool, now| {
        while let Some(command) = pool.poll_command() {
            let MediaCommand::BindPorts {
                shard,
                interface,
                count,
            } = command
            else {
                panic!("nothing else is asked for")
            };
            for _ in 0..count {
                bound += 1;
                let pair = pair(bound, shard.0);
                pool.handle_bound(&[PortPair { interface, ..pair }]);
            }
        }
        leases.push(pool.lease(now, 0, None).unwrap());
        leases.len()
    };
    for held in 1..=7 {
        assert_eq!(lease(&mut pool, at(1)), held);
        assert_eq!(pool.poll_alarm(at(1)), None);
    }
    lease(&mut pool, at(1));
    let full = InterfacePorts {
        interface: 0,
        pairs: 10,
        leased: 8,
        resting: 0,
        alarm: true,
    };
    assert_eq!(pool.poll_alarm(at(1)), Some(full));
    assert_eq!(pool.poll_alarm(at(1)), None);
    // What rests still counts; a tenth below the threshold it is over.
    for _ in 0..2 {
        pool.release(at(2), leases.pop().unwrap());
        assert_eq!(pool.poll_alarm(at(2)), None);
    }
    let resting = InterfacePorts {
        leased: 6,
        resting: 2,
        ..full
    };
    assert_eq!(pool.interfaces(at(6))[0], resting);
    let over = InterfacePorts {
        resting: 0,
        alarm: false,
        ..resting
    };
    assert_eq!(pool.poll_alarm(at(7)), Some(over));
    assert_eq!(pool.poll_alarm(at(7)), None);
    let other = InterfacePorts {
        interface: 1,
        leased: 0,
        ..over
    };
    assert_eq!(pool.interfaces(at(7)), [over, other]);
    for lease in leases {
        pool.release(at(7), lease);
    }
}
