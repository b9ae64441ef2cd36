//! What a caller hears where nobody takes its call: the announcement of its route, as early media,
//! and then the refusal it would have had at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media_relay::{Clip, MediaCommand, Source};
use sdp::{Audio, SessionDescription};
use sip_msg::StatusCode;

use super::early::{EarlySession, vouch};
use super::ending::End;
use super::ringback::Ringback;
use super::setup::Setup;
use super::{Head, Phase, Timer};
use crate::core::{Core, Reply};
use crate::leg::LegMedia;
use crate::record::Note;

/// From the last sample until the refusal, which takes the media away: what is on the way arrives.
const TAIL: Duration = Duration::from_millis(500);

/// An announcement of this gateway.
#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    name: Box<str>,
    clip: Arc<Clip>,
}

/// The refusal that follows an announcement.
#[derive(Debug)]
pub(crate) struct Farewell {
    pub(crate) end: End,
    pub(crate) phrase: Option<Bytes>,
}

impl Core {
    /// The announcement of this name.
    pub(super) fn announcement(&self, name: &str) -> Option<Announcement> {
        let (name, clip) = self.profiles.announcements.get_key_value(name)?;
        Some(Announcement {
            name: name.clone(),
            clip: Arc::clone(clip),
        })
    }
}

impl Setup {
    /// Refuses the caller, after the announcement of its route if it can hear one.
    pub(super) fn announce(
        mut self: Box<Self>,
        core: &mut Core,
        head: &mut Head,
        farewell: Farewell,
    ) -> Phase {
        let announcement = self.announcement.take();
        let Some(announcement) = announcement.filter(|_| self.hears(head)) else {
            return self.refuse(core, head, farewell.end, farewell.phrase);
        };
        core.disarm(head.key, Timer::Budget);
        self.update_early_media(core, head);
        core.media(MediaCommand::Source {
            leg: self.media.id,
            source: Source::Clip(Arc::clone(&announcement.clip)),
        });
        let mut reply = Reply::new(StatusCode::SESSION_PROGRESS).dialog(&self.invite);
        vouch(&head.trunk, &self.invite.headers, &mut reply.headers);
        if let Some(told) = self.early.session.told() {
            reply = reply.body(told.clone());
        }
        self.tell_caller(core, head, reply);
        let length = Duration::from_millis(announcement.clip.millis());
        core.arm(head.key, Timer::Announcement, length + TAIL);
        head.record.note([Note::Announced(announcement.name)]);
        self.farewell = Some(Box::new(farewell));
        Phase::Setup(self)
    }

    /// The announcement is over.
    pub(super) fn announced(mut self: Box<Self>, core: &mut Core, head: &mut Head) -> Phase {
        match self.farewell.take() {
            Some(farewell) => self.refuse(core, head, farewell.end, farewell.phrase),
            None => Phase::Setup(self),
        }
    }

    /// Answers the caller's offer with what sound can be made in. Whether it then hears it.
    fn hears(&mut self, head: &Head) -> bool {
        let offered = self.offer.as_ref().and_then(SessionDescription::audio);
        let Some(offered) = offered.filter(|_| self.early.session.told().is_none()) else {
            return false;
        };
        let made = Audio {
            formats: Ringback::formats(offered),
            ..offered.clone()
        };
        self.agree(head, &made);
        let answer = self.early.session.answer();
        let possible = answer.is_some_and(|answer| LegMedia::can_ring(&answer.negotiated));
        if !possible {
            // Nothing was sent yet.
            self.early.session = EarlySession::Untold;
        }
        possible
    }
}
