//! Descriptions as octets, without a detour over `fmt`.

use std::net::IpAddr;

/// The parts of a line of a description, behind what is written already.
pub(crate) trait Line {
    /// A text. NUL, CR and LF may not be in a line (RFC 8866 §5) and are left out.
    fn text(&mut self, text: &str);
    fn number(&mut self, number: u64);
    /// Texts with a space between each two of them.
    fn words(&mut self, words: &[&str]);
    /// An address as `o=` and `c=` have it.
    fn address(&mut self, address: IpAddr);
    /// A whole line `a=`.
    fn attribute(&mut self, name: &str, value: Option<&str>);
}

impl Line for Vec<u8> {
    fn text(&mut self, text: &str) {
        let ends = |byte: &u8| matches!(byte, b'\0' | b'\r' | b'\n');
        if text.as_bytes().iter().any(ends) {
            self.extend(text.bytes().filter(|byte| !ends(byte)));
        } else {
            self.extend_from_slice(text.as_bytes());
        }
    }

    fn number(&mut self, number: u64) {
        self.extend_from_slice(Digits::of(number).as_str().as_bytes());
    }

    fn words(&mut self, words: &[&str]) {
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                self.push(b' ');
            }
            self.text(word);
        }
    }

    fn address(&mut self, address: IpAddr) {
        let IpAddr::V4(v4) = address else {
            return self.words(&["IN", "IP6", &address.to_string()]);
        };
        self.extend_from_slice(b"IN IP4");
        for (octet, before) in v4.octets().into_iter().zip(*b" ...") {
            self.push(before);
            self.number(octet.into());
        }
    }

    fn attribute(&mut self, name: &str, value: Option<&str>) {
        self.extend_from_slice(b"a=");
        self.text(name);
        if let Some(value) = value {
            self.push(b':');
            self.text(value);
        }
        self.extend_from_slice(b"\r\n");
    }
}

/// A number in decimal digits.
pub(crate) struct Digits {
    digits: [u8; 20],
    first: usize,
}

impl Digits {
    pub(crate) fn of(number: u64) -> Self {
        let mut digits = [0; 20];
        let (mut first, mut rest) = (digits.len(), number);
        loop {
            first -= 1;
            digits[first] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Self { digits, first };
            }
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.digits[self.first..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sdp_types::Connection;

    use super::*;

    proptest! {
        #[test]
        fn addresses_and_numbers_are_written_as_the_library_does(v4: u32, v6: u128, number: u64) {
            for ip in [IpAddr::from(v4.to_be_bytes()), IpAddr::from(v6.to_be_bytes())] {
                let mut line = Vec::new();
                line.address(ip);
                let known = Connection::from_ip_addr(ip);
                let kind = if ip.is_ipv4() { "IP4" } else { "IP6" };
                let known = format!("IN {kind} {}", known.connection_address);
                prop_assert_eq!(String::from_utf8(line).unwrap(), known);
            }
            let digits = Digits::of(number);
            prop_assert_eq!(digits.as_str(), number.to_string());
        }

        #[test]
        fn nothing_ends_a_line_but_its_end(name in "[ -~\\x00-\\x20]{0,9}", value in ".{0,9}") {
            let mut line = Vec::new();
            line.attribute(&name, Some(&value));
            let inside = &line[..line.len() - 2];
            prop_assert!(!inside.iter().any(|byte| b"\0\r\n".contains(byte)));
        }
    }
}
