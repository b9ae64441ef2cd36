use proptest::prelude::*;

use crate::{E164Number, Normalised, NumberError, NumberPlan, PlanError, WrittenAs};

fn plan(country: &str) -> NumberPlan {
    NumberPlan::of_country(country).unwrap()
}

/// Reads each input and writes what it is: `+…`, `short …`, `emergency …` or `other`.
fn read(plan: &NumberPlan, raw: &str) -> String {
    match plan.normalise(raw) {
        Normalised::E164(number) => number.to_wire(),
        Normalised::Short(digits) => format!("short {digits}"),
        Normalised::Emergency(digits) => format!("emergency {digits}"),
        Normalised::Other(raw_kept) => {
            assert_eq!(raw_kept, raw);
            "other".to_owned()
        }
    }
}

#[test]
fn numbers_of_a_country_become_e164() {
    let us = plan("us").with_area("425").unwrap();
    for (raw, expected) in [
        ("(425) 555-0123", "+14255550123"),
        ("1 425 555 0123", "+14255550123"),
        ("555-0123", "+14255550123"),
        ("011 44 20 7946 0123", "+442079460123"),
        ("+44 (0)20 7946 0123", "+442079460123"),
        ("tel:+1-425-555-0123;ext=7", "+14255550123"),
        ("tel:79460123;phone-context=+4420", "+442079460123"),
        ("tel:7042;phone-context=example.com", "other"),
        ("911", "emergency 911"),
        ("933", "emergency 933"),
        ("411", "short 411"),
        ("0", "short 0"),
        ("+911", "other"),
        ("*67+14255550123", "other"),
        ("1-800-FLOWERS", "other"),
        ("anonymous", "other"),
        ("", "other"),
        ("+", "other"),
        ("+0123456789", "other"),
        ("+9991234567", "other"),
        ("00442079460123", "other"),
    ] {
        assert_eq!(read(&us, raw), expected, "{raw}");
    }
    assert_eq!(read(&plan("GB"), "020 7946 0123"), "+442079460123");
    assert_eq!(read(&plan("GB"), "999"), "emergency 999");
    assert_eq!(read(&plan("IT"), "02 1234 5678"), "+390212345678");
    assert_eq!(read(&NumberPlan::e164(), "02079460123"), "other");
}

#[test]
fn numbers_are_written_as_the_trunk_writes_them() {
    let number = |text| E164Number::parse(text).unwrap();
    let (home, abroad) = (number("+14255550123"), number("+442079460123"));
    let us = plan("US");
    assert_eq!(us.write(&home), "14255550123");
    assert_eq!(us.write(&abroad), "011442079460123");
    assert_eq!(plan("GB").write(&abroad), "02079460123");
    assert_eq!(plan("GB").write(&home), "0014255550123");
    assert_eq!(plan("IT").write(&number("+390212345678")), "0212345678");
    assert_eq!(NumberPlan::e164().write(&home), "+14255550123");
    assert_eq!(
        us.clone().written_as(WrittenAs::Digits).write(&home),
        "14255550123"
    );
    let behind = us.with_international_prefix("9011").unwrap();
    let behind = behind.with_national_prefix("91").unwrap();
    assert_eq!(behind.write(&abroad), "9011442079460123");
    assert_eq!(behind.write(&home), "914255550123");
}

#[test]
fn a_number_has_a_country_and_a_length() {
    let error = |text| E164Number::parse(text).unwrap_err();
    assert_eq!(error("14255550123"), NumberError::NoPlus);
    assert_eq!(error("+1425555o123"), NumberError::NotDigits);
    assert_eq!(error("+2105550123"), NumberError::CountryCode);
    assert_eq!(error("+1425555012"), NumberError::Length);
    assert_eq!(error("+4912345678901234"), NumberError::Length);
    let number = E164Number::parse("+14255550123").unwrap();
    assert_eq!(
        (number.country_code(), number.national()),
        ("1", "4255550123")
    );
    assert!(!format!("{number:?} {:?}", plan("US").normalise("4255550123")).contains("0123"));
}

#[test]
fn plans_are_checked() {
    assert_eq!(
        NumberPlan::of_country("ZZ").unwrap_err(),
        PlanError::Country
    );
    assert_eq!(plan("US").with_area("42x").unwrap_err(), PlanError::Area);
    assert_eq!(
        NumberPlan::e164().with_area("425").unwrap_err(),
        PlanError::Area
    );
    assert_eq!(
        plan("US").with_national_prefix("").unwrap_err(),
        PlanError::Prefix
    );
}

