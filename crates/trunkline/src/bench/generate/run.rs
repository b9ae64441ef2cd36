//! One run: rounds of slots, each sent when it is due, receiving in between.

use std::net::UdpSocket;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::flows::{Flows, Heard};
use super::schedule::Schedule;
use super::side::Side;
use crate::bench::histogram::Histogram;
use crate::bench::machine::Reading;
use crate::bench::wire::{Ends, Measured, Order, Plan};

/// Packets a second of one flow: 20 ms of sound each.
const PACE: f64 = 50.0;
/// Rounds of which it is known when they were sent.
const KEPT: usize = 256;
/// How long after the last packet its return is awaited.
const PATIENCE: Duration = Duration::from_millis(600);

/// The generator with its calls, which go on from run to run.
pub(super) struct Generator {
    sides: [Side; 2],
    heard: [Flows; 2],
    calls: usize,
    /// The next round.
    round: u64,
}

/// What one run needs beside the calls.
struct Run<'a> {
    order: &'a Order,
    period: Duration,
    schedule: Schedule,
    counted: Range<u64>,
    /// When each slot of each of the last rounds was sent, in ns from `began`.
    sent_at: Vec<u64>,
    began: Instant,
    delays: Histogram,
    measured: Measured,
    late: Duration,
}

impl Generator {
    pub(super) fn new(sockets: [UdpSocket; 2], ends: &Ends, plan: &Plan) -> Result<Self> {
        ensure!(!plan.calls.is_empty(), "a plan without calls");
        let [a, b] = sockets;
        let secure = plan.kind.secure();
        let sides = [
            Side::new(
                0,
                a,
                secure[0].then_some(&ends.key_a),
                plan.calls.iter().map(|call| call.a),
            )?,
            Side::new(
                1,
                b,
                secure[1].then_some(&ends.key_b),
                plan.calls.iter().map(|call| call.b),
            )?,
        ];
        Ok(Self {
            sides,
            heard: [Flows::new(0, plan), Flows::new(1, plan)],
            calls: plan.calls.len(),
            round: 0,
        })
    }

    /// Sends as ordered and says what came back.
    pub(super) fn run(&mut self, order: &Order) -> Result<Measured> {
        let mut run = Run::new(order, self.calls, self.round);
        for flows in &mut self.heard {
            flows.verify_every(order.verify);
        }
        let (first, counted) = (self.round, run.counted.clone());
        let mut readings = None;
        run.began = Instant::now();
        while self.round < counted.end {
            for side in &mut self.sides {
                side.prepare(self.round)?;
            }
            if self.round == counted.start {
                readings = Some(Reading::take(&order.pids, order.core)?);
            }
            let due = run.period.mul_f64((self.round - first) as f64);
            for slot in 0..run.schedule.slots() {
                self.slot(&mut run, slot, due)?;
            }
            self.round += 1;
        }
        let end = Reading::take(&order.pids, order.core)?;
        let last = Instant::now();
        while run.measured.received < run.measured.sent && last.elapsed() < PATIENCE {
            self.receive(&mut run)?;
        }
        if let Some(begin) = readings {
            run.account(&begin, &end);
        }
        let mut measured = run.measured;
        measured.verified = self.heard.iter().map(|flows| flows.verified).sum();
        measured.lost = measured.sent - measured.received;
        measured.delay = run.delays.delay();
        measured.late_us = run.late.as_secs_f64() * 1e6;
        Ok(measured)
    }

    /// Waits until a slot is due, receiving, and sends it.
    fn slot(&mut self, run: &mut Run<'_>, slot: usize, due: Duration) -> Result<()> {
        let slots = run.schedule.slots();
        let due = due + run.period.mul_f64(slot as f64 / slots as f64);
        loop {
            self.receive(run)?;
            let now = run.began.elapsed();
            if let Some(late) = now.checked_sub(due) {
                if run.counted.contains(&self.round) {
                    run.late = run.late.max(late);
                }
                break;
            }
        }
        let at = self.round as usize % KEPT * slots + slot;
        run.sent_at[at] = run.began.elapsed().as_nanos() as u64;
        for (number, side) in self.sides.iter_mut().enumerate() {
            let calls = run.schedule.calls(number, slot);
            if run.counted.contains(&self.round) {
                run.measured.sent += calls.len() as u64;
            }
            side.send(calls, run.order.plant)?;
        }
        Ok(())
    }

    /// Takes one batch of each side.
    fn receive(&mut self, run: &mut Run<'_>) -> Result<()> {
        let round = self.round;
        for (number, (side, flows)) in self.sides.iter_mut().zip(&mut self.heard).enumerate() {
            side.receive(|source, datagram| {
                let heard = flows.hear(source, datagram)?;
                run.take(round, 1 - number, heard);
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl<'a> Run<'a> {
    fn new(order: &'a Order, calls: usize, round: u64) -> Self {
        let flows = 2.0 * calls as f64;
        let asked = order.rate.unwrap_or(PACE * flows);
        let period = Duration::from_secs_f64(flows / asked);
        let schedule = Schedule::new(calls, period);
        let rounds = |seconds: f64| (seconds / period.as_secs_f64()).ceil().max(1.0) as u64;
        let warm = round + rounds(order.warm);
        Self {
            order,
            period,
            schedule,
            counted: warm..warm + rounds(order.seconds),
            sent_at: vec![0; KEPT * schedule.slots()],
            began: Instant::now(),
            delays: Histogram::new(),
            measured: Measured {
                asked,
                ..Measured::default()
            },
            late: Duration::ZERO,
        }
    }

    /// Counts what was heard of a side while `now` was the round being sent.
    fn take(&mut self, now: u64, sender: usize, heard: Heard) {
        match heard {
            Heard::Packet { call, round } if self.counted.contains(&round) => {
                self.measured.received += 1;
                // Beyond what is kept it is not known when it was sent, only that it was long ago.
                let sent = if now < round + KEPT as u64 {
                    let slot = self.schedule.slot(sender, call);
                    self.sent_at[round as usize % KEPT * self.schedule.slots() + slot]
                } else {
                    0
                };
                let arrived = self.began.elapsed().as_nanos() as u64;
                self.delays.record(arrived.saturating_sub(sent));
            }
            Heard::Packet { .. } => {}
            Heard::Again => self.measured.duplicates += 1,
            Heard::Wrong => self.measured.wrong += 1,
        }
    }

    fn account(&mut self, begin: &Reading, end: &Reading) {
        let spent = begin.until(end);
        let measured = &mut self.measured;
        measured.seconds = spent.seconds;
        measured.rate = measured.sent as f64 / measured.seconds;
        measured.beside = spent.beside;
        measured.robbed = (1.0 - spent.own).max(0.0);
        measured.cpu_us = spent.cpu_us;
    }
}
