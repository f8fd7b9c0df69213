use super::*;

const USDC: &str = "eip155:84532/erc20:0x1";

fn asset() -> AssetId {
    USDC.parse().unwrap()
}

fn per_day(units: u128) -> Limits {
    let limit = BTreeMap::from([(Span::Day, Amount::new(units))]);
    Limits(BTreeMap::from([(asset(), Bounds { limit, ..Bounds::default() })]))
}

fn branch(path: &str, kind: Kind, label: (&str, &str), limits: Limits, branches: Vec<Branch>) -> Branch {
    let labels = BTreeMap::from([(label.0.to_owned(), label.1.parse().unwrap())]);
    let select = Selector { labels, ..Selector::default() };
    Branch { path: path.into(), kind, select, each: None, limits, branches }
}

fn plan() -> Plan {
    let agents = Branch {
        each: Some(Each::Caller),
        ..branch("acme/research/agents", Kind::Agent, ("kind", "agent*"), per_day(10), Vec::new())
    };
    let tools = Branch {
        each: Some(Each::Tool),
        select: Selector { tools: vec!["up/*".parse().unwrap()], ..Selector::default() },
        ..branch("acme/up", Kind::Tool, ("org", "acme"), per_day(20), Vec::new())
    };
    let research = branch("acme/research", Kind::Team, ("team", "research"), per_day(30), vec![agents]);
    let acme = branch("acme", Kind::Org, ("org", "acme"), per_day(40), vec![research, tools]);
    Plan { per_caller: per_day(50), branches: vec![acme], ..Plan::default() }
}

fn keys(plan: &Plan, caller: Caller, labels: &str, tool: Option<&ToolRef>) -> Vec<String> {
    let (principal, labels) = (caller.principal(), labels.parse().unwrap());
    let spender = Spender { caller, principal: &principal, labels: &labels, tool };
    let ask = plan.ask(&spender, &asset());
    ask.nodes.iter().map(|node| format!("{}:{}", node.key, node.counted.len())).collect()
}

#[test]
fn a_call_belongs_to_every_node_that_selects_it_below_one_that_does() {
    let (plan, caller) = (plan(), Caller::Wallet([1; 20]));
    let me = caller.principal();
    let tool = |server: &str| ToolRef { server: server.parse().unwrap(), tool: "echo".parse().unwrap() };
    let of = |labels: &str, server: &str| keys(&plan, caller, labels, Some(&tool(server)));
    assert_eq!(of("org=acme,team=sales", "down"), ["acme:1".to_owned(), format!("per_caller#{me}:1")]);
    assert_eq!(
        of("org=acme,team=research", "up"),
        ["acme:1", "acme/research:1", "acme/up#up/echo:1", &format!("per_caller#{me}:1")]
    );
    assert_eq!(
        of("team=research", "up"),
        [format!("per_caller#{me}:1")],
        "not below a node that does not select it"
    );
}

#[test]
fn an_agent_node_takes_the_place_of_the_limit_of_every_caller() {
    let (plan, caller) = (plan(), Caller::Wallet([1; 20]));
    let me = caller.principal();
    let nodes = keys(&plan, caller, "org=acme,team=research,kind=agent-7", None);
    let own = format!("acme/research/agents#{me}:1");
    assert_eq!(nodes, ["acme:1", "acme/research:1", &own, &format!("per_caller#{me}:0")]);
}

#[test]
fn whoever_cannot_be_recognised_has_no_window_but_the_limits_of_one_call() {
    let mut plan = Plan { branches: Vec::new(), ..plan() };
    let bounds = plan.per_caller.0.get_mut(&asset()).unwrap();
    bounds.approve_above = Some(Amount::new(5));
    for (caller, key, counters) in [
        (Caller::Anonymous, "per_caller".to_owned(), 0),
        (Caller::Preimage([2; 32]), "per_caller".to_owned(), 0),
        (Caller::Wallet([3; 20]), format!("per_caller#{}", Caller::Wallet([3; 20]).principal()), 1),
    ] {
        let (principal, labels) = (caller.principal(), Labels::default());
        let ask = plan.ask(&Spender { caller, principal: &principal, labels: &labels, tool: None }, &asset());
        let [node] = ask.nodes.as_slice() else { panic!("{ask:?}") };
        assert_eq!((node.key.as_str(), node.counted.len()), (key.as_str(), counters));
        assert_eq!(node.approve_above, Some(Amount::new(5)));
    }
}

#[test]
fn nothing_bounds_an_asset_that_no_limit_names() {
    let (caller, labels) = (Caller::Wallet([1; 20]), "org=acme".parse().unwrap());
    let principal = caller.principal();
    let spender = Spender { caller, principal: &principal, labels: &labels, tool: None };
    let ask = plan().ask(&spender, &"lightning:regtest/msat".parse().unwrap());
    assert_eq!(ask.nodes.len(), 1, "acme may be stopped");
    assert!(ask.nodes.iter().all(|node| node.counted.is_empty()));
}

#[test]
fn every_node_is_listed_and_has_its_own_limits_where_its_callers_share_them() {
    let plan = plan();
    let paths: Vec<&str> = plan.paths().map(|branch| &*branch.path).collect();
    assert_eq!(paths, ["acme", "acme/research", "acme/research/agents", "acme/up"]);
    let shared: Vec<Option<Node>> = plan.paths().map(|branch| branch.shared(&asset())).collect();
    let limits = |node: &Node| (node.key.to_string(), node.counted[0].limit);
    assert_eq!(
        shared.iter().map(|node| node.as_ref().map(limits)).collect::<Vec<_>>(),
        [
            Some(("acme".to_owned(), Some(Amount::new(40)))),
            Some(("acme/research".to_owned(), Some(Amount::new(30)))),
            None, // each caller has its own
            None, // and each tool
        ]
    );
    let other = "lightning:regtest/msat".parse().unwrap();
    assert!(plan.paths().all(|branch| branch.shared(&other).is_none()), "it has no limit in that");
}

#[test]
fn words_of_the_tree_have_one_text_form() {
    for (kind, word) in Kind::ALL.into_iter().zip(["org", "team", "project", "agent", "tool"]) {
        assert_eq!((kind.word(), kind.to_string().as_str(), word.parse().ok()), (word, word, Some(kind)));
    }
    assert_eq!(["caller", "tool"].map(|word| word.parse().ok()), [Some(Each::Caller), Some(Each::Tool)]);
    assert_eq!(
        ["approval", "escrow"].map(|word| word.parse().ok()),
        [Some(HighValue::Approval), Some(HighValue::Escrow)]
    );
    for word in ["", "Org", "everybody", "Escrow"] {
        assert!(word.parse::<Kind>().is_err() && word.parse::<Each>().is_err(), "{word}");
        assert!(word.parse::<HighValue>().is_err(), "{word}");
    }
}

#[test]
fn a_pattern_has_a_length_and_is_shown_as_written() {
    use crate::budget::Pattern;
    let (longest, longer) = ("a".repeat(256), "a".repeat(257));
    assert_eq!(longest.parse::<Pattern>().unwrap().to_string(), longest);
    for text in ["", "a\n", longer.as_str()] {
        assert!(text.parse::<Pattern>().is_err(), "{text:?}");
    }
    assert_eq!("agent-*".parse::<Pattern>().unwrap().to_string(), "agent-*");
}
