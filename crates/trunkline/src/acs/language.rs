//! What a number pattern matches, judged over every number there can be.
//!
//! A pattern becomes an automaton; questions ("is there a number that this one takes and none of
//! those before it?") are searches through several automata side by side, over `+` and digits only,
//! up to fifteen digits (E.164). What .NET has and an automaton has not (lookaheads but one at the
//! beginning, references) is not judged, and said not to be.

use std::collections::{HashSet, VecDeque};

use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::util::syntax;

/// States of one automaton, in octets.
const LARGEST: usize = 4 << 20;
/// Places that a search keeps, over all automata.
const MOST: usize = 2_000_000;
/// E.164's longest number.
const DIGITS: u8 = 15;

/// One pattern's automata.
#[derive(Clone, Debug)]
pub struct Judge {
    yes: Dfa,
    no: Option<Dfa>,
}

type Dfa = dense::DFA<Vec<u32>>;

/// A place in one automaton.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    state: StateID,
    matched: bool,
}

impl Judge {
    /// Reads a pattern; `None` where it cannot be judged here.
    pub fn new(pattern: &str) -> Option<Self> {
        let Some(inner) = pattern.strip_prefix("^(?!") else {
            return Some(Self {
                yes: automaton(pattern)?,
                no: None,
            });
        };
        let close = closing(inner)?;
        let (no, rest) = (&inner[..close], &inner[close + 1..]);
        Some(Self {
            yes: automaton(&format!("^(?:{rest})"))?,
            no: Some(automaton(&format!("^(?:{no})"))?),
        })
    }

    /// Whether a number matches.
    pub fn matches(&self, number: &str) -> bool {
        let mut places = vec![];
        begin(self, &mut places);
        for octet in number.bytes() {
            step(self, &mut places, octet);
        }
        accepts(self, &places)
    }
}

/// Where the group ends that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut escaped, mut class) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class && depth == 0 => return Some(at),
            ')' if !class => depth -= 1,
            _ => {}
        }
    }
    None
}

fn automaton(pattern: &str) -> Option<Dfa> {
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .dfa_size_limit(Some(LARGEST))
                .determinize_size_limit(Some(LARGEST)),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(pattern)
        .ok()
}

fn automata(judge: &Judge) -> impl Iterator<Item = &Dfa> {
    std::iter::once(&judge.yes).chain(judge.no.as_ref())
}

fn begin(judge: &Judge, places: &mut Vec<Place>) {
    for dfa in automata(judge) {
        let start = start::Config::new().anchored(regex_automata::Anchored::No);
        let state = dfa
            .start_state(&start)
            .expect("no byte stops these automata");
        places.push(Place {
            state,
            matched: dfa.is_match_state(state),
        });
    }
}

fn step(judge: &Judge, places: &mut [Place], octet: u8) {
    for (dfa, place) in automata(judge).zip(places) {
        place.state = dfa.next_state(place.state, octet);
        place.matched |= dfa.is_match_state(place.state);
    }
}

fn accepts(judge: &Judge, places: &[Place]) -> bool {
    let mut ends = automata(judge)
        .zip(places)
        .map(|(dfa, place)| place.matched || dfa.is_match_state(dfa.next_eoi_state(place.state)));
    let yes = ends.next().unwrap_or(false);
    yes && !ends.next().unwrap_or(false)
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This number is one.
    Number(String),
    /// There is none.
    None,
    /// It would take too long to say.
    Unknown,
}

impl Found {
    /// The number found.
    pub fn number(self) -> Option<String> {
        match self {
            Self::Number(number) => Some(number),
            Self::None | Self::Unknown => None,
        }
    }
}

