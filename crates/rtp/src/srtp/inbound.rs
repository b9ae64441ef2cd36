//! From SRTP to RTP.

use super::parts::Parts;
use super::streams::Stream;
use super::{
    ENCRYPTED, LAST_RTP_INDEX, MasterKey, SessionKey, SrtpError, SrtpState, Streams, Suite,
    WindowError, rtcp_ssrc,
};
use crate::{ExtendedSequence, Header};

/// A packet in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unprotected {
    /// Octets of the packet without tag and MKI; they lie where the protected packet lay.
    pub len: usize,
    /// The packet index: of 48 bits for RTP, of 31 for RTCP.
    pub index: u64,
}

/// Authenticates and decrypts what one remote end sends under one master key.
///
/// Keeps the index of each SSRC, of which it takes [`SrtpInbound::MAX_STREAMS`], and the replay
/// lists of the [`SrtpInbound::REPLAY_LISTS`] heard last. One that is heard again after so many
/// others goes on behind its highest index: what was on its way meanwhile counts as replayed. A
/// further SSRC is refused rather than the oldest forgotten, for a forgotten stream could be
/// replayed.
#[derive(Clone)]
#[repr(C)] // what each packet asks for side by side
pub struct SrtpInbound {
    rtp_key: SessionKey,
    suite: Suite,
    mki_len: u8,
    rtp: Streams,
    rtcp: Streams,
    master: MasterKey,
}

impl SrtpInbound {
    /// The most SSRCs heard under one key.
    pub const MAX_STREAMS: usize = 32;
    /// Of how many SSRCs the replay list is kept, for RTP and for RTCP each.
    pub const REPLAY_LISTS: usize = Streams::FULL;

    /// How many rollover counters are tried, from the likeliest upwards, as long as a stream's is
    /// not known: the sender may have wrapped before its first packet that was heard, or while this
    /// end was being restored.
    const ROC_ATTEMPTS: u64 = 3;

    /// A context in which nothing was heard yet: ROC 0. Packets carry `mki_len` octets of MKI
    /// (RFC 3711 §3.1), which are skipped and not compared.
    pub fn new(key: &MasterKey, mki_len: u8) -> Self {
        Self {
            rtp_key: SessionKey::rtp(key),
            suite: key.suite(),
            mki_len,
            rtp: Streams::new(Self::MAX_STREAMS as u8),
            master: key.clone(),
            rtcp: Streams::new(Self::MAX_STREAMS as u8),
        }
    }

    /// The context that [`SrtpInbound::export`] described.
    pub fn import(state: &SrtpState) -> Self {
        Self {
            rtp: Streams::import(Self::MAX_STREAMS as u8, &state.rtp),
            rtcp: Streams::import(Self::MAX_STREAMS as u8, &state.rtcp),
            ..Self::new(&state.key, state.mki_len)
        }
    }

    /// This context as a plain value.
    pub fn export(&self) -> SrtpState {
        SrtpState {
            key: self.master.clone(),
            mki_len: self.mki_len,
            rtp: self.rtp.export(),
            rtcp: self.rtcp.export(),
        }
    }

    /// What is read for each RTP packet, for who would have it fetched ahead: the session key and
    /// the stream heard last.
    pub fn hot(&self) -> (&impl Sized, &impl Sized) {
        (&self.rtp_key, self.rtp.last())
    }

    /// Whether this context was made of these parameters.
    pub fn is_keyed_by(&self, key: &MasterKey, mki_len: u8) -> bool {
        self.mki_len == mki_len && self.master == *key
    }

    /// The highest SRTCP index heard from any SSRC.
    pub fn highest_rtcp_index(&self) -> Option<u32> {
        let highest = self.rtcp.highest();
        highest.and_then(|highest| u32::try_from(highest).ok())
    }

    /// Turns the SRTP packet that fills `packet` into RTP where it lies (RFC 3711 §3.3).
    ///
    /// The replay list is asked first and changed last, after the tag was found right. On an error
    /// neither the packet nor the context has changed, so that another context may try.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<Unprotected, SrtpError> {
        let header = Header::read(packet)?;
        let parts = Parts::of_rtp(self.suite, packet.len(), self.mki_len, header.len)?;
        let known = self.rtp.find(header.ssrc);
        let crowded = known.is_none() && self.rtp.is_full();
        let (start, attempts) = Self::first_guess(known.as_ref(), &header)?;
        let mut refusal = SrtpError::BadTag;
        for turn in 0..attempts {
            let index = start.0 + (turn << 16);
            if index > LAST_RTP_INDEX {
                break;
            }
            if let Some(stream) = &known
                && let Err(error) = stream.check(index)
            {
                refusal = error.into();
                continue;
            }
            let place = (header.ssrc, index);
            if !self
                .rtp_key
                .open_rtp(packet, header.len, &parts, place, !crowded)
            {
                refusal = SrtpError::BadTag;
                continue;
            }
            if crowded {
                return Err(SrtpError::TooManyStreams);
            }
            self.rtp.insert(header.ssrc, index);
            let len = parts.body;
            return Ok(Unprotected { len, index });
        }
        Err(refusal)
    }

    /// Turns the SRTCP packet that fills `packet` into RTCP where it lies (§3.4). As with RTP, an
    /// error changes nothing.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<Unprotected, SrtpError> {
        let ssrc = rtcp_ssrc(packet)?;
        let parts = Parts::of_rtcp(self.suite, packet.len(), self.mki_len)?;
        let word = packet[parts.word..]
            .first_chunk()
            .expect("the index lies within the packet");
        let word = u32::from_be_bytes(*word);
        let index = u64::from(word & !ENCRYPTED);
        let known = self.rtcp.find(ssrc);
        known.map_or(Ok(()), |stream| stream.check(index))?;
        let crowded = known.is_none() && self.rtcp.is_full();
        let key = SessionKey::rtcp(&self.master);
        if !key.open_rtcp(packet, &parts, (ssrc, word), !crowded) {
            return Err(SrtpError::BadTag);
        }
        if crowded {
            return Err(SrtpError::TooManyStreams);
        }
        self.rtcp.insert(ssrc, index);
        let len = parts.body;
        Ok(Unprotected { len, index })
    }

    /// The index to try first (RFC 3711 appendix A) and how many ROCs from there.
    fn first_guess(
        known: Option<&Stream>,
        header: &Header,
    ) -> Result<(ExtendedSequence, u64), SrtpError> {
        let first = ExtendedSequence::first(header.sequence);
        let Some(stream) = known else {
            return Ok((first, Self::ROC_ATTEMPTS));
        };
        let near = ExtendedSequence(stream.highest()).near(header.sequence);
        match (near, stream.settled) {
            (Some(near), true) => Ok((near, 1)),
            (Some(near), false) => Ok((near, Self::ROC_ATTEMPTS)),
            (None, false) => Ok((first, Self::ROC_ATTEMPTS)),
            (None, true) => Err(SrtpError::TooOld),
        }
    }
}

impl From<WindowError> for SrtpError {
    fn from(error: WindowError) -> Self {
        match error {
            WindowError::TooOld => Self::TooOld,
            WindowError::Used => Self::Replayed,
        }
    }
}
