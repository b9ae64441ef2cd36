//! What a call sounds and looks like, from its first ringing to its end.

use std::time::Duration;

use super::{RIGHT, errors, read};

/// RIGHT with these lines in the carrier's trunk.
fn carrier_with(lines: &str) -> String {
    let peers = "peers = [\"udp:198.51.100.7:5060\"]";
    RIGHT.replacen(peers, &format!("{peers}\n{lines}"), 1)
}

#[test]
fn what_a_trunk_says_before_the_answer_is_configured() {
    use b2bua::profile::{EarlyPolicy, RedirectTarget, Reliable};
    let reading = read(&carrier_with(
        "setup_budget = \"8s\"\n[trunk.early]\npolicy = \"first\"\nring_here = true\ntone = \"de\"\n\
         reliable = \"preferred\"\ntimeout_status = 408\n\
         [trunk.redirect]\nmax = 2\nannounce = true\nallow = [\"*.carrier.example\"]",
    ));
    assert_eq!(errors(&reading), []);
    let [acs, carrier, pbx] = [0, 1, 2].map(|at| &reading.config.trunks[at].profile);
    assert_eq!(acs.early.policy, EarlyPolicy::WaitForRtp);
    assert_eq!(acs.early.reliable, Reliable::Never);
    assert_eq!(carrier.early.policy, EarlyPolicy::First);
    assert_eq!(carrier.early.reliable, Reliable::Preferred);
    assert_eq!(carrier.early.timeout_status.code(), 408);
    assert_eq!(carrier.timers.setup_budget.as_secs(), 8);
    assert!(carrier.early.ring_here && carrier.redirect.announce);
    assert_eq!(&*carrier.early.tone_country, "DE");
    let allowed = RedirectTarget::parse("*.carrier.example").into_iter();
    assert_eq!(carrier.redirect.allow, allowed.collect::<Vec<_>>());
    assert_eq!(carrier.redirect.max, 2);
    // By its numbers.
    assert_eq!(&*pbx.early.tone_country, "US");
}

#[test]
fn mistakes_about_early_media_and_redirection_are_found() {
    for (lines, says) in [
        (
            "[trunk.early]\npolicy = \"forwards\"",
            "`forwards` is not known",
        ),
        (
            "[trunk.early]\nreliable = \"always\"",
            "`always` is not known",
        ),
        ("[trunk.early]\ntone = \"Germany\"", "no country"),
        ("[trunk.early]\ntimeout_status = 486", "486 is not known"),
        ("[trunk.redirect]\nmax = 21", "at most 20"),
        (
            "[trunk.redirect]\nallow = \"sip:a\"",
            "no host, domain or network",
        ),
    ] {
        let text = carrier_with(lines);
        let key = lines.lines().nth(1).expect("two lines");
        let line = text[..text.find(key).expect("planted")]
            .matches('\n')
            .count()
            + 1;
        let errors = errors(&read(&text));
        assert_eq!(errors.len(), 1, "{lines}: {errors:?}");
        assert_eq!(errors[0].0, line, "{lines}: {errors:?}");
        assert!(errors[0].1.contains(says), "{lines}: {errors:?}");
    }
}

#[test]
fn what_a_trunk_says_of_sessions_hold_and_digits_is_taken() {
    use b2bua::profile::{DtmfMode, HoldMusic, RefreshMethod, RefresherChoice};
    let tables = "numbers = { country = \"US\", area = \"425\" }\n\
        [trunk.session]\nexpires = \"30m\"\nmin_se = \"2m\"\n\
        refresher = \"us\"\nmethod = \"update\"\n\
        [trunk.hold]\ndialect = \"null-address\"\nmusic = \"tone\"\n\
        [trunk.dtmf]\nmode = \"info\"\n";
    let text = RIGHT.replacen(
        "numbers = { country = \"US\", area = \"425\" }\n",
        tables,
        1,
    );
    let reading = read(&text);
    assert_eq!(errors(&reading), []);
    let profile = &reading.config.trunks[2].profile;
    assert_eq!(profile.session.expires, Some(Duration::from_secs(1800)));
    assert_eq!(profile.session.min_se, Duration::from_secs(120));
    assert_eq!(profile.session.refresher, RefresherChoice::Us);
    assert_eq!(profile.session.method, RefreshMethod::Update);
    assert_eq!(profile.hold.dialect, sdp::HoldDialect::NullAddress);
    assert_eq!(profile.hold.music, HoldMusic::Tone);
    assert_eq!(profile.dtmf.mode, DtmfMode::Info);
}

