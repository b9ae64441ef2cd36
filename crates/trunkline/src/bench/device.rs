//! The thing measured: the media plane alone, its legs opened by hand.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use media_io::{
    Bare, Counters, CountersHandle, Events, MediaInterface, MediaIo, MediaIoConfig, PathReport,
};
use media_relay::{
    LegId, LegParams, MasterKey, MediaCommand, MediaEvent, PortPair, PtMap, RelayConfig,
    RemoteCandidate, ShardId, SrtpParams,
};

use super::wire::{Call, Ends, Key, Kind, Opened, State, hear, say};
use super::{Path, machine};
use crate::daemon::clock::Clock;

/// Legs whose commands are under way before one is asked whether it is there.
const AT_ONCE: usize = 1000;
/// The longest wait for the media plane to say something.
const PATIENCE: Duration = Duration::from_secs(20);

/// Arguments of `bench device`.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// What the legs speak
    #[arg(long, value_enum)]
    kind: Kind,
    /// Calls to open
    #[arg(long)]
    calls: u16,
    /// The path that packets take
    #[arg(long, default_value = "auto")]
    path: Path,
    /// Forward alone: no relay, whatever the legs speak
    #[arg(long)]
    bare: bool,
    /// The core to run on
    #[arg(long)]
    core: Option<usize>,
    /// Shards, all on that core
    #[arg(long, default_value_t = 1)]
    shards: u8,
    /// The address of the media ports
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// The first media port; four are used for each call
    #[arg(long, default_value_t = 10_000)]
    first_port: u16,
}

/// Opens the calls, prints their ports, and answers each line with the state until there are none.
pub(crate) fn run(args: &DeviceArgs) -> Result<()> {
    machine::pin(args.core)?;
    machine::descriptors()?;
    let ends: Ends = hear()?.context("no generator was named")?;
    if args.bare {
        return forward(args, &ends);
    }
    let began = Instant::now();
    let (media, events) = MediaIo::start(config(args))?;
    let path = media.path().clone();
    let mut device = Device { media, events };
    let calls = device.open(args, &ends)?;
    serve(&device.media.counters(), &path, began, calls, || {
        // What the legs report is let go of, as the signalling side would.
        while device.events.try_recv().is_some() {}
    })?;
    device.media.stop();
    Ok(())
}

/// The same without a relay.
fn forward(args: &DeviceArgs, ends: &Ends) -> Result<()> {
    let began = Instant::now();
    let bare = Bare::start(config(args), args.calls, [ends.a, ends.b])?;
    let call = |[a, b]: &[PortPair; 2]| Call {
        a: a.rtp(),
        b: b.rtp(),
        key_a: None,
        key_b: None,
    };
    let calls: Vec<_> = bare.calls().iter().map(call).collect();
    if calls.len() < usize::from(args.calls) {
        bail!("only {} calls found ports that are free", calls.len());
    }
    serve(&bare.counters(), bare.path(), began, calls, || {})
}

/// Says that all is open and answers until nobody asks.
fn serve(
    counters: &CountersHandle,
    path: &PathReport,
    began: Instant,
    calls: Vec<Call>,
    mut tidy: impl FnMut(),
) -> Result<()> {
    say(&Opened {
        path: path.kind.name().to_owned(),
        reason: path.reason.clone(),
        seconds: began.elapsed().as_secs_f64(),
        calls,
    })?;
    while hear::<serde_json::Value>()?.is_some() {
        tidy();
        say(&state(counters)?)?;
    }
    Ok(())
}

fn state(counters: &CountersHandle) -> Result<State> {
    let pid = std::process::id();
    let Counters {
        received,
        sent,
        dropped,
        send_full,
        send_failed,
        ..
    } = counters.total();
    Ok(State {
        cpu_us: machine::cpu_us(pid)?,
        rss: machine::rss(pid)?,
        received,
        sent,
        dropped,
        refused: send_full + send_failed,
    })
}

fn config(args: &DeviceArgs) -> MediaIoConfig {
    let last = u32::from(args.first_port) + 4 * u32::from(args.calls) + 64;
    let clock = Clock::start();
    MediaIoConfig {
        shards: args.shards,
        interfaces: vec![MediaInterface {
            id: 0,
            bind: args.bind,
            ports: args.first_port..=u16::try_from(last).unwrap_or(u16::MAX),
        }],
        relay: RelayConfig {
            max_legs: 2 * usize::from(args.calls),
            ..RelayConfig::default()
        },
        dscp: 46,
        path: args.path.0,
        clock: Arc::new(move || clock.now()),
    }
}

struct Device {
    media: MediaIo,
    events: Events,
}

