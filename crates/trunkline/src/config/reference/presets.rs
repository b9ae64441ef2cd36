//! `docs/presets.md`: what each preset sets, read from trunks of a configuration that says nothing
//! else.

use std::fmt::{Debug, Display, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use b2bua::profile::Trust;

use super::is_current;
use crate::config::read_text;
use crate::config::resolve::Trunk;

const PRESETS: [&str; 4] = ["acs", "teams", "carrier", "pbx"];

/// A trunk of each preset with nothing but what is required.
const LEAST: &str = r#"
[gateway]
fqdn = "sbc1.contoso.example"
bind = "127.0.0.1"
[tls]
certificate = "c.pem"
private_key = "c.key"
[[trunk]]
name = "acs"
preset = "acs"
[[trunk]]
name = "teams"
preset = "teams"
fqdn = "sbc2.contoso.example"
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:127.0.0.1:5060"
peers = "udp:198.51.100.7:5060"
[[trunk]]
name = "pbx"
preset = "pbx"
listen = "udp:127.0.0.1:5070"
peers = "udp:192.0.2.20:5060"
"#;

/// One line of the table: a key or a rule, and its value for a trunk.
type Row = (&'static str, fn(&Trunk) -> String);

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match texts.is_empty() {
        true => "none".to_owned(),
        false => texts.join(", "),
    }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn maybe(value: Option<Duration>) -> String {
    value.map_or_else(|| "never".to_owned(), time)
}

/// The name of a variant as configurations write it.
fn word(value: &impl Debug) -> String {
    let name = format!("{value:?}");
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// What only the operator knows, where it is not Microsoft's.
fn published(trunk: &Trunk, value: impl FnOnce(&Trunk) -> String, otherwise: &str) -> String {
    match trunk.preset.is_microsoft() {
        true => value(trunk),
        false => otherwise.to_owned(),
    }
}

const PEERING: &[Row] = &[
    ("`peers`", |t| {
        let peers = |t: &Trunk| list(t.profile.peers.iter().map(|peer| peer.uri.as_str()));
        published(t, peers, "required")
    }),
    ("`allow`", |t| {
        published(t, |t| list(&t.profile.allow), "the peers' own addresses")
    }),
    ("`peer_names`", |t| list(&t.profile.expected_names)),
    ("`codecs`", |t| match t.profile.codecs.is_empty() {
        true => "whatever is offered".to_owned(),
        false => list(&t.profile.codecs),
    }),
    ("`srtp`", |t| t.profile.srtp.to_string()),
    ("`calls`, `calls_per_second`", |_| "no limit".to_owned()),
    ("`attempt_timeout`", |t| {
        time(t.profile.timers.attempt_timeout)
    }),
    ("`setup_budget`", |t| time(t.profile.timers.setup_budget)),
    ("`no_answer`", |t| time(t.profile.timers.no_answer)),
    ("`timer_c`", |t| time(t.profile.timers.timer_c)),
    ("`max_duration`", |t| maybe(t.profile.timers.max_duration)),
    ("`media_inactivity`", |t| {
        maybe(t.profile.timers.media_inactivity)
    }),
];

const HEALTH: &[Row] = &[
    ("`options.interval`", |t| time(t.profile.options.interval)),
    ("`options.jitter`", |t| time(t.profile.options.jitter)),
    ("`options.interval_down`", |t| {
        time(t.profile.options.interval_down)
    }),
    ("`options.losses`", |t| t.profile.options.losses.to_string()),
    ("`options.expect_inbound`", |t| {
        maybe(t.profile.options.expect_inbound)
    }),
    ("`options.expired_after`", |t| {
        time(t.profile.options.expired_after)
    }),
    ("`options.aside`", |t| time(t.profile.options.aside)),
    ("`options.aside_max`", |t| time(t.profile.options.aside_max)),
    ("`connection.flows`", |t| word(&t.flow.flows)),
    ("`connection.connect`", |t| time(t.flow.connect_timeout)),
    ("`connection.keep_alive`", |t| maybe(t.flow.keep_alive)),
    ("`connection.idle`", |t| maybe(t.flow.idle)),
    ("`connection.renewal`", |t| maybe(t.flow.renewal)),
    ("`connection.leave_when_busy`", |t| {
        t.profile.close_when_busy.to_string()
    }),
    ("`connection.backoff`", |t| time(t.flow.reconnect.first)),
    ("`connection.backoff_max`", |t| {
        time(t.flow.reconnect.longest)
    }),
    ("`connection.longest_datagram`", |t| {
        t.profile.datagrams.longest.to_string()
    }),
    ("`connection.tcp_for_long`", |t| {
        t.profile.datagrams.streams.to_string()
    }),
];

const CALLS: &[Row] = &[
    ("`early.policy`", |t| {
        t.profile.early.policy.as_str().to_owned()
    }),
    ("`early.ring_here`", |t| {
        t.profile.early.ring_here.to_string()
    }),
    ("`early.tone`", |t| t.profile.early.tone_country.to_string()),
    ("`early.p_early_media`", |t| {
        t.profile.early.p_early_media.to_string()
    }),
    ("`early.reliable`", |t| {
        t.profile.early.reliable.as_str().to_owned()
    }),
    ("`early.timeout_status`", |t| {
        t.profile.early.timeout_status.code().to_string()
    }),
    ("`session.expires`", |t| {
        t.profile
            .session
            .expires
            .map_or_else(|| "not asked for".to_owned(), time)
    }),
    ("`session.min_se`", |t| time(t.profile.session.min_se)),
    ("`session.refresher`", |t| {
        word(&t.profile.session.refresher)
    }),
    ("`session.method`", |t| word(&t.profile.session.method)),
    ("`hold.dialect`", |t| word(&t.profile.hold.dialect)),
    ("`hold.music`", |t| word(&t.profile.hold.music)),
    ("`dtmf.mode`", |t| word(&t.profile.dtmf.mode)),
    ("`transfer.refer`", |t| t.profile.transfer.refer.to_string()),
    ("`transfer.replaces`", |t| {
        t.profile.transfer.replaces.to_string()
    }),
    ("`transfer.timeout`", |t| time(t.profile.transfer.timeout)),
    ("`transfer.departure`", |t| {
        time(t.profile.transfer.departure)
    }),
    ("`transfer.ringback`", |t| {
        t.profile.transfer.ringback.to_string()
    }),
    ("`redirect.follow`", |t| {
        t.profile.redirect.follow.to_string()
    }),
    ("`redirect.max`", |t| t.profile.redirect.max.to_string()),
    ("`redirect.announce`", |t| {
        t.profile.redirect.announce.to_string()
    }),
    ("`media.deny`", |t| list(&t.profile.media.deny)),
    ("`media.transcode`", |t| {
        t.profile.media.transcode.to_string()
    }),
    ("`media.srtp_suites`", |t| {
        list(t.profile.media.suites.iter().map(|suite| suite.as_str()))
    }),
    ("`media.hold_inactivity`", |t| {
        maybe(t.profile.media.hold_inactivity)
    }),
    ("`media.networks`", |t| {
        match t.profile.media.networks.is_empty() {
            true => "any".to_owned(),
            false => list(t.profile.media.networks.iter()),
        }
    }),
    ("`media.rtcp_mux`", |t| t.profile.rtcp_mux.to_string()),
    ("`media.latch`", |t| word(&t.profile.latch)),
];

const TRUST: &[Row] = &[
    ("`identity.trusted`", |t| {
        (t.profile.trust == Trust::Trusted).to_string()
    }),
    ("`identity.asserted`", |t| {
        word(&t.profile.identity.asserted)
    }),
    ("`identity.preferred`", |t| {
        word(&t.profile.identity.preferred)
    }),
    ("`identity.privacy`", |t| word(&t.profile.identity.privacy)),
    ("`identity.from`", |t| word(&t.profile.identity.from)),
    ("`identity.screen`", |t| {
        list(t.profile.identity.screen.iter().map(|own| own.as_str()))
    }),
    ("`identity.unscreened`", |t| {
        word(&t.profile.identity.unscreened)
    }),
    ("`identity.signatures`", |t| {
        word(&t.profile.identity.signatures)
    }),
    ("`headers.diversion`", |t| {
        word(&t.profile.headers.redirections)
    }),
    ("`headers.x_ms_sbc`", |t| t.profile.x_ms_sbc.to_string()),
    ("`context.pass`", |t| {
        let trusted = t.profile.trust == Trust::Trusted;
        t.profile.context.pass.unwrap_or(trusted).to_string()
    }),
    ("`context.fields`", |t| t.profile.context.fields.to_string()),
    ("`context.name`", |t| t.profile.context.name.to_string()),
    ("`context.value`", |t| t.profile.context.value.to_string()),
    ("`context.user_to_user`", |t| {
        t.profile.context.user_to_user.to_string()
    }),
];

/// What the specification of the other side leaves no choice in.
const RULES: &[Row] = &[
    ("`Allow` towards it", |t| t.profile.allow_value()),
    ("`Supported` towards it", |t| list(&t.profile.supported)),
    ("methods it is sent in a dialog", |t| {
        list(t.profile.sends_methods.iter().map(ToString::to_string))
    }),
    ("in-dialog requests go to", |t| {
        match &t.profile.pinned_hop {
            Some(_) => "its first peer, where no route says otherwise".to_owned(),
            None => "where the dialog says".to_owned(),
        }
    }),
];

#[test]
fn the_page_of_presets_is_what_the_presets_set() {
    let reading = read_text(PathBuf::from("least.toml"), LEAST.to_owned(), &|_| None);
    assert!(!reading.findings.has_errors(), "{:?}", reading.findings);
    let trunks = PRESETS.map(|name| {
        let mut all = reading.config.trunks.iter();
        all.find(|trunk| trunk.name.as_str() == name).expect(name)
    });
    let mut page = String::from(
        "# Presets\n\nA preset is data: the values a trunk has whose table says nothing else. Every \
         key in the first four tables can be set in the trunk and then holds instead; \
         `configuration.md` explains each. The last table is what the other side's specification \
         leaves no choice in.\n\nThis page is written from the presets themselves.\n",
    );
    let tables = [
        ("Peering", "key", PEERING),
        ("Health and connections", "key", HEALTH),
        ("Calls", "key", CALLS),
        ("Trust", "key", TRUST),
        ("Rules", "rule", RULES),
    ];
    for (heading, kind, rows) in tables {
        let heads = PRESETS.map(|name| format!(" `{name}` |")).concat();
        let _ = write!(
            page,
            "\n## {heading}\n\n| {kind} |{heads}\n| --- | --- | --- | --- | --- |\n"
        );
        for (name, value) in rows {
            let values = trunks.map(|trunk| format!(" {} |", value(trunk))).concat();
            let _ = writeln!(page, "| {name} |{values}");
        }
    }
    is_current("docs/presets.md", &page);
}
