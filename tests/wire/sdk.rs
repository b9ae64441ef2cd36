//! Microsoft's own clients, unmodified, against the simulated REST interface.

mod calls;
mod tools;

use acs_sim::rest::{Fault, Owned};

use tools::{Tool, World, own};

async fn python() -> Option<World> {
    Some(World::new(Tool::python().await?).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_buys_and_lists_numbers() {
    let Some(guide) = corpora::acceptance("acs-guide") else {
        return;
    };
    let Some(world) = python().await else {
        return;
    };
    let buy = guide.join("provision_numbers.py");
    // Told to come back later, and a server that stumbles: the client asks again by itself.
    world.sim.inject(Fault::refused(503, "Busy").on("POST"));
    let (code, said) = world.run(&buy, &[("AREA_CODE", "833")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Number purchased: +18335550100"), "{said}");
    let geographic = [("NUMBER_TYPE", "geographic"), ("AREA_CODE", "425")];
    let (code, said) = world.run(&buy, &geographic).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = world.run(&buy, &[("AREA_CODE", "212")]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("OutOfStock"), "{said}");
    world.sim.own(Owned::toll_free("+18885550100"));
    let list = guide.join("list_numbers.py");
    let (code, said) = world.run(&list, &[("PAGE_SIZE", "1")]).await;
    assert_eq!(code, Some(0), "{said}");
    for line in ["Number: +14255550100", "Number: +18335550100", "Total: 3"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let refused = world
        .sim
        .seen()
        .into_iter()
        .filter(|seen| seen.status == Some(401));
    assert_eq!(refused.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_sets_trunks_and_routes() {
    let Some(world) = python().await else {
        return;
    };
    let (code, said) = world.run(&own("sip_routing.py"), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    let left = world.sim.sip_configuration();
    assert_eq!(
        left["trunks"]["sbc3.contoso.example"]["sipSignalingPort"],
        5063
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_changes_and_gives_up_numbers() {
    let Some(world) = python().await else {
        return;
    };
    world.sim.own(Owned::toll_free("+18335550100"));
    let (code, said) = world.run(&own("manage_numbers.py"), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.sim.owned(), []);
}

/// A key that is not the resource's is what Microsoft's client says it is.
#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_is_refused_with_another_key() {
    let Some(world) = python().await else {
        return;
    };
    let right = world.sim.connection_string("localhost");
    let endpoint = right.split(";accesskey=").next().expect("an endpoint");
    let wrong = format!("{endpoint};accesskey=c2VjcmV0");
    let more = [("ACS_CONNECTION_STRING", wrong.as_str())];
    let (code, said) = world.run(&own("sip_routing.py"), &more).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ClientAuthenticationError"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_javascript_client_sets_routes_and_buys_numbers() {
    let Some(tool) = Tool::node().await else {
        return;
    };
    let world = World::new(tool).await;
    let (code, said) = world.run(&own("numbers.cjs"), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.sim.owned(), []);
    let refused = world.sim.seen().into_iter();
    assert_eq!(refused.filter(|seen| seen.status == Some(401)).count(), 0);
}
