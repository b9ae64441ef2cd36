//! Session descriptions (RFC 8866) and the offer/answer exchange (RFC 3264) of an audio call that
//! passes through a back-to-back user agent.
//!
//! Descriptions are read in one pass and kept as text (`grammar`). On that stands what a gateway
//! decides: which media description is carried, which formats, which key, which direction, and what
//! a peer is told when nothing fits. Nothing of one leg's description reaches the other:
//! [`offer_for`] and [`answer_for`] take the *meaning* of what the other leg said (formats,
//! direction, packet time) and write it anew under our own origin, address and key.
//!
//! ```text
//! leg A                         this crate                          leg B
//! offer  ──► SessionDescription::parse ──► offer_for ──► offer + PendingOffer
//!                                          PendingOffer::answered ◄── answer
//! answer ◄── answer_for ◄────────────────────────────────┘
//! ```
//!
//! Input never panics and is bounded by [`Limits`]; every error knows the SIP status that answers
//! it. Key material zeroizes and does not show in `Debug`.
#![forbid(unsafe_code)]

mod answer;
mod audio;
mod codec;
mod crypto;
mod description;
mod direction;
mod error;
mod grammar;
mod local;
mod normalise;
mod offer;
mod print;
mod word;
mod write;

#[cfg(test)]
mod tests;

pub use answer::{
    Negotiated, NegotiatedFormat, answer_for, answer_from_codecs, answerable, payload_type_map,
    to_convert,
};
pub use audio::{Audio, Format, Profile};
pub use codec::{Codec, CodecPattern, Events, Policy};
pub use crypto::{CryptoAttribute, LocalCrypto, MasterKey, Mki, Suite};
pub use description::{Limits, SessionDescription};
pub use direction::{Direction, HoldDialect};
pub use error::{AnswerError, OfferError, SdpError, Unusable};
pub use local::{Layout, LocalMedia, LocalSide, Origin, RefusedMedia};
pub use offer::{PendingOffer, offer_for, offer_from_codecs};
pub use word::Word;
