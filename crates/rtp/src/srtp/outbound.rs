//! From RTP to SRTP.

use super::{
    ENCRYPTED, LAST_RTCP_INDEX, LAST_RTP_INDEX, MasterKey, RTCP_INDEX_LEN, SessionKey, SrtpError,
    SrtpState, StreamState, Streams, Suite, WindowError, rtcp_ssrc,
};
use crate::{ExtendedSequence, Header};

/// Encrypts and authenticates what this end sends under one master key.
///
/// Takes [`SrtpOutbound::MAX_STREAMS`] SSRCs and refuses to use any index twice.
#[derive(Clone)]
#[repr(C)] // what each packet asks for side by side
pub struct SrtpOutbound {
    rtp_key: SessionKey,
    suite: Suite,
    rtp: Streams,
    master: MasterKey,
    /// The SRTCP index of the next packet. One count for all SSRCs: simple, and never used twice.
    next_rtcp: u32,
}

impl SrtpOutbound {
    /// The most SSRCs sent under one key. A leg keeps its SSRC, so one is the rule.
    pub const MAX_STREAMS: usize = 4;

    /// A context under which nothing was sent yet.
    pub fn new(key: &MasterKey) -> Self {
        Self {
            rtp_key: SessionKey::rtp(key),
            suite: key.suite(),
            rtp: Streams::new(Self::MAX_STREAMS as u8),
            master: key.clone(),
            next_rtcp: 0,
        }
    }

    /// The context that [`SrtpOutbound::export`] described.
    ///
    /// If packets were sent since, those made anew must skip ahead (see the module's
    /// documentation); [`SrtpOutbound::skip_rtcp`] does so for RTCP.
    pub fn import(state: &SrtpState) -> Self {
        let highest = state.rtcp.iter().map(|stream| stream.highest).max();
        let next = highest.map_or(0, |highest| highest.saturating_add(1));
        Self {
            rtp: Streams::import(Self::MAX_STREAMS as u8, &state.rtp),
            next_rtcp: u32::try_from(next).map_or(ENCRYPTED, |next| next.min(ENCRYPTED)),
            ..Self::new(&state.key)
        }
    }

    /// This context as a plain value.
    pub fn export(&self) -> SrtpState {
        let last = self.next_rtcp.checked_sub(1);
        let rtcp = last.map(|last| StreamState {
            ssrc: 0,
            highest: last.into(),
            seen: u128::MAX,
        });
        SrtpState {
            key: self.master.clone(),
            mki_len: 0,
            rtp: self.rtp.export(),
            rtcp: rtcp.into_iter().collect(),
        }
    }

    /// What is read for each RTP packet, for who would have it fetched ahead: the session key and
    /// the stream sent last.
    pub fn hot(&self) -> (&impl Sized, &impl Sized) {
        (&self.rtp_key, self.rtp.last())
    }

    /// Whether this context was made of these parameters.
    pub fn is_keyed_by(&self, key: &MasterKey) -> bool {
        self.master == *key
    }

    /// The SRTCP index of the next RTCP packet; 2^31 once there is none left.
    pub fn next_rtcp_index(&self) -> u32 {
        self.next_rtcp
    }

    /// Leaves all SRTCP indexes below `index` unused.
    pub fn skip_rtcp(&mut self, index: u32) {
        self.next_rtcp = self.next_rtcp.max(index.min(ENCRYPTED));
    }

    /// The index that continues the stream `ssrc` with `sequence`: the one nearest to the highest
    /// sent, or of ROC 0 for a new stream.
    pub fn index_near(&self, ssrc: u32, sequence: u16) -> Option<u64> {
        match self.rtp.find(ssrc) {
            None => Some(sequence.into()),
            Some(stream) => ExtendedSequence(stream.highest())
                .near(sequence)
                .map(|near| near.0),
        }
    }

    /// Turns the RTP packet in the first `len` octets of `buf` into SRTP and returns its length
    /// (RFC 3711 §3.3). `index` is the packet index, ROC above the sequence number. On an error
    /// nothing has changed.
    pub fn protect_rtp(
        &mut self,
        buf: &mut [u8],
        len: usize,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let tag_len = self.suite.rtp_tag_len();
        let total = len.checked_add(tag_len).filter(|total| *total <= buf.len());
        let total = total.ok_or(SrtpError::NoRoom)?;
        let header = Header::read(&buf[..len])?;
        if index > LAST_RTP_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        let index = ExtendedSequence(index);
        if index.sequence() != header.sequence {
            return Err(SrtpError::IndexMismatch);
        }
        match self
            .rtp
            .find(header.ssrc)
            .map(|stream| stream.check(index.0))
        {
            Some(Err(WindowError::TooOld)) => return Err(SrtpError::TooOld),
            Some(Err(WindowError::Used)) => return Err(SrtpError::IndexUsed),
            None if self.rtp.is_full() => return Err(SrtpError::TooManyStreams),
            Some(Ok(())) | None => {}
        }
        self.rtp.insert(header.ssrc, index.0);
        let place = (header.ssrc, index.0);
        self.rtp_key
            .seal_rtp(&mut buf[..total], header.len, len, place);
        Ok(total)
    }

    /// Turns the RTCP packet in the first `len` octets of `buf` into SRTCP under the next index and
    /// returns its length (§3.4). On an error nothing has changed.
    pub fn protect_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let tag_len = self.suite.rtcp_tag_len();
        let total = len
            .checked_add(RTCP_INDEX_LEN + tag_len)
            .filter(|total| *total <= buf.len());
        let total = total.ok_or(SrtpError::NoRoom)?;
        let ssrc = rtcp_ssrc(&buf[..len])?;
        let index = self.next_rtcp;
        if index > LAST_RTCP_INDEX {
            return Err(SrtpError::KeyExhausted);
        }
        self.next_rtcp += 1;
        let key = SessionKey::rtcp(&self.master);
        key.seal_rtcp(&mut buf[..total], len, ssrc, index);
        Ok(total)
    }
}