impl Device {
    /// Two legs for each call, on one shard, joined.
    fn open(&mut self, args: &DeviceArgs, ends: &Ends) -> Result<Vec<Call>> {
        let mut pairs = self.bind(args)?;
        let mut calls = Vec::with_capacity(usize::from(args.calls));
        let inbound = [&ends.key_a, &ends.key_b];
        for number in 0..u64::from(args.calls) {
            let shard = (number % u64::from(args.shards)) as u8;
            let shelf = pairs.entry(shard).or_default();
            let (Some(a), Some(b)) = (shelf.pop(), shelf.pop()) else {
                bail!("only {number} calls found ports that are free");
            };
            let keys = args.kind.secure().map(|secure| secure.then(Key::random));
            let [key_a, key_b] = keys.map(Option::transpose);
            let (key_a, key_b) = (key_a?, key_b?);
            let legs = [2 * number, 2 * number + 1].map(LegId);
            for (side, (ports, outbound)) in [(a, &key_a), (b, &key_b)].into_iter().enumerate() {
                let rtp = [ends.a, ends.b][side];
                let inbound = outbound.is_some().then(|| inbound[side]);
                let params = params(legs[side], rtp, ends.rtcp, inbound, outbound.as_ref());
                self.tell(MediaCommand::OpenLeg {
                    leg: legs[side],
                    ports,
                    params: Box::new(params),
                })?;
            }
            let [one, other] = legs;
            self.tell(MediaCommand::Join { a: one, b: other })?;
            if (number as usize + 1).is_multiple_of(AT_ONCE / 2) {
                self.arrived(other)?;
            }
            calls.push(Call {
                a: a.rtp(),
                b: b.rtp(),
                key_a,
                key_b,
            });
        }
        for shard in 0..u64::from(args.shards.min(args.calls as u8)) {
            let number = u64::from(args.calls) - 1 - shard;
            self.arrived(LegId(2 * number))?;
        }
        Ok(calls)
    }

    fn bind(&mut self, args: &DeviceArgs) -> Result<BTreeMap<u8, Vec<PortPair>>> {
        let shards = u16::from(args.shards);
        let count = 2 * args.calls.div_ceil(shards);
        for shard in (0..args.shards).map(ShardId) {
            self.tell(MediaCommand::BindPorts {
                shard,
                interface: 0,
                count,
            })?;
        }
        let mut pairs: BTreeMap<u8, Vec<PortPair>> = BTreeMap::new();
        let mut bound = 0;
        while bound < usize::from(count * shards) {
            let event = self.event()?;
            if let MediaEvent::PortsFailed { missing, .. } = event {
                bail!("{missing} ports are missing");
            }
            let MediaEvent::PortsBound { pairs: more } = event else {
                bail!("unexpected: {event:?}");
            };
            bound += more.len();
            for pair in more {
                pairs.entry(pair.shard.0).or_default().push(pair);
            }
        }
        for shelf in pairs.values_mut() {
            shelf.sort_by_key(|pair| std::cmp::Reverse(pair.rtp()));
        }
        Ok(pairs)
    }

    /// Waits until everything said before to this leg's shard has been done.
    fn arrived(&mut self, leg: LegId) -> Result<()> {
        self.tell(MediaCommand::Checkpoint { leg })?;
        loop {
            let event = self.event()?;
            if let MediaEvent::Failed { leg, error } = event {
                bail!("{leg:?} did not open: {error}");
            }
            if let MediaEvent::LegState { leg: told, .. } = event
                && told == leg
            {
                return Ok(());
            }
        }
    }

    fn event(&self) -> Result<MediaEvent> {
        let event = self.events.recv_timeout(PATIENCE);
        event.context("the media plane says nothing")
    }

    fn tell(&mut self, command: MediaCommand) -> Result<()> {
        Ok(self.media.command(command)?)
    }
}

/// A leg as the daemon opens it for PCMU with events, on a signalled address.
fn params(
    leg: LegId,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    inbound: Option<&Key>,
    outbound: Option<&Key>,
) -> LegParams {
    let srtp = |key: &Key| SrtpParams {
        key: MasterKey::aes_cm_128_80(&key.0),
        mki_len: 0,
    };
    LegParams {
        remotes: vec![RemoteCandidate {
            rtp,
            rtcp,
            inbound: inbound.map(srtp),
        }],
        outbound: outbound.map(srtp).map(Box::new),
        pt_map: PtMap::empty().with(0, 0).with(101, 101),
        silence_after: Some(Duration::from_secs(30)),
        ..LegParams::new(0x5000_0000 | leg.0 as u32)
    }
}
