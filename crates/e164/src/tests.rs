use crate::{Normalised, NumberPlan};

#[test]
fn numbers_of_a_country_become_e164() {
    let us = NumberPlan::of_country("US").unwrap();
    let read = |raw: &str| us.normalise(raw).canonical();
    assert_eq!(read("(425) 555-0123"), "+14255550123");
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
    println!(
        "{agreed} of {accepted} accepted agree; {valid_accepted} of {valid} valid accepted; {total}"
    );
    assert!(
        agreed * 1000 >= accepted * 995,
        "{agreed} of {accepted} agree"
    );
}