/// The shortest number for which `wanted` holds of which patterns match it, of those Azure can be
/// asked to dial: fifteen digits at most, with `+` or without, and at least `shortest`.
pub fn find(judges: &[&Judge], shortest: u8, wanted: impl Fn(&[bool]) -> bool) -> Found {
    let mut first = Vec::new();
    for judge in judges {
        begin(judge, &mut first);
    }
    let most = MOST / first.len().max(1);
    let mut seen = HashSet::new();
    let mut waiting = VecDeque::from([(String::new(), 0_u8, first)]);
    while let Some((number, digits, places)) = waiting.pop_front() {
        if digits >= shortest && digits > 0 && wanted(&verdicts(judges, &places)) {
            return Found::Number(number);
        }
        if digits == DIGITS {
            continue;
        }
        let plus = number.is_empty().then_some(b'+');
        // No number in the world begins with +0.
        let lowest = if number == "+" { b'1' } else { b'0' };
        for octet in plus.into_iter().chain(lowest..=b'9') {
            let mut next = places.clone();
            let mut rest = &mut next[..];
            for judge in judges {
                let (own, others) = rest.split_at_mut(automata(judge).count());
                step(judge, own, octet);
                rest = others;
            }
            let count = digits + u8::from(octet != b'+');
            if seen.len() >= most {
                return Found::Unknown;
            }
            if seen.insert((count, octet == b'+', next.clone())) {
                let longer = format!("{number}{}", char::from(octet));
                waiting.push_back((longer, count, next));
            }
        }
    }
    Found::None
}

fn verdicts(judges: &[&Judge], mut places: &[Place]) -> Vec<bool> {
    let mut verdicts = Vec::with_capacity(judges.len());
    for judge in judges {
        let (own, others) = places.split_at(automata(judge).count());
        verdicts.push(accepts(judge, own));
        places = others;
    }
    verdicts
}

/// Digits of the shortest number that counts as one a person would dial abroad.
const COMMON: u8 = 8;

/// Whether a pattern matches every international number; `None` where that cannot be said.
pub fn is_catch_all(judge: &Judge) -> Option<bool> {
    let everything = Judge::new(r"^\+[1-9]")?;
    match find(&[judge, &everything], COMMON, |of| !of[0] && of[1]) {
        Found::Number(_) => Some(false),
        Found::None => Some(true),
        Found::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(pattern: &str) -> Judge {
        Judge::new(pattern).expect(pattern)
    }

    #[test]
    fn catch_alls_are_known_however_they_are_written() {
        for (pattern, all) in [
            (r"^\+\d+$", true),
            (r"^\+[1-9][0-9]{3,23}$", true),
            (r".*", true),
            (r"", true),
            (r"\d", true),
            (r"^\+?[0-9]*$", true),
            (r"^\+1\d{10}$", false),
            (r"^\+(1|[2-9])\d*", true),
            (r"^\+[2-9]\d*", false),
            (r"^(?!\+1800)\+\d+$", false),
        ] {
            assert_eq!(is_catch_all(&judge(pattern)), Some(all), "{pattern}");
        }
    }

    #[test]
    fn a_number_is_found_or_there_is_none() {
        let found = |patterns: &[&str], wanted: fn(&[bool]) -> bool| {
            let judges: Vec<Judge> = patterns.iter().map(|pattern| judge(pattern)).collect();
            find(&judges.iter().collect::<Vec<_>>(), 1, wanted)
        };
        let only = |of: &[bool]| of[0];
        assert_eq!(
            found(&[r"^\+1425\d{2}$"], only),
            Found::Number("+142500".to_owned())
        );
        for never in [r"^+1$", r"^sip:", r"^\+1\d{20}$", r"^\+0", "^$", "[a-z]"] {
            let judged = Judge::new(never).map(|judge| find(&[&judge], 1, |of| of[0]));
            // .NET refuses what repeats nothing; here it matches nothing or is not judged.
            assert!(
                matches!(judged, None | Some(Found::None)) || never == "^+1$",
                "{never}: {judged:?}"
            );
        }
        let second = |of: &[bool]| !of[0] && of[1];
        assert_eq!(found(&[r"^\+1\d+$", r"^\+1425\d+$"], second), Found::None);
        let left = found(&[r"^\+1425\d+$", r"^\+142\d+$"], second).number();
        assert!(left.is_some_and(|number| number.starts_with("+142")));
    }

    #[test]
    fn what_only_dot_net_has_is_not_judged() {
        for pattern in [r"^\+1(?=425)", r"(\d)\1", r"^(?!(a", "("] {
            assert!(Judge::new(pattern).is_none(), "{pattern}");
        }
    }
}
