//! What a test wants to happen to events on their way.

use std::time::Duration;

/// What happens to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// It is never sent.
    Lost,
    /// It is sent twice.
    Twice,
    /// It is sent so much later; others overtake it.
    Late(Duration),
    /// Its token is signed by a key that is not published, under the name of the one that is.
    WrongKey,
    /// Its token was good until an hour ago.
    Expired,
    /// Its token is for another resource.
    WrongAudience,
    /// Its token is of another issuer.
    WrongIssuer,
    /// It has no token.
    NoToken,
}

/// How a post of our own making is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// As it should be.
    Right,
    /// As this mischief has it.
    Spoilt(Mischief),
}

#[derive(Clone, Debug)]
struct Wish {
    kind: String,
    mischief: Mischief,
    times: u32,
}

/// Mischief that waits for its event.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes(Vec<Wish>);

impl Wishes {
    pub(super) fn add(&mut self, kind: &str, mischief: Mischief, times: u32) {
        if times > 0 {
            let kind = kind.to_owned();
            self.0.push(Wish {
                kind,
                mischief,
                times,
            });
        }
    }

    /// What happens to the next event of this type, named without its prefix.
    pub(super) fn take(&mut self, kind: &str) -> Option<Mischief> {
        let fits = |wish: &Wish| wish.kind.is_empty() || wish.kind == kind;
        let at = self.0.iter().position(fits)?;
        let wish = &mut self.0[at];
        wish.times -= 1;
        let mischief = wish.mischief;
        if wish.times == 0 {
            self.0.remove(at);
        }
        Some(mischief)
    }
}
