//! How many sockets and files this process may have open, and how many it may come to need.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::wiring;
use crate::config::Config;

/// Two legs a call, each with a socket for RTP and one for RTCP.
const A_CALL: u64 = 4;
/// Listeners, TLS connections of trunks, files, and what the libraries open.
const BESIDE: u64 = 1024;

/// Raises the limit of open files to what the system allows, and warns where that is less than
/// the configuration's calls need: ports that cannot be bound are calls that are refused.
pub(super) fn raise(config: &Config) {
    let needed = needed(config);
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be read");
            return;
        }
    };
    let mut allowed = soft;
    if soft < hard {
        match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => allowed = hard,
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
        }
    }
    if allowed < needed {
        tracing::warn!(
            allowed,
            needed,
            "too few files may be open for the calls that the configuration allows: raise \
             LimitNOFILE of the unit, or lower `calls` in [gateway]"
        );
    }
}

/// What the greatest number of calls takes, with the ports bound ahead of need.
fn needed(config: &Config) -> u64 {
    let shelves = u64::from(wiring::shards(config)) * config.interfaces.len() as u64;
    let reserve = 2 * u64::from(config.media.reserve) * shelves;
    A_CALL * u64::from(config.calls_max) + reserve + BESIDE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve::Interface;

    #[test]
    fn every_leg_has_two_sockets_and_so_has_every_pair_in_reserve() {
        let mut config = Config {
            calls_max: 1000,
            shards: Some(2),
            ..Config::default()
        };
        assert_eq!(needed(&config), 4000 + 1024);
        config.media.reserve = 128;
        config.interfaces = vec![Interface {
            name: "default".to_owned(),
            bind: "192.0.2.1".parse().unwrap(),
            advertise: "192.0.2.1".parse().unwrap(),
            ports: 20_000..=29_999,
        }];
        assert_eq!(needed(&config), 4000 + 2 * 128 * 2 + 1024);
    }
}
