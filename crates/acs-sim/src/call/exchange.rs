//! Two ends of one call, talking and compared.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{sleep, timeout};

use super::{CallHandle, Ending};
use crate::tally::{Audio, MediaCounts};

/// How long the last packets of an exchange may take to arrive.
const DRAIN: Duration = Duration::from_secs(2);
/// After the last packet expected, time for packets nobody expects.
const SURPLUS: Duration = Duration::from_millis(60);

/// What crossed between two parties of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exchanged {
    /// From the first to the second.
    pub a_to_b: Audio,
    /// From the second to the first.
    pub b_to_a: Audio,
}

impl Exchanged {
    /// Whether at least `packets` went each way and every one arrived once, whole, in order.
    pub fn exact(&self, packets: u32) -> bool {
        self.a_to_b.exact(packets) && self.b_to_a.exact(packets)
    }

    /// The two accounts as they stand now.
    pub fn so_far(a: &CallHandle, b: &CallHandle) -> Self {
        let (a, b) = (a.media(), b.media());
        Self {
            a_to_b: Audio::compare(&a, &b),
            b_to_a: Audio::compare(&b, &a),
        }
    }
}

/// Lets two ends of one call talk at the same time, `packets` each, waits until what was sent has
/// arrived (two seconds at most) and compares the accounts of the whole call.
pub async fn exchange(a: &CallHandle, b: &CallHandle, packets: u32) -> Exchanged {
    tokio::join!(a.talk(packets), b.talk(packets));
    tokio::join!(drained(a, b), drained(b, a));
    sleep(SURPLUS).await;
    Exchanged::so_far(a, b)
}

async fn drained(sender: &CallHandle, receiver: &CallHandle) {
    let MediaCounts {
        stream: Some(stream),
        sent,
        ..
    } = sender.media()
    else {
        return;
    };
    receiver
        .media_until(DRAIN, |counts| counts.received_of(stream) >= sent)
        .await;
}

/// Sends digits from one end and waits for as many at the other; gives those heard since.
pub async fn exchange_digits(from: &CallHandle, to: &CallHandle, digits: &str) -> String {
    let before = to.media().digits.len();
    from.send_digits(digits).await;
    let heard = to.digits(before + digits.len(), DRAIN).await;
    heard.get(before..).unwrap_or_default().to_owned()
}

/// Waits for a call with a limit, for tests and demonstrations that must end.
///
/// # Errors
/// [`Ending::TimedOut`] when `limit` passed, else how the call ended.
pub async fn connected_within(call: &CallHandle, limit: Duration) -> Result<Duration, Ending> {
    timeout(limit, call.connected())
        .await
        .unwrap_or(Err(Ending::TimedOut))
}
