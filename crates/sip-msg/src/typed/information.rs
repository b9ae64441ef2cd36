//! The body and what is told beside it.

use super::{Result, error};
use crate::values::{self, Authentication, Parameterised, Warning};
use crate::{HeaderName, Headers, Params, Text};

/// The body.
impl Headers {
    /// The media type of the body without parameters, in lower case; `None` also if malformed.
    pub fn content_type(&self) -> Option<Text> {
        values::media_type(self.get(&HeaderName::ContentType)?)
    }

    /// The parameters of Content-Type, such as a multipart's `boundary`.
    ///
    /// # Errors
    /// If they are malformed.
    pub fn content_type_params(&self) -> Result<Params> {
        let params = self.optional(&HeaderName::ContentType, |value| {
            let start = memchr::memchr(b';', &value).unwrap_or(value.len());
            Params::parse(value.slice(start..))
        })?;
        Ok(params.unwrap_or_default())
    }

    /// Content-Length.
    ///
    /// # Errors
    /// If it is not a number.
    pub fn content_length(&self) -> Result<Option<usize>> {
        self.number(&HeaderName::ContentLength)
    }

    /// Content-Disposition, RFC 3261 §20.11.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn content_disposition(&self) -> Result<Option<Parameterised>> {
        self.optional(&HeaderName::ContentDisposition, |value| {
            Parameterised::parse(&value)
        })
    }

    /// The codings of Content-Encoding.
    pub fn content_encoding(&self) -> Vec<String> {
        self.tokens(&HeaderName::ContentEncoding)
    }
}

/// Information and credentials.
impl Headers {
    /// Every readable Warning.
    pub fn warnings(&self) -> Vec<Warning> {
        self.items(&HeaderName::Warning)
            .filter_map(|item| Warning::parse(item).ok())
            .collect()
    }

    /// Date as seconds since 1970, RFC 3261 §20.17; `None` if absent or malformed.
    pub fn date(&self) -> Option<u64> {
        crate::date::parse(self.get(&HeaderName::Date)?)
    }

    /// Timestamp as written, RFC 3261 §20.38.
    pub fn timestamp(&self) -> Option<&str> {
        self.get_str(&HeaderName::Timestamp)
    }

    /// Subject.
    pub fn subject(&self) -> Option<&str> {
        self.get_str(&HeaderName::Subject)
    }

    /// User-Agent.
    pub fn user_agent(&self) -> Option<&str> {
        self.get_str(&HeaderName::UserAgent)
    }

    /// Server.
    pub fn server(&self) -> Option<&str> {
        self.get_str(&HeaderName::Server)
    }

    /// X-MS-SBC, which tells Microsoft the make of an SBC.
    pub fn x_ms_sbc(&self) -> Option<&str> {
        self.get_str(&HeaderName::XMsSbc)
    }

    /// Every User-To-User, RFC 7433.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn user_to_user(&self) -> Result<Vec<Parameterised>> {
        self.every_item(&HeaderName::UserToUser, |item| Parameterised::parse(&item))
    }

    /// Every Identity, RFC 8224, as written.
    pub fn identities(&self) -> impl Iterator<Item = &[u8]> {
        self.items(&HeaderName::Identity)
    }

    /// The challenges or credentials in the fields `name`: WWW-Authenticate, Authorization,
    /// Proxy-Authenticate or Proxy-Authorization, one a field.
    ///
    /// # Errors
    /// If one is malformed.
    pub fn authentication(&self, name: &HeaderName) -> Result<Vec<Authentication>> {
        self.get_all(name)
            .map(|value| Authentication::parse(value).map_err(|rule| error(name, rule)))
            .collect()
    }
}
