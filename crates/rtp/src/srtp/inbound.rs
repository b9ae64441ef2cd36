//! From SRTP to RTP.

use super::{
    ENCRYPTED, LAST_RTP_INDEX, MasterKey, RTCP_CLEAR, RTCP_INDEX_LEN, SessionKey, SrtpError,
    SrtpState, Streams, Suite, WindowError, rtcp_ssrc,
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
/// Keeps an index and a replay list for each SSRC, of which it takes [`SrtpInbound::MAX_STREAMS`].
/// A further one is refused rather than the oldest forgotten, for a forgotten stream could be
/// replayed.
#[derive(Clone)]
pub struct SrtpInbound {
    suite: Suite,
    master: MasterKey,
    mki_len: u8,
    rtp_key: SessionKey,
    rtcp_key: SessionKey,
    rtp: Streams,
    rtcp: Streams,
}

impl SrtpInbound {
    /// The most SSRCs heard under one key.
    pub const MAX_STREAMS: usize = 32;

    /// How many rollover counters are tried, from the likeliest upwards, as long as a stream's is
    /// not known: the sender may have wrapped before its first packet that was heard, or while this
    /// end was being restored.
    const ROC_ATTEMPTS: u64 = 3;

    /// A context in which nothing was heard yet: ROC 0. Packets carry `mki_len` octets of MKI
    /// (RFC 3711 §3.1), which are skipped and not compared.
    pub fn new(suite: Suite, key: &MasterKey, mki_len: u8) -> Self {
        Self {
            suite,
            master: key.clone(),
            mki_len,
            rtp_key: SessionKey::rtp(key),
            rtcp_key: SessionKey::rtcp(key),
            rtp: Streams::new(Self::MAX_STREAMS),
            rtcp: Streams::new(Self::MAX_STREAMS),
        }
    }

    /// The context that [`SrtpInbound::export`] described.
    pub fn import(state: &SrtpState) -> Self {
        Self {
            rtp: Streams::import(Self::MAX_STREAMS, &state.rtp),
            rtcp: Streams::import(Self::MAX_STREAMS, &state.rtcp),
            ..Self::new(state.suite, &state.key, state.mki_len)
        }
    }

    /// This context as a plain value.
    pub fn export(&self) -> SrtpState {
        SrtpState {
            suite: self.suite,
            key: self.master.clone(),
            mki_len: self.mki_len,
            rtp: self.rtp.export(),
            rtcp: self.rtcp.export(),
        }
    }

    /// Whether this context was made of these parameters.
    pub fn is_keyed_by(&self, suite: Suite, key: &MasterKey, mki_len: u8) -> bool {
        self.suite == suite && self.mki_len == mki_len && self.master == *key
    }

    /// The highest SRTCP index heard from any SSRC.
    pub fn highest_rtcp_index(&self) -> Option<u32> {
        let highest = self
            .rtcp
            .streams
            .iter()
            .map(|stream| stream.window.highest())
            .max();
        highest.and_then(|highest| u32::try_from(highest).ok())
    }

    /// Turns the SRTP packet that fills `packet` into RTP where it lies (RFC 3711 §3.3).
    ///
    /// The replay list is asked first and changed last, after the tag was found right. On an error
    /// neither the packet nor the context has changed, so that another context may try.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<Unprotected, SrtpError> {
        let header = Header::read(packet)?;
        let tag_len = self.suite.rtp_tag_len();
        let (body, tag) = split_tag(packet, tag_len, self.mki_len)?;
        if body < header.len {
            return Err(SrtpError::Malformed);
        }
        let (start, attempts) = self.first_guess(&header)?;
        let mut refusal = SrtpError::BadTag;
        for turn in 0..attempts {
            let index = start.0 + (turn << 16);
            if index > LAST_RTP_INDEX {
                break;
            }
            if let Some(stream) = self.rtp.find(header.ssrc)
                && let Err(error) = stream.window.check(index)
            {
                refusal = error.into();
                continue;
            }
            let roc = ExtendedSequence(index).roc().to_be_bytes();
            if !self
                .rtp_key
                .verify(&packet[..body], &roc, &packet[tag..][..tag_len])
            {
                refusal = SrtpError::BadTag;
                continue;
            }
            if self.rtp.is_full() && self.rtp.get(header.ssrc).is_none() {
                return Err(SrtpError::TooManyStreams);
            }
            self.rtp_key
                .apply(header.ssrc, index, &mut packet[header.len..body]);
            self.rtp.insert(header.ssrc, index);
            return Ok(Unprotected { len: body, index });
        }
        Err(refusal)
    }

    /// Turns the SRTCP packet that fills `packet` into RTCP where it lies (§3.4). As with RTP, an
    /// error changes nothing.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<Unprotected, SrtpError> {
        let ssrc = rtcp_ssrc(packet)?;
        let tag_len = self.suite.rtcp_tag_len();
        let (signed, tag) = split_tag(packet, tag_len, self.mki_len)?;
        let body = signed
            .checked_sub(RTCP_INDEX_LEN)
            .ok_or(SrtpError::Malformed)?;
        if body < RTCP_CLEAR {
            return Err(SrtpError::Malformed);
        }
        let word = packet[body..]
            .first_chunk()
            .expect("the tag lies behind the index");
        let word = u32::from_be_bytes(*word);
        let index = u64::from(word & !ENCRYPTED);
        let stream = self.rtcp.find(ssrc);
        let known = stream.is_some();
        if let Some(stream) = stream {
            stream.window.check(index)?;
        }
        if !self
            .rtcp_key
            .verify(&packet[..signed], &[], &packet[tag..][..tag_len])
        {
            return Err(SrtpError::BadTag);
        }
        if !known && self.rtcp.is_full() {
            return Err(SrtpError::TooManyStreams);
        }
        if word & ENCRYPTED != 0 {
            self.rtcp_key
                .apply(ssrc, index, &mut packet[RTCP_CLEAR..body]);
        }
        self.rtcp.insert(ssrc, index);
        Ok(Unprotected { len: body, index })
    }

    /// The index to try first (RFC 3711 appendix A) and how many ROCs from there.
    fn first_guess(&mut self, header: &Header) -> Result<(ExtendedSequence, u64), SrtpError> {
        let first = ExtendedSequence::first(header.sequence);
        let Some(stream) = self.rtp.find(header.ssrc) else {
            return Ok((first, Self::ROC_ATTEMPTS));
        };
        let near = ExtendedSequence(stream.window.highest()).near(header.sequence);
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

/// Where a packet's signed part ends and where its tag begins; MKI lies between.
fn split_tag(packet: &[u8], tag_len: usize, mki_len: u8) -> Result<(usize, usize), SrtpError> {
    let tag = packet
        .len()
        .checked_sub(tag_len)
        .ok_or(SrtpError::Malformed)?;
    let body = tag
        .checked_sub(mki_len.into())
        .ok_or(SrtpError::Malformed)?;
    Ok((body, tag))
}
