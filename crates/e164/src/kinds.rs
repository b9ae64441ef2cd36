//! What kind of number a number is, and whose: by its longest known prefix.
//!
//! The prefixes stand in `kinds/ranges.txt`, which the tests of this crate write from the metadata
//! of the `phonenumber` library and keep equal to it; the library itself is not linked. They are
//! compiled once, at first use, into a trie: a look-up takes one step a digit.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use crate::normalise::Normalised;
use crate::number::E164Number;

#[cfg(test)]
mod generate;

/// What a number is for, and who pays for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NumberType {
    /// A place; also where mobile numbers look the same, as in North America.
    Geographic,
    /// A mobile telephone.
    Mobile,
    /// The called party pays.
    TollFree,
    /// The caller pays more than for the call.
    Premium,
    /// Caller and called party share the costs.
    SharedCost,
    /// Internet telephony without a place.
    Voip,
    /// A number that follows a person.
    Personal,
    /// A pager.
    Pager,
    /// A company's number without a place.
    Company,
    /// Access to a mailbox.
    Voicemail,
    /// A short code of a country or an exchange.
    ShortCode,
    /// A number that help is called by.
    Emergency,
    /// None of these: no number, or one of a range nobody has.
    Unknown,
}

impl NumberType {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::Geographic,
        Self::Mobile,
        Self::TollFree,
        Self::Premium,
        Self::SharedCost,
        Self::Voip,
        Self::Personal,
        Self::Pager,
        Self::Company,
        Self::Voicemail,
        Self::ShortCode,
        Self::Emergency,
        Self::Unknown,
    ];

    /// The type's name in configurations and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Geographic => "geographic",
            Self::Mobile => "mobile",
            Self::TollFree => "toll-free",
            Self::Premium => "premium",
            Self::SharedCost => "shared-cost",
            Self::Voip => "voip",
            Self::Personal => "personal",
            Self::Pager => "pager",
            Self::Company => "company",
            Self::Voicemail => "voicemail",
            Self::ShortCode => "short-code",
            Self::Emergency => "emergency",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a type's name; `None` when there is none such.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

impl fmt::Display for NumberType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Country and type of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberClass {
    /// ISO 3166-1 alpha-2, upper case; `None` for global services and where nobody can tell.
    /// Numbers that several countries share, such as toll-free ones of North America, have the
    /// greatest of them.
    pub country: Option<&'static str>,
    /// The type.
    pub kind: NumberType,
}

impl NumberClass {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        country: None,
        kind: NumberType::Unknown,
    };
}

impl E164Number {
    /// Country and type, by the number's longest known prefix. A number of a range that nobody
    /// has yet is taken for what surrounds it.
    #[must_use]
    pub fn class(&self) -> NumberClass {
        TABLE.find(self.digits())
    }
}

impl Normalised {
    /// Country and type. Short codes and emergency numbers have no country of their own.
    #[must_use]
    pub fn class(&self) -> NumberClass {
        let without_country = |kind| NumberClass {
            country: None,
            kind,
        };
        match self {
            Self::E164(number) => number.class(),
            Self::Short(_) => without_country(NumberType::ShortCode),
            Self::Emergency(_) => without_country(NumberType::Emergency),
            Self::Other(_) => NumberClass::UNKNOWN,
        }
    }
}

/// The ISO 3166-1 alpha-2 code, upper case, of a country that some number belongs to; any case is
/// understood.
#[must_use]
pub fn country_of_numbers(iso: &str) -> Option<&'static str> {
    let upper = iso.to_ascii_uppercase();
    TABLE.countries.get(upper.as_str()).copied()
}

/// Compiles the table now, where it was not asked yet: a few milliseconds that no call is to wait.
pub fn prepare() {
    LazyLock::force(&TABLE);
}

static RANGES: &str = include_str!("kinds/ranges.txt");
static TABLE: LazyLock<Table> = LazyLock::new(|| Table::compile(RANGES));

