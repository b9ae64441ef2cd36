//! What tests do and ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ambient::Moment;
use b2bua::cloud::CloudRequest;
use b2bua::profile::Profiles;
use b2bua::record::CallRecord;
use b2bua::trace::TraceEntry;
use b2bua::{B2bua, CallKey, Checkpoint, Input};
use sip_msg::Method;

use super::{Event, PATIENCE, Sim};
use crate::description::Direction;
use crate::ladder::Ladder;
use crate::media::Heard;
use crate::party::{Call, Dial, Party, Role, State};

/// One party's end of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle {
    party: usize,
    call: u32,
}

impl Sim {
    /// Makes the party `from` call the number `to`.
    pub fn call(&mut self, from: &str, to: &str) -> Handle {
        self.call_with(from, to, &Dial::default())
    }

    /// The same, with more to say.
    pub fn call_with(&mut self, from: &str, to: &str, dial: &Dial) -> Handle {
        let party = self.index(from);
        let call = self.next_call;
        self.next_call += 1;
        self.seats[party].party.invite(call, to, dial);
        self.settle();
        Handle { party, call }
    }

    /// The call that came to the party `name` last.
    ///
    /// # Panics
    /// If none came: the ladder is in the message.
    #[must_use]
    pub fn called(&self, name: &str) -> Handle {
        let party = self.index(name);
        let last = self.seats[party].party.calls().map(|(call, _)| call).last();
        match last {
            Some(call) => Handle { party, call },
            None => panic!("no call at {name}\n{}", self.ladder),
        }
    }

    /// The party's ends of all its calls, in the order of their numbers.
    #[must_use]
    pub fn ends(&self, name: &str) -> Vec<Handle> {
        let party = self.index(name);
        let calls = self.seats[party].party.calls();
        calls.map(|(call, _)| Handle { party, call }).collect()
    }

    /// One end of a call, as its party sees it.
    ///
    /// # Panics
    /// Never for a handle of this run.
    #[must_use]
    pub fn view(&self, end: Handle) -> &Call {
        &self.seats[end.party].party.calls[&end.call]
    }

    /// A party.
    #[must_use]
    pub fn party(&self, name: &str) -> &Party {
        &self.seats[self.index(name)].party
    }

    /// A party, to change what it does from now on.
    pub fn party_mut(&mut self, name: &str) -> &mut Party {
        let index = self.index(name);
        &mut self.seats[index].party
    }

    fn index(&self, name: &str) -> usize {
        let found = self.seats.iter().position(|seat| seat.party.name == name);
        found.unwrap_or_else(|| panic!("no party {name} in this world"))
    }

    fn at(&mut self, end: Handle, act: impl FnOnce(&mut Party, u32)) {
        act(&mut self.seats[end.party].party, end.call);
        self.settle();
    }

    /// Ends an answered call from one end.
    pub fn hang_up(&mut self, end: Handle) {
        self.at(end, Party::hang_up);
    }

    /// Gives a call up from its caller's end.
    pub fn cancel(&mut self, end: Handle) {
        self.at(end, Party::cancel);
    }

    /// Puts the other end on hold, in the party's own dialect.
    pub fn hold(&mut self, end: Handle) {
        let direction = self.seats[end.party].party.style.hold;
        self.at(end, |party, call| party.reinvite(call, direction));
    }

    /// Ends a hold.
    pub fn resume(&mut self, end: Handle) {
        self.at(end, |party, call| party.reinvite(call, Direction::SendRecv));
    }

    /// Ends a hold by a re-INVITE without an offer.
    pub fn resume_without_offer(&mut self, end: Handle) {
        self.at(end, Party::resume_without_offer);
    }

    /// Sends a re-INVITE with another key for what this end sends.
    pub fn rekey(&mut self, end: Handle) {
        self.at(end, Party::rekey);
    }

    /// Sends a re-INVITE that changes nothing, as session timers do.
    pub fn refresh(&mut self, end: Handle) {
        let direction = self.view(end).direction;
        self.at(end, |party, call| party.reinvite(call, direction));
    }

