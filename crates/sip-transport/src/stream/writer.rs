//! Bytes out.

use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::{CloseReason, PING, expiry};
use crate::counters::Counter;
use crate::flow::Stream;
use crate::shared::Shared;

/// Octets of messages that are written at once: what one TLS record holds (RFC 8446 §5.1). A system
/// call and a record cost more than what is in them.
const AT_ONCE: usize = 1 << 14;

/// Writes what is queued until the stream ends, and pings when nothing was for so long.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    shared: &Shared,
    flow: &Stream,
    io: &mut W,
    keep_alive: Option<Duration>,
) -> CloseReason {
    let mut last = Instant::now();
    loop {
        let ping_at = keep_alive.map(|pause| (last + pause, CloseReason::Idle));
        let next = tokio::select! {
            next = flow.outbox.next(AT_ONCE) => next,
            _ = expiry(ping_at) => {
                shared.tally.add(Counter::PingsOut);
                let _ = flow.outbox.push(None, PING);
                continue;
            }
        };
        let Ok(messages) = next else {
            return CloseReason::Stalled;
        };
        let octets = match messages.as_slice() {
            [message] => message.bytes.clone(),
            several => {
                let several = several.iter().map(|message| &*message.bytes);
                several.collect::<Vec<_>>().concat().into()
            }
        };
        let written = timeout(shared.limits.stall, async {
            io.write_all(&octets).await?;
            io.flush().await
        });
        match written.await {
            Ok(Ok(())) => flow.outbox.written(messages.len()),
            Ok(Err(_)) => return CloseReason::Broken,
            Err(_) => return CloseReason::Stalled,
        }
        for message in messages.iter().filter(|message| message.id.is_some()) {
            shared.tally.add(Counter::MessagesOut);
            flow.passed(&message.bytes);
        }
        last = Instant::now();
    }
}
