//! Transfers of a confirmed call, as part of a checkpoint.
//!
//! A transfer under way ends with the process, as any early dialog does: the transferor is told so.
//! What is past goes on: a dialog whose leg was replaced is left to its BYE.

use std::sync::Arc;

use ambient::WallTime;
use serde::{Deserialize, Serialize};
use sip_msg::StatusCode;
use sip_msg::wire::TrunkName;
use sip_ua::DialogCheckpoint;

use crate::call::{Head, Talking, Transfer};
use crate::core::{Core, Due};
use crate::departure::Departure;
use crate::key::{CallKey, Side};

/// What is known of transfers.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TransferValue {
    /// Who is to be told what becomes of its REFER, and the CSeq of that.
    owed: Option<(Side, u32)>,
    departures: Vec<DepartureValue>,
}

/// A dialog whose leg was replaced.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct DepartureValue {
    dialog: DialogCheckpoint,
    /// When it gets a BYE, in microseconds since the Unix epoch.
    until: u64,
}

impl TransferValue {
    pub(super) fn of(core: &Core, call: CallKey, transfer: Option<&Transfer>) -> Self {
        let departures = core.departures.iter();
        let departures = departures.filter(|(_, departure)| departure.call == call);
        let departures = departures.filter_map(|(dialog, _)| {
            let at = core.deadlines.deadline(&Due::Departure(*dialog))?;
            Some(DepartureValue {
                dialog: core.ua.checkpoint_dialog(*dialog)?,
                until: core.now.wall_at(at).as_unix_micros(),
            })
        });
        Self {
            owed: transfer.and_then(Transfer::owed),
            departures: departures.collect(),
        }
    }

    /// Goes on with what can be gone on with.
    pub(super) fn restore(&self, core: &mut Core, head: &mut Head, talking: &Talking) {
        for value in &self.departures {
            let Ok(dialog) = core.ua.restore_dialog(value.dialog.clone()) else {
                continue;
            };
            let name = core.ua.dialog(dialog).map(|dialog| dialog.trunk().clone());
            let trunk = name.and_then(|name: TrunkName| core.profiles.trunk(&name).cloned());
            let Some(trunk) = trunk else {
                core.ua.terminate(core.now, dialog);
                continue;
            };
            let at = core.now.moment_at(WallTime::from_unix_micros(value.until));
            let patience = at.saturating_since(core.now.moment);
            let call = head.key;
            core.depart(dialog, Departure { call, trunk }, patience);
        }
        if let Some((side, id)) = self.owed {
            let leg = talking.leg(side);
            let trunk = Arc::clone(&leg.trunk);
            let failed = StatusCode::SERVICE_UNAVAILABLE;
            core.subscribe(leg.dialog, &trunk, id, trunk.transfer.timeout);
            core.notify(leg.dialog, failed, true);
            head.settle_transfer(core.now.wall, failed);
        }
    }
}
