//! telephone-event (RFC 4733): who has it, and under which payload type.

use super::*;

fn policy(events: Events) -> Policy {
    Policy {
        events,
        ..Policy::default()
    }
}

fn offered(events: Events, media: &str) -> String {
    let other = sdp(media);
    let other = other.audio().unwrap();
    let (offer, _) = offer_for(other, &mut plain(), &policy(events)).unwrap();
    text(&offer)
}

#[test]
fn a_leg_has_them_by_itself_where_digits_are_converted() {
    let without = "m=audio 4000 RTP/AVP 0 8\n";
    let with = "m=audio 4000 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\n";
    let written = offered(Events::Always, without);
    assert!(written.contains("RTP/AVP 0 8 101\r\n"), "{written}");
    assert!(written.contains("a=rtpmap:101 telephone-event/8000\r\n"));
    assert!(offered(Events::Always, with).contains("RTP/AVP 0 96\r\n"));
    assert!(offered(Events::Relayed, without).contains("RTP/AVP 0 8\r\n"));
    assert!(offered(Events::Relayed, with).contains("RTP/AVP 0 96\r\n"));
    let written = offered(Events::Never, with);
    assert!(!written.contains("telephone-event"), "{written}");
}

#[test]
fn their_payload_type_is_free_and_their_clock_that_of_the_speech() {
    let media = "m=audio 4000 RTP/AVP 101 96\na=rtpmap:101 opus/48000/2\n\
                 a=rtpmap:96 SILK/16000\n";
    let written = offered(Events::Always, media);
    assert!(
        written.contains("a=rtpmap:97 telephone-event/48000\r\n"),
        "{written}"
    );
}

#[test]
fn an_answer_names_them_if_they_were_offered() {
    let offer = sdp("m=audio 4000 RTP/AVP 8 97\na=rtpmap:97 telephone-event/8000\n");
    let plain_offer = sdp("m=audio 4000 RTP/AVP 8\n");
    let other = sdp("m=audio 4000 RTP/AVP 8\n");
    let other = other.audio().unwrap();
    let answered = |offer: &SessionDescription, events| {
        let answer = answer_for(offer, other, &mut plain(), &policy(events));
        let (answer, negotiated) = answer.unwrap();
        (
            text(&answer),
            negotiated.telephone_event().map(|e| e.our_pt),
        )
    };
    let (answer, events) = answered(&offer, Events::Always);
    assert!(answer.contains("RTP/AVP 8 97\r\n"), "{answer}");
    assert_eq!(events, Some(97));
    assert_eq!(answered(&plain_offer, Events::Always).1, None);
    assert_eq!(answered(&offer, Events::Relayed).1, None);
    assert_eq!(answered(&offer, Events::Never).1, None);
}
