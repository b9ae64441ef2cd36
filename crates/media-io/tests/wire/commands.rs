//! What cannot be carried out.

use super::*;

on_every_path!(ports_run_out_and_wrong_commands_are_told);

pub(crate) fn ports_run_out_and_wrong_commands_are_told(path: PathKind) {
    let taken = UdpSocket::bind((LOOPBACK, shifted(path, 28_306))).unwrap();
    let mut plane = Plane::start(path, LOOPBACK, 28_301..=28_319);
    // Pairs from 28302 to 28318, of which 28318 has no second port; odd ones are shard 1's.
    let even = plane.bind(0, 10);
    let mut missing = plane.event(|event| match event {
        MediaEvent::PortsFailed { missing, .. } => Some(*missing),
        _ => None,
    });
    assert_eq!((even.len(), missing), (4, 6));
    assert!(
        even.iter()
            .all(|pair| pair.rtp().port() % 4 == 2 && pair.rtp().port() != shifted(path, 28_306))
    );
    assert!(
        even.iter()
            .all(|pair| pair.rtcp().port() == pair.rtp().port() + 1)
    );
    for (shard, interface) in [(0, 9), (7, 3)] {
        plane.command(MediaCommand::BindPorts {
            shard: ShardId(shard),
            interface,
            count: 1,
        });
        missing = plane.event(|event| match event {
            MediaEvent::PortsFailed { missing, .. } => Some(*missing),
            _ => None,
        });
        assert_eq!(missing, 1);
    }
    drop(taken);
    let failed = |plane: &Plane, leg: u64| {
        plane.event(|event| match event {
            MediaEvent::Failed { leg: failed, error } if failed.0 == leg => Some(*error),
            _ => None,
        })
    };
    plane.join(1, 2);
    assert_eq!(failed(&plane, 1), MediaError::NoLeg);
    let party = Party::plain(LOOPBACK, 1);
    let unknown = PortPair {
        id: media_relay::PortPairId(77),
        ..even[0]
    };
    plane.open(1, unknown, party.params());
    assert_eq!(failed(&plane, 1), MediaError::PortsUnknown);
    plane.open(2, even[0], party.params());
    plane.open(2, even[1], party.params());
    assert_eq!(failed(&plane, 2), MediaError::LegExists);
    plane.close(2);
    plane.command(MediaCommand::CloseLeg { leg: LegId(2) });
    assert_eq!(failed(&plane, 2), MediaError::NoLeg);
    let update = MediaCommand::UpdateLeg {
        leg: LegId(2),
        params: Box::new(party.params()),
    };
    plane.command(update);
    assert_eq!(failed(&plane, 2), MediaError::NoLeg);
}
