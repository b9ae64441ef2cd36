use std::collections::BTreeMap;

use super::*;

fn last_state(world: &mut World, leg: LegId) -> LegCheckpoint {
    world.command(MediaCommand::Checkpoint { leg });
    let mut states = Vec::new();
    for event in world.events() {
        if let MediaEvent::LegState { leg: told, state } = event
            && told == leg
        {
            states.push(state);
        }
    }
    *states.last().unwrap()
}

fn restored(states: [LegCheckpoint; 2]) -> World {
    let mut world = World::new();
    for ((leg, params), state) in [(A, plain(1)), (B, secure(2, 1, 2))]
        .into_iter()
        .zip(states)
    {
        world.command(MediaCommand::RestoreLeg {
            leg,
            ports: ports(leg.0),
            params: Box::new(params),
            state: Box::new(state),
        });
    }
    world.command(MediaCommand::Join { a: A, b: B });
    assert_eq!(world.events(), []);
    world
}

#[test]
fn a_restored_call_goes_on_and_uses_no_index_for_two_contents() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let (mut out, mut reader) = (context(1), context(2));
    let mut used = BTreeMap::new();
    let start = 65_500u64;
    let mut states = None;
    for index in start..start + 5000 {
        world.pass_ms(20);
        let seen = world.rtp(1, &packet(7, index)).unwrap();
        used.insert(header(&seen).sequence, seen.clone());
        reader.decrypt_rtp(&seen).unwrap();
        world
            .rtp(2, &out.encrypt_rtp(&packet(8, index)).unwrap())
            .unwrap();
        if index == start + 1000 {
            states = Some([last_state(&mut world, A), last_state(&mut world, B)]);
        }
    }

    // The process ends, and another goes on from a state that is 4000 packets old.
    let mut world = restored(states.unwrap());
    let again = world.rtp(1, &packet(7, start + 4500)).unwrap();
    assert_eq!(
        used[&header(&again).sequence],
        again,
        "the same index, the same contents"
    );
    for index in start + 5000..start + 70_000 {
        let seen = world.rtp(1, &packet(7, index)).unwrap();
        let seen = reader.decrypt_rtp(&seen).unwrap();
        assert_eq!(
            (header(&seen).sequence, &seen[12..]),
            (index as u16, &packet(7, index)[12..])
        );
        let seen = world
            .rtp(2, &out.encrypt_rtp(&packet(8, index)).unwrap())
            .unwrap();
        assert_eq!(seen[12..], packet(8, index)[12..]);
    }
}

#[test]
fn another_speaker_after_a_restore_leaps_over_what_may_have_been_sent() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let mut reader = context(2);
    for index in 0..100 {
        reader
            .decrypt_rtp(&world.rtp(1, &packet(7, index)).unwrap())
            .unwrap();
    }
    let states = [last_state(&mut world, A), last_state(&mut world, B)];
    for index in 100..8_000 {
        reader
            .decrypt_rtp(&world.rtp(1, &packet(7, index)).unwrap())
            .unwrap();
    }
    let rtcp_before = states[1].srtcp_index;
    let mut world = restored(states);
    let seen = world.rtp(1, &packet(70, 5)).unwrap();
    let seen = reader.decrypt_rtp(&seen).unwrap();
    assert!(header(&seen).sequence > 8_000 && header(&seen).sequence < 32_768);
    assert!(last_state(&mut world, B).srtcp_index >= rtcp_before + 65_536);
}

#[test]
fn a_speaker_whose_numbers_began_anew_is_another_one() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let mut reader = context(2);
    for index in 65_500..66_000 {
        let sent = world.rtp(1, &packet(7, index)).unwrap();
        reader.decrypt_rtp(&sent).unwrap();
    }
    // A stream that was forgotten, for it has another key, and was not heard again yet.
    let heard = last_state(&mut world, A);
    let forgotten = LegCheckpoint {
        heard_ssrc: None,
        heard_index: 0,
        ..heard
    };
    let mut world = restored([forgotten, last_state(&mut world, B)]);
    for index in 66_000..66_100_u64 {
        let sent = world.rtp(1, &packet(7, index & 0xffff)).unwrap();
        let seen = reader.decrypt_rtp(&sent).unwrap();
        assert_eq!(seen[12..], packet(7, index & 0xffff)[12..]);
    }
}

#[test]
fn checkpoints_come_often_enough_to_find_the_rollover_counter() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let mut out = context(1);
    let mut states = 0;
    for index in 0..40_000 {
        world
            .rtp(2, &out.encrypt_rtp(&packet(8, index)).unwrap())
            .unwrap();
        for event in world.events() {
            if let MediaEvent::LegState { leg: B, state } = event {
                assert_eq!((state.version, state.heard_index), (1, index));
                states += 1;
            }
        }
    }
    assert_eq!(states, 1 + 4);
}

#[test]
fn a_restored_state_is_the_state() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    for index in 0..100 {
        world.rtp(1, &packet(7, index)).unwrap();
    }
    let states = [last_state(&mut world, A), last_state(&mut world, B)];
    let mut world = restored(states);
    assert_eq!(last_state(&mut world, A), states[0]);
    let after = last_state(&mut world, B);
    assert_eq!(
        LegCheckpoint {
            srtcp_index: states[1].srtcp_index,
            ..after
        },
        states[1]
    );
}
