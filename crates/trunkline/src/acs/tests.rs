//! `diff` and `apply` against the simulation of a resource, with everything that goes wrong.

use std::path::Path;

use acs_sim::rest::{Fault, RestConfig, RestSim, Trouble};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::apply::commit;
use super::*;
use crate::config::read_text;

const ROUTES: &str = r#"
[[route]]
name = "toll-free stays"
from = ["acs"]
called = ["+1800*"]
to = ["cloud-calling", "carrier"]
[[route]]
name = "north america"
from = ["acs"]
called = ["+1*"]
to = ["carrier"]
[[route]]
name = "anywhere"
called = ["+49*"]
to = ["carrier"]
[[route]]
name = "germany"
from = ["acs", "carrier"]
called = ["+49*"]
to = ["carrier"]
"#;

struct World {
    sim: RestSim,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let sim = RestSim::start(RestConfig::new(b"a key for tests".as_slice())).await;
        Self {
            sim: sim.expect("a socket"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn desk(&self, routes: &str) -> Desk {
        let connection = self.sim.connection_string("127.0.0.1");
        let text = format!(
            r#"
[gateway]
fqdn = "sbc1.contoso.example"
bind = "127.0.0.1"
[tls]
certificate = "c.pem"
private_key = "c.key"
[acs]
connection_string = "{connection}"
timeout = "300ms"
backups = "{}"
[[trunk]]
name = "acs"
preset = "acs"
listen = "tls:127.0.0.1:5067"
[[trunk]]
name = "carrier"
preset = "carrier"
listen = "udp:127.0.0.1:5060"
peers = ["udp:198.51.100.7:5060"]
{routes}"#,
            self.folder.path().display()
        );
        let reading = read_text("trunkline.toml".into(), text, &|_| None);
        assert!(!reading.findings.has_errors(), "{:?}", reading.findings);
        let acs = reading.config.acs.clone().expect("a section");
        let resource = reading.config.azure.clone().expect("a resource");
        Desk {
            client: azure::client(&resource).expect("a client"),
            config: reading.config,
            acs,
            saved: None,
        }
    }

    fn set(&self, document: &Value) {
        self.sim.set_sip_configuration(document).expect("fits");
    }

    fn route_names(&self) -> Vec<String> {
        let document = self.sim.sip_configuration();
        let routes = document["routes"].as_array().expect("routes");
        let names = routes
            .iter()
            .map(|route| route["name"].as_str().unwrap_or(""));
        names.map(str::to_owned).collect()
    }

    fn kept(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path()).expect("a folder");
        files.map(|file| file.expect("a file").path()).collect()
    }
}

fn args(prune: bool) -> ApplyArgs {
    ApplyArgs {
        diff: DiffArgs {
            config: "trunkline.toml".into(),
            prune,
            restore: None,
            json: false,
        },
        yes: true,
    }
}

async fn plan_of(desk: &Desk, prune: bool) -> (Plan, Vec<String>) {
    let compared = compared(desk, &args(prune).diff).await;
    compared.expect("Azure answers")
}

fn others() -> Value {
    json!({
        "trunks": {"sbc9.fabrikam.example": {"sipSignalingPort": 5061}},
        "routes": [{
            "name": "theirs", "numberPattern": "^\\+4420[0-9]*$",
            "trunks": ["sbc9.fabrikam.example"],
        }],
    })
}

#[tokio::test]
async fn what_is_applied_is_the_same_afterwards_and_can_be_taken_back() {
    let world = World::new().await;
    world.set(&others());
    let before = world.sim.sip_configuration();
    let mut desk = world.desk(ROUTES);
    let code = apply::run(&desk, &args(false)).await.expect("applied");
    assert_eq!(code, 0);
    assert_eq!(world.route_names(), ["theirs", "north america", "germany"]);
    let document = world.sim.sip_configuration();
    assert_eq!(
        document["trunks"]["sbc1.contoso.example"]["sipSignalingPort"],
        5067
    );
    assert_eq!(
        document["routes"][1]["numberPattern"],
        r"^(?!(?:\+1800[0-9]*)$)\+1[0-9]*$"
    );
    assert!(plan_of(&desk, false).await.0.changes.is_empty());
    let patches = |seen: &[acs_sim::rest::Seen]| {
        seen.iter()
            .filter(|seen| seen.request.method == "PATCH")
            .count()
    };
    assert_eq!(patches(&world.sim.seen()), 1);
    // Again changes nothing, and keeps nothing.
    assert_eq!(apply::run(&desk, &args(false)).await.expect("applied"), 0);
    assert_eq!(patches(&world.sim.seen()), 1);
    let kept = world.kept();
    let [file] = &kept[..] else {
        panic!("{kept:?}")
    };
    let endpoint = desk.client.endpoint();
    desk.saved = Some(saved::read(file, &endpoint).expect("readable"));
    assert_eq!(apply::run(&desk, &args(false)).await.expect("restored"), 0);
    assert_eq!(world.sim.sip_configuration(), before);
    assert!(saved::read(file, "https://other.example").is_err());
    assert!(saved::read(Path::new("/dev/null"), &endpoint).is_err());
}

#[tokio::test]
async fn what_was_not_created_here_goes_only_with_prune() {
    let world = World::new().await;
    world.set(&others());
    let desk = world.desk(ROUTES);
    apply::run(&desk, &args(false)).await.expect("applied");
    // A route of ours that the file has no more goes by itself.
    let fewer = world.desk(
        &ROUTES[..ROUTES
            .find("[[route]]\nname = \"anywhere\"")
            .expect("there")],
    );
    let (plan, _) = plan_of(&fewer, false).await;
    let deleted: Vec<&str> = plan
        .changes
        .iter()
        .filter(|change| change.action == Action::Delete)
        .map(|change| change.name.as_str())
        .collect();
    assert_eq!(deleted, ["germany"]);
    apply::run(&desk, &args(true)).await.expect("pruned");
    assert_eq!(world.route_names(), ["north america", "germany"]);
    let document = world.sim.sip_configuration();
    assert_eq!(
        document["trunks"].as_object().map(|trunks| trunks.len()),
        Some(1)
    );
}

/// Routes of a second gateway look like ours and lead elsewhere.
#[tokio::test]
async fn another_gateways_routes_are_not_ours() {
    let world = World::new().await;
    let mut theirs = others();
    theirs["routes"][0]["description"] = json!("Managed by Trunkline: [[route]] \"theirs\".");
    world.set(&theirs);
    apply::run(&world.desk(ROUTES), &args(false))
        .await
        .expect("applied");
    assert_eq!(world.route_names(), ["theirs", "north america", "germany"]);
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_taken_over() {
    let world = World::new().await;
    let mut theirs = others();
    theirs["routes"][0]["name"] = json!("Germany");
    world.set(&theirs);
    let desk = world.desk(ROUTES);
    assert_eq!(apply::run(&desk, &args(false)).await.expect("compared"), 1);
    assert_eq!(world.route_names(), ["Germany"]);
    assert_eq!(apply::run(&desk, &args(true)).await.expect("pruned"), 0);
    assert_eq!(world.route_names(), ["north america", "germany"]);
}

#[tokio::test]
async fn a_change_says_what_it_does_to_calls() {
    let world = World::new().await;
    world.set(&json!({
        "trunks": {"sbc9.fabrikam.example": {"sipSignalingPort": 5061}},
        "routes": [{
            "name": "theirs", "numberPattern": "^\\+49", "trunks": ["sbc9.fabrikam.example"],
        }],
    }));
    let desk = world.desk(ROUTES);
    let (plan, warnings) = plan_of(&desk, false).await;
    let effect = |name: &str| {
        let change = plan.changes.iter().find(|change| change.name == name);
        change.expect(name).effect.clone()
    };
    let north = effect("north america");
    assert!(
        north.contains("go to sbc1.contoso.example (route north america)"),
        "{north}"
    );
    assert!(north.contains("until now to Microsoft"), "{north}");
    // Theirs stands first and takes every number of the German route.
    assert!(
        effect("germany").contains("no number reaches it"),
        "{}",
        effect("germany")
    );
    let says = |text: &str| warnings.iter().any(|warning| warning.contains(text));
    assert!(says("route `germany` can never match"), "{warnings:?}");
    assert!(
        says("`theirs` was not created from here and takes"),
        "{warnings:?}"
    );
    assert!(
        says("this gateway's route `anywhere` takes it first"),
        "{warnings:?}"
    );
    let (pruned, _) = plan_of(&desk, true).await;
    let change = pruned.changes.iter().find(|change| change.name == "theirs");
    let effect = &change.expect("it goes").effect;
    assert!(
        effect.contains("until now to sbc9.fabrikam.example"),
        "{effect}"
    );
}

#[tokio::test]
async fn a_catch_all_is_told() {
    let world = World::new().await;
    let all = "[[route]]\nname = \"all\"\nfrom = [\"acs\"]\nto = [\"carrier\"]\n";
    let (_, warnings) = plan_of(&world.desk(all), false).await;
    let told = |warning: &String| warning.contains("Cloud Calling carries no call any more");
    assert_eq!(
        warnings.iter().filter(|warning| told(warning)).count(),
        1,
        "{warnings:?}"
    );
    let (_, warnings) = plan_of(&world.desk(ROUTES), false).await;
    assert!(!warnings.iter().any(told), "{warnings:?}");
}

#[tokio::test]
async fn a_change_made_meanwhile_stops_it() {
    let world = World::new().await;
    let desk = world.desk(ROUTES);
    let (plan, _) = plan_of(&desk, false).await;
    world.set(&others());
    let Stop(code, why) = commit(&desk, &plan).await.expect_err("changed");
    assert!(code == 1 && why.contains("somebody else"), "{why}");
    assert_eq!(world.route_names(), ["theirs"]);
    assert!(world.kept().is_empty());
}

#[tokio::test]
async fn a_refusal_leaves_everything_as_it_was() {
    let world = World::new().await;
    world.set(&others());
    let desk = world.desk(ROUTES);
    for status in [401, 403, 409, 422] {
        let (plan, _) = plan_of(&desk, false).await;
        world.sim.inject(Fault::refused(status, "No").on("PATCH"));
        let Stop(code, why) = commit(&desk, &plan).await.expect_err("refused");
        assert!(code == 1 && why.starts_with("nothing was written"), "{why}");
        assert!(why.contains(&status.to_string()), "{why}");
        assert_eq!(world.route_names(), ["theirs"]);
    }
}

#[tokio::test]
async fn what_is_not_known_is_read_back() {
    let world = World::new().await;
    let desk = world.desk(ROUTES);
    let (plan, _) = plan_of(&desk, false).await;
    // Carried out each time, and never answered.
    world
        .sim
        .inject(Fault::next(Trouble::AnswerLost).on("PATCH").times(4));
    let written = commit(&desk, &plan).await.expect("it was made");
    assert!(written.doubt.expect("a doubt").contains("is not known"));
    assert_eq!(world.route_names(), ["north america", "germany"]);

    let world = World::new().await;
    let desk = world.desk(ROUTES);
    let (plan, _) = plan_of(&desk, false).await;
    world
        .sim
        .inject(Fault::next(Trouble::Never).on("PATCH").times(4));
    let Stop(_, why) = commit(&desk, &plan).await.expect_err("it was not");
    assert!(why.starts_with("nothing was written"), "{why}");
    // Azure says yes and does nothing.
    let nothing = Trouble::Garbled("{\"trunks\":{},\"routes\":[]}".to_owned());
    world.sim.inject(Fault::next(nothing).on("PATCH"));
    let Stop(_, why) = commit(&desk, &plan)
        .await
        .expect_err("not what was written");
    assert!(
        why.contains("is not what was written") && why.contains("--restore"),
        "{why}"
    );
}

#[tokio::test]
async fn nothing_is_written_that_cannot_be_taken_back() {
    let world = World::new().await;
    let mut desk = world.desk(ROUTES);
    desk.acs.backups = world.folder.path().join("not there");
    let (plan, _) = plan_of(&desk, false).await;
    let Stop(_, why) = commit(&desk, &plan).await.expect_err("no place");
    assert!(why.contains("cannot be kept"), "{why}");
    assert!(world.route_names().is_empty());
}

#[tokio::test]
async fn azure_that_does_not_answer_is_told() {
    let world = World::new().await;
    let desk = world.desk(ROUTES);
    world.sim.inject(Fault::next(Trouble::Never).times(4));
    let Stop(code, why) = compared(&desk, &args(false).diff)
        .await
        .expect_err("silence");
    assert!(code == 1 && why.contains("no answer"), "{why}");
    world.sim.inject(Fault::refused(401, "Denied"));
    let Stop(_, why) = compared(&desk, &args(false).diff)
        .await
        .expect_err("a wrong key");
    assert!(
        why.contains("access key") && !why.contains("YSBrZXk"),
        "{why}"
    );
}
