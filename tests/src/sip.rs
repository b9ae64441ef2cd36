//! SIP for scripted peers: just enough to read what came and to answer it, sharing nothing with
//! the gateway's own parser.

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip {
    /// The request or status line.
    pub start: String,
    /// Header fields in order, names as written.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Sip {
    /// Reads a whole message.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::read(text.as_bytes()).unwrap_or_else(|| panic!("no SIP message: {text}"))
    }

    /// Reads a whole message; `None` when it is none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.trim().to_owned(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            start,
            headers,
            body: body.to_owned(),
        })
    }

    /// As it goes on the wire, its length counted afresh.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            if name.eq_ignore_ascii_case("Content-Length") {
                text += &format!("{name}: {}\r\n", self.body.len());
            } else {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text + "\r\n" + &self.body
    }

    /// The first value of a header field.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Gives a header field this one value, where it stood or before the length.
    pub fn set(&mut self, name: &str, value: &str) {
        let at = self
            .headers
            .iter()
            .position(|(have, _)| have.eq_ignore_ascii_case(name))
            .unwrap_or(0);
        self.remove(name);
        self.headers.insert(
            at.min(self.headers.len()),
            (name.to_owned(), value.to_owned()),
        );
    }

    /// Adds a header field in front.
    pub fn push(&mut self, name: &str, value: &str) {
        self.headers.insert(0, (name.to_owned(), value.to_owned()));
    }

    /// Removes a header field; tells whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.headers.len();
        self.headers
            .retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        before != self.headers.len()
    }

    /// Rewrites every value of a header field.
    pub fn rewrite(&mut self, name: &str, rewrite: impl Fn(&str) -> String) {
        for (have, value) in &mut self.headers {
            if have.eq_ignore_ascii_case(name) {
                *value = rewrite(value);
            }
        }
    }

    /// The method of a request, or the one a response answers.
    #[must_use]
    pub fn about(&self) -> &str {
        self.method()
            .or_else(|| self.first("CSeq")?.rsplit(' ').next())
            .unwrap_or_default()
    }

    /// Takes the first whole message off a stream's bytes.
    #[must_use]
    pub fn take(stream: &mut Vec<u8>) -> Option<Self> {
        let head = stream.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&stream[..head]).into_owned();
        let length: usize = Self::parse(&text)
            .header("Content-Length")
            .parse()
            .expect("a length is a number");
        if stream.len() < head + length {
            return None;
        }
        let whole: Vec<u8> = stream.drain(..head + length).collect();
        Some(Self::parse(&String::from_utf8_lossy(&whole)))
    }

    /// Every value of a header field.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The one value of a header field.
    ///
    /// # Panics
    /// There is none, or more than one.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [one] => one,
            ref all => panic!("{} {name} in {self:?}", all.len()),
        }
    }

    /// The request's method, or `None` for a response.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        let first = self.start.split(' ').next()?;
        (first != "SIP/2.0").then_some(first)
    }

    /// The response's status, or `None` for a request.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let rest = self.start.strip_prefix("SIP/2.0 ")?;
        rest.get(..3)?.parse().ok()
    }

    /// Whether this is the response `status` to a request of `method`.
    #[must_use]
    pub fn answers(&self, method: &str, status: u16) -> bool {
        self.status() == Some(status) && self.header("CSeq").ends_with(&format!(" {method}"))
    }

    /// The URI within angle brackets of a header field.
    ///
    /// # Panics
    /// There are none.
    #[must_use]
    pub fn uri(&self, name: &str) -> &str {
        let value = self.header(name);
        let inner = value.split_once('<').expect("an opening bracket").1;
        inner.split_once('>').expect("a closing bracket").0
    }

    /// A response to this request, with a To tag of the answering side.
    ///
    /// # Panics
    /// This is no request.
    #[must_use]
    pub fn response(&self, status: &str, tag: &str, more: &[&str], body: &str) -> String {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for (name, value) in &self.headers {
            let copied = ["via", "from", "call-id", "cseq", "record-route"];
            if copied.contains(&name.to_ascii_lowercase().as_str()) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        let to = self.header("To");
        let to = if to.contains(";tag=") {
            to.to_owned()
        } else {
            format!("{to};tag={tag}")
        };
        text += &format!("To: {to}\r\n");
        text + &end(more, body)
    }
}

/// The further header fields and the body of a message that is being written.
#[must_use]
pub fn end(more: &[&str], body: &str) -> String {
    let mut text = String::new();
    for line in more {
        text += line;
        text += "\r\n";
    }
    if !body.is_empty() {
        text += "Content-Type: application/sdp\r\n";
    }
    text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
}
