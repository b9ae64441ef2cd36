//! Descriptions that name an address where the peer's media must not be.

use super::*;

fn within(network: &str) -> Policy {
    Policy {
        networks: [network.parse().unwrap()].into(),
        ..Policy::default()
    }
}

const AUDIO: &str = "m=audio 4000 RTP/AVP 0\n";
const ELSEWHERE: Unusable = Unusable::Network;

#[test]
fn an_offer_from_elsewhere_is_refused_before_and_when_it_is_answered() {
    let answer = |offer: &str, network: &str| {
        let (offer, other) = (sdp(offer), sdp(AUDIO));
        let policy = within(network);
        let before = answerable(&offer, false, &policy);
        let given = answer_for(&offer, other.audio().unwrap(), &mut plain(), &policy);
        let given = given.map(|_| ());
        assert_eq!(before, given, "{offer:?}");
        given
    };
    assert_eq!(answer(AUDIO, "192.0.2.0/24"), Ok(()));
    let refused = answer(AUDIO, "198.51.100.0/24").unwrap_err();
    assert_eq!(refused, AnswerError::Offer(ELSEWHERE));
    assert_eq!(refused.status(), 488);
    // RTCP that was sent elsewhere would be no better.
    let rtcp = format!("{AUDIO}a=rtcp:4001 IN IP4 203.0.113.9\n");
    assert_eq!(
        answer(&rtcp, "192.0.2.0/24"),
        Err(AnswerError::Offer(ELSEWHERE))
    );
    let held = format!("{AUDIO}c=IN IP4 0.0.0.0\n");
    assert_eq!(answer(&held, "192.0.2.0/24"), Ok(()));
}

#[test]
fn an_answer_from_elsewhere_is_none_also_to_an_offer_made_again() {
    let other = sdp(AUDIO);
    let policy = within("198.51.100.0/24");
    let mut local = plain();
    let (offer, pending) = offer_for(other.audio().unwrap(), &mut local, &policy).unwrap();
    let fork = pending.fork();
    let (answer, negotiated) = answered(&offer, Direction::SendRecv);
    assert!(pending.answered(&answer).is_ok(), "it is at 198.51.100.7");
    let stray = sdp(AUDIO);
    let refused = fork.answered(&stray).unwrap_err();
    assert_eq!(refused, AnswerError::Answer(ELSEWHERE));
    let negotiated = Negotiated {
        local,
        ..negotiated
    };
    let again = PendingOffer::again(&offer, &negotiated, &policy).unwrap();
    assert_eq!(
        again.answered(&stray).unwrap_err(),
        AnswerError::Answer(ELSEWHERE)
    );
}
