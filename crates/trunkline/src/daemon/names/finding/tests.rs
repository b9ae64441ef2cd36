//! The answers of DNS, judged.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn a_name_leads_here_elsewhere_or_nowhere() {
    let own = [ip("203.0.113.10"), ip("2001:db8::10")];
    let here = || Ok(vec![ip("203.0.113.10")]);
    let none = || Err(DnsError::NoData);
    let cases = [
        (here(), none(), "is 203.0.113.10"),
        (here(), Ok(vec![ip("2001:db8::10")]), "is 203.0.113.10"),
        (
            Err(DnsError::NoSuchName),
            Err(DnsError::NoSuchName),
            "does not exist",
        ),
        (none(), none(), "no A record"),
        (Ok(vec![ip("198.51.100.1")]), none(), "not this gateway"),
        (here(), Ok(vec![ip("2001:db8::99")]), "2001:db8::99"),
        (none(), Ok(vec![ip("2001:db8::10")]), "is 2001:db8::10"),
        (none(), Ok(vec![ip("2001:db8::99")]), "not this gateway"),
        (Err(DnsError::Timeout), none(), "cannot be looked up"),
    ];
    for (v4, v6, says) in cases {
        let words = judge(&own, v4, v6).in_words("sbc1.contoso.example");
        assert!(words.contains(says), "{words}");
    }
    // Without an address of its own to compare with, any address will do.
    assert!(!judge(&[], here(), none()).is_wrong());
    assert!(judge(&[], none(), none()).is_wrong());
}