#[test]
fn mistakes_in_the_tables_of_a_call_are_found_in_their_line() {
    let carrier = "peers = [\"udp:198.51.100.7:5060\"]";
    let microsoft = "preset = \"acs\"";
    for (at, table, line, says) in [
        (carrier, "session", "min_se = \"89s\"", "90s or longer"),
        (
            carrier,
            "session",
            "expires = \"1m\"",
            "shorter than `min_se`",
        ),
        (
            carrier,
            "session",
            "refresher = \"them\"",
            "`them` is not known",
        ),
        (
            carrier,
            "session",
            "method = \"info\"",
            "`info` is not known",
        ),
        (
            carrier,
            "session",
            "expire = \"1h\"",
            "unknown key `expire`",
        ),
        (microsoft, "session", "method = \"update\"", "no UPDATE"),
        (carrier, "hold", "dialect = \"mute\"", "`mute` is not known"),
        (
            microsoft,
            "hold",
            "dialect = \"sendonly\"",
            "nothing but `inactive`",
        ),
        (microsoft, "hold", "music = \"tone\"", "hears nothing"),
        (
            carrier,
            "dtmf",
            "mode = \"rfc2833\"",
            "`rfc2833` is not known",
        ),
        (
            microsoft,
            "dtmf",
            "mode = \"info\"",
            "telephone events only",
        ),
    ] {
        let text = RIGHT.replacen(at, &format!("{at}\n[trunk.{table}]\n{line}"), 1);
        let place = text[..text.find(line).expect("planted")]
            .matches('\n')
            .count()
            + 1;
        let errors = errors(&read(&text));
        assert_eq!(errors.len(), 1, "{line}: {errors:?}");
        assert_eq!(errors[0].0, place, "{line}: {errors:?}");
        assert!(errors[0].1.contains(says), "{line}: {errors:?}");
    }
}

/// The right text whose route has these lines, with these tables before it.
fn announcing(tables: &str, lines: &str) -> String {
    let route = "[[route]]\nname = \"in\"\n";
    RIGHT.replacen(route, &format!("{tables}\n{route}{lines}\n"), 1)
}

#[test]
fn a_route_can_end_in_an_announcement() {
    let tables = "[[announcement]]\nname = \"away\"\ntimes = 2";
    let reading = read(&announcing(tables, "announcement = \"away\""));
    assert_eq!(errors(&reading), []);
    let route = &reading.config.routing.routes[0];
    assert_eq!(route.announcement.as_deref(), Some("away"));
    let profiles = crate::daemon::wiring::profiles(&reading.config).unwrap();
    // Twice 0.99 s of tones, and a second between.
    assert_eq!(profiles.announcements["away"].millis(), 2_980);
    let alone = announcing(tables, "announcement = \"away\"");
    let alone = alone.replacen("to = [\"acs\", \"pbx\"]", "to = []", 1);
    assert_eq!(errors(&read(&alone)), []);
}

#[test]
fn mistakes_about_announcements_are_found() {
    let away = "[[announcement]]\nname = \"away\"";
    let twice = format!("{away}\n{away}");
    let often = format!("{away}\ntimes = 11");
    let gone = format!("{away}\nfile = \"nothing.wav\"");
    for (tables, lines, says) in [
        (away, "announcement = \"awya\"", "no announcement `awya`"),
        (&twice, "", "two announcements `away`"),
        (&often, "", "1 to 10"),
        (&gone, "", "nothing.wav"),
    ] {
        let found = errors(&read(&announcing(tables, lines)));
        assert_eq!(found.len(), 1, "{says}: {found:?}");
        assert!(found[0].1.contains(says) && found[0].0 > 0, "{found:?}");
    }
}

#[test]
fn how_long_requests_travel_is_the_trunks_to_say() {
    let carrier = "peers = [\"udp:198.51.100.7:5060\"]\n";
    let told = |lines: &str| {
        let reading = read(&RIGHT.replacen(carrier, &format!("{carrier}{lines}"), 1));
        let policy = reading.config.trunks[1].profile.datagrams;
        (errors(&reading), policy.longest, policy.streams)
    };
    assert_eq!(told(""), (vec![], 1300, true));
    let lines = "connection = { longest_datagram = 1400, tcp_for_long = false }\n";
    assert_eq!(told(lines), (vec![], 1400, false));
    let (errors, ..) = told("connection = { longest_datagram = 70000 }\n");
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].1.contains("500 to 65000"), "{errors:?}");
}
