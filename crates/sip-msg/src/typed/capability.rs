//! What the sender of a message can, takes and asks for.

use crate::{HeaderName, Headers, Method, lex, values};

/// Capabilities.
impl Headers {
    /// The option tags of Require.
    pub fn require(&self) -> Vec<String> {
        self.tokens(&HeaderName::Require)
    }

    /// The option tags of Proxy-Require.
    pub fn proxy_require(&self) -> Vec<String> {
        self.tokens(&HeaderName::ProxyRequire)
    }

    /// The option tags of Supported.
    pub fn supported(&self) -> Vec<String> {
        self.tokens(&HeaderName::Supported)
    }

    /// The option tags of Unsupported.
    pub fn unsupported(&self) -> Vec<String> {
        self.tokens(&HeaderName::Unsupported)
    }

    /// The methods of Allow; those that are no tokens are left out.
    pub fn allow(&self) -> Vec<Method> {
        self.items(&HeaderName::Allow)
            .filter_map(Method::parse)
            .collect()
    }

    /// The event packages of Allow-Events.
    pub fn allow_events(&self) -> Vec<String> {
        self.tokens(&HeaderName::AllowEvents)
    }

    /// Whether `media_type` (in lower case) may be sent to the message's sender: Accept, or
    /// `application/sdp` where there is none (RFC 3261 §20.1).
    pub fn accepts(&self, media_type: &str) -> bool {
        if !self.contains(&HeaderName::Accept) {
            return media_type == "application/sdp";
        }
        let kind = media_type.split('/').next().unwrap_or_default();
        self.items(&HeaderName::Accept)
            .filter_map(values::media_type)
            .any(|accepted| {
                accepted == media_type
                    || accepted == "*/*"
                    || accepted.strip_suffix("/*").is_some_and(|any| any == kind)
            })
    }

    /// The values of Privacy, RFC 3323, in lower case.
    pub fn privacy(&self) -> Vec<String> {
        self.get_all(&HeaderName::Privacy)
            .flat_map(|value| value.split(|byte| matches!(byte, b';' | b',')))
            .filter_map(|value| lex::token(lex::trim(value)))
            .map(str::to_ascii_lowercase)
            .collect()
    }

    /// Whether P-Early-Media (RFC 5009) is there, and its values in lower case.
    pub fn p_early_media(&self) -> Option<Vec<String>> {
        self.contains(&HeaderName::PEarlyMedia).then(|| {
            let mut values = self.tokens(&HeaderName::PEarlyMedia);
            values
                .iter_mut()
                .for_each(|value| value.make_ascii_lowercase());
            values
        })
    }
}
