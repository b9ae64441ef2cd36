//! What is disagreed on, list by list.

use store::inventory::{Assignment, Capability};

use super::judge::{About, CLOUD_CALLING, Disagreement};
use super::*;
use e164::NumberType;
use routing::Owner;
use store::inventory::Field;

fn entry(line: u32, owner: Owner) -> Entry {
    Entry {
        number: number(line),
        kind: NumberType::Geographic,
        owner,
        country: "US".to_owned(),
        calling: Capability::Both,
        sms: Capability::None,
        assignment: Assignment::Application,
        cost: None,
        state: State::Active,
    }
}

fn number(line: u32) -> String {
    format!("+14255550{line}")
}

fn bare(line: u32) -> Listed {
    Listed {
        number: number(line),
        ..Listed::default()
    }
}

fn told(found: &[Disagreement]) -> Vec<(String, &'static str)> {
    let found = found.iter();
    found
        .map(|one| (one.number[9..].to_owned(), one.about.as_str()))
        .collect()
}

fn compare(
    inventory: &[Entry],
    azure: Option<&[Listed]>,
    carrier: Option<&[Listed]>,
    routes: Option<&Routes>,
) -> Vec<Disagreement> {
    let carriers = carrier.map(|listed| ("carrier.csv".to_owned(), listed.to_vec()));
    judge(&Sides {
        inventory,
        azure,
        carriers: carriers.as_slice(),
        routes,
    })
}

#[test]
fn who_has_what_is_compared_number_by_number() {
    let inventory = [
        entry(100, Owner::Microsoft),
        entry(101, Owner::Carrier),
        entry(102, Owner::Ported),
        entry(103, Owner::Microsoft),
        entry(104, Owner::Carrier),
        entry(105, Owner::Carrier),
        entry(106, Owner::Microsoft),
        entry(107, Owner::Ported),
    ];
    let azure = [100, 102, 105, 108, 109].map(bare);
    let carrier = [101, 106, 109].map(bare);
    let found = compare(&inventory, Some(&azure), Some(&carrier), None);
    let expected = [
        ("103", "extra"),
        ("104", "extra"),
        ("105", "owner"),
        ("106", "owner"),
        ("107", "extra"),
        ("108", "missing"),
        ("109", "missing"),
        ("109", "double"),
    ];
    let expected = expected.map(|(line, about)| (format!("0{line}"), about));
    assert_eq!(
        told(&found),
        expected.map(|(line, about)| (line[1..].to_owned(), about))
    );
    assert_eq!(found[2].says["inventory"], "carrier");
    assert_eq!(found[2].says["Azure"], "has it");
    // Whoever was not asked contradicts nobody.
    assert_eq!(told(&compare(&inventory[..4], None, None, None)), []);
    let mut porting = inventory;
    porting
        .iter_mut()
        .for_each(|entry| entry.state = State::Porting);
    let found = compare(&porting[..7], Some(&azure[..2]), Some(&carrier[..2]), None);
    assert_eq!(told(&found), [], "a number on its way is at neither");
}

#[test]
fn what_others_do_not_say_is_no_contradiction() {
    let mut own = entry(100, Owner::Microsoft);
    own.cost = routing::micros("1.00").map(|micros| routing::Money {
        micros,
        currency: routing::Currency::parse("USD").expect("letters"),
    });
    let azure = Listed {
        kind: Some(NumberType::TollFree),
        calling: Some(Capability::Inbound),
        sms: Some(Capability::None),
        cost: own.cost.map(|cost| routing::Money {
            micros: cost.micros + 1,
            ..cost
        }),
        ..bare(100)
    };
    let found = compare(
        std::slice::from_ref(&own),
        Some(std::slice::from_ref(&azure)),
        None,
        None,
    );
    let fields = [Field::Type, Field::Calling, Field::Cost];
    let abouts: Vec<About> = found.iter().map(|one| one.about).collect();
    assert_eq!(abouts, fields.map(About::Of));
    assert_eq!(
        found[1].sentence,
        "calling: the inventory says both, Azure says inbound"
    );
    let short = Entry {
        number: "12345".to_owned(),
        kind: NumberType::ShortCode,
        ..own
    };
    assert_eq!(
        compare(&[short], Some(&[]), None, None),
        [],
        "Azure lists no short codes"
    );
}

#[test]
fn routes_know_the_numbers_and_take_their_calls() {
    let mut suspended = entry(103, Owner::Carrier);
    suspended.state = State::Suspended;
    let inventory = [
        entry(100, Owner::Carrier),
        entry(101, Owner::Microsoft),
        entry(102, Owner::Carrier),
        suspended,
    ];
    let named = |line, by: &str| Named {
        number: number(line),
        by: by.to_owned(),
    };
    let routes = Routes {
        knows_owners: true,
        owners: [
            (number(100), Owner::Carrier),
            (number(101), Owner::Carrier),
            (number(103), Owner::Carrier),
        ]
        .into(),
        unreached: [100, 101, 103].map(number).into(),
        led: vec![named(100, "route `in`"), named(110, "route `in`")],
        caller_ids: vec![
            named(100, "route `out`"),
            named(111, "route `out`"),
            named(101, CLOUD_CALLING),
            named(102, CLOUD_CALLING),
        ],
    };
    let inbound = Listed {
        calling: Some(Capability::Inbound),
        ..bare(101)
    };
    let mut found = compare(&inventory, Some(&[inbound]), None, Some(&routes));
    found.retain(|one| one.about != About::Of(Field::Calling));
    let expected = [
        ("100", "route"),
        ("101", "owner"),
        ("101", "route"),
        ("102", "owner"),
        ("102", "route"),
        ("110", "route"),
        ("111", "route"),
    ];
    assert_eq!(
        told(&found),
        expected.map(|(line, about)| (line.to_owned(), about))
    );
    assert!(
        found[0].sentence.contains("no route takes calls"),
        "{found:?}"
    );
    assert!(
        found[2].sentence.contains("no outbound calling"),
        "{found:?}"
    );
    assert!(found[3].sentence.contains("nobody's"), "{found:?}");
    assert!(found[4].sentence.contains("Azure has it not"), "{found:?}");
}

#[test]
fn numbers_written_in_routes_are_counted_one_by_one() {
    assert_eq!(single("+14255550100"), ["+14255550100"]);
    assert_eq!(single("+14255550108-+14255550110").len(), 3);
    for pattern in [
        "+1425*",
        "911",
        "+14255550100-+14255559999",
        "list:vip",
        "*",
        "a-b",
    ] {
        assert_eq!(single(pattern), Vec::<String>::new(), "{pattern}");
    }
}
