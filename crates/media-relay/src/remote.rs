//! The remote ends of a leg: who may be heard, and where packets go.

use std::net::SocketAddr;
use std::time::Duration;

use ambient::Moment;
use rtp::srtp::{StreamState, Unprotected};
use rtp::{Header, SrtpError, SrtpInbound, SrtpState};

use crate::event::LegCheckpoint;
use crate::foresee::Fetch;
use crate::streams::Stream;
use crate::{DropReason, LatchPolicy, RemoteCandidate};

/// Packets in sequence that a new source must send before it is heard (plain) or sent to (SRTP).
const PROBATION: u8 = 3;
/// A source that was heard within this time is not replaced by an unauthenticated one.
const SILENT: Duration = Duration::from_millis(40);
/// How far ahead the sequence number of a source that moved may be: a minute of 20 ms packets.
const CONTINUITY: u16 = 3000;

/// A source that may take over.
#[derive(Clone, Copy, Debug)]
struct Probation {
    source: SocketAddr,
    ssrc: u32,
    sequence: u16,
    count: u8,
}

/// One remote end.
pub(crate) struct Remote {
    pub(crate) rtp: SocketAddr,
    rtcp: SocketAddr,
    srtp: Option<Box<SrtpInbound>>,
    /// Where it was heard, if not at the signalled address.
    latched: Option<SocketAddr>,
    latched_rtcp: Option<SocketAddr>,
    heard: bool,
    probation: Option<Probation>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({}, latched {:?})", self.rtp, self.latched)
    }
}

impl Remote {
    pub(crate) fn new(params: &RemoteCandidate) -> Self {
        let srtp = params.inbound.as_ref();
        Self {
            rtp: params.rtp,
            rtcp: params.rtcp,
            srtp: srtp.map(|p| Box::new(SrtpInbound::new(&p.key, p.mki_len))),
            latched: None,
            latched_rtcp: None,
            heard: false,
            probation: None,
        }
    }

