use sip_msg::StatusCode;

use super::*;

const HALF_HOUR: Duration = Duration::from_secs(1800);

fn headers(fields: &[(HeaderName, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.push(name.clone(), *value);
    }
    headers
}

fn asked(expires: &str, supported: &str) -> Headers {
    headers(&[
        (HeaderName::SessionExpires, expires),
        (HeaderName::Supported, supported),
    ])
}

fn ours(interval: u64) -> Option<SessionTimer> {
    Some(SessionTimer {
        interval: Duration::from_secs(interval),
        ours: true,
    })
}

fn theirs(interval: u64) -> Option<SessionTimer> {
    Some(SessionTimer {
        interval: Duration::from_secs(interval),
        ours: false,
    })
}

fn policy(refresher: RefresherChoice, expires: Option<Duration>) -> SessionPolicy {
    SessionPolicy {
        refresher,
        expires,
        ..SessionPolicy::default()
    }
}

/// The table of RFC 4028 §9: who refreshes by what the request says and supports.
#[test]
fn the_refresher_is_whom_the_request_names_or_else_the_policy() {
    let auto = policy(RefresherChoice::Auto, None);
    let us = policy(RefresherChoice::Us, None);
    for (expires, supported, policy, agreed) in [
        ("1800;refresher=uac", "timer", us, theirs(1800)),
        ("1800;refresher=uas", "timer", auto, ours(1800)),
        ("1800", "replaces, TIMER", auto, theirs(1800)),
        ("1800", "timer", us, ours(1800)),
        ("1800", "replaces", auto, ours(1800)),
        ("90", "timer", auto, theirs(90)),
    ] {
        let found = SessionTimer::answering(&asked(expires, supported), &policy);
        assert_eq!(found, Ok(agreed), "{expires} {supported}");
    }
}

#[test]
fn a_short_interval_is_refused_with_ours() {
    let policy = SessionPolicy {
        min_se: Duration::from_secs(120),
        ..SessionPolicy::default()
    };
    let refused = SessionTimer::answering(&asked("119", "timer"), &policy);
    let refused = refused.map_err(TooShort::min_se);
    assert_eq!(refused, Err((HeaderName::MinSe, "120".to_owned())));
}

#[test]
fn a_party_that_asks_for_none_is_given_ours_if_we_want_one() {
    let want = policy(RefresherChoice::Auto, Some(HALF_HOUR));
    let timers = headers(&[
        (HeaderName::Supported, "timer"),
        (HeaderName::MinSe, "3600"),
    ]);
    assert_eq!(SessionTimer::answering(&timers, &want), Ok(theirs(3600)));
    let none = Headers::new();
    assert_eq!(SessionTimer::answering(&none, &want), Ok(ours(1800)));
    let plain = SessionPolicy::default();
    assert_eq!(SessionTimer::answering(&timers, &plain), Ok(None));
}

#[test]
fn an_answer_decides_what_we_proposed() {
    let want = policy(RefresherChoice::Auto, Some(HALF_HOUR));
    let answer = |expires: Option<&str>| {
        let mut response = Response::new(StatusCode::OK);
        if let Some(expires) = expires {
            response.headers.push(HeaderName::SessionExpires, expires);
        }
        response
    };
    for (expires, policy, agreed) in [
        (Some("900;refresher=uas"), want, theirs(900)),
        (Some("900;refresher=uac"), want, ours(900)),
        (Some("7"), want, ours(90)),
        (None, want, ours(1800)),
        (None, policy(RefresherChoice::Peer, Some(HALF_HOUR)), None),
        (None, SessionPolicy::default(), None),
    ] {
        let found = SessionTimer::answered(&answer(expires), &policy, None);
        assert_eq!(found, agreed, "{expires:?}");
    }
}

#[test]
fn the_deadline_leaves_time_for_a_bye() {
    let deadline = |seconds| theirs(seconds).map(SessionTimer::deadline);
    assert_eq!(deadline(90), Some(Duration::from_secs(60)));
    assert_eq!(deadline(1800), Some(Duration::from_secs(1768)));
    assert_eq!(
        ours(90).and_then(SessionTimer::refresh_after),
        Some(Duration::from_secs(45))
    );
    assert_eq!(theirs(90).and_then(SessionTimer::refresh_after), None);
}

#[test]
fn what_is_written_says_who_refreshes_in_this_transaction() {
    let mut written = Headers::new();
    propose(&policy(RefresherChoice::Us, Some(HALF_HOUR)), &mut written);
    let value = |headers: &Headers, name| headers.get_str(&name).map(str::to_owned);
    let expires = value(&written, HeaderName::SessionExpires);
    assert_eq!(expires.as_deref(), Some("1800;refresher=uac"));
    assert_eq!(value(&written, HeaderName::MinSe), None);
    for (timer, expires, require) in [
        (ours(600), "600;refresher=uas", None),
        (theirs(600), "600;refresher=uac", Some("timer")),
    ] {
        let mut answer = Headers::new();
        timer.unwrap().write_answer(&mut answer);
        let found = value(&answer, HeaderName::SessionExpires);
        assert_eq!(found.as_deref(), Some(expires));
        assert_eq!(value(&answer, HeaderName::Require).as_deref(), require);
    }
}

#[test]
fn only_a_longer_interval_is_tried_after_a_422() {
    let refusal = headers(&[(HeaderName::MinSe, "300")]);
    let longest = longer(&refusal, Duration::from_secs(90));
    assert_eq!(longest, Some(Duration::from_secs(300)));
    assert_eq!(longer(&refusal, Duration::from_secs(300)), None);
    assert_eq!(longer(&Headers::new(), Duration::from_secs(90)), None);
}
