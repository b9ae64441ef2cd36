//! Messages of real call flows and of Microsoft's proxies.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sip_msg::{Framing, HeaderError, HeaderName, Limits, Message, Rule, parse};

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// With the Content-Length the stored text has got by being re-indented.
fn message(path: &Path) -> Bytes {
    let text = fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&text)
        .replace("\r\n", "\n")
        .replace('\n', "\r\n");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
    let length = |line: &str| {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        name == "content-length" || name == "l"
    };
    let head: Vec<_> = head.split("\r\n").filter(|line| !length(line)).collect();
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into()
}

#[test]
fn every_message_of_the_call_flows_is_read_and_printed() {
    let Some(folder) = corpora::folder("sip-flows-rfc") else {
        return;
    };
    let files = files(&folder.join("messages"), ".sip");
    assert_eq!(files.len(), 254);
    let (mut read, mut without_via) = (0, 0);
    for path in files {
        let parsed = parse(message(&path), &Limits::default(), Framing::Datagram);
        // RFC 5626 §9 leaves Via out where it says nothing about it.
        let no_via = HeaderError {
            name: HeaderName::Via,
            rule: Rule::Missing,
        };
        if parsed
            .as_ref()
            .is_err_and(|rejected| rejected.error == no_via.clone().into())
        {
            assert!(
                path.to_string_lossy().contains("rfc5626__9"),
                "{}",
                path.display()
            );
            without_via += 1;
            continue;
        }
        read += 1;
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        let again = parse(parsed.to_bytes(), &Limits::default(), Framing::Stream).unwrap();
        assert_eq!(again.to_bytes(), parsed.to_bytes(), "{}", path.display());
        parsed.headers().contacts().unwrap();
        parsed.headers().record_routes().unwrap();
        // RFC 3515 prints "(whatever URI)" in Refer-To, which is not one.
        parsed.headers().paths().unwrap();
    }
    corpora::tally("sip-flows-rfc", "read and printed the same", read);
    let verdict = "refused: RFC 5626 prints them without Via";
    corpora::tally("sip-flows-rfc", verdict, without_via);
}

#[test]
fn messages_of_microsoft_are_kept_byte_for_byte() {
    let Some(folder) = corpora::folder("teams-direct-routing") else {
        return;
    };
    let files = files(&folder, ".sip");
    corpora::tally(
        "teams-direct-routing",
        "messages kept octet for octet",
        files.len(),
    );
    for path in files {
        let text = message(&path);
        let parsed = parse(text.clone(), &Limits::default(), Framing::Datagram);
        let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        let printed = parsed.to_bytes();
        let lines = |text: &[u8]| -> Vec<String> {
            String::from_utf8_lossy(text)
                .split("\r\n")
                .filter(|line| !line.starts_with("Content-Length"))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(lines(&printed), lines(&text), "{}", path.display());
        for contact in parsed.headers().contacts().unwrap() {
            let written = parsed.headers().get_str(&HeaderName::Contact).unwrap();
            assert!(written.contains(contact.uri.as_str()));
        }
    }
}

#[test]
fn microsofts_refer_is_understood() {
    let Some(folder) = corpora::folder("teams-direct-routing") else {
        return;
    };
    let text = message(&folder.join("O01-refer-from-teams-no-user.sip"));
    let Ok(Message::Request(refer)) = parse(text, &Limits::default(), Framing::Datagram) else {
        panic!("not read");
    };
    let target = refer.headers.refer_to().unwrap().unwrap().uri;
    assert_eq!(target.user(), None);
    assert_eq!(
        target.param("x-m"),
        Some(Some("8:orgid:42aefbae-01d2-dfd9-81f7-da7d823d689e"))
    );
    assert!(
        refer
            .headers
            .referred_by()
            .unwrap()
            .unwrap()
            .uri
            .param("x-tt")
            .is_some()
    );
    assert_eq!(refer.headers.allow().len(), 6);
}