    /// Whether this end is the one that `params` describe; then its contexts and latch stay.
    pub(crate) fn is(&self, params: &RemoteCandidate) -> bool {
        let keyed = match (&self.srtp, &params.inbound) {
            (Some(srtp), Some(p)) => srtp.is_keyed_by(&p.key, p.mki_len),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        keyed && self.rtp == params.rtp && self.rtcp == params.rtcp
    }

    /// Takes over what lives as long as the key from an end with the same key at another address.
    pub(crate) fn adopt(&mut self, params: &RemoteCandidate, old: &mut Self) -> bool {
        let (Some(srtp), Some(p)) = (&old.srtp, &params.inbound) else {
            return false;
        };
        let same = srtp.is_keyed_by(&p.key, p.mki_len);
        if same {
            self.srtp = old.srtp.take();
        }
        same
    }

    pub(crate) fn has_key(&self) -> bool {
        self.srtp.is_some()
    }

    /// Where RTP goes.
    pub(crate) fn destination(&self) -> SocketAddr {
        self.latched.unwrap_or(self.rtp)
    }

    /// Where RTCP goes.
    pub(crate) fn rtcp_destination(&self, mux: bool) -> SocketAddr {
        if mux {
            self.destination()
        } else {
            self.latched_rtcp.unwrap_or(self.rtcp)
        }
    }

    /// Names what a packet will be opened with.
    pub(crate) fn foresee_opening(&self, fetch: &mut impl Fetch) {
        if let Some(srtp) = &self.srtp {
            let (key, stream) = srtp.hot();
            fetch.fetch(key);
            fetch.fetch(stream);
        }
    }

    pub(crate) fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<Unprotected, SrtpError> {
        let srtp = self.srtp.as_mut().ok_or(SrtpError::BadTag)?;
        srtp.unprotect_rtp(packet)
    }

    pub(crate) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<Unprotected, SrtpError> {
        let srtp = self.srtp.as_mut().ok_or(SrtpError::BadTag)?;
        srtp.unprotect_rtcp(packet)
    }

    /// Notes where an authenticated packet came from. It is heard in any case; packets go there
    /// once several in sequence came from there, or at once if nothing was heard before. Returns
    /// whether the destination moved.
    pub(crate) fn note_authentic(&mut self, source: SocketAddr, header: &Header) -> bool {
        let first = !std::mem::replace(&mut self.heard, true);
        if source == self.destination() {
            self.probation = None;
            return false;
        }
        if !first && !self.passes_probation(source, header) {
            return false;
        }
        self.move_to(source);
        true
    }

    /// The same for RTCP on a port of its own.
    pub(crate) fn note_authentic_rtcp(&mut self, source: SocketAddr) {
        self.latched_rtcp = (source != self.rtcp).then_some(source);
    }

    /// Whether a plain packet may be heard: from the signalled address, from where the end was
    /// found to have moved, or from where it is found to move now. The second value tells of a
    /// move.
    pub(crate) fn admits(
        &mut self,
        now: Moment,
        policy: LatchPolicy,
        source: SocketAddr,
        header: &Header,
        stream: Option<&Stream>,
    ) -> Result<bool, DropReason> {
        if source == self.rtp || Some(source) == self.latched {
            let moved = source != self.destination();
            if moved {
                self.move_to(source);
            }
            self.heard = true;
            return Ok(moved);
        }
        if !self.may_move(now, policy, source, header, stream) {
            return Err(DropReason::Stranger);
        }
        if !self.passes_probation(source, header) {
            return Err(DropReason::Stranger);
        }
        self.move_to(source);
        self.heard = true;
        Ok(true)
    }

    fn may_move(
        &self,
        now: Moment,
        policy: LatchPolicy,
        source: SocketAddr,
        header: &Header,
        stream: Option<&Stream>,
    ) -> bool {
        if source.ip() != self.rtp.ip() {
            return false;
        }
        let silent = stream.is_none_or(|s| now.saturating_since(s.last()) >= SILENT);
        let goes_on = stream.is_some_and(|s| {
            let ahead = header.sequence.wrapping_sub(s.highest() as u16);
            s.ssrc == header.ssrc && (1..=CONTINUITY).contains(&ahead)
        });
        match policy {
            LatchPolicy::Authenticated => false,
            LatchPolicy::SameHost => silent && (goes_on || !self.heard),
            LatchPolicy::Signalled => silent && goes_on,
        }
    }

    fn passes_probation(&mut self, source: SocketAddr, header: &Header) -> bool {
        let count = match self.probation {
            Some(p) if p.source == source && p.ssrc == header.ssrc => {
                let ahead = header.sequence.wrapping_sub(p.sequence);
                if (1..=16).contains(&ahead) {
                    p.count + 1
                } else {
                    1
                }
            }
            Some(_) | None => 1,
        };
        let (ssrc, sequence) = (header.ssrc, header.sequence);
        self.probation = Some(Probation {
            source,
            ssrc,
            sequence,
            count,
        });
        count >= PROBATION
    }

    fn move_to(&mut self, source: SocketAddr) {
        self.probation = None;
        self.latched = (source != self.rtp).then_some(source);
    }

    /// Whether plain RTCP may come from `source`.
    pub(crate) fn admits_rtcp(&self, source: SocketAddr, mux: bool) -> bool {
        let next = |mut addr: SocketAddr| {
            addr.set_port(addr.port().wrapping_add(1));
            addr
        };
        if mux {
            source == self.destination() || source == self.rtp
        } else {
            source == self.rtcp || source == next(self.destination())
        }
    }

    pub(crate) fn checkpoint(&self, state: &mut LegCheckpoint) {
        state.destination = self.latched;
        let highest = self
            .srtp
            .as_ref()
            .and_then(|srtp| srtp.highest_rtcp_index());
        state.heard_srtcp_index = highest.unwrap_or(0);
    }

    pub(crate) fn restore(&mut self, state: &LegCheckpoint) {
        self.latched = state.destination;
        self.heard = state.heard_ssrc.is_some();
        let (Some(srtp), Some(ssrc)) = (&mut self.srtp, state.heard_ssrc) else {
            return;
        };
        let stream = |highest| StreamState {
            ssrc,
            highest,
            seen: u128::MAX,
        };
        **srtp = SrtpInbound::import(&SrtpState {
            rtp: vec![stream(state.heard_index)],
            rtcp: vec![stream(state.heard_srtcp_index.into())],
            ..srtp.export()
        });
    }
}
