//! Who is told what.

use super::*;

fn wish() -> Wish {
    Wish {
        country: "US".to_owned(),
        existing: None,
        kind: None,
        microsoft: true,
        calling: Capability::Both,
        sms: Capability::None,
        assignment: Assignment::Application,
        standing: Standing::Numbers,
        paid: true,
        billing: Some("US".to_owned()),
        today: "2026-11-21".parse().expect("a day"),
    }
}

fn planned(change: impl FnOnce(&mut Wish)) -> Plan<'static> {
    let mut wish = wish();
    change(&mut wish);
    decide(&wish, &OFFERS)
}

#[test]
fn the_table_is_read_and_every_price_is_one() {
    for country in ["US", "CA", "GB", "IE", "DK", "DE", "FR", "CN", "TW", "AU"] {
        let prices = [NumberType::Geographic, NumberType::TollFree]
            .into_iter()
            .filter_map(|kind| OFFERS.price(country, kind));
        let prices: Vec<Price<'_>> = prices.collect();
        assert!(!prices.is_empty(), "{country}");
        for price in prices {
            for text in [price.month, price.out, price.inbound] {
                assert!(text.is_empty() || routing::micros(text).is_some(), "{text}");
            }
            assert!(!price.inbound_only || price.out.is_empty(), "{country}");
        }
    }
    let free = OFFERS.price("US", NumberType::TollFree).expect("a price");
    assert_eq!((free.month, free.inbound), ("2.00", "0.0220"));
    assert_eq!(OFFERS.price("FR", NumberType::TollFree), None);
    assert!(OFFERS.collected > OFFERS.prices);
}

#[test]
fn an_old_customer_buys_and_ports() {
    let plan = planned(|_| {});
    assert_eq!(
        (plan.way, plan.kind),
        (Way::DirectOffer, NumberType::Geographic)
    );
    assert_eq!(plan.without, [""; 0]);
    assert!(plan.why.iter().any(|why| why.contains("2028-09-30")));
    let plan = planned(|wish| wish.sms = Capability::Both);
    assert_eq!(
        (plan.way, plan.kind),
        (Way::DirectOffer, NumberType::TollFree)
    );
    assert_eq!((plan.sms, plan.without.len()), (Capability::Both, 0));
    let plan = planned(|wish| wish.existing = Some(NumberType::TollFree));
    assert_eq!((plan.way, plan.kind), (Way::Porting, NumberType::TollFree));
    let plan = planned(|wish| {
        wish.assignment = Assignment::Person;
        wish.kind = Some(NumberType::TollFree);
    });
    assert_eq!(
        plan.way,
        Way::SipInterface,
        "toll-free numbers serve no persons"
    );
}

#[test]
fn what_cannot_be_had_is_said() {
    let plan = planned(|wish| {
        wish.kind = Some(NumberType::Geographic);
        wish.sms = Capability::Outbound;
    });
    assert_eq!((plan.way, plan.sms), (Way::DirectOffer, Capability::None));
    assert!(plan.without[0].contains("geographic numbers from Microsoft have no SMS"));
    let plan = planned(|wish| {
        wish.kind = Some(NumberType::Geographic);
        wish.calling = Capability::None;
        wish.sms = Capability::Outbound;
    });
    assert_eq!(plan.way, Way::None);
    let plan = planned(|wish| {
        wish.microsoft = false;
        wish.sms = Capability::Both;
    });
    assert_eq!((plan.way, plan.sms), (Way::SipInterface, Capability::None));
    assert!(plan.without[0].contains("never passes the SIP Interface"));
    let plan = planned(|wish| {
        wish.country = "GB".to_owned();
        wish.kind = Some(NumberType::TollFree);
        wish.sms = Capability::Both;
    });
    assert!(
        plan.without[0].contains("United States and Canada only"),
        "{plan:?}"
    );
    let plan = planned(|wish| wish.country = "CN".to_owned());
    assert_eq!(
        (plan.kind, plan.calling),
        (NumberType::TollFree, Capability::Inbound)
    );
    assert!(plan.without[0].contains("take calls only"), "{plan:?}");
}

#[test]
fn whoever_may_not_buy_keeps_the_carrier() {
    for (change, says) in [
        (
            (|wish: &mut Wish| wish.standing = Standing::Resource) as fn(&mut Wish),
            "only to tenants",
        ),
        (|wish| wish.paid = false, "paid subscriptions only"),
        (|wish| wish.billing = Some("FR".to_owned()), "billed in FR"),
        (
            |wish| wish.country = "BR".to_owned(),
            "no geographic numbers of BR",
        ),
    ] {
        let plan = planned(change);
        assert_eq!(plan.way, Way::SipInterface, "{says}");
        assert!(!plan.eligible && plan.why[0].contains(says), "{plan:?}");
    }
    let plan = planned(|wish| wish.standing = Standing::Nothing);
    assert_eq!(
        plan.way,
        Way::Teams,
        "newcomers are shut out of the SIP Interface too"
    );
    let plan = planned(|wish| {
        wish.standing = Standing::Nothing;
        wish.today = "2026-08-01".parse().expect("a day");
    });
    assert_eq!(plan.way, Way::DirectOffer);
    for microsoft in [true, false] {
        let plan = planned(|wish| {
            wish.microsoft = microsoft;
            wish.today = "2028-10-01".parse().expect("a day");
        });
        assert_eq!(plan.way, Way::Teams);
    }
}
