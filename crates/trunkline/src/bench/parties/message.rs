//! As much of SIP as the parties need: they meet nobody but the gateway.

/// A message in one piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    start: &'a str,
    fields: &'a str,
    body: &'a str,
}

impl<'a> Message<'a> {
    /// A whole message; `None` of what is none.
    pub(super) fn read(octets: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(octets).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let (start, fields) = head.split_once("\r\n")?;
        Some(Self {
            start,
            fields,
            body,
        })
    }

    /// The status of a response.
    pub(super) fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request.
    pub(super) fn method(&self) -> &'a str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The first line without the version: what went wrong, in the peer's words.
    pub(super) fn words(&self) -> &'a str {
        self.start.strip_prefix("SIP/2.0 ").unwrap_or(self.start)
    }

    /// The value of a header field's first line.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        self.lines(name).next()
    }

    /// The values of a header field's lines.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields.split("\r\n").filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            found
                .trim_end()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim())
        })
    }

    /// The method that CSeq names.
    pub(super) fn cseq_method(&self) -> Option<&'a str> {
        self.field("CSeq")?.split(' ').next_back()
    }

    /// The URI of the first Contact.
    pub(super) fn contact(&self) -> Option<&'a str> {
        let value = self.field("Contact")?;
        match value.split_once('<') {
            Some((_, rest)) => rest.split('>').next(),
            None => value.split(';').next(),
        }
    }

    /// Whether there is a session description with an audio stream that was not refused.
    pub(super) fn has_audio(&self) -> bool {
        self.body
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))
            .is_some_and(|rest| !rest.starts_with("0 "))
    }
}

/// Octets of the first message in a stream, once all of them are there.
pub(super) fn framed(stream: &[u8]) -> Option<usize> {
    let head = stream.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&stream[..head]).ok()?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim_end();
        let ours = name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("l");
        ours.then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (stream.len() >= whole).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nvia : SIP/2.0/UDP b\r\n\
        CSeq: 1 INVITE\r\nContact: \"x\" <sip:y@192.0.2.1;a=b>;c=d\r\nContent-Length: 25\r\n\r\n\
        v=0\r\nm=audio 9 RTP/AVP 0\r\n";

    #[test]
    fn what_the_parties_look_for_is_found() {
        let message = Message::read(ANSWER.as_bytes()).unwrap();
        assert_eq!(message.status(), Some(200));
        assert_eq!(message.cseq_method(), Some("INVITE"));
        assert_eq!(message.contact(), Some("sip:y@192.0.2.1;a=b"));
        assert_eq!(message.lines("Via").count(), 2);
        assert!(message.has_audio());
        let refused = ANSWER.replace("audio 9", "audio 0");
        assert!(!Message::read(refused.as_bytes()).unwrap().has_audio());
        let request = Message::read(b"BYE sip:a SIP/2.0\r\nl: 0\r\n\r\n").unwrap();
        assert_eq!((request.status(), request.method()), (None, "BYE"));
    }

    #[test]
    fn a_stream_is_cut_where_messages_end() {
        let one = ANSWER.len();
        let stream = ANSWER.repeat(2);
        for len in 0..one {
            assert_eq!(framed(&stream.as_bytes()[..len]), None, "{len}");
        }
        assert_eq!(framed(stream.as_bytes()), Some(one));
    }
}
