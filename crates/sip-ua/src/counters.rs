//! What a user agent counts, and how full its tables are.

/// Messages that went no further, by reason; and what was repeated. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Retransmitted requests absorbed by a server transaction.
    pub requests_absorbed: u64,
    /// Retransmitted responses absorbed by a client transaction.
    pub responses_absorbed: u64,
    /// Requests this user agent sent again because no answer came.
    pub requests_retransmitted: u64,
    /// Responses this user agent sent again because no ACK came.
    pub responses_retransmitted: u64,
    /// Responses that match no client transaction (RFC 3261 §18.1.2), dropped.
    pub stray_responses: u64,
    /// ACKs that match neither a transaction nor a dialog, dropped.
    pub stray_acks: u64,
    /// Requests and responses that lack what every message must carry, and rejected ones.
    pub malformed: u64,
    /// Requests refused with 503 for lack of room.
    pub refused_for_room: u64,
    /// Requests dropped for lack of room, beyond the reserve.
    pub dropped_for_room: u64,
    /// Requests for a dialog that is unknown, answered 481.
    pub unknown_dialog: u64,
    /// Merged requests and loops, answered 482.
    pub loops: u64,
    /// Requests whose Max-Forwards was used up, answered 483.
    pub too_many_hops: u64,
    /// Requests out of order within their dialog, answered 500.
    pub out_of_order: u64,
    /// Re-INVITEs refused because one was under way, with 491 or 500.
    pub glare: u64,
    /// Forks beyond the bound of one INVITE, dropped.
    pub forks_refused: u64,
    /// Refusals of an INVITE that were never acknowledged (timer H).
    pub refusals_unacknowledged: u64,
    /// Reliable provisional responses whose PRACK never came.
    pub pracks_missing: u64,
    /// Reliable provisional responses that came before the one they follow, dropped
    /// (RFC 3262 §4).
    pub provisionals_early: u64,
    /// INVITEs the transaction user left without an answer.
    pub abandoned: u64,
    /// Attempts at a further address of the same next hop (RFC 3263 §4.3).
    pub failovers: u64,
    /// Requests too long for a datagram that went over TCP instead (RFC 3261 §18.1.1).
    pub long_by_stream: u64,
    /// Requests too long for a datagram that went over UDP all the same, because the peer takes no
    /// connection.
    pub long_datagrams: u64,
    /// Responses and ACKs that the transport could not deliver.
    pub undelivered: u64,
}

/// How full the tables of a user agent are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Client transactions.
    pub clients: usize,
    /// Server transactions.
    pub servers: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// Deadlines in the one index of all transactions.
    pub deadlines: usize,
    /// Messages whose delivery the transport may still report on.
    pub transmits: usize,
    /// Lookups that wait for DNS.
    pub lookups: usize,
    /// DNS answers kept.
    pub dns_cached: usize,
}
