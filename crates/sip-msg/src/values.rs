//! The values of header fields that are more than a number or an address.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::text::{Text, decode};
use crate::{Method, Params, Rule, lex};

/// CSeq, RFC 3261 §20.16.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CSeq {
    /// The sequence number, below 2^31.
    pub seq: u32,
    /// The request's method.
    pub method: Method,
}

impl CSeq {
    /// Reads `4711 INVITE`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Rule> {
        let (seq, method) = Self::split(text)?;
        Ok(Self {
            seq,
            method: Method::parse(method).ok_or(Rule::Token)?,
        })
    }

    /// The two parts of `4711 INVITE`, without allocating.
    pub(crate) fn split(text: &[u8]) -> Result<(u32, &[u8]), Rule> {
        let text = lex::trim(text);
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let seq: u32 = lex::number(&text[..digits]).ok_or(Rule::Number)?;
        if seq >= 1 << 31 {
            return Err(Rule::Number);
        }
        let method = lex::trim_start(&text[digits..]);
        if method.len() == text.len() - digits || lex::token(method).is_none() {
            return Err(Rule::Token);
        }
        Ok((seq, method))
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, self.method)
    }
}

/// One value of Reason, RFC 3326.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonValue {
    /// `SIP`, `Q.850` or another token, as written.
    pub protocol: String,
    /// The cause; none if it is absent or no number.
    pub cause: Option<u16>,
    /// The text, without quotes and escapes.
    pub text: Option<String>,
}

impl ReasonValue {
    pub(crate) fn parse(item: &Bytes) -> Result<Self, Rule> {
        let (protocol, params) = token_and_params(item)?;
        Ok(Self {
            protocol,
            cause: params
                .value("cause")
                .and_then(|cause| lex::number(cause.as_bytes())),
            text: params.value("text").map(|text| {
                let quoted = format!("\"{text}\"");
                String::from_utf8_lossy(&lex::unquote(quoted.as_bytes())).into_owned()
            }),
        })
    }
}

impl fmt::Display for ReasonValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.protocol)?;
        if let Some(cause) = self.cause {
            write!(f, ";cause={cause}")?;
        }
        if let Some(text) = &self.text {
            write!(
                f,
                ";text={}",
                String::from_utf8_lossy(&lex::quote(text.as_bytes()))
            )?;
        }
        Ok(())
    }
}

/// Replaces and Join name a dialog, RFC 3891 and RFC 3911; so does Target-Dialog, RFC 4538.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// The Call-ID of the dialog.
    pub call_id: String,
    /// The tag its recipient has in that dialog.
    pub to_tag: String,
    /// The tag its sender has.
    pub from_tag: String,
    /// Whether only an early dialog may be replaced.
    pub early_only: bool,
}

impl Replaces {
    /// Reads the value of a header field or, decoded, of a header in a Refer-To URI.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, Rule> {
        let text = text.into();
        let (call_id, params) = head_and_params(&text)?;
        if !is_call_id(&text[..call_id]) {
            return Err(Rule::Syntax);
        }
        let tag = |name| params.value(name).map(str::to_owned).ok_or(Rule::Parameter);
        Ok(Self {
            call_id: decode(text.slice(..call_id)).as_str().to_owned(),
            to_tag: tag("to-tag").or_else(|_| tag("remote-tag"))?,
            from_tag: tag("from-tag").or_else(|_| tag("local-tag"))?,
            early_only: params.has("early-only"),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{};to-tag={};from-tag={}",
            self.call_id, self.to_tag, self.from_tag
        )?;
        if self.early_only {
            f.write_str(";early-only")
        } else {
            Ok(())
        }
    }
}

/// Which side refreshes a session, RFC 4028 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refresher {
    /// The client of the transaction that set the timer.
    Uac,
    /// The server.
    Uas,
}

/// Session-Expires, RFC 4028 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionExpires {
    /// The session interval.
    pub interval: Duration,
    /// Who refreshes, if it is said.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    pub(crate) fn parse(text: &Bytes) -> Result<Self, Rule> {
        let (seconds, params) = seconds_and_params(text)?;
        let refresher = match params.value("refresher") {
            Some(value) if value.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(value) if value.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            Some(_) => return Err(Rule::Parameter),
            None => None,
        };
        Ok(Self {
            interval: Duration::from_secs(seconds),
            refresher,
        })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval.as_secs())?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// RAck, RFC 3262 §7.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// The RSeq of the provisional response.
    pub rseq: u32,
    /// The CSeq of that response.
    pub cseq: CSeq,
}

