//! `trunkline check` on certificates: what Microsoft would refuse is told before it does.

use std::process::Command;

use serde_json::Value;
use trunkline_tests::certificates::{Authority, DAY, Leaf, Usage, Wish, self_signed};
use trunkline_tests::daemon;
use trunkline_tests::lab::Lab;

const FQDN: &str = "sbc1.contoso.example";

/// What `check --json` says of an `acs` trunk that shows this certificate.
struct Verdict {
    json: Value,
    code: Option<i32>,
}

impl Verdict {
    fn of(leaf: &Leaf, roots: &str) -> Self {
        let lab = Lab::new();
        leaf.write(&lab, "sbc1");
        lab.write("roots.pem", roots);
        let file = lab.write(
            "trunkline.toml",
            &format!(
                r#"
[gateway]
fqdn = "{FQDN}"
[tls]
certificate = "sbc1.pem"
private_key = "sbc1.key"
roots = "roots.pem"
[[trunk]]
name = "acs"
preset = "acs"
[dns]
self_check = "0s"
"#
            ),
        );
        let output = Command::new(daemon::binary())
            .args(["check", "--json", "-c"])
            .arg(file)
            .output()
            .expect("runs");
        let json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        Self {
            json,
            code: output.status.code(),
        }
    }

    /// The severities of findings whose sentence holds `words`.
    fn found(&self, words: &str) -> Vec<&str> {
        self.json["findings"]
            .as_array()
            .expect("findings are a list")
            .iter()
            .filter(|finding| {
                finding["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(words))
            })
            .filter_map(|finding| finding["severity"].as_str())
            .collect()
    }

    fn is_error(&self, words: &str) {
        assert_eq!(self.found(words), ["error"], "{words}: {}", self.json);
        assert_eq!(self.json["fine"], false);
        assert_eq!(self.code, Some(2));
    }

    fn is_warning(&self, words: &str) {
        assert_eq!(self.found(words), ["warning"], "{words}: {}", self.json);
        assert_eq!(self.json["fine"], true);
        assert_eq!(self.code, Some(0));
    }

    fn says_nothing(&self) {
        // Other remarks, such as on unset options, are not about certificates.
        assert_eq!(self.found("sbc1."), [""; 0], "{}", self.json);
        assert_eq!(self.json["fine"], true);
        assert_eq!(self.code, Some(0));
    }
}

#[test]
fn a_good_certificate_is_not_remarked_upon() {
    let authority = Authority::new();
    Verdict::of(&authority.good(&[FQDN]), &authority.root()).says_nothing();
    let both = Wish {
        usage: Usage::Both,
        ..Wish::good(&["other.example", FQDN])
    };
    Verdict::of(&authority.issue(both), &authority.root()).says_nothing();
    let wildcard = authority.good(&["*.contoso.example"]);
    Verdict::of(&wildcard, &authority.root()).says_nothing();
}

#[test]
fn a_certificate_near_or_past_its_end_is_told() {
    let authority = Authority::new();
    let left = |left| {
        let wish = Wish {
            left,
            ..Wish::good(&[FQDN])
        };
        Verdict::of(&authority.issue(wish), &authority.root())
    };
    left(Ok(DAY * 31)).says_nothing();
    left(Ok(DAY * 29 + DAY / 2)).is_warning("expires in 29 days");
    left(Err(DAY * 2 + DAY / 2)).is_error("expired 2 days ago");
}

#[test]
fn a_certificate_for_another_name_is_an_error() {
    let authority = Authority::new();
    let wrong = authority.good(&["sbc2.contoso.example"]);
    Verdict::of(&wrong, &authority.root()).is_error(&format!("does not name {FQDN}"));
    let deep = authority.good(&["*.example"]);
    Verdict::of(&deep, &authority.root()).is_error(&format!("does not name {FQDN}"));
}

#[test]
fn a_certificate_that_may_not_serve_is_an_error() {
    let authority = Authority::new();
    let wish = Wish {
        usage: Usage::Client,
        ..Wish::good(&[FQDN])
    };
    Verdict::of(&authority.issue(wish), &authority.root()).is_error("lacks serverAuth");
}

#[test]
fn a_key_of_another_certificate_is_an_error() {
    let authority = Authority::new();
    let mut leaf = authority.good(&[FQDN]);
    leaf.key = authority.good(&[FQDN]).key;
    Verdict::of(&leaf, &authority.root()).is_error("is not the key of");
}

#[test]
fn a_missing_intermediate_is_told() {
    let authority = Authority::new();
    let mut leaf = authority.good(&[FQDN]);
    leaf.chain.clone_from(&leaf.leaf);
    Verdict::of(&leaf, &authority.root()).is_warning("no path from the leaf to a root");
    // The chain may be whole and yet end at a root nobody here trusts.
    let whole = authority.good(&[FQDN]);
    Verdict::of(&whole, &Authority::new().root()).is_warning("no path from the leaf to a root");
}

#[test]
fn a_self_signed_certificate_is_an_error() {
    let leaf = self_signed(Wish::good(&[FQDN]));
    Verdict::of(&leaf, &leaf.leaf).is_error("is self-signed");
}
