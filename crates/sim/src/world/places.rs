//! Trunks elsewhere than in the standard world: on IPv6, on TLS, with SRTP.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use b2bua::profile::{Advertised, MediaInterface, PeerProfile};
use sip_msg::TransportKind;

use super::{GATEWAY, GATEWAY_MEDIA, TLS_LISTENER, World};
use crate::party::Party;

/// The gateway's signalling address on IPv6.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
/// The gateway's media address on IPv6.
const GATEWAY_MEDIA_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 2);
/// The media interface on IPv6.
const MEDIA_V6: u16 = 1;

impl World {
    /// Moves the trunk `name`, which has one peer, to IPv6, with its signalling and its media.
    #[must_use]
    pub fn on_ipv6(mut self, name: &str) -> Self {
        self.ipv6 = true;
        let address = |last: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, last);
        let sip = SocketAddr::from((address(7), 5060));
        self = self.party(name, |party| {
            let gateway = (format!("[{GATEWAY_V6}]"), party.gateway.1);
            party.move_to(sip, address(8).into(), gateway);
        });
        self.profile(name, |profile| {
            profile.advertised.host = Arc::from(format!("[{GATEWAY_V6}]"));
            let host = format!("[{}]", sip.ip());
            profile.peers = vec![PeerProfile::new(&host, Some(5060), TransportKind::Udp)];
            profile.allow = vec![sip.ip().into()];
            profile.media_interface = MEDIA_V6;
        })
    }

    /// Gives the trunk `name`, which has one peer, TLS and SRTP.
    #[must_use]
    pub fn secured(mut self, name: &str) -> Self {
        let mut at = None;
        for (party, .., listener, _) in &mut self.parties {
            if party.name == name {
                *listener = TLS_LISTENER;
                party.secure(5061);
                at = Some(party.sip.ip().to_string());
            }
        }
        let host = at.unwrap_or_default();
        self.profile(name, |profile| {
            profile.transport = TransportKind::Tls;
            profile.advertised = Advertised {
                host: Arc::from(GATEWAY.to_string()),
                port: 5061,
            };
            profile.peers = vec![PeerProfile::new(&host, Some(5060), TransportKind::Tls)];
            profile.listeners = vec![TLS_LISTENER];
            profile.srtp = true;
        })
    }

    pub(super) fn media_interfaces(&self) -> Vec<MediaInterface> {
        let interface = |id, address: IpAddr| MediaInterface {
            id,
            bind: address,
            advertise: address,
            pairs: 0,
        };
        let mut interfaces = vec![interface(0, GATEWAY_MEDIA.into())];
        if self.ipv6 {
            interfaces.push(interface(MEDIA_V6, GATEWAY_MEDIA_V6.into()));
        }
        interfaces
    }
}

impl Party {
    fn move_to(&mut self, sip: SocketAddr, media: IpAddr, gateway: (String, u16)) {
        self.style.contact = format!("sip:{}@{sip}", self.style.number);
        self.style.host = format!("[{}]", sip.ip());
        self.sip = sip;
        self.media = media;
        self.gateway = gateway;
    }

    fn secure(&mut self, port: u16) {
        self.style.contact = format!("{};transport=tls", self.style.contact);
        self.style.srtp = true;
        self.transport = TransportKind::Tls;
        self.gateway.1 = port;
    }
}
