//! Where a request within a dialog goes: RFC 3261 §12.2.1.1.

use sip_msg::{NameAddr, Uri};

use super::Dialog;

/// Request-URI, Route and next hop of a request of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Routing {
    pub(crate) request_uri: Uri,
    /// The Route header fields, one value each.
    pub(crate) routes: Vec<String>,
    /// What RFC 3263 is asked about.
    pub(crate) next_hop: Uri,
}

impl Routing {
    pub(crate) fn of(dialog: &Dialog) -> Self {
        let target = &dialog.remote_target;
        let Some(first) = dialog.route_set.first() else {
            let next_hop = dialog
                .settings
                .pinned_hop
                .clone()
                .unwrap_or_else(|| target.clone());
            return Self {
                request_uri: target.clone(),
                routes: Vec::new(),
                next_hop,
            };
        };
        if is_loose(first) {
            return Self {
                request_uri: target.clone(),
                routes: dialog.route_set.iter().map(ToString::to_string).collect(),
                next_hop: first.uri.clone(),
            };
        }
        // A strict router of RFC 2543: it expects itself in the Request-URI, and the target at
        // the end of Route.
        let mut routes: Vec<_> = dialog.route_set[1..]
            .iter()
            .map(ToString::to_string)
            .collect();
        routes.push(format!("<{}>", target.as_str()));
        Self {
            request_uri: bare(&first.uri),
            routes,
            next_hop: first.uri.clone(),
        }
    }
}

fn is_loose(route: &NameAddr) -> bool {
    route.uri.param("lr").is_some()
}

/// Without what a Request-URI may not carry (RFC 3261 §19.1.1): header fields and `method`.
fn bare(uri: &Uri) -> Uri {
    uri.without_headers().without_param("method")
}
