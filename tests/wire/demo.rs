//! The demonstration, read by tshark: what its JSON says is what was on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use trunkline_tests::daemon::binary;
use trunkline_tests::lab::Lab;

/// Microsoft's addresses in every demonstration end with these.
const MICROSOFT_HOSTS: [&str; 3] = ["11", "12", "13"];

fn demo(arguments: &[&str]) -> (i32, Value) {
    let output = Command::new(binary())
        .args(["demo", "--once", "--json"])
        .args(arguments)
        .output()
        .expect("the demonstration runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    (output.status.code().unwrap_or(-1), json)
}

/// Runs tshark over the capture with the key log beside it; gives rows of the fields asked for.
fn tshark(pcap: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(pcap).arg("-2");
    let key_log = format!("tls.keylog_file:{}.keylog", pcap.display());
    command.args([
        "-o",
        &key_log,
        "-d",
        "tls.port==5062,sip",
        "-Y",
        filter,
        "-T",
        "fields",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark is installed by tests/run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter_map(|digit| char::from(digit).to_digit(16))
        .map(|d| d as u8)
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn is_microsoft(address: &str) -> bool {
    address
        .rsplit('.')
        .next()
        .is_some_and(|host| MICROSOFT_HOSTS.contains(&host))
}

/// One packet's header and payload as raw datagrams show them, by (source, SSRC).
#[derive(Default)]
struct Stream {
    packets: BTreeMap<u32, Vec<u8>>,
    destination: String,
}

/// RTP is read from the datagrams themselves: SDP that travels in TLS is no condition.
fn streams(pcap: &Path) -> BTreeMap<(String, u32), Stream> {
    let mut streams: BTreeMap<(String, u32), Stream> = BTreeMap::new();
    let rows = tshark(pcap, "udp && !sip", &["ip.src", "ip.dst", "udp.payload"]);
    for row in rows {
        let datagram = bytes(&row[2]);
        // RTP, version 2; RTCP's packet types do not fit into seven bits (RFC 5761).
        if datagram.len() < 12 || datagram[0] >> 6 != 2 || (64..96).contains(&(datagram[1] & 0x7f))
        {
            continue;
        }
        let payload_type = datagram[1] & 0x7f;
        if payload_type > 8 {
            continue; // telephone events
        }
        let sequence = u16::from_be_bytes([datagram[2], datagram[3]]);
        let ssrc = u32::from_be_bytes([datagram[8], datagram[9], datagram[10], datagram[11]]);
        let stream = streams.entry((row[0].clone(), ssrc)).or_default();
        stream.destination.clone_from(&row[1]);
        // A wrap is no jump back: the next number is the one that is nearest.
        let unwrapped = match stream.packets.keys().next_back() {
            Some(last) => {
                let ahead = sequence.wrapping_sub(*last as u16).cast_signed();
                last.wrapping_add_signed(ahead.into())
            }
            None => 0x1_0000 + u32::from(sequence),
        };
        stream.packets.insert(unwrapped, datagram[12..].to_vec());
    }
    streams
}

/// Of three numbers the office dials, one leaves through Microsoft, one through the carrier, one
/// through the carrier because Microsoft refused; the report has all of them.
fn carried_as_foretold(json: &Value) {
    let calls = json["calls"].as_array().expect("calls").iter();
    let foretold: Vec<&Value> = calls
        .map(|call| &call["foretold"])
        .filter(|foretold| !foretold.is_null())
        .collect();
    let carried: Vec<&str> = foretold
        .iter()
        .filter_map(|call| call["carried_by"].as_str())
        .collect();
    let carriers = ["cloud-calling", "contoso-telecom", "contoso-telecom"];
    assert_eq!(carried, carriers, "{foretold:#?}");
    assert!(foretold.iter().all(|call| call["as_explained"] == true));
    let because = foretold[2]["because"].as_str();
    assert!(
        because.is_some_and(|why| why.starts_with("486")),
        "{because:?}"
    );
    assert!(foretold[0]["because"].is_null() && foretold[1]["because"].is_null());
    let ways = json["report"]["ways"].as_array().expect("ways");
    let calls = |first: &str, carrier: &str| -> u64 {
        let theirs = ways.iter().filter(|way| {
            way["first"] == first && way["carried_by"] == carrier && way["cost"]["USD"].is_string()
        });
        theirs.filter_map(|way| way["calls"].as_u64()).sum()
    };
    assert_eq!(calls("cloud-calling", "cloud-calling"), 1, "{ways:#?}");
    assert_eq!(calls("cloud-calling", "contoso-telecom"), 1, "{ways:#?}");
    // ACS and the PBX reach the carrier once more each.
    assert_eq!(calls("contoso-telecom", "contoso-telecom"), 3, "{ways:#?}");
}

/// How many packets of silence of the gateway's own a stream may begin with: only the leg to
/// Microsoft that is held until the called party answers has any, one in 20 ms of the set-up.
fn silence_of(call: &Value, way: &str, end: &str) -> u64 {
    let held = call["foretold"]["carried_by"] == "cloud-calling" && way == "a_to_b";
    let setup = call["setup_ms"].as_u64().expect("a set-up time");
    if held && end == "heard" {
        setup / 20 + 5
    } else {
        0
    }
}

#[test]
fn tshark_counts_what_the_json_says() {
    let lab = Lab::new();
    let pcap = lab.path("demo.pcap");
    let (code, json) = demo(&["--pcap", pcap.to_str().expect("UTF-8")]);
    assert_eq!((code, &json["passed"]), (0, &Value::Bool(true)), "{json:#}");
    let calls = json["calls"].as_array().expect("calls");
    assert!(calls.len() >= 10, "{json:#}");

    carried_as_foretold(&json);
    let malformed = tshark(
        &pcap,
        "_ws.malformed || _ws.expert.severity >= 8388608",
        &[
            "ip.src",
            "ip.dst",
            "_ws.col.Protocol",
            "frame.number",
            "_ws.col.Info",
        ],
    );
    // What Microsoft's media sends is cipher text; tshark reads it as reports and stumbles.
    let malformed: Vec<_> = malformed
        .iter()
        .filter(|row| {
            let media = ["RTP", "RTCP", "SRTP", "SRTCP"].contains(&row[2].as_str());
            !(media && (is_microsoft(&row[0]) || is_microsoft(&row[1])))
        })
        .collect();
    assert!(malformed.is_empty(), "{malformed:?}");

    let streams = streams(&pcap);
    let plain: BTreeSet<&[u8]> = streams
        .iter()
        .filter(|((source, _), stream)| !is_microsoft(source) && !is_microsoft(&stream.destination))
        .flat_map(|(_, stream)| stream.packets.values().map(Vec::as_slice))
        .collect();
    let mut compared = 0;
    for call in calls {
        for way in ["a_to_b", "b_to_a"] {
            let audio = &call["audio"][way];
            if audio.is_null() {
                continue;
            }
            let name = format!("{} {way}", call["name"]);
            let sent = audio["sent"].as_u64().expect("sent");
            assert!(sent >= 150, "{name}");
            let ssrc_sent = audio["ssrc_sent"].as_u64().expect("ssrc_sent");
            let heard = audio["ssrcs_heard"].as_array().expect("ssrcs_heard");
            assert_eq!(heard.len(), 1, "{name}: one SSRC for the life of a leg");
            let ssrc_heard = heard[0].as_u64().expect("ssrc");
            for (ssrc, end) in [(ssrc_sent, "sent"), (ssrc_heard, "heard")] {
                let ((source, _), stream) = streams
                    .iter()
                    .find(|((_, known), _)| u64::from(*known) == ssrc)
                    .unwrap_or_else(|| panic!("{name}: no packet of SSRC {ssrc:#x} ({end})"));
                let silence = stream.packets.len() as u64 - sent;
                assert!(
                    silence <= silence_of(call, way, end),
                    "{name}: packets {end}"
                );
                if is_microsoft(source) || is_microsoft(&stream.destination) {
                    let naked = stream
                        .packets
                        .values()
                        .any(|packet| plain.contains(packet.as_slice()));
                    assert!(!naked, "{name}: plain payload on Microsoft's leg");
                    // SRTP adds its tag of 10 octets to 160 of G.711.
                    assert!(
                        stream.packets.values().all(|packet| packet.len() == 170),
                        "{name}"
                    );
                } else {
                    let mut digest = Sha256::new();
                    stream
                        .packets
                        .values()
                        .for_each(|packet| digest.update(packet));
                    let digest: String = digest
                        .finalize()
                        .iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect();
                    assert_eq!(audio["payload_sha256"], digest, "{name}: payloads {end}");
                }
                compared += 1;
            }
        }
    }
    assert!(compared >= 32, "{compared} streams compared");

    // Both legs' signalling can be read: INVITEs in TLS and in plain.
    let invites = tshark(&pcap, "sip.Method == \"INVITE\"", &["ip.dst", "sip.r-uri"]);
    assert!(
        invites.iter().any(|row| is_microsoft(&row[0])),
        "no INVITE to Microsoft decrypted"
    );
    assert!(
        invites.iter().any(|row| row[0].ends_with(".2")),
        "no INVITE to the carrier"
    );
}

#[test]
fn a_planted_loss_is_noticed() {
    let (code, json) = demo(&["--loss", "50"]);
    assert_eq!(
        (code, &json["passed"]),
        (1, &Value::Bool(false)),
        "{json:#}"
    );
    let lost: Vec<u64> = json["calls"]
        .as_array()
        .expect("calls")
        .iter()
        .filter(|call| call["from"] == "carrier" && !call["audio"].is_null())
        .map(|call| call["audio"]["a_to_b"]["lost"].as_u64().expect("lost"))
        .collect();
    assert!(
        !lost.is_empty() && lost.iter().all(|lost| *lost == 3),
        "{lost:?}"
    );
}
