//! A thousand calls over a link that loses, doubles and reorders.

use std::collections::BTreeMap;
use std::time::Duration;

use sip_msg::{Headers, Method, StatusCode};

use super::net::{ALICE, BOB, Link, Net};
use crate::{DialogKey, UaEvent};

/// How each call goes; drawn from its seed.
#[derive(Clone, Copy, Debug)]
struct Plan {
    ring_ms: u64,
    answer: StatusCode,
    cancel_ms: Option<u64>,
    reinvite: bool,
    hang_up: usize,
}

impl Plan {
    fn of(seed: u64) -> Self {
        Self {
            ring_ms: seed * 37 % 3000,
            answer: [
                StatusCode::OK,
                StatusCode::OK,
                StatusCode::OK,
                StatusCode::BUSY_HERE,
            ][usize::try_from(seed % 4).unwrap()],
            cancel_ms: seed.is_multiple_of(5).then_some(seed * 53 % 4000),
            reinvite: seed.is_multiple_of(3),
            hang_up: usize::try_from(seed % 2).unwrap(),
        }
    }
}

fn bad_link(seed: u64) -> Link {
    Link {
        loss_percent: seed % 31,
        twice_percent: seed / 31 % 20,
        delay_ms: (1, 1 + seed * 7 % 300),
    }
}

/// A transaction user that follows its plan.
struct Script {
    plan: Plan,
    /// When each side does what it has put off, in milliseconds.
    agenda: BTreeMap<(u64, usize), Todo>,
    reinvited: bool,
}

#[derive(Clone, Copy, Debug)]
enum Todo {
    Answer(crate::ServerKey),
    Cancel(crate::ClientKey),
    HangUp(DialogKey),
    Reinvite(DialogKey),
}

impl Script {
    fn put_off(&mut self, net: &Net, side: usize, after_ms: u64, todo: Todo) {
        let mut at = net.moment.as_nanos() / 1_000_000 + after_ms;
        while self.agenda.contains_key(&(at, side)) {
            at += 1;
        }
        self.agenda.insert((at, side), todo);
    }

    fn on_event(&mut self, net: &mut Net, side: usize, event: UaEvent) {
        match event {
            UaEvent::Request {
                server,
                dialog,
                request,
                ..
            } => match request.method {
                Method::Invite if dialog.is_none() => {
                    net.answer(side, server, StatusCode::RINGING);
                    self.put_off(net, side, self.plan.ring_ms, Todo::Answer(server));
                }
                _ => {
                    net.answer(side, server, StatusCode::OK);
                }
            },
            UaEvent::Final {
                dialog: Some(dialog),
                response,
                ..
            } if response.status.is_success()
                && response.headers.cseq().unwrap().method == Method::Invite =>
            {
                net.ack(side, dialog);
                if self.plan.reinvite && !self.reinvited {
                    self.reinvited = true;
                    self.put_off(net, ALICE, 200, Todo::Reinvite(dialog));
                }
                self.put_off(net, side, 4000, Todo::HangUp(dialog));
            }
            UaEvent::AckTimeout { dialog } => self.put_off(net, side, 0, Todo::HangUp(dialog)),
            UaEvent::Acked { dialog, .. } if side == self.plan.hang_up => {
                self.put_off(net, side, 3000, Todo::HangUp(dialog));
            }
            UaEvent::RetryInvite { dialog } => {
                self.put_off(net, side, 0, Todo::Reinvite(dialog));
            }
            UaEvent::Acked { .. }
            | UaEvent::Cancelled { .. }
            | UaEvent::Provisional { .. }
            | UaEvent::Final { .. }
            | UaEvent::Failed { .. }
            | UaEvent::ClientDone { .. }
            | UaEvent::PrackTimeout { .. } => {}
        }
    }

    fn perform(net: &mut Net, side: usize, plan: Plan, todo: Todo) {
        let now = net.now();
        match todo {
            Todo::Answer(server) => {
                net.answer(side, server, plan.answer);
            }
            Todo::Cancel(client) => net.parties[side].ua.cancel(now, client, Headers::new()),
            // The dialog may have ended meanwhile, or be at an INVITE: both are legal answers.
            Todo::HangUp(dialog) => {
                let _ = net.parties[side]
                    .ua
                    .dialog_request(now, dialog, Method::Bye, |_| {});
            }
            Todo::Reinvite(dialog) => {
                let _ = net.parties[side]
                    .ua
                    .dialog_request(now, dialog, Method::Invite, |_| {});
            }
        }
    }
}

fn play(seed: u64) -> Net {
    let plan = Plan::of(seed);
    let mut net = Net::new(seed, bad_link(seed));
    let mut script = Script {
        plan,
        agenda: BTreeMap::new(),
        reinvited: false,
    };
    let call = net.invite();
    if let Some(after) = plan.cancel_ms {
        script.put_off(&net, ALICE, after, Todo::Cancel(call));
    }
    let end = net.moment + Duration::from_secs(300);
    loop {
        net.drain();
        for side in [ALICE, BOB] {
            while let Some(event) = net.parties[side].inbox.pop_front() {
                script.on_event(&mut net, side, event);
            }
        }
        net.drain();
        let due = script.agenda.first_key_value().map(|((at, _), _)| *at);
        let until = due.map_or(end, |ms| ambient::Moment::from_nanos(ms * 1_000_000));
        if net.step(until) {
            continue;
        }
        let Some(((_, side), todo)) = script.agenda.pop_first() else {
            return net;
        };
        Script::perform(&mut net, side, plan, todo);
    }
}

#[test]
fn a_thousand_calls_over_bad_links_leave_nothing_behind() {
    for seed in 0..1000 {
        let net = play(seed);
        net.assert_empty();
        let finals = net.parties[ALICE].heard.iter();
        let outcomes = finals
            .filter(|line| line.starts_with("Final") || line.starts_with("Failed"))
            .count();
        let clients = net.parties[ALICE]
            .heard
            .iter()
            .filter(|line| *line == "ClientDone")
            .count();
        assert_eq!(
            outcomes, clients,
            "seed {seed}: {:#?}\n{:#?}",
            net.parties[ALICE].heard, net.ladder
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_messages() {
    for seed in [3, 30, 300] {
        assert_eq!(play(seed).ladder, play(seed).ladder);
    }
}

#[test]
fn calls_go_through_when_the_link_is_merely_bad() {
    let through = (0..200).filter(|seed| {
        let plan = Plan::of(*seed);
        plan.cancel_ms.is_none()
            && plan.answer == StatusCode::OK
            && play(*seed).parties[ALICE]
                .heard
                .iter()
                .any(|line| line == "Final 200")
    });
    let meant = (0..200).filter(|seed| {
        let plan = Plan::of(*seed);
        plan.cancel_ms.is_none() && plan.answer == StatusCode::OK
    });
    assert_eq!(
        through.count(),
        meant.count(),
        "retransmission repairs 30 % loss"
    );
}
