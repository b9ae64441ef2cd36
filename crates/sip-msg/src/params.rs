use std::fmt;

use bytes::Bytes;

use crate::Rule;
use crate::lex;
use crate::text::{Text, decode};

/// The parameters behind a header field's value: `;name=value;flag`. Order and spelling are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Params(Text);

impl Params {
    /// The same parameters in memory of their own.
    #[must_use]
    pub(crate) fn detached(&self) -> Self {
        Self(self.0.detached())
    }

    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `;name=value;…`, white space around separators allowed.
    ///
    /// # Errors
    /// [`Rule::Parameter`] on an empty or malformed parameter, [`Rule::Quote`] on a quoted string
    /// without end.
    pub fn parse(text: Bytes) -> Result<Self, Rule> {
        Self::check(&text)?;
        Ok(Self(decode(text)))
    }

    /// The parameters in `text`, which [`Self::check`] took.
    pub(crate) fn checked(text: Bytes) -> Self {
        Self(decode(text))
    }

    /// Whether [`Self::parse`] would take `text`.
    pub(crate) fn check(text: &[u8]) -> Result<(), Rule> {
        let mut rest = lex::trim(text);
        while let Some((&separator, behind)) = rest.split_first() {
            if separator != b';' {
                return Err(Rule::Parameter);
            }
            let (name, behind) = take(lex::trim_start(behind), lex::is_token_byte);
            if name.is_empty() {
                return Err(Rule::Parameter);
            }
            rest = lex::trim_start(behind);
            let [b'=', value @ ..] = rest else { continue };
            let value = lex::trim_start(value);
            rest = if value.first() == Some(&b'"') {
                &value[lex::quoted_string(value).ok_or(Rule::Quote)?..]
            } else {
                take(value, lex::is_value_byte).1
            };
            rest = lex::trim_start(rest);
        }
        Ok(())
    }

    /// Every parameter as name and value, in order.
    ///
    /// A value is as written, only without the quotes around it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        pairs(self.0.as_str())
    }

    /// The first parameter `name` (in any case): `Some(None)` if it has no value.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of the first parameter `name`, if it has one.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).flatten()
    }

    /// Whether there is a parameter `name`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the parameter `name`, in the place of those with this name or at the end.
    ///
    /// A value that is no token or host is quoted; a name that is no token is refused by doing
    /// nothing.
    pub fn set<'v>(&mut self, name: &str, value: impl Into<Option<&'v str>>) {
        if lex::token(name.as_bytes()).is_none() {
            return;
        }
        let value = value.into();
        let mut out = String::with_capacity(self.0.len() + name.len() + 24);
        let mut written = false;
        for (other, other_value) in self.iter() {
            if !other.eq_ignore_ascii_case(name) {
                append(&mut out, other, other_value);
            } else if !std::mem::replace(&mut written, true) {
                append(&mut out, name, value);
            }
        }
        if !written {
            append(&mut out, name, value);
        }
        self.0 = out.into();
    }

    /// Removes every parameter `name`; tells whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        if !self.has(name) {
            return false;
        }
        let mut out = String::with_capacity(self.0.len());
        for (other, value) in self
            .iter()
            .filter(|(other, _)| !other.eq_ignore_ascii_case(name))
        {
            append(&mut out, other, value);
        }
        self.0 = out.into();
        true
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn pairs(mut rest: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    std::iter::from_fn(move || {
        rest = trimmed(rest).strip_prefix(';')?;
        let end = lex::find_outside(rest.as_bytes(), b';').unwrap_or(rest.len());
        let (param, behind) = rest.split_at(end);
        rest = behind;
        Some(match param.split_once('=') {
            Some((name, value)) => (trimmed(name), Some(unquoted(trimmed(value)))),
            None => (trimmed(param), None),
        })
    })
}

/// The value of `name` where `text` begins with it, written without blanks and quotes, as nearly
/// everybody writes a tag.
pub(crate) fn lone_value_in<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(';')?;
    let (found, rest) = rest.split_at_checked(name.len())?;
    let value = rest.strip_prefix('=')?;
    let end = value.bytes().position(|byte| !lex::is_token_byte(byte));
    let end = end.unwrap_or(value.len());
    let ends = matches!(value.as_bytes().get(end), None | Some(b';'));
    (ends && found.eq_ignore_ascii_case(name)).then(|| &value[..end])
}

/// The value of the first parameter `name` in the text of parameters.
pub(crate) fn value_in<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut pairs = pairs(text);
    let found = pairs.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value)
}

/// `text` without white space around it, of which there seldom is any.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

fn take(text: &[u8], class: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(
        text.iter()
            .position(|&byte| !class(byte))
            .unwrap_or(text.len()),
    )
}

fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value)
}

/// Values read from [`Params`] keep their escapes, so a quoted one is quoted again unchanged.
fn append(out: &mut String, name: &str, value: Option<&str>) {
    out.push(';');
    out.push_str(name);
    let Some(value) = value else { return };
    out.push('=');
    if value.bytes().all(lex::is_value_byte) {
        out.push_str(value);
        return;
    }
    out.push('"');
    let mut escaped = false;
    for char in value.chars() {
        match char {
            '"' if !escaped => out.push_str("\\\""),
            _ if char.is_control() => out.push(' '),
            _ => out.push(char),
        }
        escaped = char == '\\' && !escaped;
    }
    if escaped {
        out.push('\\');
    }
    out.push('"');
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &'static str) -> Params {
        Params::parse(Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn names_are_found_in_any_case_and_values_without_quotes() {
        let params = params(" ;a ; TAG = x1;q=\"a;\\\"b\" ;empty=");
        assert_eq!(params.get("A"), Some(None));
        assert_eq!(params.value("tag"), Some("x1"));
        assert_eq!(params.value("q"), Some("a;\\\"b"));
        assert_eq!(params.value("empty"), Some(""));
        assert_eq!(params.get("b"), None);
    }

    #[test]
    fn malformed_parameters_are_refused() {
        for (text, rule) in [
            (";;a", Rule::Parameter),
            (";", Rule::Parameter),
            ("a=b", Rule::Parameter),
            (";a=b c", Rule::Parameter),
            (";a=\"b", Rule::Quote),
            (";a=<b>", Rule::Parameter),
        ] {
            assert_eq!(Params::parse(text.into()), Err(rule), "{text}");
        }
    }

    #[test]
    fn set_replaces_in_place_and_quotes_what_must_be() {
        let mut params = params(";a=1;b;A=2");
        params.set("a", "3");
        assert_eq!(params.to_string(), ";a=3;b");
        params.set("c", "x y\r\n\"");
        assert_eq!(params.to_string(), ";a=3;b;c=\"x y  \\\"\"");
        params.set("b;d", "injected");
        params.set("e", None);
        assert!(params.remove("c") && !params.remove("c"));
        assert_eq!(params.to_string(), ";a=3;b;e");
    }
}
