//! Attack stimuli and the seeds of other parsers' fuzzers: refused or read, never a panic.

use std::fs;

use bytes::Bytes;
use sip_msg::{Frame, Framing, Limits, Message, Rejected, StreamFramer, Uri, parse};

/// What the parser must say where it is the parser that refuses; the others it must read.
const REFUSED: &[(&str, u16)] = &[
    ("01", 400),
    ("07", 413),
    ("09", 400),
    ("13", 400),
    ("15", 400),
    ("37", 400),
    ("39", 483),
    ("41", 513),
    ("45", 513),
];

fn read(transport: &str, bytes: Vec<u8>) -> Result<Option<Message>, Box<Rejected>> {
    let limits = Limits::default();
    if transport == "udp" {
        return parse(bytes.into(), &limits, Framing::Datagram).map(Some);
    }
    let mut framer = StreamFramer::new(limits);
    framer.push(&bytes);
    match framer.next() {
        Ok(Some(Frame::Message(frame))) => parse(frame, &limits, Framing::Stream).map(Some),
        Ok(_) => Ok(None),
        Err(error) => Err(error.into_rejected(&limits)),
    }
}

#[test]
fn attacks_are_refused_or_read() {
    let Some(folder) = corpora::folder("cve-stimuli") else {
        return;
    };
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("INDEX.json")).unwrap()).unwrap();
    let (mut refused, mut understood) = (0, 0);
    for case in index.as_array().unwrap() {
        let (file, transport) = (
            case["file"].as_str().unwrap(),
            case["transport"].as_str().unwrap(),
        );
        if !matches!(transport, "udp" | "tcp") {
            continue;
        }
        let result = read(transport, fs::read(folder.join(file)).unwrap());
        let expected = REFUSED.iter().find(|(number, _)| file.starts_with(number));
        match (result, expected) {
            (Err(rejected), Some((_, status))) => {
                assert_eq!(rejected.status.code(), *status, "{file}: {rejected:?}");
                refused += 1;
            }
            (Ok(Some(message)), None) => {
                let printed = message.to_bytes();
                let again = parse(printed.clone(), &Limits::default(), Framing::Stream);
                assert_eq!(again.unwrap().to_bytes(), printed, "{file}");
                understood += 1;
            }
            (result, _) => panic!("{file}: {result:?}"),
        }
    }
    corpora::tally("cve-stimuli SIP", "refused by the parser", refused);
    corpora::tally(
        "cve-stimuli SIP",
        "read, and printed unambiguously",
        understood,
    );
}

#[test]
fn a_blank_before_the_colon_does_not_hide_a_header() {
    let Some(folder) = corpora::folder("cve-stimuli") else {
        return;
    };
    let stimulus = fs::read(folder.join("05-header-name-ws-smuggle.bin")).unwrap();
    let Ok(Some(message)) = read("udp", stimulus) else {
        panic!("not read")
    };
    for field in message.headers().iter() {
        let name = field.raw_name();
        assert!(!name.iter().any(u8::is_ascii_whitespace), "{name:?}");
    }
    let printed = String::from_utf8_lossy(&message.to_bytes()).into_owned();
    assert!(
        !printed.contains(" :") && !printed.contains("\t:"),
        "{printed}"
    );
}

#[test]
fn seeds_of_other_fuzzers_do_no_harm() {
    let Some(folder) = corpora::folder("fuzz-seeds") else {
        return;
    };
    let mut read_any = 0;
    for entry in fs::read_dir(folder.join("pjproject")).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_name().to_string_lossy().into_owned();
        if !kind.starts_with("fuzz-sip") && !kind.starts_with("fuzz-ur") {
            continue;
        }
        for seed in fs::read_dir(entry.path()).unwrap() {
            let bytes = fs::read(seed.unwrap().path()).unwrap();
            for line in bytes.split(|&byte| byte == b'\n') {
                let _ = Uri::parse(Bytes::copy_from_slice(line));
            }
            let _ = read("tcp", bytes.clone());
            read_any += u32::from(matches!(read("udp", bytes), Ok(Some(_))));
        }
    }
    assert!(read_any > 1, "{read_any} of the seeds are messages");
}
