//! What we say about ourselves on one leg.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::audio::Profile;
use crate::crypto::LocalCrypto;

/// Our `o=` line on one leg (RFC 8866 §5.2) and the version rule of RFC 3264 §8: the version grows
/// by one when, and only when, anything else of the description changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Session id, chosen once for the leg.
    pub session_id: u64,
    /// Version of the description last written.
    pub version: u64,
    /// Address in `o=`: our advertised one.
    pub addr: IpAddr,
    /// Fingerprint of the description last written, without its `o=` line; `None` before the first.
    pub content: Option<u64>,
}

impl Origin {
    /// The origin of a leg that has written nothing yet.
    #[must_use]
    pub fn new(session_id: u64, addr: IpAddr) -> Self {
        Self {
            session_id,
            version: 1,
            addr,
            content: None,
        }
    }

    /// Accounts for a description that is about to be written.
    pub(crate) fn advance(&mut self, content: u64) {
        if self.content.is_some_and(|last| last != content) {
            self.version = self.version.saturating_add(1);
        }
        self.content = Some(content);
    }
}

impl fmt::Debug for Origin {
    // The fingerprint covers the key, so it does not show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Origin({} {} {})",
            self.session_id, self.version, self.addr
        )
    }
}

/// A media description that is not carried and stays in its place with port 0 (RFC 3264 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMedia {
    /// Media type of the `m=` line.
    pub media: String,
    /// Transport of the `m=` line.
    pub proto: String,
    /// Formats of the `m=` line.
    pub fmt: String,
}

/// Number and order of media descriptions of a session; they never shrink nor move (RFC 3264 §8).
/// The default is one audio media description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Position of the audio that is carried.
    pub audio: usize,
    /// The others, in order.
    pub refused: Vec<RefusedMedia>,
}

/// Our side of one leg: constant for its life but for [`Origin`] and [`Layout`], which
/// [`offer_for`](crate::offer_for) and [`answer_for`](crate::answer_for) keep up to date.
///
/// Clones are one until one of them is changed: what was told, what was agreed and what comes next
/// are as a rule the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia(Arc<LocalSide>);

/// What a [`LocalMedia`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSide {
    /// Where we want RTP: address and port as the peer sees them.
    pub addr: SocketAddr,
    /// Where we want RTCP when it is not multiplexed: same address, this port.
    pub rtcp_port: u16,
    /// Whether we offer and accept `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// The keys we send with, one a suite, best first; one at least when `profile` is secure.
    pub cryptos: Vec<LocalCrypto>,
    /// What this leg speaks. An offer in the other kind of profile is refused with 488.
    pub profile: Profile,
    /// Our `o=` line.
    pub origin: Origin,
    /// Number and order of media descriptions so far.
    pub layout: Layout,
}

impl LocalMedia {
    /// A plain RTP leg with RTCP on the next port.
    #[must_use]
    pub fn plain(addr: SocketAddr, session_id: u64) -> Self {
        Self::from(LocalSide {
            addr,
            rtcp_port: addr.port().saturating_add(1),
            rtcp_mux: false,
            cryptos: Vec::new(),
            profile: Profile::Avp,
            origin: Origin::new(session_id, addr.ip()),
            layout: Layout::default(),
        })
    }

    /// An SRTP leg with RTCP on the next port or multiplexed.
    #[must_use]
    pub fn secure(addr: SocketAddr, session_id: u64, cryptos: Vec<LocalCrypto>) -> Self {
        let mut local = Self::plain(addr, session_id);
        local.rtcp_mux = true;
        local.cryptos = cryptos;
        local.profile = Profile::Savp;
        local
    }
}

impl From<LocalSide> for LocalMedia {
    fn from(side: LocalSide) -> Self {
        Self(Arc::new(side))
    }
}

impl Deref for LocalMedia {
    type Target = LocalSide;

    fn deref(&self) -> &LocalSide {
        &self.0
    }
}

impl DerefMut for LocalMedia {
    fn deref_mut(&mut self) -> &mut LocalSide {
        Arc::make_mut(&mut self.0)
    }
}
