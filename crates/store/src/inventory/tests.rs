//! The inventory as its users see it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use e164::NumberType;
use proptest::prelude::*;
use routing::{Owner, micros};
use tempfile::TempDir;

use super::list::{Fault, MOST_MISTAKES};
use super::rules::Broken;
use super::*;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn entry(number: &str, kind: NumberType) -> Entry {
    Entry {
        number: number.to_owned(),
        kind,
        owner: Owner::Microsoft,
        country: "US".to_owned(),
        calling: Capability::Both,
        sms: Capability::None,
        assignment: Assignment::Application,
        cost: None,
        state: State::Active,
    }
}

fn file(complete: bool) -> Origin {
    Origin::File {
        name: "carrier.csv".to_owned(),
        complete,
    }
}

fn put(inventory: &mut Inventory, origin: &Origin, text: &str, now: i64) -> Imported {
    let rows = list::read(text).unwrap().rows;
    inventory.import(origin, rows, now, false).unwrap()
}

fn whole(imported: Imported) -> Changes {
    match imported {
        Imported::Whole(changes) => changes,
        Imported::Refused(mistakes) => panic!("refused: {mistakes:?}"),
    }
}

#[test]
fn what_microsoft_offers_is_known() {
    use Assignment::{Application, Person};
    use Capability::{Both, Inbound, None, Outbound};
    use NumberType::{Geographic, Mobile, Premium, ShortCode, TollFree};
    for (kind, country, assignment, calling, sms, broken) in [
        (TollFree, "US", Application, Both, Both, vec![]),
        (TollFree, "CA", Application, None, Outbound, vec![]),
        (
            TollFree,
            "US",
            Person,
            Both,
            None,
            vec![Broken::TollFreePerson],
        ),
        (
            TollFree,
            "US",
            Application,
            Both,
            Inbound,
            vec![Broken::TollFreeSms],
        ),
        (
            TollFree,
            "GB",
            Application,
            Both,
            Both,
            vec![Broken::TollFreeSmsCountry],
        ),
        (TollFree, "GB", Application, Both, None, vec![]),
        (Geographic, "US", Person, Both, None, vec![]),
        (Geographic, "US", Application, Outbound, None, vec![]),
        (
            Geographic,
            "US",
            Application,
            Both,
            Both,
            vec![Broken::GeographicSms],
        ),
        (
            Geographic,
            "US",
            Person,
            None,
            None,
            vec![Broken::GeographicCalling],
        ),
        (Mobile, "FI", Person, Both, Both, vec![Broken::MobilePerson]),
        (Mobile, "FI", Application, Both, Both, vec![]),
        (ShortCode, "US", Application, None, Both, vec![]),
        (
            ShortCode,
            "US",
            Application,
            Both,
            Both,
            vec![Broken::ShortCodeCalling],
        ),
        (
            Premium,
            "US",
            Application,
            Both,
            None,
            vec![Broken::NotOffered(Premium)],
        ),
    ] {
        let what = rules::Offer {
            kind,
            country,
            assignment,
            calling,
            sms,
        };
        assert_eq!(rules::offered(&what), broken, "{what:?}");
    }
}

#[test]
fn a_number_and_what_is_said_of_it_fit_each_other() {
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut one = entry("+14255550100", NumberType::Geographic);
        change(&mut one);
        rules::check(&one)
    };
    assert_eq!(with(&|_| {}), []);
    for (change, broken) in [
        (
            (&|one: &mut Entry| one.number = "+1425555010".to_owned()) as &dyn Fn(&mut Entry),
            Broken::Number,
        ),
        (&|one| one.number = "12345".to_owned(), Broken::ShortCode),
        (&|one| one.country = "ZZ".to_owned(), Broken::Country),
        (&|one| one.country = "GB".to_owned(), Broken::OtherCountry),
        (
            &|one| one.number = "+18005550100".to_owned(),
            Broken::OtherType(NumberType::TollFree),
        ),
        (&|one| one.sms = Capability::Both, Broken::GeographicSms),
    ] {
        assert_eq!(with(change), [broken]);
    }
    // What Microsoft does not offer, a carrier may.
    let of_a_carrier = with(&|one| {
        one.owner = Owner::Carrier;
        one.sms = Capability::Both;
    });
    assert_eq!(of_a_carrier, []);
    let shared = with(&|one| {
        one.number = "+18005550100".to_owned();
        one.kind = NumberType::TollFree;
        one.country = "CA".to_owned();
    });
    assert_eq!(shared, [], "countries of one plan share toll-free numbers");
}