    /// Sends a request without a body inside the dialog.
    pub fn send(&mut self, end: Handle, method: Method) {
        self.at(end, |party, call| party.send_in_dialog(call, method));
    }

    /// Makes the caller know the early dialog of the provisional response that came last.
    pub fn adopt_early_dialog(&mut self, end: Handle) {
        self.at(end, Party::adopt_early_dialog);
    }

    /// Sends an UPDATE with an offer, also before the answer.
    pub fn update(&mut self, end: Handle) {
        self.at(end, Party::update);
    }

    /// The Replaces that names the dialog of this end, as another party of its trunk writes it.
    #[must_use]
    pub fn replaces(&self, end: Handle) -> String {
        let call = self.view(end);
        let theirs = call.remote_tag.clone().unwrap_or_default();
        format!(
            "{};to-tag={theirs};from-tag={}",
            call.call_id, call.local_tag
        )
    }

    /// The Referred-By of [`Sim::refer`].
    pub const REFERRED_BY: &str =
        "<sip:sip.pstnhub.microsoft.com:5061;x-m=8:OrgId:fA27;x-t=4dCa;x-tt=aHR0%3D>";

    /// Makes one end ask for a transfer to `refer_to`, the value of Refer-To, as Microsoft does:
    /// with a Referred-By.
    pub fn refer(&mut self, end: Handle, refer_to: &str) {
        let headers = [("Refer-To", refer_to), ("Referred-By", Self::REFERRED_BY)];
        self.refer_with(end, &headers);
    }

    /// The same, with these header fields instead.
    pub fn refer_with(&mut self, end: Handle, headers: &[(&str, &str)]) {
        let headers = headers
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let headers: Vec<_> = headers.collect();
        self.at(end, |party, call| party.refer(call, &headers));
    }

    /// Sends a request inside the dialog with these header fields and this body: its media type and
    /// the text.
    pub fn say(
        &mut self,
        end: Handle,
        method: Method,
        headers: &[(&str, &str)],
        body: Option<(&str, &str)>,
    ) {
        self.at(end, |party, call| {
            party.say_in_dialog(call, method, headers, body);
        });
    }

    /// Makes a party send OPTIONS.
    pub fn ping(&mut self, name: &str) {
        let party = self.index(name);
        self.schedule(Duration::ZERO, Event::Ping { party });
    }

    /// Makes a party register with the gateway for so many seconds; 0 takes it back.
    pub fn register(&mut self, name: &str, expires: u32) {
        self.party_mut(name).register(expires);
        self.settle();
    }

    /// Makes one end talk: `packets` of 20 ms, the first one now.
    pub fn talk(&mut self, end: Handle, packets: u32) {
        self.schedule(
            Duration::ZERO,
            Event::Talk {
                handle: end,
                left: packets,
            },
        );
    }

    /// Makes one end's audio start at this sequence number; before it talks.
    pub fn start_sequence_at(&mut self, end: Handle, sequence: u16) {
        self.at(end, |party, call| {
            if let Some(call) = party.calls.get_mut(&call) {
                call.media.start_at(sequence);
            }
        });
    }

    /// Makes one end send an event of RFC 4733, for instance 5 for the digit five.
    pub fn press(&mut self, end: Handle, code: u8) {
        let call = self.seats[end.party].party.calls.get_mut(&end.call);
        let Some(call) = call else { return };
        let (from, packets) = (call.media.local(), call.media.event(code));
        for ((to, octets), at) in packets.into_iter().zip(1..) {
            let event = Event::MediaToGateway { from, to, octets };
            self.schedule(Duration::from_millis(20) * at, event);
        }
    }

