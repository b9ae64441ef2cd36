//! Long-running operations: what is told while they run, and what can be done after an interruption.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use acs_client::phone_numbers::Progress;
use acs_client::{Error, Operation, OperationState};
use tokio::time::Duration;

use crate::azure::Stop;
use crate::output;

/// How often an operation that goes on is told of.
const TOLD: Duration = Duration::from_secs(5);

/// Why an operation was not watched to a good end.
#[derive(Debug)]
pub(super) enum Ended {
    /// Ctrl-C.
    Interrupted,
    /// Azure, or the way there.
    Azure(Error),
}

/// An operation that was not watched to a good end, with what was seen of it last.
#[derive(Debug)]
pub(super) struct Unseen {
    pub(super) why: Ended,
    pub(super) operation: Option<Operation>,
}

impl Unseen {
    /// The operation's id, where Azure took it.
    pub(super) fn id(&self) -> Option<&str> {
        self.operation.as_ref().map(|seen| seen.id.as_str())
    }

    /// Whether what was asked for may have been done, or be done yet.
    pub(super) fn is_open(&self) -> bool {
        match &self.why {
            Ended::Interrupted => true,
            Ended::Azure(Error::GivenUp { .. }) => false,
            Ended::Azure(error) => {
                self.operation.is_some()
                    || error.is_outcome_unknown()
                    || matches!(error, Error::Garbled { .. })
            }
        }
    }

    /// What happened and how to go on, in a sentence. `what` is what was asked for.
    pub(super) fn sentence(&self, what: &str) -> String {
        let look = |id: &str| format!("see how far it is: trunkline numbers operation {id}");
        match (&self.why, &self.operation) {
            (Ended::Interrupted, Some(seen)) => format!(
                "interrupted; {what} goes on at Azure as operation {}; {}",
                seen.id,
                look(&seen.id)
            ),
            (Ended::Interrupted, None) => format!(
                "interrupted before Azure answered; whether it took {what} is not known: see \
                 trunkline numbers list --azure"
            ),
            (Ended::Azure(error @ Error::GivenUp { code, .. }), _) => match plain(code) {
                Some(plain) => format!("{plain} ({error})"),
                None => error.to_string(),
            },
            (Ended::Azure(Error::Unfinished { .. }), Some(seen)) => format!(
                "{what} still runs at Azure as operation {}; {}",
                seen.id,
                look(&seen.id)
            ),
            (Ended::Azure(error), Some(seen)) if seen.status == OperationState::Succeeded => {
                format!("{what} is done, but its result cannot be read: {error}")
            }
            (Ended::Azure(error), Some(seen)) => format!(
                "Azure took {what} as operation {}, and cannot be asked how far it is: {error}; {}",
                seen.id,
                look(&seen.id)
            ),
            (Ended::Azure(error), None) => {
                match error.answer().and_then(|answer| plain(&answer.code)) {
                    Some(plain) => format!("{plain} ({error})"),
                    None => error.to_string(),
                }
            }
        }
    }

    pub(super) fn stop(&self, what: &str) -> Stop {
        Stop(1, self.sentence(what))
    }
}

/// Azure's codes for what can go wrong with a search or a purchase.
fn plain(code: &str) -> Option<&'static str> {
    Some(match code {
        "OutOfStock" => "Azure has no such numbers left: try another area code, or fewer",
        "AuthorizationDenied" => "the subscription may not have such numbers",
        "MissingAddress" => "Azure wants an address on file for numbers of this country",
        "InvalidAddress" => "the address on file does not do for numbers of this country",
        "InvalidOfferModel" => {
            "Azure offers no numbers with this type, assignment and capabilities"
        }
        "NotEnoughLicenses" => "the subscription has too few licences",
        "NoWallet" => "the subscription has no way to pay",
        "NotEnoughCredit" => "the subscription's credit does not suffice",
        "NumbersPartiallyAcquired" => {
            "only some of the numbers could be had: see trunkline numbers list --azure"
        }
        "AllNumbersNotAcquired" => "none of the numbers could be had",
        "ReservationExpired" => "what the search found is kept no longer: search again",
        "BillingUnavailable" => "Azure's billing does not answer now; nothing was bought",
        "PurchaseFailed" => "the purchase failed at Azure",
        "ProvisioningFailed" => "Azure could not set the numbers up",
        _ => return None,
    })
}

/// Does `work` and tells on standard error how far it is, until it ends or is interrupted.
pub(super) async fn watched<T>(
    work: impl AsyncFnOnce(Progress<'_>) -> Result<T, Error>,
) -> Result<T, Unseen> {
    let last: Mutex<Option<(Operation, Instant)>> = Mutex::new(None);
    let begun = Instant::now();
    let mut progress = |seen: &Operation| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = last
            .as_ref()
            .is_some_and(|(known, told)| known.status == seen.status && told.elapsed() < TOLD);
        if !quiet {
            let word = word(&seen.status);
            let seconds = begun.elapsed().as_secs();
            output::error(format_args!("{}: {word} ({seconds} s)", seen.id));
        }
        let told = match &*last {
            Some((_, told)) if quiet => *told,
            _ => Instant::now(),
        };
        *last = Some((seen.clone(), told));
    };
    let why = tokio::select! {
        result = work(&mut progress) => match result {
            Ok(done) => return Ok(done),
            Err(error) => Ended::Azure(error),
        },
        _ = tokio::signal::ctrl_c() => Ended::Interrupted,
    };
    let last = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    Err(Unseen {
        why,
        operation: last.map(|(seen, _)| seen),
    })
}

/// How far an operation is, in a word.
pub(super) fn word(state: &OperationState) -> &'static str {
    match state {
        OperationState::NotStarted => "taken",
        OperationState::Running => "running",
        OperationState::Succeeded => "done",
        OperationState::Failed => "failed",
    }
}
