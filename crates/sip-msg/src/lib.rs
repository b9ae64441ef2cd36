//! SIP messages as values: frame, parse, print; what is not understood is kept.
//!
//! [`parse`] reads a message into a [`Message`] that shares the buffer it came in. The head is
//! indexed, not copied: header fields keep their order, the case of their names and every octet of
//! their values, and are read as what they mean only when asked ([`Headers::top_via`] and its
//! neighbours). A message that breaks a rule comes back as [`Rejected`], with the status to answer
//! it by. [`StreamFramer`] cuts messages out of a stream. Printing writes the right Content-Length,
//! and nothing that is put into a message can end a line in it.
//!
//! [`wire`] and [`dns`] are the plain values a pure core and a transport exchange.
#![forbid(unsafe_code)]

mod date;
mod error;
mod head;
mod headers;
mod lex;
mod message;
mod method;
mod name;
mod name_addr;
mod params;
mod parse;
mod status;
mod stream;
mod subscriber;
mod text;
mod typed;
mod uri;
mod values;
mod via;

#[cfg(test)]
mod tests;

pub mod dns;
pub mod wire;

pub use error::{HeaderError, Rule, UriError};
pub use headers::{HeaderField, Headers};
pub use message::{Message, Request, Response};
pub use method::Method;
pub use name::HeaderName;
pub use name_addr::NameAddr;
pub use params::Params;
pub use parse::{Framing, Limits, ParseError, Rejected, parse};
pub use status::{Class, StatusCode};
pub use stream::{Frame, FrameError, StreamFramer};
pub use subscriber::Subscriber;
pub use text::Text;
pub use uri::{Host, Scheme, Uri};
pub use values::{
    Authentication, CSeq, Parameterised, RAck, ReasonValue, Refresher, Replaces, SessionExpires,
    Warning,
};
pub use via::{TransportKind, Via, ViaTransport};
