use std::path::PathBuf;

use tempfile::TempDir;
use tollgate_registry::PinPolicy;

use super::*;
use crate::builtin::Builtin;

#[test]
fn that_an_asset_cannot_be_taken_is_said_once() {
    let tools = "a: { price: [1USDC, 1sat] }, b: { price: [1USDC] }, c: { price: [2sat, x] }";
    let file = format!("servers: {{ s: {{ url: http://127.0.0.1:9/mcp, tools: {{ {tools} }} }} }}");
    let Problems(problems) = load_text(&file, &[]).unwrap_err();
    let said: Vec<&str> = problems.iter().map(|problem| problem.at.as_str()).collect();
    let at = |place: &str| format!("servers.s.tools.{place}");
    assert_eq!(said, [at("a.price[0]"), at("a.price[1]"), at("c.price[1]")], "{problems:?}");
}

fn load_text(yaml: &str, environment: &[(&str, &str)]) -> Result<Config, Problems> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tollgate.yaml");
    std::fs::write(&file, yaml).unwrap();
    load(Some(&file), &environment_of(environment), &Overrides::default(), None)
}

fn environment_of(values: &[(&str, &str)]) -> Environment {
    Environment::of(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

const WHOLE: &str = "
listen: 127.0.0.1:8080
servers:
  weather:
    url: http://127.0.0.1:7101/mcp
    tools:
      forecast: { price: [0.01USDC, 10sat], min_reputation: 0.6 }
    every_tool: { price: [] }
payment:
  x402: { pay_to: \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\" }
  lightning: { lnbits_url: http://127.0.0.1:5055, lnbits_invoice_key: abc, network: regtest }
";

#[test]
fn a_whole_file_means_what_it_says() {
    let config = load_text(WHOLE, &[]).unwrap();
    assert_eq!(config.listen.port(), 8080);
    let server = &config.servers[&"weather".parse().unwrap()];
    assert!(server.has_policy());
    let forecast = server.policy(&"forecast".parse().unwrap());
    let price: Vec<String> =
        forecast.price.per_call().unwrap().options().iter().map(ToString::to_string).collect();
    assert_eq!(price, ["0.01 USDC", "10 sat"]);
    assert_eq!(forecast.requirement.min_reputation.to_string(), "0.6");
    assert!(server.policy(&"other".parse().unwrap()).price.is_free());
}

#[test]
fn a_tool_overlaps_its_claim_where_nothing_is_taken_before_it_runs() {
    let with = |settle: &str| {
        let tool = format!("min_reputation: 0.6, overlap: true, settle: {settle}");
        load_text(&WHOLE.replace("min_reputation: 0.6", &tool), &[])
    };
    let overlaps = |config: &Config| {
        let server = &config.servers[&"weather".parse().unwrap()];
        server.policy(&"forecast".parse().unwrap()).overlaps
    };
    assert!(overlaps(&with("after").unwrap()));
    assert!(!overlaps(&load_text(WHOLE, &[]).unwrap()), "only where it is said");
    for settle in ["before", "escrow"] {
        let Problems(problems) = with(settle).unwrap_err();
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert_eq!(problem.at, "servers.weather.tools.forecast.overlap");
        assert!(problem.message.contains(settle), "{}", problem.message);
    }
}

#[test]
fn every_problem_is_reported_at_once_with_its_place_and_origin() {
    let yaml = WHOLE
        .replace("0.01USDC", "0.0000001USDC")
        .replace("10sat", "10doge")
        .replace("reputation: 0.6", "reputation: 1.6")
        .replace("http://127.0.0.1:7101/mcp", "ftp://127.0.0.1/mcp");
    let Problems(problems) = load_text(&yaml, &[]).unwrap_err();
    let places: Vec<&str> = problems.iter().map(|problem| problem.at.as_str()).collect();
    for place in [
        "servers.weather.url",
        "servers.weather.tools.forecast.price[0]",
        "servers.weather.tools.forecast.price[1]",
        "servers.weather.tools.forecast.min_reputation",
    ] {
        assert!(places.contains(&place), "{place} is missing in {places:?}");
    }
    assert!(problems.iter().all(|problem| problem.origin.ends_with("tollgate.yaml")));
}

#[test]
fn a_price_where_no_money_can_be_taken_names_what_to_set() {
    let yaml = "servers: { up: { url: 'http://127.0.0.1:7101/mcp', tools: { echo: { price: [0.01USDC, 10sat] } } } }\n";
    let Problems(problems) = load_text(yaml, &[]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    for problem in &problems {
        assert!(
            problem.message.contains("set payment.x402.pay_to (USDC) or payment.lightning"),
            "{problem:?}"
        );
    }
}

fn priced(price: &str) -> Result<tollgate_domain::Pricing, Vec<(String, String)>> {
    let yaml = WHOLE.replace("price: [0.01USDC, 10sat]", &format!("price: {price}"));
    match load_text(&yaml, &[]) {
        Ok(config) => {
            Ok(config.servers[&"weather".parse().unwrap()].policy(&"forecast".parse().unwrap()).price)
        }
        Err(Problems(problems)) => {
            let place = |problem: &Problem| problem.at.replace("servers.weather.tools.forecast.", "");
            Err(problems.iter().map(|problem| (place(problem), problem.message.clone())).collect())
        }
    }
}

#[test]
fn every_form_of_a_price_is_read_and_said_in_one_line() {
    for (price, said) in [
        ("0.01USDC", "0.01 USDC"),
        ("{ type: per_call, price: \"500000\" }", "0.5 USDC"),
        ("{ type: per_call, price: \"5000\", asset: sat }", "5 sat"),
        (
            "{ type: free_tier, calls: 3, per: day, then: [0.01USDC, 10sat] }",
            "3 calls per day free, then 0.01 USDC or 10 sat",
        ),
        (
            "{ type: volume, per: month, tiers: [{ from: 0, price: 1sat }, { from: 9, price: [] }] }",
            "per month: 1 sat from 0 calls, free from 9 calls",
        ),
        (
            "{ type: standing, grades: [{ min_reputation: 0.6, price: 2sat }, { min_reputation: 0.8 }], otherwise: 4sat }",
            "free from reputation 0.8, 2 sat from reputation 0.6, otherwise 4 sat",
        ),
        (
            "{ type: per_result, each: [0.001USDC, 1sat], base: [1sat], maximum: [0.05USDC, 50sat] }",
            "0.001 USDC for each 1024 bytes of the result, at most 0.05 USDC or 1 sat and 1 sat for each 1024 bytes of the result, at most 50 sat",
        ),
        (
            "{ type: per_unit, measure: { argument: /text, of: characters }, size: 1000, each: [0.001USDC, 1sat] }",
            "0.001 USDC or 1 sat for each 1000 characters of /text",
        ),
        (
            "{ type: formula, measures: { n: { argument: /n, of: number, absent: 1 } }, formula: { USDC: \"100 + n * 3 / 2\" } }",
            "(100 + ((n * 3) / 2)) in USDC",
        ),
        (
            "{ type: windows, windows: [{ days: [sat, sun], from: \"22:00\", to: \"06:00\", price: 1sat }], otherwise: 2sat }",
            "1 sat on sat,sun 22:00-06:00 UTC, otherwise 2 sat",
        ),
    ] {
        assert_eq!(priced(price).unwrap().to_string(), said, "{price}");
    }
}

#[test]
fn every_problem_of_a_price_is_reported_at_once_with_its_place() {
    let problems = priced(
        "{ type: free_tier, calls: 0, per: day, size: 3, then: { type: formula, maximum: [1sat], \
         measures: { x: { argument: x, of: number }, unused: { argument: /u, of: items } }, \
         formula: { USDC: \"x * 0.5\", EUR: \"1\" } } }",
    );
    let problems = problems.unwrap_err();
    let places: Vec<&str> = problems.iter().map(|(at, _)| at.as_str()).collect();
    for place in [
        "price.size",
        "price.calls",
        "price.then.measures.x.argument",
        "price.then.formula.USDC",
        "price.then.formula.EUR",
        "price.then.maximum",
    ] {
        assert!(places.contains(&place), "{place} is missing in {problems:?}");
    }
    let whole = problems.iter().find(|(at, _)| at == "price.then.formula.USDC").unwrap();
    assert!(whole.1.contains("counts whole atomic units"), "{}", whole.1);
}

#[test]
fn what_cannot_be_a_price_is_refused_with_the_reason() {
    let deep = |depth: usize| {
        let open = "{ type: free_tier, calls: 1, per: day, then: ".repeat(depth);
        format!("{open}1sat{}", " }".repeat(depth))
    };
    for (price, place) in [
        ("[0sat]", "price[0]"),
        ("[\"500000\"]", "price[0]"),
        ("{ type: per_call, price: \"0\" }", "price.price[0]"),
        ("{ type: per_call, price: 1sat, asset: EUR }", "price.asset"),
        ("{ type: auction }", "price.type"),
        ("{ price: 1sat }", "price.type"),
        ("{ type: free_tier, calls: 3, per: week, then: 1sat }", "price.per"),
        ("{ type: free_tier, calls: 100001, per: day, then: 1sat }", "price.calls"),
        ("{ type: free_tier, calls: 3, per: day }", "price.then"),
        ("{ type: volume, per: day, tiers: [{ from: 1, price: 1sat }] }", "price.tiers[0].from"),
        ("{ type: volume, per: day, tiers: [{ from: 0, price: 1sat }, { from: 0 }] }", "price.tiers[1].from"),
        ("{ type: standing, otherwise: 1sat }", "price.grades"),
        ("{ type: per_unit, measure: { argument: /t, of: bytes }, each: [1sat] }", "price.measure.of"),
        (
            "{ type: per_unit, measure: { argument: /t, of: items }, each: [1sat], minimum: [2sat], maximum: [1sat] }",
            "price.maximum",
        ),
        (
            "{ type: per_unit, measure: { argument: /t, of: items }, each: [1sat], base: [1USDC] }",
            "price.base",
        ),
        ("{ type: per_result, size: 0, each: [1sat], maximum: [9sat] }", "price.size"),
        ("{ type: per_result, each: [1sat] }", "price.maximum"),
        ("{ type: per_result, each: [1sat, 0.01USDC], maximum: [9sat] }", "price.maximum"),
        ("{ type: per_result, each: [1sat], maximum: [9sat], minimum: [0sat] }", "price.minimum"),
        ("{ type: per_result, each: [0sat], maximum: [9sat] }", "price.each"),
        ("{ type: per_result, each: [9sat], maximum: [9sat] }", "price.each"),
        ("{ type: per_result, each: [1sat, 2sat], maximum: [9sat] }", "price.each"),
        ("{ type: per_result, maximum: [9sat] }", "price.each"),
        (
            "{ type: per_result, measure: { argument: /t, of: items }, each: [1sat], maximum: [9sat] }",
            "price.measure",
        ),
        (
            "{ type: windows, windows: [{ from: \"8\", to: \"9\", price: 1sat }], otherwise: 1sat }",
            "price.windows[0]",
        ),
        (deep(6).as_str(), "price.then.then.then.then.then"),
        ("500000", "price"),
        ("{ type: per_call, prise: 1sat }", "price.prise"),
    ] {
        let problems = priced(price).expect_err(price);
        assert!(problems.iter().any(|(at, _)| at == place), "{price}: {place} is missing in {problems:?}");
    }
    assert!(priced(&deep(5)).is_ok(), "control");
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    let yaml = WHOLE.replace("min_reputation", "min_reputaton").replace("listen:", "lisen:");
    let Problems(problems) = load_text(&yaml, &[]).unwrap_err();
    let unknown: Vec<&str> = problems.iter().map(|problem| problem.at.as_str()).collect();
    assert!(unknown.contains(&"lisen"), "{unknown:?}");
    assert!(unknown.contains(&"servers.weather.tools.forecast.min_reputaton"), "{unknown:?}");
}

#[test]
fn compatible_names_configure_a_gateway_without_a_file() {
    let environment = environment_of(&[
        ("NETWORK", "base-sepolia"),
        ("PAY_TO", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        ("PAYMENT_TOKEN", "USDC"),
        ("PAYMENT_TOKEN_ADDRESS", "0x036CbD53842c5426634e7929541eC2318f3dCF7e"),
        ("ESCROW_TIMEOUT", "300"),
        ("MAX_DAILY_SPENT", "1000.0"),
        ("OAUTH_ISSUER", "https://issuer.example"),
    ]);
    let config = load(None, &environment, &Overrides::default(), None).unwrap();
    let x402 = config.x402.unwrap();
    assert_eq!(x402.asset.id().as_str(), "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e");
    let Settling::Chain { rpc_url, chain_id, .. } = &x402.settling else { panic!("a chain") };
    assert_eq!((rpc_url.to_string().as_str(), *chain_id), ("https://sepolia.base.org/", 84_532));
    assert_eq!(config.notices.len(), 1, "what has no effect yet is said: {:?}", config.notices);
    let wrong = environment_of(&[("ESCROW_TIMEOUT", "five minutes")]);
    assert!(load(None, &wrong, &Overrides::default(), None).is_err());
}

#[test]
fn nothing_is_guessed_of_a_token_that_is_not_the_networks_own() {
    const DAI: &str = "0x50c5725949A6F0c72E6C4a641F24049A917DB0Cb";
    let read = |more: &[(&str, &str)]| {
        let payee = ("PAY_TO", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
        let names = [&[payee, ("NETWORK", "base"), ("RPC_URL", "http://127.0.0.1:1")], more].concat();
        load(None, &environment_of(&names), &Overrides::default(), None).map(|config| config.x402.unwrap())
    };
    let places = |more: &[(&str, &str)]| {
        let Problems(problems) = read(more).map(|x402| x402.asset).unwrap_err();
        problems.into_iter().map(|problem| problem.at).collect::<Vec<_>>()
    };
    let (token, address) = (("PAYMENT_TOKEN", "DAI"), ("PAYMENT_TOKEN_ADDRESS", DAI));
    let decimals = ("TOLLGATE__PAYMENT__X402__ASSET__DECIMALS", "18");
    let name = ("TOLLGATE__PAYMENT__X402__ASSET__NAME", "Dai Stablecoin");
    assert_eq!(places(&[token]), ["payment.x402.asset.address"], "USDC is not DAI");
    assert_eq!(
        places(&[token, address]),
        ["payment.x402.asset.decimals"],
        "a price of 0.01 DAI would be nothing"
    );
    assert_eq!(places(&[token, address, decimals]), ["payment.x402.asset.name"]);
    let dai = read(&[token, address, decimals, name]).unwrap();
    assert_eq!((dai.asset.symbol(), dai.asset.decimals(), dai.name.as_str()), ("DAI", 18, "Dai Stablecoin"));
    // Control: the network's own is known, also by its address.
    for own in [&[][..], &[("PAYMENT_TOKEN_ADDRESS", "0x833589fcd6edb6e08f4c7c32d4f71b54bda02913")]] {
        let usdc = read(own).unwrap();
        assert_eq!((usdc.asset.symbol(), usdc.asset.decimals(), usdc.name.as_str()), ("USDC", 6, "USD Coin"));
    }
}

#[test]
fn the_address_comes_from_the_flag_then_ours_then_the_compatible_names_then_the_default() {
    let names = [
        ("HOST", "127.0.0.4"),
        ("PORT", "8000"),
        ("MCP_TRUST_GATEWAY_PORT", "3300"),
        ("TOLLGATE__LISTEN", "127.0.0.3:3200"),
    ];
    let listen = |count: usize, flag: Option<&str>| {
        let flags = Overrides { listen: flag.map(str::to_owned), data: None };
        load(None, &environment_of(&names[..count]), &flags, None).unwrap().listen.to_string()
    };
    assert_eq!(listen(0, None), "127.0.0.1:3100");
    assert_eq!(listen(2, None), "127.0.0.4:8000");
    assert_eq!(listen(3, None), "127.0.0.4:3300");
    assert_eq!(listen(4, None), "127.0.0.3:3200");
    assert_eq!(listen(4, Some("127.0.0.2:1")), "127.0.0.2:1");
}

#[test]
fn c1_a_short_or_guessable_secret_is_refused() {
    for secret in ["short", "change-me-change-me-change-me-change-me"] {
        let Problems(problems) = load_text(WHOLE, &[("GATE_HMAC_SECRET", secret)]).unwrap_err();
        assert_eq!(problems[0].at, "GATE_HMAC_SECRET");
        assert!(!problems[0].message.contains(secret), "a secret is never repeated");
    }
    let good = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    assert!(load_text(WHOLE, &[("GATE_HMAC_SECRET", good)]).is_ok(), "control");
}

#[test]
fn a_reference_to_an_unset_variable_is_a_problem_and_a_set_one_its_value() {
    let yaml = WHOLE.replace("lnbits_invoice_key: abc", "lnbits_invoice_key: \"${LNBITS_KEY}\"");
    let Problems(problems) = load_text(&yaml, &[]).unwrap_err();
    assert_eq!(problems[0].at, "${LNBITS_KEY}");
    assert!(load_text(&yaml, &[("LNBITS_KEY", "abc")]).is_ok(), "control");
}

#[test]
fn the_checked_in_schema_is_the_one_of_the_code() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/tollgate.schema.json");
    let committed: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(
        committed,
        schema(),
        "run: cargo run --bin tollgate -- schema > docs/reference/tollgate.schema.json"
    );
}

#[test]
fn pins_are_on_by_default_and_each_choice_is_read() {
    let pins =
        |yaml: &str| load_text(yaml, &[]).map(|config| config.servers[&"weather".parse().unwrap()].pins);
    assert_eq!(pins(WHOLE).unwrap(), PinPolicy::default());
    let with =
        |text: &str| pins(&WHOLE.replace("    every_tool", &format!("    pins: {text}\n    every_tool")));
    let chosen = with("{ drift: warn, first_use: approve, findings: warn }").unwrap();
    assert_eq!(
        (chosen.drift.word(), chosen.first_use.word(), chosen.findings.word()),
        ("warn", "approve", "warn")
    );
    assert!(with("{ drift: off, findings: off }").unwrap().is_off(), "off is a word here, not false");
    let Problems(problems) = with("{ drift: maybe }").unwrap_err();
    assert_eq!(problems[0].at, "servers.weather.pins.drift");
}

#[test]
fn pins_of_a_server_that_is_streamed_unparsed_are_refused() {
    let server = |policy: &str| {
        format!(
            "servers:\n  weather:\n    url: http://127.0.0.1:7101/mcp\n    pins: {{ drift: warn }}\n{policy}"
        )
    };
    assert!(load_text(&server("    every_tool: {}\n"), &[]).is_ok(), "control");
    let Problems(problems) = load_text(&server(""), &[]).unwrap_err();
    assert_eq!(problems[0].at, "servers.weather.pins");
}

#[test]
fn a_token_for_the_metrics_is_long_and_not_beside_public() {
    let metrics = |text: &str| load_text(&format!("{WHOLE}metrics: {text}\n"), &[]);
    let config = metrics("{ token: 0123456789abcdef-x }").unwrap();
    assert!(config.metrics.token.is_some() && !config.metrics.public, "control");
    assert!(!format!("{config:?}").contains("0123456789abcdef-x"), "the token is printed");
    let closed = load_text(WHOLE, &[]).unwrap().metrics;
    assert!(closed.token.is_none() && !closed.public);
    for (wrong, place) in [
        ("{ token: short }", "metrics.token"),
        ("{ token: \"0123456789 abcdef-x\" }", "metrics.token"),
        ("{ token: 0123456789abcdef-x, public: true }", "metrics.public"),
    ] {
        let Problems(problems) = metrics(wrong).unwrap_err();
        assert_eq!(problems.iter().map(|problem| problem.at.as_str()).collect::<Vec<_>>(), [place]);
    }
}

#[test]
fn several_servers_have_names_and_selections_that_are_checked() {
    let yaml = WHOLE.to_owned()
        + "federation: { separator: \".\", session_ttl_seconds: 60 }\nvirtual: { sel: { tools: [weather/forecast, \"weather/*\"] } }\n";
    let config = load_text(&yaml, &[]).unwrap();
    assert_eq!(config.federation.session_ttl_ms, 60_000);
    assert_eq!((config.federation.list_ms_max, config.federation.plain), (10_000, None));
    assert_eq!(config.federation.session_keys, [SessionKey::Own]);
    let shared = "9f86d081884c7d659a2feaa0c55ad015";
    let keyed = load_text(&format!("{WHOLE}federation: {{ session_keys: [{shared}, own] }}\n"), &[]).unwrap();
    let given = SessionKey::Given(Secret(shared.as_bytes().to_vec()));
    assert_eq!(keyed.federation.session_keys, [given, SessionKey::Own]);
    assert!(!format!("{keyed:?}").contains(shared), "C4");
    let [exact, every] = config.virtual_servers[&"sel".parse().unwrap()].as_slice() else {
        panic!("two patterns")
    };
    let weather = "weather".parse().unwrap();
    assert!(
        exact.selects(&weather, "forecast")
            && !exact.selects(&weather, "other")
            && every.selects(&weather, "x")
    );
    for (bad, at) in [
        ("federation: { separator: \"-\" }", "federation.separator"),
        ("federation: { session_keys: [short] }", "federation.session_keys[0]"),
        (
            "federation: { session_keys: [\"9f86d081884c7d659a2feaa0 55ad015 3c\"] }",
            "federation.session_keys[0]",
        ),
        ("federation: { session_keys: [own, own] }", "federation.session_keys[1]"),
        ("federation: { session_keys: [own, a, b, c, d] }", "federation.session_keys"),
        ("virtual: { sel: { tools: [] } }", "virtual.sel.tools"),
        ("virtual: { sel: { tools: [forecast] } }", "virtual.sel.tools[0]"),
        ("virtual: { sel: { tools: [nobody/forecast] } }", "virtual.sel.tools[0]"),
        ("virtual: { weather: { tools: [weather/forecast] } }", "virtual.weather"),
    ] {
        let Problems(problems) = load_text(&format!("{WHOLE}{bad}\n"), &[]).unwrap_err();
        assert_eq!(problems[0].at, at, "{bad}");
    }
}

#[test]
fn a_gate_server_needs_a_key_and_named_tools_and_nothing_to_reach() {
    let gate = |server: &str, key: &str| {
        let text = format!("servers:\n  app: {server}\ngate_api: {{ key: {key} }}\n");
        load_text(&text, &[])
    };
    let key = "9f86d081884c7d659a2feaa0c55ad015";
    let good = "{ gate: true, tools: { render: {} } }";
    let config = gate(good, key).unwrap(); // control
    assert!(config.servers.is_empty() && config.gate_servers.len() == 1);
    assert!(!format!("{config:?}").contains(key), "a secret is never printed");
    for (server, key, at) in [
        (good, "short", "gate_api.key"),
        (good, "\"9f86d081884c7d659a2feaa0 55ad015\"", "gate_api.key"),
        ("{ gate: true }", key, "servers.app"),
        ("{ gate: true, tools: { render: {} }, every_tool: {} }", key, "servers.app"),
        ("{ gate: true, url: \"http://localhost:1\", tools: { render: {} } }", key, "servers.app"),
        ("{ gate: true, tools: { render: {} }, pins: { drift: off } }", key, "servers.app.pins"),
        ("{ gate: true, tools: { render: {} }, breaker: { rest_ms: 1 } }", key, "servers.app.breaker"),
        ("{ gate: true, tools: { render: {} }, payment_as_http: true }", key, "servers.app.payment_as_http"),
        ("{ gate: true, tools: { render: {} }, names: plain }", key, "servers.app.names"),
        ("{ gate: true, tools: { render: {} }, headers: { x: a } }", key, "servers.app.headers"),
    ] {
        let Problems(problems) = gate(server, key).unwrap_err();
        assert_eq!(problems[0].at, at, "{server}");
    }
    let Problems(problems) = load_text(&format!("servers:\n  app: {good}\n"), &[]).unwrap_err();
    assert_eq!(problems[0].at, "servers.app", "no gate API");
}

#[test]
fn a_server_gets_the_headers_that_are_written_for_it_and_none_of_the_exchanges_own() {
    let up = |settings: &str| {
        let text = format!("servers:\n  up: {{ {settings} }}\n");
        load_text(&text, &[("KEY", "s3cret")]).map(|config| config.servers[&"up".parse().unwrap()].clone())
    };
    let url = "url: \"http://127.0.0.1:1/mcp\"";
    let server = up(&format!(
        "{url}, credential: {{ value: \"Bearer ${{KEY}}\" }}, headers: {{ X-Api-Key: \"${{KEY}}\", x-tenant: acme }}"
    ));
    let server = server.unwrap();
    let headers: Vec<(&str, &str)> =
        server.headers.iter().map(|own| (own.name.as_str(), own.value.to_str().unwrap())).collect();
    assert_eq!(headers, [("authorization", "Bearer s3cret"), ("x-api-key", "s3cret"), ("x-tenant", "acme")]);
    assert!(!format!("{server:?}").contains("s3cret"), "{server:?}");
    for (more, at) in [
        ("headers: { \"x y\": a }", "servers.up.headers.x y"),
        ("headers: { x: \"a\\nb\" }", "servers.up.headers.x"),
        ("headers: { x: \"\" }", "servers.up.headers.x"),
        ("headers: { x-a: a, X-A: b }", "servers.up.headers.x-a"),
        ("headers: { Authorization: a }, credential: { value: b }", "servers.up.headers.Authorization"),
        ("headers: { Host: a }", "servers.up.headers.Host"),
        ("headers: { accept: a }", "servers.up.headers.accept"),
        ("headers: { Mcp-Session-Id: a }", "servers.up.headers.Mcp-Session-Id"),
    ] {
        let Problems(problems) = up(&format!("{url}, {more}")).unwrap_err();
        assert_eq!(problems[0].at, at, "{more}");
    }
    let Problems(problems) = up("command: [x], headers: { x: a }").unwrap_err();
    assert_eq!(problems[0].at, "servers.up.headers", "a program has no headers");
}

#[test]
fn open_leases_have_a_bound_that_an_operator_sets() {
    let leases = |bound: &str| {
        let text = format!("{WHOLE}gate_api: {{ key: 9f86d081884c7d659a2feaa0c55ad015{bound} }}\n");
        load_text(&text, &[]).map(|config| config.gate_api.unwrap().leases_max)
    };
    assert_eq!(leases("").unwrap(), 10_000);
    assert_eq!(leases(", leases_max: 1").unwrap(), 1);
    assert_eq!(leases(", leases_max: 1000000").unwrap(), 1_000_000);
    for bad in ["0", "1000001"] {
        let Problems(problems) = leases(&format!(", leases_max: {bad}")).unwrap_err();
        assert_eq!(problems[0].at, "gate_api.leases_max", "{bad}");
    }
}

#[test]
fn built_in_tools_are_named_and_keep_their_name_for_themselves() {
    let offered = |text: &str| load_text(&format!("{WHOLE}{text}\n"), &[]);
    assert_eq!(offered("").unwrap().builtin_tools, None, "off by default");
    assert_eq!(offered("builtin_tools: false").unwrap().builtin_tools, None);
    assert_eq!(offered("builtin_tools: true").unwrap().builtin_tools.unwrap(), Builtin::ALL);
    let some = offered("builtin_tools: [receipt, price_of]").unwrap().builtin_tools.unwrap();
    assert_eq!(some, [Builtin::Receipt, Builtin::PriceOf]);
    for (text, at) in [
        ("builtin_tools: []", "builtin_tools"),
        ("builtin_tools: [receipt, refund]", "builtin_tools[1]"),
        ("builtin_tools: [receipt, receipt]", "builtin_tools[1]"),
        ("builtin_tools: all", "builtin_tools"),
        ("virtual: { tollgate: { tools: [weather/forecast] } }", "virtual.tollgate"),
        ("virtual: { own: { tools: [tollgate/price_of] } }\nbuiltin_tools: true", "virtual.own.tools[0]"),
    ] {
        let Problems(problems) = offered(text).unwrap_err();
        assert_eq!(problems[0].at, at, "{text}");
    }
    let reserved = WHOLE.replace("  weather:", "  tollgate:");
    let Problems(problems) = load_text(&reserved, &[]).unwrap_err();
    assert_eq!(problems[0].at, "servers.tollgate");
}

const LIMITED: &str = "
servers:
  weather:
    url: http://127.0.0.1:7101/mcp
    rates: [{ rate: 300/minute, per: all }]
    tools:
      forecast: { weight: 5, rates: [{ rate: 30/minute, burst: 10, per: [caller, tool], name: mine }] }
    every_tool: { rates: [{ rate: 10/second, of: offers, per: address }] }
limits:
  calls_per_minute: 1200
  rates: [{ rate: 600/minute, of: requests }]
trusted_proxies: { addresses: [10.0.0.0/8, \"::1\"], header: forwarded }
";

#[test]
fn limits_stand_where_they_hold_and_the_first_two_need_no_rule() {
    let limits = |config: &Config| {
        let limits = tollgate_risk::Limits::new(&config.rates, std::num::NonZeroUsize::MIN);
        let told = limits
            .seen()
            .map(|seen| (seen.label.name.clone(), seen.label.rate.clone(), seen.label.per.clone()));
        told.collect::<Vec<_>>()
    };
    let told = limits(&load_text(LIMITED, &[]).unwrap());
    let expected = [
        ("limits.calls_per_minute", "1200/minute", "caller"),
        ("limits.offers_per_minute", "600/minute", "caller"),
        ("limits.rates[0]", "600/minute", "address"),
        ("servers.weather.rates[0]", "300/minute", "all"),
        ("mine", "30/minute", "caller+tool"),
        ("servers.weather.every_tool.rates[0]", "10/second", "address+tool"),
    ];
    let expected = expected.map(|(name, rate, per)| (name.to_owned(), rate.to_owned(), per.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(limits(&load_text(WHOLE, &[]).unwrap()).len(), 2, "control");
}

#[test]
fn a_limit_that_would_not_hold_as_written_is_refused() {
    assert!(load_text(LIMITED, &[]).is_ok(), "control");
    for (written, instead, at) in [
        ("300/minute", "300/min", "servers.weather.rates[0].rate"),
        ("300/minute, per: all", "300/minute, per: everybody", "servers.weather.rates[0].per"),
        ("300/minute, per: all", "300/minute, per: [all, tool]", "servers.weather.rates[0].per"),
        ("300/minute, per: all", "300/minute, per: []", "servers.weather.rates[0].per"),
        ("burst: 10", "burst: 0", "servers.weather.tools.forecast.rates[0].burst"),
        ("burst: 10", "burst: 4", "servers.weather.tools.forecast.weight"),
        ("weight: 5", "weight: 0", "servers.weather.tools.forecast.weight"),
        ("weight: 5", "weight: 121", "servers.weather.tools.forecast.weight"),
        ("name: mine", "name: \"\"", "servers.weather.tools.forecast.rates[0].name"),
        ("name: mine", "name: limits.calls_per_minute", "limits.rates"),
        ("of: offers, per: address", "of: requests", "servers.weather.every_tool.rates[0].of"),
        ("of: requests", "of: requests, per: caller", "limits.rates[0].per"),
        ("10.0.0.0/8", "10.0.0.0/33", "trusted_proxies.addresses[0]"),
    ] {
        let Problems(problems) = load_text(&LIMITED.replace(written, instead), &[]).unwrap_err();
        assert_eq!(problems[0].at, at, "{instead}");
    }
    let bare = "servers: { up: { url: \"http://127.0.0.1:1\", rates: [{ rate: 1/minute }] } }\n";
    let Problems(problems) = load_text(bare, &[]).unwrap_err();
    assert_eq!(problems[0].at, "servers.up.rates[0].of", "its calls are never seen");
    assert!(load_text(&bare.replace("1/minute", "1/minute, of: requests"), &[]).is_ok(), "control");
}

#[test]
fn a_limit_is_shared_where_gateways_can_count_together() {
    let refused = |rate: &str, database: &str| {
        let yaml = format!("{WHOLE}limits: {{ rates: [{{ {rate}, shared: true }}] }}\n{database}");
        // Without PostgreSQL built in, the URL is one more problem.
        let Problems(problems) = load_text(&yaml, &[]).err().unwrap_or(Problems(Vec::new()));
        problems.iter().any(|problem| problem.at == "limits.rates[0].shared")
    };
    let database = "database: { url: \"postgresql://gate@127.0.0.1/tollgate\" }\n";
    assert!(!refused("rate: 60/minute", database), "control");
    assert!(refused("rate: 60/minute", ""), "there is nothing to count in");
    assert!(
        refused("rate: 60/minute, of: requests", database),
        "requests are counted before anything is read"
    );
    assert!(refused("rate: 60/minute, of: offers", database));
    assert!(!refused("rate: 1/day, burst: 3660", database) && refused("rate: 1/day, burst: 3661", database));
}

const BUDGETED: &str = "
payment:
  x402: { pay_to: \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\" }
  lightning: { lnbits_url: http://127.0.0.1:5055, lnbits_invoice_key: abc, network: regtest }
budgets:
  zone: \"+05:30\"
  approval_ttl_seconds: 60
  per_caller: { per_day: [5USDC], per_hour: [1USDC] }
  tree:
    acme:
      kind: org
      select: { labels: { org: acme } }
      limits: { per_month: [100USDC, 9000sat], warn: { per_month: [80USDC] } }
      nodes:
        agents:
          kind: agent
          each: caller
          select: { callers: [\"key_*\"], tools: [\"up/*\"] }
          limits: { per_call: [2USDC] }
";

#[test]
fn budgets_mean_what_they_say_and_what_is_not_said_keeps_its_limit() {
    use tollgate_ledger::budget::{Kind, Span};
    let environment = [("MAX_DAILY_SPENT", "7.5"), ("HIGH_VALUE_THRESHOLD", "3")];
    let config = load_text(BUDGETED, &environment).unwrap();
    let of = |symbol: &str| config.assets.by_symbol(symbol).unwrap().id().clone();
    let (usdc, sat) = (of("USDC"), of("sat"));
    let budgets = &config.budgets;
    assert_eq!((budgets.calendar.zone.to_string().as_str(), budgets.approval_ttl_ms), ("+05:30", 60_000));
    let caller = &budgets.per_caller.0[&usdc];
    let spans = |span| caller.limit.get(&span).map(|amount| amount.get());
    assert_eq!((spans(Span::Day), spans(Span::Hour)), (Some(5_000_000), Some(1_000_000)), "the file counts");
    assert_eq!(caller.approve_above.unwrap().get(), 3_000_000, "the environment where the file says nothing");
    assert_eq!(
        budgets.per_caller.0[&sat].limit[&Span::Day].get(),
        1_000_000_000,
        "the default where nobody does"
    );
    let paths: Vec<(&str, Kind)> = budgets.paths().map(|branch| (&*branch.path, branch.kind)).collect();
    assert_eq!(paths, [("acme", Kind::Org), ("acme/agents", Kind::Agent)]);
    let [left_out] = config.notices.as_slice() else { panic!("the names count: {:?}", config.notices) };
    assert!(left_out.contains("acme/agents says nothing of sat"), "{left_out}");
    let daily = |environment: &[(&str, &str)]| {
        load_text(WHOLE, environment).unwrap().budgets.per_caller.0[&usdc].limit[&Span::Day].get()
    };
    assert_eq!(daily(&[]), 1_000_000_000);
    assert_eq!(daily(&environment), 7_500_000);
}

#[test]
fn a_budget_that_would_not_hold_as_written_is_refused() {
    assert!(load_text(BUDGETED, &[]).is_ok(), "control");
    for (written, instead, at) in [
        ("\"+05:30\"", "Europe/Berlin", "budgets.zone"),
        ("ttl_seconds: 60", "ttl_seconds: 0", "budgets.approval_ttl_seconds"),
        ("[5USDC]", "[5DOGE]", "budgets.per_caller.per_day[0]"),
        ("[5USDC]", "[5USDC, 6USDC]", "budgets.per_caller.per_day[1]"),
        ("[5USDC]", "[0.0000001USDC]", "budgets.per_caller.per_day[0]"),
        ("kind: org", "kind: planet", "budgets.tree.acme.kind"),
        ("kind: agent", "kind: org", "budgets.tree.acme.nodes.agents.kind"),
        ("each: caller", "each: moon", "budgets.tree.acme.nodes.agents.each"),
        ("[\"up/*\"]", "[up]", "budgets.tree.acme.nodes.agents.select.tools[0]"),
        ("{ org: acme }", "{ \"o=\": acme }", "budgets.tree.acme.select.labels.o="),
        ("[80USDC]", "[101USDC]", "budgets.tree.acme.limits.warn.per_month"),
        ("    acme:", "    \"a/b\":", "budgets.tree.a/b"),
        ("    acme:", "    per_caller:", "budgets.tree.per_caller"),
    ] {
        let Problems(problems) = load_text(&BUDGETED.replace(written, instead), &[]).unwrap_err();
        assert_eq!(problems[0].at, at, "{instead}: {problems:?}");
    }
    let names = load_text(&BUDGETED.replace("per_month: [100USDC", "per_year: [100USDC"), &[]);
    assert!(names.is_err(), "a limit of another name is none");
    for value in ["lots", "1e3", "-1", "1.0000001"] {
        let Problems(problems) = load_text(WHOLE, &[("MAX_DAILY_SPENT", value)]).unwrap_err();
        assert_eq!(problems[0].at, "MAX_DAILY_SPENT", "{value}");
        assert!(load_text("{}", &[("MAX_DAILY_SPENT", value)]).is_err() || value == "1.0000001", "{value}");
    }
}