impl RAck {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Rule> {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let rseq = lex::number(&text[..digits]).ok_or(Rule::Number)?;
        Ok(Self {
            rseq,
            cseq: CSeq::parse(&text[digits..])?,
        })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// A token with parameters: Event, Subscription-State, User-To-User, Content-Disposition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameterised {
    /// What stands before the parameters, as written.
    pub value: String,
    /// The parameters.
    pub params: Params,
}

impl Parameterised {
    pub(crate) fn parse(text: &Bytes) -> Result<Self, Rule> {
        let (value, params) = token_and_params(text)?;
        Ok(Self { value, params })
    }
}

impl fmt::Display for Parameterised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.value, self.params)
    }
}

/// One value of Warning, RFC 3261 §20.43.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The three-digit code.
    pub code: u16,
    /// Who warns.
    pub agent: String,
    /// The text, without quotes and escapes.
    pub text: String,
}

impl Warning {
    pub(crate) fn parse(item: &[u8]) -> Result<Self, Rule> {
        let mut parts = item.splitn(3, |&byte| lex::is_blank(byte));
        let code = parts
            .next()
            .filter(|code| code.len() == 3)
            .and_then(lex::number);
        let (agent, text) = (parts.next(), parts.next().map(lex::trim));
        let (Some(code), Some(agent), Some(text @ [b'"', ..])) = (code, agent, text) else {
            return Err(Rule::Syntax);
        };
        let string = |bytes: Vec<u8>| decode(bytes.into()).as_str().to_owned();
        Ok(Self {
            code,
            agent: string(agent.to_vec()),
            text: string(lex::unquote(text)),
        })
    }
}

/// A challenge or credentials: WWW-Authenticate, Authorization and the proxies' pair
/// (RFC 3261 §20.7, §20.44).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// `Digest` or another token, as written.
    pub scheme: String,
    /// Names in lower case and values without quotes and escapes, in order.
    pub params: Vec<(String, String)>,
}

impl Authentication {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Rule> {
        let end = text
            .iter()
            .position(|&byte| lex::is_blank(byte))
            .unwrap_or(text.len());
        let scheme = lex::token(&text[..end]).ok_or(Rule::Token)?.to_owned();
        let mut params = Vec::new();
        for item in lex::Items(&text[end..]) {
            let equals = memchr::memchr(b'=', item).ok_or(Rule::Parameter)?;
            let name = lex::token(lex::trim(&item[..equals])).ok_or(Rule::Parameter)?;
            let value = lex::trim(&item[equals + 1..]);
            if value.first() == Some(&b'"') && lex::quoted_string(value) != Some(value.len()) {
                return Err(Rule::Quote);
            }
            let value = decode(lex::unquote(value).into());
            params.push((name.to_ascii_lowercase(), value.as_str().to_owned()));
        }
        Ok(Self { scheme, params })
    }

    /// The first parameter `name`, in lower case.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// `callid = word [ "@" word ]`, RFC 3261 §25.1.
pub(crate) fn is_call_id(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| lex::is_word_byte(byte))
}

/// Seconds, a comment that is skipped, and parameters: Retry-After, Session-Expires, Min-SE.
pub(crate) fn seconds_and_params(text: &Bytes) -> Result<(u64, Params), Rule> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let seconds = lex::number::<u32>(&text[..digits]).ok_or(Rule::Number)?;
    let mut rest = lex::trim_start(&text[digits..]);
    if rest.first() == Some(&b'(') {
        rest = &rest[comment(rest).ok_or(Rule::Syntax)?..];
    }
    Ok((seconds.into(), Params::parse(text.slice_ref(rest))?))
}

/// The length of the comment `text` begins with; comments nest.
fn comment(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        match text.get(at)? {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' => at += 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

fn token_and_params(text: &Bytes) -> Result<(String, Params), Rule> {
    let (end, params) = head_and_params(text)?;
    Ok((
        lex::token(&text[..end]).ok_or(Rule::Token)?.to_owned(),
        params,
    ))
}

fn head_and_params(text: &Bytes) -> Result<(usize, Params), Rule> {
    let end = memchr::memchr(b';', text).unwrap_or(text.len());
    Ok((
        lex::trim_end(&text[..end]).len(),
        Params::parse(text.slice(end..))?,
    ))
}

/// A media type without its parameters, in lower case.
pub(crate) fn media_type(value: &[u8]) -> Option<Text> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let value = lex::trim(&value[..end]);
    let slash = memchr::memchr(b'/', value)?;
    let kind = lex::token(lex::trim_end(&value[..slash]))?;
    let subtype = lex::token(lex::trim_start(&value[slash + 1..]))?;
    Some(format!("{kind}/{subtype}").to_ascii_lowercase().into())
}
