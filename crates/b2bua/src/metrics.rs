//! Counters and levels, as plain numbers for whoever exports them.

use e164::E164Number;
use sip_ua::{Counters as UaCounters, Load};

use crate::bans::{BanCounts, BanView};
pub use crate::doors::AuthCounts;
use crate::health::TrunkView;
use crate::identify;
use crate::limits::Usage;
use crate::ports::{InterfacePorts, PortUsage};
use crate::record::CallRecord;
use crate::registrar::BindingView;
use crate::registration::RegistrationView;
use sip_msg::wire::TrunkName;

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls whose INVITE was read.
    pub calls: u64,
    /// Calls that were answered and have ended.
    pub answered: u64,
    /// Calls that ended without an answer.
    pub unanswered: u64,
    /// Attempts made by calls that have ended.
    pub attempts: u64,
    /// Calls continued from a checkpoint.
    pub restored: u64,
    /// Checkpoints that could not be continued.
    pub not_restored: u64,
    /// Calls ended because of an internal fault.
    pub faults: u64,
    /// Calls that Microsoft was asked to carry.
    pub cloud_asked: u64,
    /// Of these, calls that it did not carry through to an answer, and said why.
    pub cloud_failed: u64,
    /// Messages in.
    pub messages_in: u64,
    /// Messages out.
    pub messages_out: u64,
    /// What the layers below said and this layer had no use for: zero unless something is wrong.
    pub unexpected: u64,
    /// REGISTERs that were refused, though their sender proved who it is.
    pub registers_refused: u64,
    /// Calls of which the configuration beside this one would have made this, in the order of
    /// [`routing::Difference::ALL`].
    pub shadowed: [u64; 4],
    /// Requests of nobody known.
    pub unidentified: identify::Counts,
}

impl Counts {
    pub(crate) fn ended(&mut self, record: &CallRecord) {
        match record.answered {
            Some(_) => self.answered += 1,
            None => self.unanswered += 1,
        }
        self.attempts += record.attempts.len() as u64;
        if let Some(shadow) = record.shadow_difference() {
            self.shadowed[shadow as usize] += 1;
        }
    }
}

/// Everything there is to export, at one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What was counted since the start.
    pub counts: Counts,
    /// Calls by stage: set-up, answered and waiting for the caller's ACK, established, ending.
    pub stages: [usize; 4],
    /// The user agent's counters.
    pub signalling: UaCounters,
    /// How full the user agent's tables are.
    pub load: Load,
    /// Media ports.
    pub ports: PortUsage,
    /// Media ports of each interface.
    pub interfaces: Vec<InterfacePorts>,
    /// Use of the gateway's own limit.
    pub gateway: Usage,
    /// Use of every trunk's limit.
    pub trunks: Vec<(TrunkName, Usage)>,
    /// Health of every trunk.
    pub health: Vec<TrunkView>,
    /// How many calls each number that Azure shows has.
    pub caller_ids: Vec<(E164Number, u32)>,
    /// Whether new calls are refused.
    pub draining: bool,
    /// How registrations of this gateway with its trunks stand.
    pub registrations: Vec<RegistrationView>,
    /// What trunks have registered here; a thousand lines at most.
    pub bindings: Vec<BindingView>,
    /// Contacts registered here that made room for newer ones.
    pub displaced: u64,
    /// Credentials that were asked for and judged.
    pub auth: AuthCounts,
    /// Failures and bans of sources.
    pub bans: BanCounts,
    /// Sources that are banned; a thousand at most.
    pub banned: Vec<BanView>,
}
