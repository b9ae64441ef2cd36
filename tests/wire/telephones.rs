//! A telephone at each trunk of a gateway.

use std::net::SocketAddr;

use trunkline_tests::lab::Lab;
use trunkline_tests::telephone::{Dialog, Telephone};
use trunkline_tests::two_trunks::{Gateway, Plan};

/// Whom the carrier's telephone calls.
pub(crate) const CALLED: &str = "+14255550123";
/// Whom it calls from.
pub(crate) const CALLING: &str = "+14255550177";

/// A gateway, the carrier's telephone and the exchange's.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) carrier: Telephone,
    pub(crate) pbx: Telephone,
    /// Where they hear media.
    pub(crate) media: [SocketAddr; 2],
}

impl Stage {
    pub(crate) fn start(lab: &Lab, plan: &Plan) -> Self {
        let gateway = Gateway::start(lab, plan);
        let at = |host| SocketAddr::new(lab.host(host), 5060);
        Self {
            carrier: Telephone::at(at(2), gateway.carrier_side()),
            pbx: Telephone::at(at(3), gateway.pbx_side()),
            media: [2, 3].map(|host| SocketAddr::new(lab.host(host), 6000)),
            gateway,
        }
    }

    /// An answered call of the carrier's telephone, as it knows the dialog.
    pub(crate) fn call(&mut self) -> Dialog {
        self.carrier.call(CALLING, CALLED, self.media[0]);
        let invite = self.pbx.request("INVITE");
        let _ = self.pbx.pick_up(&invite, self.media[1]);
        let ok = self.carrier.response("INVITE", 200);
        let dialog = self.carrier.acknowledge(&ok);
        self.pbx.request("ACK");
        dialog
    }
}
