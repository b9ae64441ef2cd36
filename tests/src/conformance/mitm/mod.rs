//! The man in the middle between the gateway and the others.
//!
//! Towards Microsoft he ends TLS on both sides with certificates of the trial's own authority and
//! shows each side exactly what the other one showed him: the same chain, the same names, the same
//! SNI, the same suites on offer, the same source address. With nothing to change he cannot be
//! told from nobody, which the suite checks by playing every row through him first.

mod datagrams;
mod media;
mod pump;
mod shake;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

pub use datagrams::Relay;

use rustls::pki_types::CertificateDer;

use super::mutant::{Change, Fate, Passed, Passing, Side};
use super::trial::{Common, locked};
use pump::Span;

/// The man in the middle of TLS; he leaves when dropped.
#[derive(Debug)]
pub struct Man {
    desk: Arc<Desk>,
    doors: Mutex<Vec<(SocketAddr, JoinHandle<()>)>>,
}

/// A name asked for, if any, and the place.
type Asked = (Option<String>, SocketAddr);

/// What all his connections share.
#[derive(Debug)]
struct Desk {
    common: Arc<Common>,
    /// Where Microsoft's names really are, in order.
    names: Vec<SocketAddr>,
    spans: Mutex<Vec<Arc<Span>>>,
    numbers: Mutex<HashMap<(bool, usize), usize>>,
    media: media::Relays,
    /// What was shown last.
    chains: Mutex<HashMap<Asked, Vec<CertificateDer<'static>>>>,
    gone: AtomicBool,
}

/// One place he listens at, in somebody's stead.
#[derive(Clone, Copy, Debug)]
struct Door {
    upstream: SocketAddr,
    towards: Side,
    proxy: usize,
}

impl Man {
    /// Comes between the gateway and Microsoft's names, which are really at `names`.
    #[must_use]
    pub fn new(common: Arc<Common>, names: Vec<SocketAddr>, media: IpAddr) -> Self {
        let desk = Desk {
            media: media::Relays::new(Arc::clone(&common), false, media),
            common,
            names,
            spans: Mutex::default(),
            numbers: Mutex::default(),
            chains: Mutex::default(),
            gone: AtomicBool::new(false),
        };
        Self {
            desk: Arc::new(desk),
            doors: Mutex::default(),
        }
    }

    /// Stands in for Microsoft's name `proxy` at `place`.
    ///
    /// # Errors
    /// Somebody else is there.
    pub fn stand_for_name(&self, place: SocketAddr, proxy: usize) -> std::io::Result<()> {
        let upstream = self.desk.names[proxy];
        self.stand(
            place,
            Door {
                upstream,
                towards: Side::Peer,
                proxy,
            },
        )
    }

    /// Stands in for a gateway, which is really at `upstream`, at `place`.
    ///
    /// # Errors
    /// Somebody else is there.
    pub fn stand_for_gateway(
        &self,
        place: SocketAddr,
        upstream: SocketAddr,
    ) -> std::io::Result<()> {
        self.stand(
            place,
            Door {
                upstream,
                towards: Side::Gateway,
                proxy: 0,
            },
        )
    }

    fn stand(&self, place: SocketAddr, door: Door) -> std::io::Result<()> {
        let listener = TcpListener::bind(place)?;
        let desk = Arc::clone(&self.desk);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if desk.gone.load(Ordering::Acquire) {
                    return;
                }
                let desk = Arc::clone(&desk);
                std::thread::spawn(move || shake::carry(&desk, stream, door));
            }
        });
        locked(&self.doors).push((place, thread));
        Ok(())
    }
}

impl Drop for Man {
    fn drop(&mut self) {
        self.desk.gone.store(true, Ordering::Release);
        for span in locked(&self.desk.spans).drain(..) {
            span.cut();
        }
        for (place, thread) in locked(&self.doors).drain(..) {
            // Wakes the door; nobody needs the connection. The place is free afterwards.
            let _ = TcpStream::connect(place);
            let _ = thread.join();
        }
    }
}

impl Desk {
    /// Counts a connection of this direction and name.
    fn number(&self, towards: Side, proxy: usize) -> usize {
        let mut numbers = locked(&self.numbers);
        let number = numbers
            .entry((towards == Side::Gateway, proxy))
            .or_default();
        *number += 1;
        *number - 1
    }

    /// What becomes of a message between the gateway and Microsoft.
    fn judge(&self, passing: &mut Passing) -> Fate {
        self.common.note(Passed::Sip(passing.clone()));
        let fate = match self.common.change() {
            Some(Change::Sip(edit)) => edit(passing, &mut self.common.memory()),
            _ => Fate::Pass,
        };
        self.media.redirect(passing);
        fate
    }
}