/// A node of the trie: where each digit leads, 0 for nowhere, and what a prefix that ends here is.
#[derive(Debug, Clone, Default)]
struct Node {
    below: [u16; 10],
    class: Option<NumberClass>,
    /// What it is in numbers of so many digits.
    by_length: Vec<(usize, NumberClass)>,
}

#[derive(Debug)]
struct Table {
    nodes: Vec<Node>,
    countries: BTreeSet<&'static str>,
}

impl Table {
    fn compile(ranges: &'static str) -> Self {
        let mut table = Self {
            nodes: vec![Node::default()],
            countries: BTreeSet::new(),
        };
        for line in ranges.lines().filter(|line| !line.starts_with('#')) {
            let mut words = line.split(' ');
            let (prefix, iso) = (words.next(), words.next());
            let kind = words.next().and_then(NumberType::from_name);
            let (Some(prefix), Some(iso), Some(kind)) = (prefix, iso, kind) else {
                continue;
            };
            let length = words.next().and_then(|length| length.parse().ok());
            // 001 stands for the world.
            let country = (iso.len() == 2).then_some(iso);
            table.countries.extend(country);
            table.insert(prefix, length, NumberClass { country, kind });
        }
        table
    }

    fn insert(&mut self, prefix: &str, length: Option<usize>, class: NumberClass) {
        let mut at = 0;
        for digit in digits(prefix) {
            if self.nodes[at].below[digit] == 0 {
                let Ok(next) = u16::try_from(self.nodes.len()) else {
                    return;
                };
                self.nodes.push(Node::default());
                self.nodes[at].below[digit] = next;
            }
            at = usize::from(self.nodes[at].below[digit]);
        }
        match length {
            Some(length) => self.nodes[at].by_length.push((length, class)),
            None => self.nodes[at].class = Some(class),
        }
    }

    fn find(&self, number: &str) -> NumberClass {
        let (mut at, mut found) = (0, NumberClass::UNKNOWN);
        for digit in digits(number) {
            at = usize::from(self.nodes[at].below[digit]);
            if at == 0 {
                break;
            }
            let node = &self.nodes[at];
            let of_length = node
                .by_length
                .iter()
                .find(|(length, _)| *length == number.len());
            found = of_length
                .map(|(_, class)| *class)
                .or(node.class)
                .unwrap_or(found);
        }
        found
    }
}

