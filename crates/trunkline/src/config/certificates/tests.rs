//! Certificates judged as Microsoft would.

use super::*;

#[test]
fn a_wildcard_covers_one_label() {
    assert!(name_matches("*.contoso.example", "sbc.contoso.example"));
    assert!(!name_matches(
        "*.contoso.example",
        "sbc.test.contoso.example"
    ));
    assert!(!name_matches("*.contoso.example", "contoso.example"));
    assert!(name_matches("sbc.contoso.example", "SBC.contoso.example"));
}
