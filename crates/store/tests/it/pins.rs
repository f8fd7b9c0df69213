//! Pins of tool definitions in the store.

use tempfile::TempDir;
use tollgate_domain::{Digest, ToolRef};
use tollgate_registry::{Approval, Approver, Definition, PinPolicy, Sighting, Standing, State};
use tollgate_store::{Options, Store};

use crate::world::*;

fn tool(name: &str) -> ToolRef {
    ToolRef { server: "up".parse().unwrap(), tool: name.parse().unwrap() }
}

fn definition(description: &str) -> Definition {
    let text = format!("{{\"name\":\"t\",\"description\":\"{description}\",\"inputSchema\":{{}}}}");
    Definition::read(text.as_bytes(), |_| false).unwrap()
}

fn seen(name: &str, description: &str) -> Sighting {
    Sighting { tool: tool(name), definition: definition(description), is_suspicious: false }
}

async fn observe(store: &Store, sighting: Sighting, now: u64) -> Standing {
    store.observe_pins(vec![sighting], PinPolicy::default(), at(now)).await.unwrap()[0].standing
}

#[tokio::test]
async fn t3_a_pin_outlives_a_restart_and_a_drift_waits_beside_it() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    assert_eq!(observe(&store, seen("a", "old"), 1).await, Standing::Approved);
    assert_eq!(observe(&store, seen("a", "new"), 2).await, Standing::Drifted);
    drop(store);
    let store = open(&directory);
    let pins = store.pins().await.unwrap();
    let [record] = pins.as_slice() else { panic!("{pins:?}") };
    let (pin, pending) = (record.approved.as_ref().unwrap(), record.pending.as_ref().unwrap());
    assert_eq!((&record.tool, record.state()), (&tool("a"), State::Drifted));
    assert_eq!((&pin.definition, pin.at, pin.by), (&definition("old"), at(1), Approver::FirstUse));
    assert_eq!((&pending.definition, pending.since), (&definition("new"), at(2)));
    assert_eq!(
        observe(&store, seen("a", "old"), 3).await,
        Standing::Approved,
        "control: back to what it was"
    );
    assert_eq!(store.pins().await.unwrap()[0].pending, None);
}

#[tokio::test]
async fn t3_an_approval_beside_a_gateway_is_bound_to_its_hash_and_noticed() {
    let directory = TempDir::new().unwrap();
    let gateway = open(&directory);
    observe(&gateway, seen("a", "old"), 1).await;
    observe(&gateway, seen("a", "new"), 2).await;
    let beside = Store::open_shared(directory.path(), Options::default()).unwrap();
    let before = gateway.pins_version().await.unwrap();
    let (old, new) = (definition("old").hash(), definition("new").hash());

    for wrong in [old, Digest::of(b"guess")] {
        let moved = beside.approve_pin(tool("a"), wrong, at(3)).await.unwrap();
        assert!(matches!(moved, Some(Approval::Moved(_))), "{moved:?}");
    }
    assert_eq!(beside.approve_pin(tool("nobody"), new, at(3)).await, Ok(None));
    assert_eq!(gateway.pins_version().await.unwrap(), before, "nothing was approved");
    let Ok(Some(Approval::Given(given))) = beside.approve_pin(tool("a"), new, at(3)).await else {
        panic!("control: the reviewed hash")
    };
    assert_eq!(given.approved.unwrap().by, Approver::Operator);
    assert_ne!(gateway.pins_version().await.unwrap(), before);
    // A gateway that has not read the pins again yet does not undo what was approved beside it.
    assert_eq!(observe(&gateway, seen("a", "new"), 4).await, Standing::Approved);
    assert_eq!(gateway.pins().await.unwrap()[0].approved_hash(), Some(new));
}

#[tokio::test]
async fn looking_again_at_what_is_known_writes_nothing() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    observe(&store, seen("a", "old"), 1).await;
    observe(&store, seen("b", "x"), 1).await;
    observe(&store, seen("b", "y"), 2).await;
    let before = store.pins_version().await.unwrap();
    assert_eq!(observe(&store, seen("a", "old"), 3).await, Standing::Approved);
    assert_eq!(observe(&store, seen("b", "y"), 3).await, Standing::Drifted);
    assert_eq!(store.pins_version().await.unwrap(), before);
    observe(&store, seen("b", "z"), 3).await;
    assert_ne!(store.pins_version().await.unwrap(), before, "control");
}

#[tokio::test]
async fn a_definition_that_was_touched_on_disk_is_not_believed() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    observe(&store, seen("a", "old"), 1).await;
    assert_eq!(store.pins().await.unwrap().len(), 1, "control");
    let file = rusqlite::Connection::open(directory.path().join("ledger.db")).unwrap();
    file.execute("UPDATE pins SET definition = replace(definition, 'old', 'odd')", []).unwrap();
    assert!(store.pins().await.is_err());
}

#[tokio::test]
async fn ever_new_names_do_not_fill_the_disk_and_are_not_trusted() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let many = u64::from(tollgate_store::PINS_PER_SERVER_MAX);
    let sightings = (0..=many).map(|n| seen(&format!("t{n}"), "x")).collect();
    let observed = store.observe_pins(sightings, PinPolicy::default(), at(1)).await.unwrap();
    let (last, others) = observed.split_last().unwrap();
    assert!(others.iter().all(|observed| observed.standing == Standing::Approved), "control");
    assert_eq!(last.standing, Standing::Unapproved);
    assert_eq!(u64::try_from(store.pins().await.unwrap().len()).unwrap(), many);
}
