use super::*;

fn workspace() -> Graph {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata reads this workspace");
    Graph::of(&metadata)
}

fn with(edge: (&str, &str, Use)) -> Graph {
    let mut graph = workspace();
    graph.edges.insert((edge.0.to_owned(), edge.1.to_owned(), edge.2));
    graph
}

#[test]
fn the_workspace_has_no_undrawn_arrow_and_one_extra_arrow_is_found() {
    assert_eq!(differences(&workspace()), [], "positive control: the workspace as it is");

    for (from, to) in
        [("mcp", "domain"), ("ledger", "rails"), ("exec", "gate"), ("domain", "ledger"), ("rails", "testkit")]
    {
        let found = differences(&with((from, to, Use::Shipped)));
        let expected =
            Difference::UndrawnArrow { from: from.to_owned(), to: to.to_owned(), usage: Use::Shipped };
        assert_eq!(found, [expected], "{from} -> {to}");
    }
}

#[test]
fn tests_may_use_the_testkit_and_follow_the_same_arrows_otherwise() {
    assert_eq!(differences(&with(("rails", "testkit", Use::Tests))), []);
    assert_eq!(differences(&with(("rails", "ledger", Use::Tests))).len(), 1);
}

#[test]
fn a_pure_room_that_learns_of_io_is_found_and_its_tests_may_use_it() {
    for (room, dependency) in
        [("domain", "tokio"), ("ledger", "rusqlite"), ("mcp", "hyper"), ("gate", "rusqlite")]
    {
        let found = differences(&with((room, dependency, Use::Shipped)));
        assert_eq!(
            found,
            [Difference::Forbidden { room, dependency: dependency.to_owned() }],
            "{room}: {dependency}"
        );
        assert_eq!(
            differences(&with((room, dependency, Use::Tests))),
            [],
            "tests of {room} may use {dependency}"
        );
    }
}

#[test]
fn a_room_that_nobody_drew_and_a_drawn_room_without_a_crate_are_found() {
    let mut graph = workspace();
    graph.rooms.insert("attic".to_owned());
    assert_eq!(differences(&graph), [Difference::UndrawnRoom("attic".to_owned())]);

    let mut graph = workspace();
    graph.rooms.remove("risk");
    graph.edges.retain(|(from, to, _)| from != "risk" && to != "risk");
    assert_eq!(differences(&graph), [Difference::EmptyRoom("risk")]);
}

#[test]
fn no_drawn_arrow_runs_upward() {
    for from in DRAWING {
        for to in from.arrows {
            let to = room(to).expect("arrows point to rooms");
            assert!(to.floor < from.floor, "{} ─► {} must run downward", from.name, to.name);
        }
    }
}
