//! How Microsoft's messages look: names in upper case, an order of their own, texts and tokens as
//! seen in traces.

use bytes::Bytes;

/// Methods Microsoft takes from a gateway; no blanks after the commas.
pub(crate) const ALLOW: &str = "INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY";
/// User-Agent and Server.
pub(crate) const SOFTWARE: &str = "Microsoft.PSTNHub.SIPProxy v.2024.2.6.5 i.USEA.5";
/// Session-Expires of every INVITE.
pub(crate) const SESSION_EXPIRES: &str = "3600;refresher=uac";

/// Header names in the order in which they are written; all others follow.
const ORDER: [&str; 8] = [
    "FROM",
    "TO",
    "CSEQ",
    "CALL-ID",
    "MAX-FORWARDS",
    "VIA",
    "RECORD-ROUTE",
    "CONTACT",
];
/// Written after all others.
const LAST: [&str; 5] = ["USER-AGENT", "ALLOW", "SERVER", "CONTENT-TYPE", "REASON"];

/// Rewrites a printed message in Microsoft's texture; values stay as they are.
pub(crate) fn upper(message: &[u8]) -> Bytes {
    let end = find(message, b"\r\n\r\n").unwrap_or(message.len());
    let (head, body) = message.split_at(end);
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| trim_end(line).to_vec());
    let start = lines.next().unwrap_or_default();
    let mut fields: Vec<(usize, Vec<u8>)> = Vec::new();
    for line in lines {
        match line.first() {
            Some(b' ' | b'\t') => {
                if let Some((_, field)) = fields.last_mut() {
                    field.extend_from_slice(b"\r\n");
                    field.extend_from_slice(&line);
                }
            }
            _ => fields.push(field(line)),
        }
    }
    // Stable: several fields of one name keep their order.
    fields.sort_by_key(|(rank, _)| *rank);
    let mut out = start;
    for (_, field) in fields {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&field);
    }
    out.extend_from_slice(body);
    Bytes::from(out)
}

fn field(mut line: Vec<u8>) -> (usize, Vec<u8>) {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .unwrap_or(line.len());
    line[..colon].make_ascii_uppercase();
    let name = &line[..colon];
    let place = |list: &[&str]| list.iter().position(|known| known.as_bytes() == name);
    let rank = match (place(&ORDER), place(&LAST)) {
        (Some(first), _) => first,
        (None, Some(last)) => 100 + last,
        (None, None) => 50,
    };
    (rank, line)
}

fn trim_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// The Contact of a call leg: port 443, where nothing listens for SIP, and a blank-free parameter
/// with slashes in it. It must come back byte for byte.
pub(crate) fn contact() -> String {
    let guid = guid();
    format!(
        "<sip:api-du-a-usea.pstnhub.microsoft.com:443;x-i={guid};x-c={}{}/s/1/{}{}>",
        crate::random::token(),
        crate::random::token(),
        crate::random::token(),
        crate::random::token(),
    )
}

/// A random identifier in the usual notation.
pub(crate) fn guid() -> String {
    let (a, b) = (crate::random::token(), crate::random::token());
    format!(
        "{}-{}-{}-{}-{}",
        &a[..8],
        &a[8..12],
        &a[12..],
        &b[..4],
        &b[4..]
    )
}

/// A Reason header's value as Microsoft writes it.
pub(crate) fn reason(cause: u16, code: u32, phrase: &str) -> String {
    let guid = guid();
    format!(
        "Q.850;cause={cause};text=\"{guid};InternalDiagCode: {code}, InternalErrorPhrase: {phrase}\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shouted_and_reordered_and_values_kept() {
        let plain = b"OPTIONS sip:sbc.example SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1\r\n\
            Via: SIP/2.0/TLS b;branch=z9hG4bK2\r\nMax-Forwards: 70\r\nFrom: <sip:Ms.Example>;tag=x\r\n\
            To: <sip:sbc.example>\r\nCall-ID: Qq\r\nCSeq: 1 OPTIONS\r\nAllow: INVITE\r\n\
            Content-Length: 4\r\n\r\nBody";
        let text = String::from_utf8(upper(plain).to_vec()).unwrap();
        assert_eq!(
            text,
            "OPTIONS sip:sbc.example SIP/2.0\r\nFROM: <sip:Ms.Example>;tag=x\r\n\
             TO: <sip:sbc.example>\r\nCSEQ: 1 OPTIONS\r\nCALL-ID: Qq\r\nMAX-FORWARDS: 70\r\n\
             VIA: SIP/2.0/TLS a;branch=z9hG4bK1\r\nVIA: SIP/2.0/TLS b;branch=z9hG4bK2\r\n\
             CONTENT-LENGTH: 4\r\nALLOW: INVITE\r\n\r\nBody"
        );
    }
}
