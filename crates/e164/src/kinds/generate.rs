//! Writes `ranges.txt` from the metadata of the `phonenumber` library, and fails where it is old.
//!
//! Per country code, the patterns of all regions and types walk as automata over the digits
//! together: a prefix is written down as soon as all valid numbers below it agree. Numbers that
//! are not valid today count for nothing, so a range that is opened tomorrow is taken for what
//! surrounds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use phonenumber::Metadata;
use phonenumber::metadata::DATABASE;
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::util::syntax;

type Dfa = dense::DFA<Vec<u32>>;

/// In the order in which the library asks.
const KINDS: [&str; 8] = [
    "premium",
    "toll-free",
    "shared-cost",
    "voip",
    "personal",
    "pager",
    "company",
    "voicemail",
];

fn dfa(pattern: &str) -> Dfa {
    let pattern: String = pattern.split_whitespace().collect();
    dense::Builder::new()
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Anchored)
                .minimize(true),
        )
        .build(&format!("^(?:{pattern})$"))
        .expect("the library's patterns are patterns")
}

/// One region: its general pattern, and one for each type it has.
struct Region {
    iso: String,
    leading: Option<Dfa>,
    general: Dfa,
    kinds: Vec<(&'static str, Dfa)>,
    fixed: Option<Dfa>,
    mobile: Option<Dfa>,
}

impl Region {
    fn new(metadata: &Metadata) -> Self {
        let all = metadata.descriptors();
        let of = |descriptor: Option<&phonenumber::metadata::Descriptor>| {
            descriptor.map(|descriptor| dfa(descriptor.national_number().as_str()))
        };
        let kinds = [
            all.premium_rate(),
            all.toll_free(),
            all.shared_cost(),
            all.voip(),
            all.personal_number(),
            all.pager(),
            all.uan(),
            all.voicemail(),
        ];
        Self {
            iso: metadata.id().to_owned(),
            leading: metadata
                .leading_digits()
                .map(|digits| dfa(&format!("(?:{})\\d*", digits.as_str()))),
            general: dfa(all.general().national_number().as_str()),
            kinds: KINDS
                .into_iter()
                .zip(kinds)
                .filter_map(|(kind, descriptor)| Some((kind, of(descriptor)?)))
                .collect(),
            fixed: of(all.fixed_line()),
            mobile: of(all.mobile()),
        }
    }