#[test]
fn every_broken_line_of_a_list_is_named() {
    let text = "\u{FEFF}number,owner,sms,monthly_cost,currency,note\r\n\
                # ours\r\n\
                +14255550100,carrier,both,1.50,USD,\"a, b\"\r\n\
                hello,carrier,,,,\r\n\
                +14255550101,nobody,,,,\r\n\
                +14255550100,carrier,,,,\r\n\
                +14255550102,carrier,,1.5,,\r\n\
                +14255550103,carrier,,,usd,\r\n\
                +14255550104,carrier,,1.1234567,usd,\r\n\
                +14255550105,carrier\r\n";
    let mistakes = list::read(text).unwrap_err();
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    let starts = [
        "4: not a number",
        "5: owner: `nobody` is none of microsoft, carrier, ported",
        "6: the number is on line 3 already",
        "7: monthly_cost and currency",
        "8: monthly_cost and currency",
        "9: monthly_cost: an amount",
        "10: 2 cells where there are 6 columns",
    ];
    assert_eq!(told.len(), starts.len(), "{told:?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
    }
    for (text, fault) in [
        ("", Fault::NoColumn("number")),
        ("owner\ncarrier\n", Fault::NoColumn("number")),
        ("number,number\n", Fault::ColumnTwice("number")),
        ("number,sms,SMS\n", Fault::ColumnTwice("sms")),
    ] {
        assert_eq!(list::read(text).unwrap_err()[0].fault, fault, "{text}");
    }
    let many = format!("number\n{}", "x\n".repeat(5_000));
    let mistakes = list::read(&many).unwrap_err();
    assert_eq!(mistakes.len(), MOST_MISTAKES + 1);
    assert_eq!(mistakes[MOST_MISTAKES].fault, Fault::More);
    let fine = list::read("Number , note\n +14255550100 ,x\n\n").unwrap();
    assert_eq!(fine.rows.len(), 1);
    assert_eq!(fine.ignored, ["note"]);
}

#[test]
fn a_list_goes_in_whole_or_not_at_all() {
    let (_folder, path) = place();
    let mut inventory = Inventory::open(&path).unwrap();
    let text = "number,owner,sms\n\
                +14255550100,microsoft,none\n\
                +14255550101,microsoft,both\n\
                +14255550102,,none\n\
                +4420,carrier,none\n";
    // The last one is no number, which reading tells; the rest only the rules know.
    assert!(list::read(text).is_err());
    let text = text.replace("+4420,carrier,none\n", "4420,carrier,none\n");
    let Imported::Refused(mistakes) = put(&mut inventory, &file(false), &text, 1) else {
        panic!("taken");
    };
    let told: Vec<(u64, &Fault)> = mistakes.iter().map(|one| (one.line, &one.fault)).collect();
    assert_eq!(
        told,
        [
            (3, &Fault::Rule(Broken::GeographicSms)),
            (4, &Fault::NoOwner),
            (5, &Fault::NoCountry),
        ]
    );
    assert_eq!(inventory.numbers().unwrap(), []);
}