    pub(super) fn talk_on(&mut self, end: Handle, left: u32) {
        let Some(call) = self.seats[end.party].party.calls.get_mut(&end.call) else {
            return;
        };
        // A called party may be heard before it answers.
        let early = call.role == Role::Called && call.state == State::Ringing;
        if left == 0 || !call.is_up() && !early {
            return;
        }
        if let Some((to, octets)) = call.media.next_packet() {
            let from = call.media.local();
            let event = Event::MediaToGateway { from, to, octets };
            self.schedule(Duration::from_millis(10), event);
        }
        self.schedule(
            Duration::from_millis(20),
            Event::Talk {
                handle: end,
                left: left - 1,
            },
        );
    }

    pub(super) fn media_to_party(&mut self, from: SocketAddr, to: SocketAddr, octets: Vec<u8>) {
        let calls = self
            .seats
            .iter_mut()
            .flat_map(|seat| seat.party.calls.values_mut());
        if let Some(call) = calls.into_iter().find(|call| call.media.local() == to) {
            // RTCP on the RTP port is told apart by its packet type (RFC 5761 §4).
            let is_rtcp = octets
                .get(1)
                .is_some_and(|second| (192..=223).contains(second));
            if !is_rtcp {
                call.media.hear(from, octets);
            }
        }
    }

    /// What one end has heard.
    #[must_use]
    pub fn heard(&self, end: Handle) -> &Heard {
        &self.view(end).media.heard
    }

    /// Makes datagrams that are longer than this impossible to send, as an operating system does.
    pub fn limit_datagrams(&mut self, octets: usize) {
        self.longest_datagram = octets;
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now.moment + time;
        while self.step(until) {}
        self.advance(until);
    }

    /// Runs until every request is answered, every answer acknowledged, and nobody waits for
    /// anything but the gateway's own timers.
    ///
    /// # Panics
    /// If that is not so after an hour.
    pub fn run_until_quiet(&mut self) {
        let until = self.now.moment + PATIENCE;
        while !self.is_quiet() {
            assert!(
                self.step(until),
                "never quiet: {}\n{}",
                self.unrest(),
                self.ladder
            );
        }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let waits = self.queue.values().any(|event| self.is_awaited(event));
        !waits && self.seats.iter().all(|seat| seat.party.is_idle())
    }

    fn is_awaited(&self, event: &Event) -> bool {
        let Event::Wake { party, wake } = event else {
            return true;
        };
        self.seats[*party].party.wants(wake)
    }

    /// What keeps the run from being quiet, for the message of a failed test.
    fn unrest(&self) -> String {
        let busy = self.seats.iter().filter(|seat| !seat.party.is_idle());
        let names: Vec<&str> = busy.map(|seat| seat.party.name.as_str()).collect();
        let events = self.queue.values().filter(|event| self.is_awaited(event));
        let events: Vec<String> = events.map(|event| format!("{event:?}")).collect();
        format!("{names:?} {events:?}")
    }

    /// From now on, replaces the gateway at every quiescent point by one that was restored from
    /// its checkpoints. Nobody may notice.
    pub fn restore_everywhere(&mut self) {
        self.restarts.everywhere = true;
    }

    /// Replaces the gateway now by one that was restored from its checkpoints.
    pub fn restore(&mut self) {
        self.gateway.restart(self.now);
        self.restarts.done += 1;
        self.restarts.due = false;
        self.settle();
    }

    /// The same, but that the new gateway has no trunk of that name and was handed these
    /// checkpoints instead of those that it had written.
    pub fn restore_without(&mut self, trunk: Option<&str>, checkpoints: Vec<Checkpoint>) {
        let mut config = self.gateway.config().clone();
        let kept = config.profiles.trunks.values();
        let kept: Vec<_> = kept
            .filter(|profile| Some(profile.name.as_str()) != trunk)
            .map(|profile| profile.as_ref().clone())
            .collect();
        config.profiles = Arc::new(
            Profiles::new(kept, config.profiles.limits)
                .with_announcements(config.profiles.announcements.clone()),
        );
        let pairs = checkpoints.into_iter().map(|kept| (kept.call, kept));
        self.gateway.saved = pairs.collect();
        self.gateway.restart_with(self.now, config);
        self.restarts.done += 1;
        self.restarts.due = false;
        self.settle();
    }

