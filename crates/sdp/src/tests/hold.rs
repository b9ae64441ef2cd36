//! Directions, and how a hold is written for peers that know only one way.

use super::*;

fn towards(dialect: HoldDialect, media: &str) -> String {
    let other = sdp(media);
    let policy = Policy {
        hold: dialect,
        ..Policy::default()
    };
    text(
        &offer_for(other.audio().unwrap(), &mut plain(), &policy)
            .unwrap()
            .0,
    )
}

#[test]
fn one_way_directions_become_inactive_where_nothing_else_is_understood() {
    for attribute in ["a=sendonly", "a=recvonly", "a=inactive", "c=IN IP4 0.0.0.0"] {
        let media = format!("m=audio 4000 RTP/AVP 0\n{attribute}\n");
        let written = towards(HoldDialect::InactiveOnly, &media);
        assert!(written.contains("a=inactive\r\n"), "{attribute}: {written}");
        assert!(
            written.contains("c=IN IP4 203.0.113.10\r\n"),
            "{attribute}: {written}"
        );
    }
    let media = "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\n";
    assert!(towards(HoldDialect::Standard, media).contains("a=sendonly\r\n"));
    let media = "m=audio 4000 RTP/AVP 0\n";
    assert!(towards(HoldDialect::InactiveOnly, media).contains("a=sendrecv\r\n"));
}

#[test]
fn answers_stay_within_what_was_offered() {
    use Direction as D;
    let all = [D::SendRecv, D::SendOnly, D::RecvOnly, D::Inactive];
    for (offered, wanted) in all.iter().flat_map(|o| all.iter().map(move |w| (*o, *w))) {
        let offer = sdp(&format!("m=audio 4000 RTP/AVP 0\na={offered}\n"));
        let (answer, negotiated) = answered(&offer, wanted);
        let written = answer.audio().unwrap().direction;
        assert!(
            !written.sends() || offered.receives(),
            "{offered} {wanted} {written}"
        );
        assert!(
            !written.receives() || offered.sends(),
            "{offered} {wanted} {written}"
        );
        assert_eq!(negotiated.direction, written);
    }
}