fn digits(text: &str) -> impl Iterator<Item = usize> {
    text.bytes()
        .filter(u8::is_ascii_digit)
        .map(|digit| usize::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use phonenumber::Type;

    use super::*;

    fn class(number: &str) -> NumberClass {
        E164Number::parse(number).unwrap().class()
    }

    #[test]
    fn every_range_is_in_the_trie() {
        let lines = RANGES.lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let length = words.get(3).and_then(|length| length.parse::<usize>().ok());
            if length.is_some_and(|length| length != words[0].len()) {
                continue;
            }
            let found = TABLE.find(words[0]);
            assert_eq!(found.kind.as_str(), words[2], "{line}");
            assert_eq!(found.country.unwrap_or("001"), words[1], "{line}");
        }
    }

    #[test]
    fn numbers_have_a_country_and_a_type() {
        for (number, country, kind) in [
            ("+14255550123", Some("US"), NumberType::Geographic),
            ("+16045550123", Some("CA"), NumberType::Geographic),
            ("+18005550123", Some("US"), NumberType::TollFree),
            ("+19005550123", Some("US"), NumberType::Premium),
            ("+442079460123", Some("GB"), NumberType::Geographic),
            ("+447700900123", Some("GB"), NumberType::Mobile),
            ("+390612345678", Some("IT"), NumberType::Geographic),
            ("+80012345678", None, NumberType::TollFree),
        ] {
            let expected = NumberClass { country, kind };
            assert_eq!(class(number), expected, "{number}");
        }
        let short = Normalised::Short("411".to_owned()).class();
        assert_eq!(short.kind, NumberType::ShortCode);
        assert_eq!(country_of_numbers("de"), Some("DE"));
        assert_eq!(country_of_numbers("ZZ"), None);
    }

    fn of_library(kind: &Type) -> NumberType {
        match kind {
            Type::FixedLine | Type::FixedLineOrMobile => NumberType::Geographic,
            Type::Mobile => NumberType::Mobile,
            Type::TollFree => NumberType::TollFree,
            Type::PremiumRate => NumberType::Premium,
            Type::SharedCost => NumberType::SharedCost,
            Type::PersonalNumber => NumberType::Personal,
            Type::Voip => NumberType::Voip,
            Type::Pager => NumberType::Pager,
            Type::Uan => NumberType::Company,
            Type::Voicemail => NumberType::Voicemail,
            Type::Emergency
            | Type::ShortCode
            | Type::StandardRate
            | Type::Carrier
            | Type::NoInternational
            | Type::Unknown => NumberType::Unknown,
        }
    }

    /// Numbers next to the library's own examples, of which it says what they are.
    #[test]
    fn numbers_near_the_examples_are_what_the_library_says() {
        let (mut same, mut total) = (0, 0);
        for metadata in phonenumber::metadata::DATABASE.iter() {
            let all = metadata.descriptors();
            let examples = [all.fixed_line(), all.mobile(), all.toll_free()];
            for example in examples.into_iter().flatten().filter_map(|d| d.example()) {
                for last in 0..10 {
                    let national = format!("{}{last}", &example[..example.len() - 1]);
                    let text = format!("+{}{national}", metadata.country_code());
                    let Ok(number) = phonenumber::parse(None, &text) else {
                        continue;
                    };
                    let Ok(ours) = E164Number::parse(&text) else {
                        continue;
                    };
                    let kind = of_library(&number.number_type(&phonenumber::metadata::DATABASE));
                    if kind == NumberType::Unknown {
                        continue;
                    }
                    total += 1;
                    same += usize::from(ours.class().kind == kind);
                }
            }
        }
        assert!(
            total > 3_000 && same * 1_000 >= total * 995,
            "{same} of {total}"
        );
    }

    #[test]
    fn example_numbers_are_what_the_corpus_says() {
        let Some(folder) = corpora::folder("e164") else {
            return;
        };
        let text = std::fs::read_to_string(folder.join("example-numbers.csv")).unwrap();
        let rows = || text.lines().skip(1).map(|line| line.split(',').collect());
        let region = |cells: Vec<&str>| (cells[0].to_owned(), cells[1].to_owned());
        let regions: BTreeMap<String, String> = rows().map(region).collect();
        let (mut types, mut countries, mut accepted, mut total) = (0, 0, 0, 0);
        for line in text.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            if cells[5] != "True" {
                continue;
            }
            total += 1;
            let Ok(number) = E164Number::parse(cells[4]) else {
                println!("refused {line}");
                continue;
            };
            accepted += 1;
            let found = number.class();
            let kind = match cells[6] {
                "FIXED_LINE" | "FIXED_LINE_OR_MOBILE" => "geographic",
                "PREMIUM_RATE" => "premium",
                "PERSONAL_NUMBER" => "personal",
                "UAN" => "company",
                other => &other.to_lowercase().replace('_', "-"),
            };
            let country = found.country.unwrap_or("001");
            // Countries that share a code share numbers too; none is ever one of another code.
            let code = regions.get(country).map(|code| code.as_str());
            assert!(
                country == "001" || code == Some(cells[1]),
                "{line}: {found:?}"
            );
            types += usize::from(found.kind.as_str() == kind);
            countries += usize::from(country == cells[0]);
            if found.kind.as_str() != kind {
                println!("differs {line}: {found:?}");
            }
        }
        corpora::tally("e164 example numbers", "valid for the oracle", total);
        corpora::tally("e164 example numbers", "accepted", accepted);
        corpora::tally("e164 example numbers", "same type", types);
        corpora::tally("e164 example numbers", "same country", countries);
        assert!(accepted * 100 >= total * 97, "{accepted} of {total}");
        assert!(types * 1_000 >= accepted * 995, "{types} of {accepted}");
    }
}