#[test]
fn a_second_list_changes_what_it_speaks_of() {
    let (_folder, path) = place();
    let mut inventory = Inventory::open(&path).unwrap();
    let first = "number,owner,calling,sms,monthly_cost,currency\n\
                 +14255550100,carrier,inbound,none,1.50,USD\n\
                 +18005550100,ported,both,outbound,,\n";
    let changes = whole(put(&mut inventory, &file(true), first, 1));
    assert_eq!(changes.added.len(), 2);
    let text = "number,calling\n+14255550100,both\n";
    let dry = list::read(text).unwrap().rows;
    let dry = inventory.import(&file(true), dry, 2, true).unwrap();
    assert_eq!(inventory.numbers().unwrap()[0].seen, 1, "a dry run writes");
    let changes = whole(put(&mut inventory, &file(true), text, 2));
    assert_eq!(dry, Imported::Whole(changes.clone()));
    assert_eq!(changes.released, ["+18005550100"]);
    assert_eq!(
        changes.changed,
        [Change {
            number: "+14255550100".to_owned(),
            field: Field::Calling,
            from: "inbound".to_owned(),
            to: "both".to_owned(),
        }]
    );
    let numbers = inventory.numbers().unwrap();
    let cost = numbers[0].entry.cost.unwrap();
    assert_eq!(cost.micros, micros("1.50").unwrap());
    assert_eq!(numbers[1].entry.state, State::Released);
    assert_eq!(numbers[1].seen, 1);
    let owners = inventory.owners().unwrap().unwrap();
    let alone = routing::NumberOwners::read("number,owner\n+14255550100,carrier\n").unwrap();
    assert_eq!(owners, alone, "a number that was given up is nobody's");
    // What Azure has is Azure's from then on, and what was ported stays ported.
    let changes = whole(put(&mut inventory, &Origin::Azure, first, 3));
    assert_eq!(changes.changed.len(), 2, "{changes:?}");
    let azures = "number,owner,sms\n+18005550100,microsoft,inbound\n";
    let changes = whole(put(&mut inventory, &Origin::Azure, azures, 4));
    assert_eq!(changes.released, ["+14255550100"]);
    let numbers = inventory.numbers().unwrap();
    assert_eq!(numbers[1].entry.owner, Owner::Ported);
    assert_eq!(numbers[1].source, "azure");
}

#[test]
fn an_export_is_an_import() {
    let (_folder, path) = place();
    let mut inventory = Inventory::open(&path).unwrap();
    let text = "number,owner,country,type,sms,monthly_cost,currency,state\n\
                +14255550100,carrier,,,,0.000001,EUR,porting\n\
                90210,carrier,US,shortCode,inbound+outbound,,,\n\
                +442079460100,microsoft,GB,geographic,,12,GBP,suspended\n";
    whole(put(&mut inventory, &file(false), text, 7));
    let numbers = inventory.numbers().unwrap();
    let written = list::write(&numbers, |at| at.to_string());
    let (_other_folder, other) = place();
    let mut other = Inventory::open(&other).unwrap();
    whole(put(&mut other, &file(false), &written, 7));
    assert_eq!(other.numbers().unwrap(), numbers);
    assert_eq!(list::read(&written).unwrap().ignored, Vec::<String>::new());
    assert!(written.contains("0.000001,EUR,carrier.csv,7"), "{written}");
}

#[test]
fn an_older_store_is_upgraded_and_keeps_its_calls() {
    let (_folder, path) = place();
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../schema/1.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO calls (call, started, ended, from_trunk, called, snapshot, cause, ended_by,
             kind, record) VALUES ('00', 1, 2, 'a', '+14255550100', '', 16, 'caller', 'P2P', '{}')",
    )
    .unwrap();
    drop(old);
    let read = Inventory::read(&path).unwrap();
    assert_eq!(read.numbers().unwrap(), [], "an older store has no numbers");
    let mut inventory = Inventory::open(&path).unwrap();
    whole(put(
        &mut inventory,
        &file(false),
        "number,owner\n+14255550100,carrier\n",
        1,
    ));
    let calls = crate::Reader::open(&path).unwrap();
    assert_eq!(calls.count(crate::Between::ALWAYS).unwrap(), 1);
    assert_eq!(read.numbers().unwrap().len(), 1);
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    for error in [
        Inventory::open(&path).unwrap_err(),
        Inventory::read(&path).unwrap_err(),
    ] {
        assert!(error.to_string().contains("version 99"), "{error}");
    }
}

