//! Short texts that nearly always are the same few.

use std::fmt;
use std::ops::Deref;

/// The name of an encoding, or the parameters of one. Those that nearly every call has take no
/// memory and are copied for nothing.
#[derive(Clone)]
pub struct Word(Spelling);

#[derive(Clone)]
enum Spelling {
    /// The place in [`USUAL`].
    Usual(u8),
    Other(Box<str>),
}

/// Spelt as they usually are; in another case they are other texts.
const USUAL: [&str; 15] = [
    "PCMA",
    "PCMU",
    "G722",
    "G729",
    "telephone-event",
    "CN",
    "opus",
    "SILK",
    "GSM",
    "AMR",
    "AMR-WB",
    "G723",
    "0-16",
    "0-15",
    "annexb=no",
];

impl Word {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Spelling::Usual(at) => USUAL[usize::from(*at)],
            Spelling::Other(text) => text,
        }
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        let usual = (0..).zip(USUAL).find(|(_, usual)| *usual == text);
        Self(match usual {
            Some((at, _)) => Spelling::Usual(at),
            None => Spelling::Other(text.into()),
        })
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Word {}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_text_it_was_made_of() {
        for text in USUAL.into_iter().chain(["pcma", "x-unheard-of", ""]) {
            let word = Word::from(text);
            assert_eq!((word.as_str(), &*word.clone()), (text, text));
            let usual = matches!(word.0, Spelling::Usual(_));
            assert_eq!(usual, USUAL.contains(&text));
        }
        assert_ne!(Word::from("pcma"), Word::from("PCMA"));
        assert_eq!(size_of::<Option<Word>>(), 16);
    }
}
