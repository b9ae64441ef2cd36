//! Who calls whom: numbers as the caller's trunk wrote them, and whether it may show its own.
//!
//! Caller identities of applications are free text (V-06): a trunk that has a list of numbers of
//! its own is held to it.

use routing::Snapshot;
use sip_msg::{Request, Scheme, Subscriber, Uri};

use super::Head;
use crate::core::Core;
use crate::passlist::{self, Phase, Taken};
use crate::profile::{TrunkProfile, Unscreened};
use crate::record::{Note, Number};

/// The called party of a Request-URI with the parameters of its number (RFC 3966 §3).
pub(super) fn called(uri: &Uri) -> String {
    let tel = uri.as_str().get("tel:".len()..);
    match uri.scheme() {
        Scheme::Tel => tel.unwrap_or_default().to_owned(),
        Scheme::Sip | Scheme::Sips | Scheme::Other => uri.user().unwrap_or_default().to_owned(),
    }
}

/// The called number alone.
pub(super) fn called_number(uri: &Uri) -> String {
    Subscriber::of(uri).map_or_else(String::new, |called| called.number().to_owned())
}

/// The caller's number as it wrote it; `None` where it withholds it (RFC 3323 §4.1.1.3).
pub(super) fn claimed(invite: &Request) -> Option<String> {
    let from = invite.headers.from().ok()?;
    let number = Subscriber::of(&from.uri)?.number().to_owned();
    (!passlist::is_anonymous(&number)).then_some(number)
}

/// The number that the call goes on with, `Some(None)` where the caller withholds its own; `None`
/// where the trunk may not show the one it claims. Calls for help are not screened.
pub(super) fn calling(core: &Core, head: &mut Head, invite: &Request) -> Option<Option<String>> {
    let claimed = claimed(invite);
    let is_own = head.record.emergency || shows_its_own(&core.snapshot, &head.trunk, invite);
    if is_own {
        return Some(claimed);
    }
    match &head.trunk.identity.unscreened {
        Unscreened::Reject => {
            head.record.note([Note::NumberRefused]);
            None
        }
        Unscreened::Replace(own) => {
            head.record.shown = Some(Number::new(own));
            let own = own.to_string();
            head.record.note([Note::NumberReplaced]);
            Some(Some(own))
        }
        Unscreened::Pass => {
            head.record.note([Note::Unscreened]);
            Some(claimed)
        }
    }
}

/// Whether every number that the INVITE shows is one of its trunk's, where the trunk is held to
/// that.
pub(super) fn shows_its_own(snapshot: &Snapshot, trunk: &TrunkProfile, invite: &Request) -> bool {
    let policy = &trunk.identity;
    if policy.screen.is_empty() {
        return true;
    }
    let taken = Taken::new(Phase::Invite, &invite.headers, trunk);
    let mut shown = passlist::asserted_numbers(&taken);
    shown.extend(claimed(invite));
    let owns = |number: &String| policy.owns(&snapshot.canonical(&trunk.name, number));
    shown.iter().all(owns)
}
