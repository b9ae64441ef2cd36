//! The order of SRV records: RFC 2782, priority first, then a draw by weight.

use ambient::TokenRng;
use sip_msg::dns::Srv;

/// Sorts by priority; among equals, each record comes first with a probability in proportion to
/// its weight, and one of weight 0 has a very small chance.
pub(super) fn order(mut records: Vec<Srv>, rng: &mut TokenRng) -> Vec<Srv> {
    // Weight 0 first, as RFC 2782 arranges them before the draw.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let group = records.partition_point(|record| record.priority == priority);
        let total: u64 = records[..group]
            .iter()
            .map(|record| u64::from(record.weight))
            .sum();
        let drawn = rng.below(total + 1);
        let mut sum = 0;
        let chosen = records[..group]
            .iter()
            .position(|record| {
                sum += u64::from(record.weight);
                sum >= drawn
            })
            .unwrap_or(0);
        ordered.push(records.remove(chosen));
    }
    ordered
}
