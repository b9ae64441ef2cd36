//! Our own descriptions as octets, without a detour over `fmt`.

use std::net::IpAddr;

use sdp_types::{Attribute, Connection, Media, Session};

/// Writes a description of the kind that we make ourselves, octet for octet as the library does;
/// `false`, with nothing written, where it has parts that ours never have.
pub(crate) fn print(session: &Session, out: &mut Vec<u8>) -> bool {
    if !is_ours(session) {
        return false;
    }
    let origin = &session.origin;
    let user = origin.username.as_deref().filter(|user| !user.is_empty());
    out.extend_from_slice(b"v=0\r\no=");
    words(out, &[user.unwrap_or("-"), &origin.sess_id]);
    out.push(b' ');
    number(out, origin.sess_version);
    out.push(b' ');
    let (net, kind) = (origin.nettype.as_str(), origin.addrtype.as_str());
    words(out, &[net, kind, &origin.unicast_address]);
    out.extend_from_slice(b"\r\ns=");
    text(out, &session.session_name);
    out.extend_from_slice(b"\r\n");
    if let Some(connection) = &session.connection {
        print_connection(connection, out);
    }
    for time in &session.times {
        out.extend_from_slice(b"t=");
        number(out, time.start_time);
        out.push(b' ');
        number(out, time.stop_time);
        out.extend_from_slice(b"\r\n");
    }
    if session.times.is_empty() {
        out.extend_from_slice(b"t=0 0\r\n");
    }
    for attribute in &session.attributes {
        print_attribute(attribute, out);
    }
    for media in &session.medias {
        print_media(media, out);
    }
    true
}

fn is_ours(session: &Session) -> bool {
    let plain = |media: &Media| {
        media.num_ports.is_none()
            && media.media_title.is_none()
            && media.bandwidths.is_empty()
            && media.key.is_none()
    };
    session.session_description.is_none()
        && session.uri.is_none()
        && session.emails.is_empty()
        && session.phones.is_empty()
        && session.bandwidths.is_empty()
        && session.times.iter().all(|time| time.repeats.is_empty())
        && session.time_zones.is_empty()
        && session.key.is_none()
        && session.medias.iter().all(plain)
}

fn print_connection(connection: &Connection, out: &mut Vec<u8>) {
    out.extend_from_slice(b"c=");
    let (net, kind) = (connection.nettype.as_str(), connection.addrtype.as_str());
    words(out, &[net, kind, &connection.connection_address]);
    out.extend_from_slice(b"\r\n");
}

fn print_media(media: &Media, out: &mut Vec<u8>) {
    out.extend_from_slice(b"m=");
    text(out, &media.media);
    out.push(b' ');
    number(out, media.port.into());
    out.push(b' ');
    words(out, &[&media.proto, &media.fmt]);
    out.extend_from_slice(b"\r\n");
    for connection in &media.connections {
        print_connection(connection, out);
    }
    for attribute in &media.attributes {
        print_attribute(attribute, out);
    }
}

fn print_attribute(attribute: &Attribute, out: &mut Vec<u8>) {
    out.extend_from_slice(b"a=");
    text(out, &attribute.attribute);
    if let Some(value) = &attribute.value {
        out.push(b':');
        text(out, value);
    }
    out.extend_from_slice(b"\r\n");
}

fn words(out: &mut Vec<u8>, words: &[&str]) {
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        text(out, word);
    }
}

/// NUL, CR and LF may not be in a line (RFC 8866 §5) and are left out.
fn text(out: &mut Vec<u8>, text: &str) {
    let ends = |byte: &u8| matches!(byte, b'\0' | b'\r' | b'\n');
    if text.as_bytes().iter().any(ends) {
        out.extend(text.bytes().filter(|byte| !ends(byte)));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(Digits::of(number).as_str().as_bytes());
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

/// An address as `o=` and `c=` have it.
pub(crate) fn address(address: IpAddr) -> String {
    let IpAddr::V4(v4) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in v4.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(Digits::of(octet.into()).as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sdp_types::{Bandwidth, Origin, Time};

    use super::*;

    fn word() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[ -~]{0,12}", 1 => "[\\x00-\\x20é]{0,5}"]
    }

    prop_compose! {
        fn media()(
            words in (word(), word(), word()),
            port: u16,
            at in prop::option::of(word()),
            attributes in prop::collection::vec((word(), prop::option::of(word())), 0..5),
            foreign in prop::bool::weighted(0.05),
        ) -> Media {
            let (media, proto, fmt) = words;
            let to_connection = |address| Connection {
                nettype: sdp_types::NetType::In,
                addrtype: sdp_types::AddrType::Ip4,
                connection_address: address,
            };
            let bandwidth = Bandwidth { bwtype: "AS".into(), bandwidth: 64 };
            let attributes = attributes.into_iter();
            Media {
                media,
                port,
                num_ports: None,
                proto,
                fmt,
                media_title: None,
                connections: at.into_iter().map(to_connection).collect(),
                bandwidths: foreign.then_some(bandwidth).into_iter().collect(),
                key: None,
                attributes: attributes
                    .map(|(attribute, value)| Attribute { attribute, value })
                    .collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn addresses_are_written_as_they_are(v4: u32, v6: u128) {
            for ip in [IpAddr::from(v4.to_be_bytes()), IpAddr::from(v6.to_be_bytes())] {
                prop_assert_eq!(address(ip), ip.to_string());
            }
        }

        #[test]
        fn the_library_writes_the_same(
            user in prop::option::of(word()),
            id: u64,
            version: u64,
            name in word(),
            times in prop::collection::vec((0u64..9, any::<u64>()), 0..3),
            medias in prop::collection::vec(media(), 0..3),
        ) {
            let address = IpAddr::from([192, 0, 2, 1]);
            let mut origin = Origin::with_ip_addr(id, version, address);
            origin.username = user;
            let mut session = Session::new(origin, name);
            session.connection = Some(Connection::from_ip_addr(address));
            session.times = times.into_iter().map(|(from, to)| Time::new(from, to)).collect();
            session.medias = medias;
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            session.write(&mut theirs).unwrap();
            if print(&session, &mut ours) {
                prop_assert_eq!(ours, theirs);
            } else {
                prop_assert!(ours.is_empty());
                prop_assert!(session.medias.iter().any(|media| !media.bandwidths.is_empty()));
            }
        }
    }
}