    fn automata(&self) -> impl Iterator<Item = &Dfa> {
        self.leading
            .iter()
            .chain([&self.general])
            .chain(self.kinds.iter().map(|(_, dfa)| dfa))
            .chain(&self.fixed)
            .chain(&self.mobile)
    }
}

/// Global services and networks (ITU-T E.164 §6.2.2, §6.2.3): the library keeps one of them only.
const GLOBAL: [(&str, &str); 14] = [
    ("800", "toll-free"),
    ("808", "shared-cost"),
    ("870", "mobile"),
    ("8702", "voip"),
    ("878", "voip"),
    ("881", "mobile"),
    ("882", "mobile"),
    ("8821", "voip"),
    ("88239", "voip"),
    ("883", "voip"),
    ("888", "company"),
    ("979", "premium"),
    ("88234851", "voicemail"),
    ("88234852", "voicemail"),
];

/// Where every automaton of a country code stands.
type Joint = Vec<StateID>;
type Verdict = (String, &'static str);

struct Code {
    regions: Vec<Region>,
    below: BTreeMap<Joint, BTreeSet<Verdict>>,
}

impl Code {
    fn start(&self) -> Joint {
        let start = start::Config::new().anchored(Anchored::Yes);
        let all = self.regions.iter().flat_map(Region::automata);
        all.map(|dfa| dfa.start_state(&start).expect("anchored"))
            .collect()
    }

    fn step(&self, joint: &Joint, digit: u8) -> Joint {
        let all = self.regions.iter().flat_map(Region::automata);
        all.zip(joint)
            .map(|(dfa, state)| dfa.next_state(*state, digit))
            .collect()
    }

    /// What the library says of a number that ends here.
    fn verdict(&self, joint: &Joint) -> Option<Verdict> {
        let mut states = joint.iter();
        let mut found = None;
        for region in &self.regions {
            let mut accepts = |dfa: &Dfa| {
                let state = *states.next().expect("one state an automaton");
                dfa.is_match_state(dfa.next_eoi_state(state))
            };
            let leads = region.leading.as_ref().map(&mut accepts);
            let valid = accepts(&region.general);
            let mut kind = None;
            for (name, dfa) in &region.kinds {
                let hit = accepts(dfa);
                kind = kind.or(hit.then_some(*name));
            }
            let fixed = region.fixed.as_ref().is_some_and(&mut accepts);
            let mobile = region.mobile.as_ref().is_some_and(&mut accepts);
            // Where the two look alike, no more than the place is known.
            let kind = kind
                .or(fixed.then_some("geographic"))
                .or(mobile.then_some("mobile"));
            if found.is_none() && valid && leads != Some(false) {
                found = kind.map(|kind| (region.iso.clone(), kind));
            }
        }
        found
    }

    /// Every verdict on numbers that begin like this.
    fn below(&mut self, joint: &Joint) -> BTreeSet<Verdict> {
        if let Some(known) = self.below.get(joint) {
            return known.clone();
        }
        // A pattern without loops never comes back here; a loop adds nothing new.
        self.below.insert(joint.clone(), BTreeSet::new());
        let mut found: BTreeSet<Verdict> = self.verdict(joint).into_iter().collect();
        let mut seen = BTreeSet::new();
        for digit in b'0'..=b'9' {
            let next = self.step(joint, digit);
            if next != *joint && seen.insert(next.clone()) {
                found.extend(self.below(&next));
            }
        }
        self.below.insert(joint.clone(), found.clone());
        found
    }

    /// The ranges below a prefix: one line a range, a prefix beaten by a longer one.
    fn write(&mut self, prefix: &str, joint: &Joint, around: Option<&Verdict>, out: &mut Lines) {
        let below = self.below(joint);
        let mut all = below.iter();
        let (first, more) = (all.next(), all.next());
        let Some(first) = first else { return };
        if more.is_none() {
            if around != Some(first) {
                out.insert((prefix.to_owned(), None), first.clone());
            }
            return;
        }
        let children: Vec<(char, Joint)> = ('0'..='9')
            .map(|digit| (digit, self.step(joint, digit as u8)))
            .collect();
        let uniform = children.iter().all(|(_, child)| *child == children[0].1);
        if uniform {
            self.write_by_length(prefix, joint, around, out);
            return;
        }
        let mut count: BTreeMap<Verdict, usize> = BTreeMap::new();
        for (_, child) in &children {
            // What nobody has is no reason to leave what is around.
            let below = self.below(child);
            let one = match around {
                Some(around) if below.is_empty() || below.contains(around) => around.clone(),
                _ if below.len() == 1 => below.into_iter().next().expect("one"),
                _ => continue,
            };
            *count.entry(one).or_default() += 1;
        }
        let usual = count
            .into_iter()
            .max_by_key(|(verdict, times)| (*times, around == Some(verdict)));
        let usual = usual.map(|(verdict, _)| verdict);
        let around = match (&usual, around) {
            (Some(usual), around) if around != Some(usual) => {
                out.insert((prefix.to_owned(), None), usual.clone());
                Some(usual.clone())
            }
            (_, around) => around.cloned(),
        };
        let own = self.verdict(joint);
        if let Some(own) = own.filter(|own| around.as_ref() != Some(own)) {
            out.insert((prefix.to_owned(), Some(prefix.len())), own);
        }
        for (digit, child) in children {
            self.write(&format!("{prefix}{digit}"), &child, around.as_ref(), out);
        }
    }

    /// Digits tell nothing more, only length does.
    fn write_by_length(
        &self,
        prefix: &str,
        joint: &Joint,
        around: Option<&Verdict>,
        out: &mut Lines,
    ) {
        let (mut joint, mut found) = (joint.clone(), Vec::new());
        for length in prefix.len()..=LONGEST {
            found.extend(self.verdict(&joint).map(|verdict| (length, verdict)));
            joint = self.step(&joint, b'0');
        }
        let (_, last) = found.last().expect("something below is valid").clone();
        for (length, verdict) in found {
            if verdict != last {
                out.insert((prefix.to_owned(), Some(length)), verdict);
            }
        }
        if around != Some(&last) {
            out.insert((prefix.to_owned(), None), last);
        }
    }
}

/// Digits of the longest number the library knows.
const LONGEST: usize = 17;

/// By prefix, and by the length of the whole number where that tells.
type Lines = BTreeMap<(String, Option<usize>), Verdict>;

fn ranges() -> String {
    let mut codes: BTreeMap<u16, Vec<&Metadata>> = BTreeMap::new();
    for metadata in DATABASE.iter().filter(|metadata| metadata.id() != "001") {
        let regions: &mut Vec<_> = codes.entry(metadata.country_code()).or_default();
        regions.push(metadata);
    }
    let mut page = String::from(
        "# What numbers are, by their longest prefix here: country (001: none), type, and how many \
         digits\n# the whole number has where that tells.\n\
         # Written by the tests of this crate from the metadata of the phonenumber library \
         (libphonenumber,\n# Apache-2.0); with UPDATE_EXPECT=1 they write it anew.\n",
    );
    for (prefix, kind) in GLOBAL {
        let _ = writeln!(page, "{prefix} 001 {kind}");
    }
    for (code, mut regions) in codes {
        regions.sort_by_key(|metadata| (!metadata.is_main_country_for_code(), metadata.id()));
        // The main region has no leading digits of its own: it is asked after those that have.
        regions.sort_by_key(|metadata| metadata.leading_digits().is_none());
        let mut code_of = Code {
            regions: regions.into_iter().map(Region::new).collect(),
            below: BTreeMap::new(),
        };
        let mut lines = Lines::new();
        let start = code_of.start();
        code_of.write(&code.to_string(), &start, None, &mut lines);
        for ((prefix, length), (iso, kind)) in lines {
            let _ = match length {
                Some(length) => writeln!(page, "{prefix} {iso} {kind} {length}"),
                None => writeln!(page, "{prefix} {iso} {kind}"),
            };
        }
    }
    page
}

#[test]
fn the_ranges_are_what_the_library_says() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/kinds/ranges.txt");
    let written = ranges();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, &written).expect("the table can be written");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == written,
        "src/kinds/ranges.txt is old: run this test with UPDATE_EXPECT=1"
    );
}
