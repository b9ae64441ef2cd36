//! The forty black-box acceptance tests of a session border controller, by number, and where each is
//! done: here with programs nobody here wrote, or on the virtual clock of the simulator.
//!
//! What each of them leaves behind is looked at in every test: the same process and no fault (I1),
//! nothing in any table (I2), OPTIONS answered within a second (I3), nothing of one leg on the other
//! (I4) and well-formed messages (I5).
//!
//! Not done: T29, for neither ICE nor consent is spoken (candidates are ignored: CK-89). T37 and T38
//! are `tests/fuzz` and the benches, T39 is `drain`, T40 takes a day.

use std::path::Path;

/// A number, and the tests that do it.
const DONE: &[(u8, &[&str])] = &[
    (
        1,
        &[
            "audio_passes_unchanged_in_both_directions",
            "a_call_to_baresip_carries_sound_both_ways",
        ],
    ),
    (
        2,
        &[
            "either_party_hangs_up_over_udp_and_tcp",
            "history_info_becomes_diversion_for_carriers_that_want_it",
        ],
    ),
    (
        3,
        &[
            "early_media_is_heard_before_the_answer",
            "forwarded_media_gets_no_tone",
        ],
    ),
    (
        4,
        &[
            "microsoft_is_always_made_an_offer",
            "an_ack_without_an_answer_ends_the_call",
        ],
    ),
    (
        5,
        &[
            "a_cancel_at_any_moment_leaves_no_leg",
            "a_cancel_that_nobody_answers",
            "cancel_and_200_may_cross_at_any_millisecond",
        ],
    ),
    (
        6,
        &[
            "microsoft_rings_in_three_dialogs_and_answers_in_a_fourth",
            "of_two_that_answer_the_second_is_acknowledged_and_hung_up",
        ],
    ),
    (
        7,
        &[
            "a_caller_that_requires_it_gets_every_provisional_response_reliably",
            "reliable_ringing_over_a_bad_link_is_rung_once",
            "without_a_prack_the_call_ends_in_a_504_after_32_seconds",
        ],
    ),
    (
        8,
        &[
            "an_update_before_the_answer_is_answered_here_by_the_rules_of_glare",
            "fax_and_video_offers_leave_the_call_as_it_was",
        ],
    ),
    (
        9,
        &[
            "a_422_is_answered_once_with_what_it_asks_for",
            "we_refresh_by_update_where_the_party_allows_it",
            "a_caller_that_stops_refreshing_is_hung_up_on_both_sides",
        ],
    ),
    (
        10,
        &["a_refresh_ends_at_the_gateway_and_is_answered_the_same"],
    ),
    (
        11,
        &[
            "a_hold_of_any_dialect_ends_without_an_offer",
            "each_carrier_is_held_in_its_dialect",
            "either_party_holds_and_resumes_over_udp_and_tcp",
        ],
    ),
    (
        12,
        &[
            "re_invites_that_cross_end_in_one_session",
            "glare_ends_with_both_reinvites_done_one_after_the_other",
            "rfc_3261_14_2_a_second_invite_before_the_answer_is_500_with_retry_after",
        ],
    ),
    (
        13,
        &[
            "an_exchange_transfers_the_application_to_the_telephone_network",
            "a_busy_target_gives_the_old_call_back",
            "a_target_that_never_answers_gives_the_old_call_back_in_time",
        ],
    ),
    (
        14,
        &[
            "the_new_party_is_called_at_microsoft_and_joined",
            "microsofts_refer_is_understood",
        ],
    ),
    (
        15,
        &[
            "an_exchange_joins_the_two_that_it_talks_to",
            "what_names_no_dialog_of_the_trunk_is_refused",
        ],
    ),
    (
        16,
        &[
            "a_contact_at_another_trunk_is_called_there",
            "a_loop_ends_and_so_does_a_long_way",
            "what_is_not_on_the_list_is_not_called_and_the_record_says_so",
        ],
    ),
    (
        17,
        &[
            "a_busy_datacentre_sends_the_call_to_the_next_one",
            "a_decline_is_never_retried",
            "a_peer_that_answers_503_is_passed_over",
        ],
    ),
    (
        18,
        &[
            "an_address_that_fails_is_followed_by_the_next_with_a_new_branch",
            "a_lookup_that_is_never_answered_ends_after_its_time",
        ],
    ),
    (
        19,
        &[
            "a_challenge_that_never_ends_is_given_up",
            "a_challenge_for_another_realm_is_not_answered",
            "a_host_that_is_none_of_the_trunk_s_is_shown_nothing",
        ],
    ),
    (
        20,
        &[
            "a_stranger_makes_no_call_and_learns_nothing",
            "a_scanner_finds_nothing",
        ],
    ),
    (
        21,
        &[
            "each_proxy_is_asked_once_a_minute_and_answers",
            "the_trunk_comes_online_in_microsofts_order",
        ],
    ),
    (
        22,
        &[
            "rfc_3261_12_2_1_1_loose_routes_are_visited_in_order",
            "a_carrier_behind_a_strict_router_is_routed_to_as_rfc_2543_did",
            "rfc_3261_16_3_max_forwards_0_is_483_for_options_too",
        ],
    ),
    (
        23,
        &[
            "calls_survive_a_network_that_loses_and_doubles",
            "calls_survive_a_link_that_loses_a_third",
        ],
    ),
    (
        24,
        &[
            "digits_are_told_once_and_carried_whole",
            "events_of_microsoft_reach_a_carrier_in_its_manner",
            "digits_in_info_become_events_and_other_info_ends_here",
        ],
    ),
    (
        25,
        &[
            "payload_crosses_between_plain_and_srtp_through_three_wraps",
            "a_new_key_begins_a_new_rollover_counter_and_an_old_one_keeps_its_own",
        ],
    ),
    (
        26,
        &[
            "a_carrier_that_must_use_srtp_is_refused_without_it",
            "no_plain_packet_crosses_an_srtp_leg",
        ],
    ),
    (
        27,
        &["repeats_and_forgeries_are_dropped_and_the_call_goes_on"],
    ),
    (
        28,
        &[
            "a_stranger_is_neither_relayed_nor_answered",
            "floods_of_rtcp_are_cut_and_rtp_does_not_notice",
        ],
    ),
    (
        30,
        &[
            "idle_and_slow_connections_keep_nobody_out",
            "half_made_handshakes_do_not_keep_an_honest_peer_out",
            "our_listener_speaks_nothing_older_than_tls_1_2",
        ],
    ),
    (
        31,
        &[
            "clients_microsoft_would_not_be_are_refused",
            "a_far_end_with_another_name_or_issuer_is_refused",
            "a_connection_for_one_name_is_not_used_for_another",
        ],
    ),
    (
        32,
        &[
            "every_input_is_read_or_refused",
            "every_pair_of_another_product_has_a_verdict",
            "ten_thousand_media_lines_cost_no_memory_that_stays",
        ],
    ),
    (33, &["agrees_with_the_oracle"]),
    (
        34,
        &[
            "published_tokens_cross_intact_or_not_at_all",
            "an_oversized_identity_is_refused_or_left_out_at_once",
        ],
    ),
    (
        35,
        &[
            "torture_messages_are_judged_as_the_rfcs_say",
            "rfc_4475_verdicts",
            "rfc_5118_verdicts",
        ],
    ),
    (
        36,
        &[
            "what_crosses_between_trunks_is_noticed",
            "no_rule_can_tell_of_the_other_leg",
        ],
    ),
];

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of this repository") {
        let path = entry.expect("readable").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("readable"));
        }
    }
}

#[test]
fn every_number_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    for folder in ["crates", "tests"] {
        sources(&root.join(folder), &mut text);
    }
    let is_there = |name: &&&str| text.contains(&format!("fn {name}("));
    for (number, names) in DONE {
        let gone: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
        assert!(gone.is_empty(), "T{number:02}: {gone:?}");
    }
    let numbers: Vec<u8> = DONE.iter().map(|(number, _)| *number).collect();
    let expected: Vec<u8> = (1..=36).filter(|number| *number != 29).collect();
    assert_eq!(numbers, expected);
}
