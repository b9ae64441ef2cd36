//! The man in the middle between the gateway and a carrier on UDP.
//!
//! Each side knows him in the other one's place: addresses in what passes are exchanged for his,
//! so that whatever follows passes here as well.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::media::Relays;
use crate::conformance::mutant::{Change, Fate, Passed, Passing, Side};
use crate::conformance::trial::Common;
use crate::sip::Sip;

/// Two ports, one in each side's stead.
#[derive(Debug)]
pub struct Relay {
    gone: Arc<AtomicBool>,
    /// Towards the gateway he is the carrier.
    as_carrier: SocketAddr,
    /// Towards the carrier he is the gateway.
    as_gateway: SocketAddr,
}

#[derive(Debug)]
struct Desk {
    common: Arc<Common>,
    gateway: SocketAddr,
    carrier: SocketAddr,
    as_carrier: UdpSocket,
    as_gateway: UdpSocket,
    media: Relays,
    gone: Arc<AtomicBool>,
}

impl Relay {
    /// Comes between `gateway` and `carrier`.
    ///
    /// # Errors
    /// His places are taken.
    pub fn start(
        common: Arc<Common>,
        gateway: SocketAddr,
        carrier: SocketAddr,
        as_carrier: SocketAddr,
        as_gateway: SocketAddr,
        media: IpAddr,
    ) -> std::io::Result<Self> {
        let gone = Arc::new(AtomicBool::new(false));
        let desk = Arc::new(Desk {
            media: Relays::new(Arc::clone(&common), true, media),
            common,
            gateway,
            carrier,
            as_carrier: UdpSocket::bind(as_carrier)?,
            as_gateway: UdpSocket::bind(as_gateway)?,
            gone: Arc::clone(&gone),
        });
        for towards in [Side::Gateway, Side::Peer] {
            let desk = Arc::clone(&desk);
            std::thread::spawn(move || desk.carry(towards));
        }
        Ok(Self {
            gone,
            as_carrier,
            as_gateway,
        })
    }

    /// Where the carrier seems to be.
    #[must_use]
    pub fn carrier(&self) -> SocketAddr {
        self.as_carrier
    }

    /// Where the gateway seems to be.
    #[must_use]
    pub fn gateway(&self) -> SocketAddr {
        self.as_gateway
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
        for place in [self.as_carrier, self.as_gateway] {
            // Wakes the one who reads there.
            if let Ok(socket) = UdpSocket::bind((place.ip(), 0)) {
                let _ = socket.send_to(b"", place);
            }
        }
    }
}

impl Desk {
    fn carry(self: &Arc<Self>, towards: Side) {
        let mut buffer = vec![0; 65_536];
        loop {
            let socket = match towards {
                Side::Peer => &self.as_carrier,
                Side::Gateway => &self.as_gateway,
            };
            let read = socket.recv(&mut buffer);
            if self.gone.load(Ordering::Acquire) {
                return;
            }
            // A port that nobody listens at says so to the next who reads here.
            if let Ok(length) = read {
                self.pass(towards, &buffer[..length]);
            }
        }
    }

    fn pass(self: &Arc<Self>, towards: Side, bytes: &[u8]) {
        let Some(message) = Sip::read(bytes) else {
            self.send(towards, bytes);
            return;
        };
        let mut passing = Passing {
            towards,
            opened_by: match towards {
                Side::Peer => Side::Gateway,
                Side::Gateway => Side::Peer,
            },
            proxy: 0,
            message,
        };
        self.common.note(Passed::Carrier(passing.clone()));
        let fate = match self.common.change() {
            Some(Change::Carrier(edit)) => edit(&mut passing, &mut self.common.memory()),
            _ => Fate::Pass,
        };
        self.media.redirect(&mut passing);
        self.readdress(&mut passing);
        let bytes = passing.message.text().into_bytes();
        match fate {
            Fate::Pass | Fate::Astray => self.send(towards, &bytes),
            Fate::Drop => {}
            Fate::Times(times) => (0..times).for_each(|_| self.send(towards, &bytes)),
            Fate::Delay(time) => self.send_later(towards, bytes, time),
        }
    }

    fn send_later(self: &Arc<Self>, towards: Side, bytes: Vec<u8>, time: Duration) {
        let desk = Arc::clone(self);
        std::thread::spawn(move || {
            std::thread::sleep(time);
            desk.send(towards, &bytes);
        });
    }

    fn send(&self, towards: Side, bytes: &[u8]) {
        let sent = match towards {
            Side::Peer => self.as_gateway.send_to(bytes, self.carrier),
            Side::Gateway => self.as_carrier.send_to(bytes, self.gateway),
        };
        if let Err(fault) = sent {
            self.common.log(&format!("man in the middle: {fault}"));
        }
    }

    /// Puts his own places where the two sides' stand.
    fn readdress(&self, passing: &mut Passing) {
        let own = |socket: &UdpSocket| socket.local_addr().map(|addr| addr.to_string());
        let (Ok(as_carrier), Ok(as_gateway)) = (own(&self.as_carrier), own(&self.as_gateway))
        else {
            return;
        };
        let (gateway, carrier) = (self.gateway.to_string(), self.carrier.to_string());
        let towards = passing.towards;
        let exchange = |text: &str| match towards {
            Side::Peer => text
                .replace(&gateway, &as_gateway)
                .replace(&as_carrier, &carrier),
            Side::Gateway => text
                .replace(&carrier, &as_carrier)
                .replace(&as_gateway, &gateway),
        };
        let message = &mut passing.message;
        message.start = exchange(&message.start);
        for (_, value) in &mut message.headers {
            *value = exchange(value);
        }
    }
}
