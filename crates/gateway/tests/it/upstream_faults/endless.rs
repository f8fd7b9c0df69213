//! Answers that have no end: they are cut at the limit, wait where they come from, and take no memory here.

use serde_json::json;
use tollgate_testkit::journal_server::{Behaviour, Endless, Script, Tool};
use tollgate_testkit::memory;

use super::{assert_both_pay, assert_fault, assert_not_charged, payments};
use crate::world::{PRICED, World, soon};

const KINDS: [Endless; 3] = [Endless::Json, Endless::Event, Endless::Compressed];

#[tokio::test]
async fn f50_an_answer_of_a_gibibyte_is_cut_at_the_limit_takes_no_memory_and_costs_nothing() {
    for kind in KINDS {
        let what = format!("{kind:?}");
        let script = Script::new().tool("endless", Behaviour::Endless(kind));
        let world = World::new(script, &[("endless", PRICED)]).await;
        let payments = payments(&world, "endless").await;
        let before = memory::of_group(world.gateway.group()).unwrap();
        for (count, payment) in (1..).zip(&payments) {
            let cut = world.call_with("endless", &json!({}), payment).await;
            assert_fault(&cut, 502, "upstream_broken", &what);
            assert!(cut.body.len() < 4_000, "{what}: a part of it was passed on");
            soon(world.journal.wait_for_abandoned(count)).await;
        }
        let grown = memory::of_group(world.gateway.group()).unwrap().saturating_sub(before);
        assert!(grown < 48 << 20, "{what}: {grown} bytes");
        assert_not_charged(&world, &what).await;
        world.journal.replace_tools(vec![Tool::new("endless", Behaviour::Echo)]);
        assert_both_pay(&world, "endless", &payments).await;
    }
}
