//! Microsoft's side and a gateway played by a party.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::authority::Authority;
use acs_sim::acs::PROXY_NAMES;
use acs_sim::{
    AcsConfig, AcsSim, CallHandle, CallOptions, Party, PartyConfig, Transport, connected_within,
};

pub(crate) const FQDN: &str = "sbc1.contoso.example";
pub(crate) const APP: &str = "+14255550100";
pub(crate) const PHONE: &str = "+14255550123";
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) const DESCRIPTION: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";

pub(crate) struct Stage {
    pub(crate) acs: AcsSim,
    pub(crate) sbc: Party,
}

/// Microsoft's side and a gateway that keeps all rules unless the adjustments say otherwise.
pub(crate) async fn stage(
    adjust_acs: impl FnOnce(AcsConfig) -> AcsConfig,
    adjust_sbc: impl FnOnce(&mut PartyConfig),
) -> Stage {
    let authority = Authority::new();
    let nowhere = SocketAddr::from((LOOPBACK, 9));
    let mut config = PartyConfig::new("Gateway", Transport::Tls, nowhere);
    config.tls = Some(authority.settings(&[FQDN]));
    config.host = Some(FQDN.to_owned());
    config.peer_name = Some(PROXY_NAMES[0].to_owned());
    config.host_map = PROXY_NAMES
        .iter()
        .map(|name| ((*name).to_owned(), LOOPBACK))
        .collect();
    config.headers = vec![("X-MS-SBC".to_owned(), "Simulated/Gateway/1.0".to_owned())];
    config.one_way = true;
    config.media.secure = true;
    adjust_sbc(&mut config);
    let sbc = Party::start(config).await.unwrap();
    let config = AcsConfig::new(authority.settings(&PROXY_NAMES));
    let config = adjust_acs(config.with_trunk(FQDN, sbc.local_addr()));
    let acs = AcsSim::start(config).await.unwrap();
    sbc.set_peer(acs.proxies()[0].1);
    Stage { acs, sbc }
}

/// How a well-behaved gateway calls.
pub(crate) fn polite(number: &str) -> CallOptions {
    CallOptions {
        request_uri: Some(format!(
            "sip:{number}@{};user=phone;transport=tls",
            PROXY_NAMES[0]
        )),
        ..CallOptions::from(PHONE)
    }
}

impl Stage {
    pub(crate) async fn good() -> Self {
        stage(|config| config, |_| {}).await
    }

    pub(crate) async fn inbound(&self) -> (CallHandle, CallHandle) {
        let expected = self.acs.expect(APP);
        let near = self.sbc.call(APP, polite(APP)).await.unwrap();
        connected_within(&near, LIMIT).await.unwrap();
        let far = expected.await.unwrap();
        connected_within(&far, LIMIT).await.unwrap();
        (near, far)
    }

    pub(crate) async fn outbound(&self) -> (CallHandle, CallHandle) {
        let expected = self.sbc.expect(PHONE);
        let near = self
            .acs
            .call(PHONE, FQDN, CallOptions::from(APP))
            .await
            .unwrap();
        connected_within(&near, LIMIT).await.unwrap();
        let far = expected.await.unwrap();
        connected_within(&far, LIMIT).await.unwrap();
        (near, far)
    }

    pub(crate) fn rules(&self) -> Vec<&'static str> {
        let mut rules: Vec<_> = self.acs.violations().iter().map(|v| v.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    #[track_caller]
    pub(crate) fn assert_spotless(&self) {
        assert_eq!(self.acs.violations(), []);
    }

    /// The response to the first message of ours whose start line has `word`.
    pub(crate) fn response(&self, start: &str) -> String {
        let messages = self.sbc.messages();
        let found = messages
            .iter()
            .find(|m| !m.sent && m.first_line().contains(start));
        found
            .unwrap_or_else(|| panic!("no {start} in {:#?}", lines(&messages)))
            .text()
    }
}

pub(crate) fn lines(messages: &[acs_sim::Logged]) -> Vec<String> {
    messages.iter().map(acs_sim::Logged::first_line).collect()
}
