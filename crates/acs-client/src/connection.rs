//! The connection string of a resource, and the key in it.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

/// The key requests are signed with: shows itself to nobody and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey(Zeroizing<Vec<u8>>);

impl AccessKey {
    /// Reads a key as the portal shows it, in base64.
    ///
    /// # Errors
    /// It is empty or not base64.
    pub fn parse(text: &str) -> Result<Self, ConnectionError> {
        match STANDARD.decode(text) {
            Ok(octets) if !octets.is_empty() => Ok(Self(Zeroizing::new(octets))),
            Ok(_) | Err(_) => Err(ConnectionError::AccessKey),
        }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessKey(redacted)")
    }
}

/// What is wrong with a connection string; none of these shows any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// No `endpoint=`.
    #[error("a connection string has endpoint=https://…;accesskey=…: there is no endpoint")]
    NoEndpoint,
    /// No `accesskey=`.
    #[error("a connection string has endpoint=https://…;accesskey=…: there is no accesskey")]
    NoAccessKey,
    /// A part that is neither.
    #[error(
        "a connection string has endpoint=https://…;accesskey=…: there is something else in it"
    )]
    Unknown,
    /// A part that stands twice.
    #[error("a connection string names endpoint and accesskey once each")]
    Twice,
    /// The endpoint is not `https://HOST[:PORT]`.
    #[error("the endpoint of a connection string is https://HOST or https://HOST:PORT")]
    Endpoint,
    /// `http://` to somewhere else than this machine.
    #[error("the endpoint of a connection string is not https")]
    Clear,
    /// The key is not base64.
    #[error("the accesskey of a connection string is not base64")]
    AccessKey,
}

/// `endpoint=https://HOST[:PORT]/;accesskey=BASE64`, in any order, names in any case.
#[derive(Clone, Debug)]
pub struct ConnectionString {
    scheme: &'static str,
    host: String,
    key: AccessKey,
}

impl ConnectionString {
    /// Reads a connection string as the portal shows it. `http://` is taken only where it leads
    /// to this machine.
    ///
    /// # Errors
    /// The first thing wrong with it, without any of its text.
    pub fn parse(text: &str) -> Result<Self, ConnectionError> {
        let (mut endpoint, mut key) = (None, None);
        for part in text.trim().split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or(ConnectionError::Unknown)?;
            let place = match name.trim().to_ascii_lowercase().as_str() {
                "endpoint" => &mut endpoint,
                "accesskey" => &mut key,
                _ => return Err(ConnectionError::Unknown),
            };
            if place.replace(value.trim()).is_some() {
                return Err(ConnectionError::Twice);
            }
        }
        let endpoint = endpoint.ok_or(ConnectionError::NoEndpoint)?;
        let key = AccessKey::parse(key.ok_or(ConnectionError::NoAccessKey)?)?;
        let (scheme, host) = authority(endpoint)?;
        Ok(Self { scheme, host, key })
    }

    /// The host, with its port where that is not the scheme's own: what is signed and sent as
    /// `Host`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `https://HOST[:PORT]`, without a slash at the end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &AccessKey {
        &self.key
    }

    pub(crate) fn is_this_machine(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Scheme and authority of an endpoint. The authority comes out as it goes over the wire: in
/// lower case and without the scheme's own port, or the signature would cover another.
fn authority(endpoint: &str) -> Result<(&'static str, String), ConnectionError> {
    let lower = endpoint.to_ascii_lowercase();
    let (scheme, own, rest) = match (
        lower.strip_prefix("https://"),
        lower.strip_prefix("http://"),
    ) {
        (Some(rest), _) => ("https", ":443", rest),
        (None, Some(rest)) => ("http", ":80", rest),
        (None, None) => return Err(ConnectionError::Endpoint),
    };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let host = host.strip_suffix(own).unwrap_or(host);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || !host.chars().all(fits) || !port_fits(host) {
        return Err(ConnectionError::Endpoint);
    }
    if scheme == "http" && !is_loopback(host) {
        return Err(ConnectionError::Clear);
    }
    Ok((scheme, host.to_owned()))
}

fn port_fits(host: &str) -> bool {
    let after_address = host.rsplit_once(']').map_or(host, |(_, after)| after);
    match after_address.rsplit_once(':') {
        Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port != 0),
        None => true,
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConnectionString, ConnectionError> {
        ConnectionString::parse(text)
    }

    #[test]
    fn a_string_is_read_in_any_order_and_case() {
        for text in [
            "endpoint=https://contoso.example/;accesskey=c2VjcmV0",
            "ACCESSKEY=c2VjcmV0;Endpoint=https://CONTOSO.example:443",
            " endpoint=https://contoso.example;accesskey=c2VjcmV0; ",
        ] {
            let string = read(text).expect(text);
            assert_eq!(string.endpoint(), "https://contoso.example", "{text}");
            assert_eq!(string.host(), "contoso.example");
            assert_eq!(string.key().octets(), b"secret");
        }
        let port = read("endpoint=https://localhost:8943/;accesskey=c2VjcmV0").expect("a port");
        assert_eq!(port.host(), "localhost:8943");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_key() {
        for (text, wrong) in [
            ("", ConnectionError::NoEndpoint),
            ("accesskey=c2VjcmV0", ConnectionError::NoEndpoint),
            ("endpoint=https://a.example", ConnectionError::NoAccessKey),
            (
                "endpoint=https://a.example;accesskey=",
                ConnectionError::AccessKey,
            ),
            (
                "endpoint=https://a.example;accesskey=?",
                ConnectionError::AccessKey,
            ),
            (
                "endpoint=a.example;accesskey=c2VjcmV0",
                ConnectionError::Endpoint,
            ),
            (
                "endpoint=https://a.example/x;accesskey=c2VjcmV0",
                ConnectionError::Endpoint,
            ),
            (
                "endpoint=https://a.example:0;accesskey=c2VjcmV0",
                ConnectionError::Endpoint,
            ),
            (
                "endpoint=https://u@a.example;accesskey=c2VjcmV0",
                ConnectionError::Endpoint,
            ),
            (
                "endpoint=http://a.example;accesskey=c2VjcmV0",
                ConnectionError::Clear,
            ),
            (
                "endpoint=http://127.0.0.1.a.example;accesskey=c2VjcmV0",
                ConnectionError::Clear,
            ),
            ("c2VjcmV0", ConnectionError::Unknown),
            (
                "endpoint=https://a.example;accesskey=c2VjcmV0;accesskey=c2VjcmV0",
                ConnectionError::Twice,
            ),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error, wrong, "{text}");
            assert!(!error.to_string().contains("c2VjcmV0"));
        }
    }

    #[test]
    fn a_key_shows_itself_to_nobody() {
        let string = read("endpoint=http://[::1]:8080;accesskey=c2VjcmV0").expect("loopback");
        let shown = format!("{string:?}");
        assert!(
            !shown.contains("c2VjcmV0") && !shown.contains("secret"),
            "{shown}"
        );
        assert!(!shown.contains("115"), "{shown}");
    }
}
