use crate::HeaderName;

/// The rule a URI breaks (RFC 3261 §25.1, RFC 3966 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum UriError {
    /// No scheme, or not the name of one.
    #[error("no scheme")]
    Scheme,
    /// An empty user part, or a character that must be escaped in it.
    #[error("malformed user part")]
    User,
    /// `%` without two hexadecimal digits.
    #[error("malformed escape")]
    Escape,
    /// No host, or neither a name, an IPv4 address nor an IPv6 reference.
    #[error("malformed host")]
    Host,
    /// Not a number up to 65535.
    #[error("malformed port")]
    Port,
    /// An empty parameter, or a character that must be escaped in it.
    #[error("malformed parameter")]
    Parameter,
    /// A character that must be escaped in the headers part.
    #[error("malformed headers part")]
    Headers,
    /// No telephone number.
    #[error("malformed telephone number")]
    Number,
    /// White space, a control character, a quote or an angle bracket.
    #[error("illegal character")]
    Character,
}

/// The rule a header field breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Rule {
    /// It must be there.
    #[error("missing")]
    Missing,
    /// It may be there once only.
    #[error("repeated")]
    Repeated,
    /// The URI in it is malformed.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A quoted string does not end.
    #[error("unterminated quoted string")]
    Quote,
    /// `<` without `>`, or something behind `>` that is no parameter.
    #[error("unbalanced angle brackets")]
    Bracket,
    /// A character that must be quoted in a display name.
    #[error("malformed display name")]
    DisplayName,
    /// An empty or malformed parameter.
    #[error("malformed parameter")]
    Parameter,
    /// Not a number, or too large.
    #[error("not a number in range")]
    Number,
    /// Not a token, or not a list of tokens.
    #[error("not a token")]
    Token,
    /// Not the protocol and version it must start with.
    #[error("malformed protocol")]
    Protocol,
    /// The method is not that of the request line.
    #[error("method differs from the request line")]
    Method,
    /// Anything else the header's own grammar does not allow.
    #[error("malformed")]
    Syntax,
}

/// A header field that is missing or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {rule}")]
pub struct HeaderError {
    /// Which.
    pub name: HeaderName,
    /// What is wrong with it.
    pub rule: Rule,
}