    /// How often the gateway was replaced.
    #[must_use]
    pub fn restored(&self) -> usize {
        self.restarts.done
    }

    pub(super) fn restore_if_quiet(&mut self) {
        let calls = self.seats.iter().flat_map(|seat| seat.party.calls());
        // A checkpoint holds confirmed calls; early dialogs may be lost with the process.
        let early = calls
            .into_iter()
            .any(|(_, call)| !call.is_up() && !call.is_over());
        let under_way = self.queue.values().any(|event| {
            matches!(
                event,
                Event::ToGateway { .. } | Event::ToParty { .. } | Event::Dns(_)
            )
        });
        let idle = self.seats.iter().all(|seat| seat.party.is_idle());
        if !early && !under_way && idle {
            self.restore();
        }
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.now.moment
    }

    /// Every message so far.
    #[must_use]
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Forgets the messages so far.
    pub fn clear_ladder(&mut self) {
        self.ladder.clear();
    }

    /// From now on, messages are not searched for what must not cross, which takes most of the time
    /// of a run with many calls at once.
    pub fn stop_searching(&mut self) {
        self.searches = false;
    }

    /// Forgets all that is over: messages, records, and the parties' finished calls. A long run
    /// stays of a size.
    pub fn forget_the_past(&mut self) {
        self.ladder.clear();
        self.gateway.records.clear();
        self.gateway.trace.clear();
        self.gateway.left.clear();
        for seat in &mut self.seats {
            seat.party.forget_the_past();
        }
    }

    /// The records of calls that are over.
    #[must_use]
    pub fn records(&self) -> &[CallRecord] {
        &self.gateway.records
    }

    /// The messages that the gateway traced.
    #[must_use]
    pub fn trace(&self) -> &[TraceEntry] {
        &self.gateway.trace
    }

    /// What Azure was asked to do so far.
    #[must_use]
    pub fn clouds(&self) -> &[CloudRequest] {
        &self.gateway.clouds
    }

    /// Calls that are written down now.
    #[must_use]
    pub fn checkpoints(&self) -> usize {
        self.gateway.saved.len()
    }

    /// Legs that the media shards carry now.
    #[must_use]
    pub fn media_legs(&self) -> usize {
        self.gateway.legs()
    }

    /// The gateway's core, to ask it what it shows to operators.
    #[must_use]
    pub fn core(&self) -> &B2bua {
        self.gateway.core()
    }

    /// Hands the gateway an input of the shell, such as `Drain` or an operator's command.
    pub fn input(&mut self, input: Input) {
        self.gateway.handle(self.now, input);
        self.settle();
    }

    /// Makes the handler of a call fail on the next input, which is handed in too. The call that
    /// the gateway ended for it.
    pub fn fault(&mut self, call: CallKey, input: Input) -> Option<CallKey> {
        let ended = self.gateway.fault(self.now, call, input);
        self.settle();
        ended
    }

    /// How many connections the gateway wanted left because their peer was busy.
    #[must_use]
    pub fn connections_left(&self) -> usize {
        self.gateway.left.len()
    }

    /// What went wrong that no call notices: rules that Microsoft's side saw broken, and hosts,
    /// Call-IDs or tags of one side on the other.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let parties = self.seats.iter().flat_map(|seat| {
            seat.party
                .faults
                .iter()
                .map(|fault| format!("{}: {fault}", seat.party.name))
        });
        self.leaks.iter().cloned().chain(parties).collect()
    }

    /// Asserts that nothing is left of any call: no leg, no checkpoint, no fault.
    ///
    /// # Panics
    /// If there is; the ladder is in the message.
    pub fn assert_clean(&self) {
        assert_eq!(self.faults(), Vec::<String>::new(), "\n{}", self.ladder);
        assert_eq!(self.checkpoints(), 0, "checkpoints left\n{}", self.ladder);
        assert_eq!(self.media_legs(), 0, "media legs left\n{}", self.ladder);
    }
}
