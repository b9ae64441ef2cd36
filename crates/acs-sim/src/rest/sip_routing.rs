//! SIP routing: trunks and voice routes in one document, changed by merge patches.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::pattern::matches;
use super::request::Request;

const MOST: usize = 250;
const LONGEST_NAME: usize = 256;
const LONGEST_DESCRIPTION: usize = 1024;
const LONGEST_PATTERN: usize = 1024;
const LONGEST_FQDN: usize = 249;

/// The document.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SipRouting {
    trunks: BTreeMap<String, u16>,
    routes: Vec<Route>,
}

#[derive(Clone, Debug, PartialEq)]
struct Route {
    name: String,
    description: String,
    pattern: String,
    trunks: Vec<String>,
}

/// A rule broken, as recorded answers of the service have it: status, code, message.
struct Broken(u16, &'static str, String);

impl SipRouting {
    pub(super) fn answer(&mut self, request: &Request, segments: &[&str]) -> Answer {
        match (request.method.as_str(), segments) {
            ("GET", ["sip"]) => Answer::json(200, &self.document()),
            ("PATCH", ["sip"]) => {
                if request.media_type() != "application/merge-patch+json" {
                    return Answer::error(
                        415,
                        "UnsupportedMediaType",
                        "A change is application/merge-patch+json.",
                    );
                }
                let Some(Value::Object(patch)) = request.json() else {
                    return Answer::bad_request("The body is not a JSON object.");
                };
                match self.patched(&patch) {
                    Ok(next) => {
                        *self = next;
                        Answer::json(200, &self.document())
                    }
                    Err(broken) => unprocessable(&broken),
                }
            }
            (_, ["sip"]) => Answer::error(405, "MethodNotAllowed", "Only GET and PATCH."),
            _ => Answer::not_found("such thing"),
        }
    }

    pub(super) fn document(&self) -> Value {
        let trunks: Map<String, Value> = self
            .trunks
            .iter()
            .map(|(fqdn, port)| (fqdn.clone(), json!({"sipSignalingPort": port})))
            .collect();
        let routes: Vec<Value> = self
            .routes
            .iter()
            .map(|route| {
                json!({
                    "name": route.name, "description": route.description,
                    "numberPattern": route.pattern, "trunks": route.trunks,
                })
            })
            .collect();
        json!({"trunks": trunks, "routes": routes})
    }

    pub(super) fn replace(&mut self, document: &Value) -> Result<(), String> {
        let Value::Object(document) = document else {
            return Err("not an object".to_owned());
        };
        let next = Self::default()
            .patched(document)
            .map_err(|Broken(_, code, message)| format!("{code}: {message}"))?;
        *self = next;
        Ok(())
    }

    /// The trunks of the first route that takes a number; `None` where none does.
    pub(super) fn trunks_for(&self, number: &str) -> Option<Vec<String>> {
        let mut routes = self.routes.iter();
        let route = routes.find(|route| matches(&route.pattern, number))?;
        Some(route.trunks.clone())
    }

    fn patched(&self, patch: &Map<String, Value>) -> Result<Self, Broken> {
        let mut next = self.clone();
        let mut empty = true;
        for (name, value) in patch {
            match (name.as_str(), value) {
                ("trunks", Value::Object(trunks)) => {
                    empty &= trunks.is_empty();
                    next.patch_trunks(trunks)?;
                }
                ("routes", Value::Array(routes)) => {
                    empty = false;
                    next.routes = routes.iter().map(Route::read).collect::<Result<_, _>>()?;
                }
                ("domains", Value::Object(_)) => empty = false,
                _ => return Err(Broken(400, "BadRequest", format!("`{name}` is not known"))),
            }
        }
        if empty {
            return Err(Broken(
                422,
                "EmptyPatch",
                "Nothing is to change.".to_owned(),
            ));
        }
        next.check()?;
        Ok(next)
    }

    fn patch_trunks(&mut self, trunks: &Map<String, Value>) -> Result<(), Broken> {
        for (fqdn, trunk) in trunks {
            if trunk.is_null() {
                self.trunks.remove(&fqdn.to_ascii_lowercase());
                continue;
            }
            if !is_fqdn(fqdn) {
                let message = format!("Trunk '{fqdn}' is not an FQDN.");
                return Err(Broken(422, "InvalidTrunkFqdn", message));
            }
            let port = trunk.get("sipSignalingPort").and_then(Value::as_i64);
            let port = port.and_then(|port| u16::try_from(port).ok());
            let port = port.filter(|port| *port != 0).ok_or_else(|| {
                let message = format!("The port of trunk '{fqdn}' is not 1 to 65535.");
                Broken(422, "InvalidTrunkSipSignalingPort", message)
            })?;
            self.trunks.insert(fqdn.to_ascii_lowercase(), port);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Broken> {
        // That there are limits is written down; the codes of their errors are not.
        if self.trunks.len() > MOST || self.routes.len() > MOST {
            let message = format!("More than {MOST} trunks or routes.");
            return Err(Broken(422, "TooManyItems", message));
        }
        let mut names = BTreeSet::new();
        for route in &self.routes {
            if !names.insert(&route.name) {
                let message = format!("There are two routes named '{}'.", route.name);
                return Err(Broken(400, "DuplicatedRoute", message));
            }
            let mut trunks = BTreeSet::new();
            for trunk in &route.trunks {
                if !trunks.insert(trunk.to_ascii_lowercase()) {
                    let message = format!("Route '{}' names '{trunk}' twice.", route.name);
                    return Err(Broken(400, "RouteWithDuplicatedTrunk", message));
                }
                if !self.trunks.contains_key(&trunk.to_ascii_lowercase()) {
                    let message = format!("Route '{}' names no trunk: '{trunk}'.", route.name);
                    return Err(Broken(422, "MissingTrunk", message));
                }
            }
        }
        Ok(())
    }
}

impl Route {
    fn read(value: &Value) -> Result<Self, Broken> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("");
        let name = text("name");
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            let message = "A route's name has 1 to 256 characters.".to_owned();
            return Err(Broken(422, "InvalidRouteName", message));
        }
        let pattern = text("numberPattern");
        if pattern.is_empty() || pattern.chars().count() > LONGEST_PATTERN {
            let message = format!("The pattern of route '{name}' has 1 to 1024 characters.");
            return Err(Broken(422, "InvalidRouteNumberPattern", message));
        }
        let description = text("description");
        if description.chars().count() > LONGEST_DESCRIPTION {
            let message = format!("The description of route '{name}' is too long.");
            return Err(Broken(422, "InvalidRouteDescription", message));
        }
        let trunks = value.get("trunks").and_then(Value::as_array);
        let trunks: Vec<String> = trunks
            .into_iter()
            .flatten()
            .filter_map(|trunk| Some(trunk.as_str()?.to_owned()))
            .collect();
        if trunks.len() > MOST {
            let message = format!("Route '{name}' has more than {MOST} trunks.");
            return Err(Broken(422, "TooManyItems", message));
        }
        Ok(Self {
            name: name.to_owned(),
            description: description.to_owned(),
            pattern: pattern.to_owned(),
            trunks,
        })
    }
}

fn unprocessable(Broken(status, code, message): &Broken) -> Answer {
    let outer = "UnprocessableConfiguration";
    let error = json!({
        "code": outer,
        "message": "One or more request inputs are not valid.",
        "innererror": {"code": code, "message": message},
    });
    Answer::error_with(*status, outer, error)
}

fn is_fqdn(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    text.len() <= LONGEST_FQDN && text.contains('.') && text.split('.').all(label)
}