#[test]
fn the_country_table_is_consistent() {
    for country in crate::countries::COUNTRIES {
        assert_eq!(
            crate::countries::code_of(country.code),
            Some(country.code),
            "{country:?}"
        );
        assert!(country.shortest <= country.longest, "{country:?}");
        assert!(
            country.code.len() + usize::from(country.longest) <= 15,
            "{country:?}"
        );
        assert!(!country.international_prefixes.is_empty(), "{country:?}");
        for number in country.emergency {
            assert!(crate::may_be_emergency(number), "{country:?}: {number}");
        }
        let same = crate::countries::COUNTRIES
            .iter()
            .filter(|other| other.iso == country.iso);
        assert_eq!(same.count(), 1, "{country:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        country in prop::sample::select(crate::countries::COUNTRIES.iter().map(|c| c.iso).collect::<Vec<_>>()),
        digits in "[1-9][0-9]{6,14}",
        form in prop::sample::select(vec![WrittenAs::E164, WrittenAs::National]),
    ) {
        let plan = plan(country).written_as(form);
        if let Ok(number) = E164Number::from_digits(&digits)
            && !number.national().starts_with('0')
        {
            let written = plan.write(&number);
            let read = plan.normalise(&written);
            // Some national forms are an emergency number or start like an international one.
            if let Some(read) = read.e164() {
                prop_assert!(read == &number || number.country_code() == plan.country().unwrap().code, "{} {}", written, read.to_wire());
            }
        }
    }

    /// What is told at a glance is never what help is called by.
    #[test]
    fn no_emergency_number_is_passed_over(
        country in prop::sample::select(vec!["US", "DE", "ZA"]),
        raw in "( |tel:|\\+)?(1-?1-?2|9.11|10/111|\\(110\\)|[0-9]{1,8})(;ext=[0-9]{1,9}|;phone-context=.{0,9})?",
    ) {
        if let Normalised::Emergency(_) = plan(country).normalise(&raw) {
            prop_assert!(crate::may_be_emergency(&raw));
        }
    }

    #[test]
    fn any_text_is_read(country in prop::sample::select(vec!["US", "DE", "IT"]), raw in "\\PC{0,80}") {
        if let Normalised::E164(number) = plan(country).normalise(&raw) {
            prop_assert_eq!(E164Number::parse(&number.to_wire()), Ok(number));
        }
    }
}

#[test]
fn agrees_with_the_oracle() {
    let Some(folder) = corpora::folder("e164") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("normalisation-oracle.json")).unwrap();
    let corpus: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (mut accepted, mut agreed, mut valid, mut valid_accepted, mut total) = (0, 0, 0, 0, 0);
    for case in corpus["cases"].as_array().unwrap() {
        total += 1;
        let plan = match case["default_region"].as_str() {
            Some(region) => NumberPlan::of_country(region).unwrap(),
            None => NumberPlan::e164(),
        };
        let input = case["input"].as_str().unwrap();
        let read = plan.normalise(input);
        let oracle = case["e164"].as_str();
        let is_valid = case["valid"].as_bool().unwrap();
        valid += usize::from(is_valid);
        if let Normalised::E164(number) = read {
            accepted += 1;
            valid_accepted += usize::from(is_valid);
            // Where the two differ, it is in the number: no country is ever invented.
            let code = format!("+{}", number.country_code());
            let same_country = oracle.is_none_or(|oracle| oracle.starts_with(&code));
            assert!(same_country, "{case}: {}", number.to_wire());
            if Some(number.to_wire().as_str()) == oracle {
                agreed += 1;
            } else {
                println!("DISAGREE {case}: {}", number.to_wire());
            }
        } else if is_valid {
            println!(
                "refused {input} {:?} {}",
                case["default_region"].as_str(),
                case["why"]
            );
        }
    }
    for (verdict, count) in [
        ("cases", total),
        ("read as E.164", accepted),
        ("of them as the oracle says", agreed),
        ("valid for the oracle", valid),
        ("of them read", valid_accepted),
    ] {
        corpora::tally("e164 normalisation oracle", verdict, count);
    }
    assert!(
        agreed * 1000 >= accepted * 995,
        "{agreed} of {accepted} agree"
    );
    assert!(
        valid_accepted * 100 >= valid * 97,
        "{valid_accepted} of {valid} valid numbers are read"
    );
}
