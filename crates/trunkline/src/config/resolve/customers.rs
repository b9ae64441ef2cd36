//! Several customers on one gateway: a call of one never reaches a trunk of another (W-01, W-05).

use sip_msg::wire::TrunkName;
use toml::Spanned;

use super::Config;
use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Confines a route to one customer. Trunks that belong to nobody are the operator's, and serve
/// all. A route that names no origin takes the calls of its customer's trunks and the operator's.
pub(super) fn confine(
    raw: &raw::Route,
    doc: &mut routing::RouteDoc,
    config: &Config,
    findings: &mut Findings,
) {
    let name = raw.name.get_ref();
    let mut whose = super::customer(raw.customer.as_ref(), findings);
    for item in raw.from.0.iter().chain(&raw.to.0) {
        let Some(theirs) = customer_of(config, item) else {
            continue;
        };
        match &whose {
            None => whose = Some(theirs.to_owned()),
            Some(ours) if ours == theirs => {}
            Some(ours) => {
                findings
                    .error(
                        item.span(),
                        format!(
                            "route {name}: trunk {} belongs to customer {theirs}, the route to {ours}",
                            item.get_ref()
                        ),
                    )
                    .help("write a route for each customer");
            }
        }
    }
    let Some(ours) = whose else { return };
    if let Some(given) = &raw.customer
        && config
            .trunks
            .iter()
            .all(|trunk| trunk.customer.as_ref() != Some(&ours))
    {
        findings.error(
            given.span(),
            format!("route {name}: no trunk belongs to customer {ours}"),
        );
    }
    if doc.from.is_empty() {
        let open = config.trunks.iter().filter(|trunk| {
            let theirs = trunk.customer.as_ref();
            theirs.is_none_or(|theirs| *theirs == ours)
        });
        doc.from = open.map(|trunk| trunk.name.clone()).collect();
    }
}

fn customer_of<'a>(config: &'a Config, item: &Spanned<String>) -> Option<&'a str> {
    let name = TrunkName::from(item.get_ref().as_str());
    let trunk = config.trunks.iter().find(|trunk| trunk.name == name)?;
    trunk.customer.as_deref()
}
