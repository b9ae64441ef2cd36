use super::*;

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([198, 51, 100, last])
}

fn bans(failures: u32, sources: usize) -> Bans {
    Bans::new(BanPolicy {
        failures,
        sources,
        ..BanPolicy::default()
    })
}

#[test]
fn enough_failures_in_a_minute_ban_for_ten() {
    let mut bans = bans(3, 10);
    assert!(!bans.fail(at(0), address(1)));
    assert!(!bans.fail(at(1), address(1)));
    assert!(!bans.is_banned(at(1), address(1)));
    assert!(bans.fail(at(2), address(1)));
    assert!(bans.is_banned(at(601), address(1)));
    assert!(!bans.is_banned(at(1), address(2)));
    assert!(!bans.is_banned(at(602), address(1)));
    assert_eq!((bans.counts.bans, bans.counts.unheard), (1, 1));
}

#[test]
fn failures_far_apart_and_before_a_proof_do_not_add_up() {
    let mut bans = bans(2, 10);
    assert!(!bans.fail(at(0), address(1)));
    assert!(!bans.fail(at(61), address(1)));
    bans.prove(at(62), address(1));
    assert!(!bans.fail(at(63), address(1)));
    assert!(bans.is_proven(at(662), address(1)));
    assert!(!bans.is_proven(at(663), address(1)));
    assert!(bans.fail(at(64), address(1)));
}

#[test]
fn the_source_heard_longest_ago_makes_room_and_a_banned_one_that_goes_on_does_not() {
    let mut bans = bans(1, 3);
    for last in 1..=3 {
        assert!(bans.fail(at(0), address(last)));
    }
    assert!(bans.is_banned(at(1), address(1)));
    assert!(bans.fail(at(2), address(4)));
    let banned: Vec<IpAddr> = bans.views(at(2)).map(|view| view.source).collect();
    assert_eq!(banned, [address(1), address(3), address(4)]);
    assert_eq!(bans.counts.forgotten, 1);
    assert_eq!(bans.order.len(), bans.sources.len());
}

#[test]
fn a_network_of_ipv6_is_one_source() {
    let mut bans = bans(2, 10);
    let host = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(!bans.fail(at(0), host("2001:db8::1")));
    assert!(bans.fail(at(0), host("2001:db8::ffff:2")));
    assert!(bans.is_banned(at(0), host("2001:db8::3")));
    assert!(!bans.is_banned(at(0), host("2001:db8:0:1::3")));
    assert!(!bans.fail(at(0), host("::ffff:198.51.100.9")));
    assert!(bans.fail(at(0), address(9)));
}

#[test]
fn nobody_is_banned_where_the_policy_says_so() {
    let mut bans = bans(0, 10);
    for _ in 0..100 {
        assert!(!bans.fail(at(0), address(1)));
    }
    assert!(!bans.is_banned(at(0), address(1)));
    assert_eq!(bans.views(at(0)).count(), 0);
}
