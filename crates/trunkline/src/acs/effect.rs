//! What a change of voice routes does to calls, shown on one number each.

use acs_client::sip_routing::{SipConfiguration, SipTrunkRoute};

use super::language::{Found, Judge, find};

/// Where calls go that match no route.
const NOWHERE: &str = "Microsoft, where the caller id was bought from it, and else fail";

/// The routes before and after a change, judged.
#[derive(Debug)]
pub(super) struct Effects {
    before: Side,
    after: Side,
}

#[derive(Debug)]
struct Side {
    routes: Vec<SipTrunkRoute>,
    judges: Vec<Option<Judge>>,
}

impl Side {
    fn new(configuration: &SipConfiguration) -> Self {
        let routes = configuration.routes.clone();
        let judges = routes.iter().map(|route| Judge::new(&route.number_pattern));
        Self {
            judges: judges.collect(),
            routes,
        }
    }

    /// A number that the route takes at its place, or why there is none.
    fn example(&self, at: usize) -> Result<String, &'static str> {
        let Some(own) = &self.judges[at] else {
            return Err("its pattern can only be judged by Azure");
        };
        let earlier: Vec<&Judge> = self.judges[..at].iter().flatten().collect();
        let judges: Vec<&Judge> = std::iter::once(own).chain(earlier).collect();
        let taken = |of: &[bool]| of[0] && !of[1..].contains(&true);
        match find(&judges, 8, taken) {
            Found::Number(number) => Ok(number),
            Found::Unknown => Err("its pattern is too large to be judged here"),
            Found::None => match find(&judges, 1, taken) {
                Found::Number(number) => Ok(number),
                Found::None | Found::Unknown => Err("no number reaches it"),
            },
        }
    }

    /// Where a call to a number goes.
    fn goes(&self, number: &str) -> String {
        let mut sure = true;
        for (route, judge) in self.routes.iter().zip(&self.judges) {
            match judge {
                None => sure = false,
                Some(judge) if judge.matches(number) => {
                    let trunks = match &route.trunks[..] {
                        [] => "nowhere".to_owned(),
                        trunks => trunks.join(", "),
                    };
                    let doubt = if sure {
                        ""
                    } else {
                        ", unless a route before it takes them that can only be judged by Azure"
                    };
                    return format!("{trunks} (route {}){doubt}", route.name);
                }
                Some(_) => {}
            }
        }
        NOWHERE.to_owned()
    }
}

impl Effects {
    /// Judges both sides of a change.
    pub(super) fn new(before: &SipConfiguration, after: &SipConfiguration) -> Self {
        Self {
            before: Side::new(before),
            after: Side::new(after),
        }
    }

    /// What the route at this place of the new list does.
    pub(super) fn comes(&self, at: usize) -> String {
        self.told(self.after.example(at))
    }

    /// What it does that the route at this place of the old list goes.
    pub(super) fn goes(&self, at: usize) -> String {
        self.told(self.before.example(at))
    }

    fn told(&self, example: Result<String, &'static str>) -> String {
        let number = match example {
            Ok(number) => number,
            Err(why) => return format!("none that can be told: {why}"),
        };
        let (old, new) = (self.before.goes(&number), self.after.goes(&number));
        if old == new {
            format!("calls from Azure to numbers like {number} go on to {new}")
        } else {
            format!("calls from Azure to numbers like {number} go to {new}; until now to {old}")
        }
    }
}
