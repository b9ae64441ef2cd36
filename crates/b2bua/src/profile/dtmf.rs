//! How digits travel to and from a trunk.

/// How the party of a trunk sends and takes DTMF digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtmfMode {
    /// `telephone-event` packets (RFC 4733), negotiated wherever the party knows them, whatever the
    /// party across has. Digits in INFO are understood nevertheless.
    #[default]
    Rfc4733,
    /// INFO with `application/dtmf-relay`; no `telephone-event` is negotiated.
    Info,
    /// Tones in the voice; no `telephone-event` is negotiated.
    Inband,
}

/// DTMF towards one trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DtmfPolicy {
    /// How digits travel.
    pub mode: DtmfMode,
}