#[test]
fn an_order_keeps_its_first_name() {
    let (_folder, path) = place();
    let mut inventory = Inventory::open(&path).unwrap();
    assert_eq!(inventory.order("a").unwrap(), None);
    let mut order = Order {
        search: "a".to_owned(),
        request: "00000000-0000-4000-8000-000000000001".to_owned(),
        first_sent: 5,
        operation: None,
        state: OrderState::Sent,
    };
    inventory.keep_order(&order).unwrap();
    let later = Order {
        request: "00000000-0000-4000-8000-000000000002".to_owned(),
        first_sent: 6,
        operation: Some("purchase_1".to_owned()),
        state: OrderState::Done,
        ..order.clone()
    };
    inventory.keep_order(&later).unwrap();
    order.operation.clone_from(&later.operation);
    order.state = OrderState::Done;
    assert_eq!(inventory.order("a").unwrap(), Some(order));
}

/// A list for the model: what it says, where it is from, whether it is all there is.
type Lists = Vec<(Vec<(u8, u8, u8)>, bool, bool)>;

fn lists() -> impl Strategy<Value = Lists> {
    let row = (0_u8..12, 0_u8..4, 0_u8..5);
    let rows = prop::collection::vec(row, 0..8);
    prop::collection::vec((rows, any::<bool>(), any::<bool>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Imports in any order do what a map does, and a broken list does nothing.
    #[test]
    fn imports_do_what_a_map_does(lists in lists()) {
        let (_folder, path) = place();
        let mut inventory = Inventory::open(&path).unwrap();
        // Number, to owner, SMS, source and whether it was given up.
        let mut model: BTreeMap<String, (Owner, Capability, &str, bool)> = BTreeMap::new();
        for (rows, azure, complete) in lists {
            let name = if azure { "azure" } else { "carrier.csv" };
            let origin = if azure { Origin::Azure } else { file(complete) };
            let mut next = model.clone();
            let (mut fine, mut named) = (true, Vec::new());
            let mut listed = Vec::new();
            for (line, (number, owner, sms)) in (2..).zip(rows) {
                let number = format!("+142555501{number:02}");
                if named.contains(&number) {
                    continue;
                }
                named.push(number.clone());
                let owner = [None, Some(Owner::Microsoft), Some(Owner::Carrier), Some(Owner::Ported)][usize::from(owner)];
                let sms = [None, Some(Capability::None), Some(Capability::Inbound), Some(Capability::Outbound), Some(Capability::Both)][usize::from(sms)];
                listed.push((line, Listed { number: number.clone(), owner, sms, ..Listed::default() }));
                let before = model.get(&number);
                let ported = before.is_some_and(|known| known.0 == Owner::Ported) && azure;
                let owner = if ported { Some(Owner::Ported) } else { owner.or(before.map(|known| known.0)) };
                let sms = sms.or(before.map(|known| known.1)).unwrap_or(Capability::None);
                let Some(owner) = owner else {
                    fine = false;
                    continue;
                };
                fine &= azure || owner != Owner::Microsoft || sms == Capability::None;
                let source = before.map_or(name, |known| if known.2 == "azure" { "azure" } else { name });
                next.insert(number, (owner, sms, source, false));
            }
            if azure || complete {
                for (number, known) in &mut next {
                    known.3 |= known.2 == name && !named.contains(number);
                }
            }
            let imported = inventory.import(&origin, listed, 1, false).unwrap();
            prop_assert_eq!(matches!(imported, Imported::Whole(_)), fine);
            if fine {
                model = next;
            }
            let got = inventory.numbers().unwrap().into_iter().map(|stored| {
                let entry = stored.entry;
                let gone = entry.state == State::Released;
                (entry.number, (entry.owner, entry.sms, if stored.source == "azure" { "azure" } else { "carrier.csv" }, gone))
            });
            prop_assert_eq!(got.collect::<BTreeMap<_, _>>(), model.clone());
        }
    }
}
