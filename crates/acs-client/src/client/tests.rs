use reqwest::header::{HeaderValue, RETRY_AFTER};

use super::*;

fn client() -> Client {
    let text = "endpoint=https://contoso.example;accesskey=c2VjcmV0";
    let connection = ConnectionString::parse(text).expect("a connection string");
    Client::new(connection, Settings::default()).expect("a client")
}

#[test]
fn links_are_followed_to_the_own_host_only() {
    let client = client();
    for (link, target) in [
        ("/phoneNumbers?skip=1", Some("/phoneNumbers?skip=1")),
        ("https://contoso.example/a", Some("/a")),
        ("HTTPS://Contoso.example/a", Some("/a")),
        ("https://contoso.example.evil.example/a", None),
        ("https://contoso.example@evil.example/a", None),
        ("//evil.example/a", None),
        ("http://contoso.example/a", None),
        ("a", None),
        ("", None),
    ] {
        let got = client.own_target(link).ok();
        assert_eq!(got.as_deref(), target, "{link}");
    }
}

#[test]
fn retry_after_is_read_in_both_forms() {
    let now = "2026-11-21T07:41:17Z".parse().expect("a time");
    for (text, seconds) in [
        ("3", Some(3)),
        ("Sat, 21 Nov 2026 07:41:47 GMT", Some(30)),
        ("Sat, 21 Nov 2026 07:40:47 GMT", Some(0)),
        ("soon", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        let wait = retry_after(&headers, now);
        assert_eq!(wait, seconds.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn roots_that_are_none_are_refused() {
    let text = "endpoint=https://contoso.example;accesskey=c2VjcmV0";
    let connection = ConnectionString::parse(text).expect("a connection string");
    let settings = Settings {
        roots: Some(b"no certificate".to_vec()),
        ..Settings::default()
    };
    let error = Client::new(connection, settings).expect_err("no roots");
    assert_eq!(error, SettingsError::Roots);
}

#[test]
fn a_client_shows_no_key() {
    let shown = format!("{:?}", client());
    assert_eq!(
        shown,
        "Client { endpoint: \"https://contoso.example\", .. }"
    );
}
