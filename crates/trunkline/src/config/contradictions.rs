//! What only shows once trunks are what the core takes them for.

use std::net::SocketAddr;

use b2bua::identify::ambiguities;
use sip_msg::TransportKind;

use super::diagnostic::Findings;
use super::resolve::{Config, Listener};
use crate::daemon::wiring;

/// Tells requests that could belong to two trunks, and sockets that would collide.
pub fn check(config: &Config, findings: &mut Findings) {
    for announcement in &config.announcements {
        if let Err(fault) = announcement.load() {
            let name = &announcement.name;
            let fault = format!("announcement {name}: {fault}");
            findings.error(announcement.span.clone(), fault);
        }
    }
    if findings.has_errors() {
        return;
    }
    match wiring::profiles(config) {
        Ok(profiles) => {
            for pair in ambiguities(&profiles) {
                let span = config
                    .trunks
                    .iter()
                    .rfind(|trunk| trunk.name == pair.first || trunk.name == pair.second)
                    .map_or(0..0, |trunk| trunk.span.clone());
                findings
                    .error(
                        span,
                        format!(
                            "a request could belong to trunk {} or to trunk {}",
                            pair.first.as_str(),
                            pair.second.as_str()
                        ),
                    )
                    .help("give them different `listen`, `allow` or `fqdn`");
            }
        }
        Err(error) => {
            findings.error_anywhere(format!("{error:#}"));
        }
    }
    for listener in &config.listeners {
        media_collision(config, listener, findings);
    }
    for (index, listener) in config.listeners.iter().enumerate() {
        let twin = config.listeners[index + 1..]
            .iter()
            .find(|other| same_socket(listener, other));
        if let Some(twin) = twin {
            findings.error_anywhere(format!(
                "{} and {} cannot both be listened at with {}",
                listener.bind,
                twin.bind,
                listener.transport.via_token(),
            ));
        }
    }
}

fn media_collision(config: &Config, listener: &Listener, findings: &mut Findings) {
    if listener.transport != TransportKind::Udp {
        return;
    }
    let port = listener.bind.port();
    for interface in &config.interfaces {
        let at = SocketAddr::new(interface.bind, port);
        if interface.ports.contains(&port) && overlap(at, listener.bind) {
            findings.error_anywhere(format!(
                "SIP listens at udp:{} within the media ports {}-{} of interface {}",
                listener.bind,
                interface.ports.start(),
                interface.ports.end(),
                interface.name,
            ));
        }
    }
}

fn same_socket(one: &Listener, other: &Listener) -> bool {
    // TLS is carried by TCP: the two share ports.
    let stream = |transport| transport != TransportKind::Udp;
    stream(one.transport) == stream(other.transport) && overlap(one.bind, other.bind)
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}
