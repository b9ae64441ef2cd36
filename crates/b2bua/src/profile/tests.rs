use super::*;
use sip_msg::HeaderName;

use crate::limits::GateLimits;

fn advertised() -> Advertised {
    Advertised {
        host: Arc::from("sbc1.example.com"),
        port: 5061,
    }
}

fn acs() -> TrunkProfile {
    TrunkProfile::acs(TrunkName::from("acs"), advertised(), ListenerId(1))
}

#[test]
fn microsoft_is_three_proxies_over_tls_in_order() {
    let trunk = acs();
    let peers: Vec<&str> = trunk.peers.iter().map(|peer| peer.uri.as_str()).collect();
    assert_eq!(
        peers,
        [
            "sip:sip.pstnhub.microsoft.com:5061;transport=tls",
            "sip:sip2.pstnhub.microsoft.com:5061;transport=tls",
            "sip:sip3.pstnhub.microsoft.com:5061;transport=tls",
        ]
    );
    assert_eq!(trunk.flows, FlowPolicy::OneWay);
    assert!(trunk.srtp && trunk.rtcp_mux && trunk.x_ms_sbc);
    assert_eq!(trunk.hold, HoldPolicy::new(sdp::HoldDialect::InactiveOnly));
    assert!(trunk.timers.setup_budget < Duration::from_secs(10));
    assert!(
        trunk
            .allow
            .iter()
            .any(|net| holds(net, "52.114.132.46".parse().unwrap()))
    );
    assert!(
        !trunk
            .allow
            .iter()
            .any(|net| holds(net, "52.127.88.1".parse().unwrap()))
    );
}

#[test]
fn teams_is_the_equal_of_acs() {
    let teams = TrunkProfile::teams(TrunkName::from("teams"), advertised(), ListenerId(1));
    assert_eq!(teams.preset, Preset::Teams);
    assert_eq!(teams.peers.len(), 3);
    assert_eq!(teams.expected_names, acs().expected_names);
}

#[test]
fn a_contact_is_a_name_with_transport_and_no_empty_user() {
    assert_eq!(
        acs().contact(None).as_str(),
        "sip:sbc1.example.com:5061;transport=tls"
    );
    assert_eq!(
        acs().contact(Some("")).as_str(),
        "sip:sbc1.example.com:5061;transport=tls"
    );
    assert_eq!(
        acs().contact(Some("+14255550100")).as_str(),
        "sip:+14255550100@sbc1.example.com:5061;transport=tls"
    );
}

#[test]
fn a_contact_follows_the_transport_where_that_is_listened_to() {
    let mut trunk = TrunkProfile::carrier(
        TrunkName::from("carrier"),
        advertised(),
        ListenerId(1),
        Vec::new(),
    );
    let tcp = |trunk: &TrunkProfile| trunk.contact_over(Some("1"), TransportKind::Tcp);
    let udp = "sip:1@sbc1.example.com:5061;transport=udp";
    assert_eq!(tcp(&trunk).as_str(), udp, "nobody listens");
    trunk.also_at = vec![(TransportKind::Tcp, 5062)];
    let over_tcp = "sip:1@sbc1.example.com:5062;transport=tcp";
    assert_eq!(tcp(&trunk).as_str(), over_tcp);
    let own = trunk.contact_over(Some("1"), TransportKind::Udp);
    assert_eq!(own.as_str(), udp);
}

#[test]
fn capabilities_say_what_is_done_and_no_more() {
    let trunk = acs();
    let headers = trunk.capability_headers("Trunkline/0.1.0");
    let find = |name: &HeaderName| {
        headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| &**value)
    };
    assert_eq!(
        find(&HeaderName::Allow),
        Some("INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER")
    );
    assert_eq!(find(&HeaderName::XMsSbc), Some("Trunkline/Trunkline/0.1.0"));
    assert_eq!(find(&HeaderName::Supported), Some("replaces, timer"));
}

#[test]
fn microsoft_is_never_sent_what_it_does_not_take() {
    for method in [
        Method::Update,
        Method::Prack,
        Method::Info,
        Method::Refer,
        Method::Message,
    ] {
        assert!(!acs().may_send(&method), "{}", method.as_str());
    }
    assert!(acs().may_send(&Method::Bye));
}

#[test]
fn a_plain_trunk_allows_the_addresses_of_its_peers() {
    let peers = vec![
        PeerProfile::new("198.51.100.7", Some(5060), TransportKind::Udp),
        PeerProfile::new("trunk.example.net", None, TransportKind::Udp),
    ];
    let trunk = TrunkProfile::carrier(
        TrunkName::from("carrier"),
        advertised(),
        ListenerId(0),
        peers,
    );
    assert_eq!(trunk.transport, TransportKind::Udp);
    assert_eq!(trunk.allow, [network("198.51.100.7").unwrap()]);
    assert_eq!(trunk.trust, Trust::Untrusted);
}

#[test]
fn transfers_are_advertised_as_they_are_taken() {
    let mut trunk = acs();
    trunk.transfer.refer = false;
    assert!(!trunk.allow_value().contains("REFER") && trunk.allow_value().contains("NOTIFY"));
    assert!(trunk.supports("Replaces") && !trunk.supports("norefersub"));
    trunk.transfer.replaces = false;
    assert_eq!(trunk.supported_value().as_deref(), Some("timer"));
    assert!(!trunk.supports("replaces"));
    assert!(trunk.is_named(&trunk.advertised.host.to_ascii_uppercase()));
}

#[test]
fn a_trunk_that_may_register_here_is_told_so() {
    let mut trunk = acs();
    assert!(!trunk.allow_value().contains("REGISTER"));
    trunk.registrar = Some(RegistrarPolicy::default());
    assert!(trunk.allow_value().ends_with(", REGISTER"));
}

#[test]
fn what_follows_from_a_profile_is_as_if_it_was_worked_out_anew() {
    let mut trunk = acs();
    let name = trunk.name.clone();
    let taken = |trunk: &TrunkProfile| {
        let profiles = Profiles::new([trunk.clone()], GateLimits::default());
        Arc::clone(profiles.trunk(&name).unwrap())
    };
    let same = |one: &TrunkProfile, other: &TrunkProfile| {
        one.capability_headers("T/1") == other.capability_headers("T/1")
            && one.sdp_policy() == other.sdp_policy()
    };
    let before = taken(&trunk);
    assert!(same(&before, &trunk));
    trunk = TrunkProfile::clone(&before);
    trunk.allow_methods.push(Method::Info);
    trunk.codecs = vec!["PCMA".into()];
    assert!(!same(&before, &trunk) && same(&taken(&trunk), &trunk));
}
