//! Audio that SIPp plays, compared packet by packet on the wire.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use trunkline_tests::capture::{self, Capture, Datagram};
use trunkline_tests::lab::Lab;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::two_trunks::{Gateway, Plan};

const CARRIER: u8 = 2;
const PBX: u8 = 3;
const PACKETS: u16 = 160;

fn audio_to(wire: &[Datagram], from: IpAddr, to: IpAddr) -> Vec<&Datagram> {
    wire.iter()
        .filter(|datagram| datagram.from.ip() == from && datagram.to.ip() == to)
        .filter(|datagram| datagram.payload.len() == 172 && datagram.payload[0] == 0x80)
        .collect()
}

/// Everything a talker played went in at the gateway and came out: equal, in order, once.
fn assert_carried(lab: &Lab, wire: &[Datagram], talker: u8, listener: u8, packets: u16) {
    let sent = audio_to(wire, lab.host(talker), lab.host(1));
    let heard = audio_to(wire, lab.host(1), lab.host(listener));
    assert_eq!(sent.len(), usize::from(packets), "host {talker} plays");
    assert_eq!(heard.len(), usize::from(packets), "host {listener} hears");
    let sequence =
        |datagram: &Datagram| u16::from_be_bytes([datagram.payload[2], datagram.payload[3]]);
    for (number, (sent, heard)) in (0..packets).zip(sent.iter().zip(&heard)) {
        assert_eq!(sent.payload[12..], capture::audio(talker, number)[..]);
        assert_eq!(sent.payload[12..], heard.payload[12..], "packet {number}");
        assert_eq!(heard.to.port(), 6000);
    }
    for pair in heard.windows(2) {
        assert_eq!(sequence(pair[1]), sequence(pair[0]).wrapping_add(1));
    }
}

fn party(lab: &Lab, name: &str, host: u8, parts: &[&str]) -> Sipp {
    Sipp::new(lab, name, SocketAddr::new(lab.host(host), 5060), parts)
}

#[test]
fn audio_passes_unchanged_in_both_directions() {
    for transport in ["udp", "tcp"] {
        let lab = Lab::new();
        let gateway = Gateway::start(&lab, &Plan::over(transport));
        let play = |name: &str, talker| {
            let file = capture::write(&lab, name, talker, PACKETS);
            format!("play?capture={}", file.display())
        };
        let (carrier_talks, pbx_talks) = (play("carrier.pcap", CARRIER), play("pbx.pcap", PBX));
        let wire = Capture::start(&lab);
        let pbx = party(
            &lab,
            "pbx",
            PBX,
            &["called/invited", "called/answer", &pbx_talks, "wait_bye"],
        )
        .over(transport)
        .start();
        let pause = format!("pause?ms={}", u32::from(PACKETS) * 20 + 400);
        party(
            &lab,
            "carrier",
            CARRIER,
            &[
                "caller/invite",
                "caller/answered",
                &carrier_talks,
                &pause,
                "caller/bye",
            ],
        )
        .over(transport)
        .towards(gateway.carrier_side())
        .start()
        .succeed();
        pbx.succeed();
        let record = gateway.records(1).remove(0);
        let wire = wire.stop();
        assert_carried(&lab, &wire, CARRIER, PBX, PACKETS);
        assert_carried(&lab, &wire, PBX, CARRIER, PACKETS);
        for side in ["media_a", "media_b"] {
            assert_eq!(record[side]["received"], PACKETS, "{record}");
            assert_eq!(record[side]["sent"], PACKETS, "{record}");
            assert_eq!(record[side]["lost"], 0, "{record}");
            assert_eq!(record[side]["codec"], "PCMU", "{record}");
        }
        gateway.await_no_calls(Duration::from_secs(3));
    }
}

#[test]
fn early_media_is_heard_before_the_answer() {
    const EARLY: u16 = 50;
    let lab = Lab::new();
    let gateway = Gateway::start(&lab, &Plan::over("udp"));
    let file = capture::write(&lab, "early.pcap", PBX, EARLY);
    let play = format!("play?capture={}", file.display());
    let pause = format!("pause?ms={}", u32::from(EARLY) * 20 + 300);
    let wire = Capture::start(&lab);
    let pbx = party(
        &lab,
        "pbx",
        PBX,
        &[
            "called/invited",
            "called/early",
            &play,
            &pause,
            "called/answer",
            "wait_bye",
        ],
    )
    .start();
    party(
        &lab,
        "carrier",
        CARRIER,
        &[
            "caller/invite",
            "caller/early",
            "caller/answered",
            "caller/bye",
        ],
    )
    .towards(gateway.carrier_side())
    .start()
    .succeed();
    pbx.succeed();
    let wire = wire.stop();
    let answer = wire
        .iter()
        .position(|datagram| {
            datagram.to.ip() == lab.host(CARRIER) && datagram.payload.starts_with(b"SIP/2.0 200")
        })
        .expect("it is answered");
    assert_carried(&lab, &wire[..answer], PBX, CARRIER, EARLY);
    let record = gateway.records(1).remove(0);
    assert_eq!(record["media_b"]["received"], EARLY, "{record}");
}
