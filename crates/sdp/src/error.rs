//! What can be wrong, by culprit, and the SIP status each of it is answered with.

use thiserror::Error;

/// A body that is not a session description we can read. The peer is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SdpError {
    /// A line breaks the grammar of RFC 8866 §9.
    #[error("line {line}: {rule}")]
    Grammar {
        /// Line number in the body, from 1; 0 when a line is missing.
        line: usize,
        /// The field or rule concerned.
        rule: &'static str,
    },
    /// More octets than [`Limits::octets`](crate::Limits::octets).
    #[error("session description too long")]
    TooLong,
    /// More lines than [`Limits::lines`](crate::Limits::lines).
    #[error("too many lines in the session description")]
    TooManyLines,
    /// More media descriptions than [`Limits::media`](crate::Limits::media).
    #[error("too many media descriptions")]
    TooManyMedia,
}

impl SdpError {
    /// The status code that answers a request with such a body: 400, 413 or 488.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Grammar { .. } => 400,
            Self::TooLong => 413,
            Self::TooManyLines | Self::TooManyMedia => 488,
        }
    }

    /// A reason phrase for the status line.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Grammar { .. } => "Malformed Session Description",
            Self::TooLong => "Session Description Too Long",
            Self::TooManyLines | Self::TooManyMedia => "Session Description Too Complex",
        }
    }
}

/// Why no media description of a session description can be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Unusable {
    /// There is no audio media description.
    #[error("no audio media description")]
    NoAudio,
    /// The audio media description has port 0.
    #[error("audio is disabled with port 0")]
    PortZero,
    /// A transport other than RTP over UDP, or keyed by DTLS.
    #[error("audio transport is not RTP/AVP or RTP/SAVP")]
    Transport,
    /// No connection address, or a host name in its place.
    #[error("no usable connection address")]
    Address,
    /// Multicast or broadcast, which would reflect media (RFC 3264 §5 is about unicast here).
    #[error("connection address is multicast or broadcast")]
    Multicast,
    /// No audio format we can name.
    #[error("no audio format with a known encoding")]
    NoFormat,
    /// An address in none of [`Policy::networks`](crate::Policy::networks).
    #[error("media address outside the networks of the peer's media")]
    Network,
}

/// Why an offer cannot be passed on or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OfferError {
    /// The description of the other leg carries no usable audio.
    #[error("{0}")]
    Unusable(#[from] Unusable),
    /// Policy leaves no audio format of those the other leg named.
    #[error("policy leaves no audio format")]
    NoFormatAllowed,
    /// This leg's profile is secure and no key was given. We are at fault.
    #[error("secure profile without a key")]
    NoKey,
}

impl OfferError {
    /// The status code for the party that made the offer: 488, or 500 when we are at fault.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Unusable(_) | Self::NoFormatAllowed => 488,
            Self::NoKey => 500,
        }
    }

    /// A reason phrase for the status line.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unusable(unusable) => unusable.reason(),
            Self::NoFormatAllowed => "No Acceptable Codec",
            Self::NoKey => "Server Internal Error",
        }
    }
}

impl Unusable {
    /// A reason phrase for the status line.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoAudio | Self::PortZero => "No Audio Offered",
            Self::Transport => "Media Transport Not Supported",
            Self::Address => "Media Address Not Usable",
            Self::Multicast => "Multicast Media Not Supported",
            Self::NoFormat => "No Acceptable Codec",
            Self::Network => "Media Address Not Allowed",
        }
    }
}

/// Why an answer cannot be given or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The offer carries no usable audio.
    #[error("offer: {0}")]
    Offer(Unusable),
    /// The answer carries no usable audio, or refuses it.
    #[error("answer: {0}")]
    Answer(Unusable),
    /// The answer has another number of media descriptions than the offer (RFC 3264 §6).
    #[error("the answer has another number of media descriptions")]
    MediaCount,
    /// Plain RTP where this leg demands SRTP.
    #[error("plain RTP where SRTP is required")]
    NotSecure,
    /// SRTP where this leg speaks plain RTP.
    #[error("SRTP where plain RTP is required")]
    Secure,
    /// No `a=crypto` line with a suite and parameters we can use (RFC 4568 §5.1.2).
    #[error("no usable crypto attribute")]
    NoCrypto,
    /// The answer's `a=crypto` has another tag or suite than the offer's (RFC 4568 §5.1.3).
    #[error("crypto attribute of the answer does not match the offer")]
    CryptoMismatch,
    /// The peer sends with our own key: one keystream would be used twice.
    #[error("the peer's key is our own")]
    KeyReused,
    /// No audio format in common.
    #[error("no audio format in common")]
    NoCommonFormat,
    /// This leg's profile is secure and no key was given. We are at fault.
    #[error("secure profile without a key")]
    NoKey,
}

impl AnswerError {
    /// The status code for the party that made the offer: 488, or 500 when we are at fault.
    #[must_use]
    pub fn status(&self) -> u16 {
        if *self == Self::NoKey { 500 } else { 488 }
    }

    /// A reason phrase for the status line.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Offer(unusable) | Self::Answer(unusable) => unusable.reason(),
            Self::MediaCount => "Answer Does Not Match Offer",
            Self::NotSecure => "SRTP Required",
            Self::Secure => "SRTP Not Supported",
            Self::NoCrypto => "No Acceptable Crypto Suite",
            Self::CryptoMismatch | Self::KeyReused => "Crypto Attribute Does Not Match",
            Self::NoCommonFormat => "No Acceptable Codec",
            Self::NoKey => "Server Internal Error",
        }
    }
}
