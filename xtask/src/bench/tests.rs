use super::Build;
use super::figures::{Figures, Pair, Spread};
use super::goals::{self, Goal, Measured, Outcome, Unit, Verdict};
use super::machine::{Machine, model};
use super::page;

/// Rounds with the given requests/s of a subject.
fn slices(subject: &str, connections: u32, rates: &[f64]) -> String {
    let line = |(round, rate): (usize, &f64)| {
        format!(
            "{{\"kind\":\"slice\",\"subject\":\"{subject}\",\"connections\":{connections},\"round\":{round},\"requests_per_second\":{rate},\
             \"cpu_us_per_request\":20.0,\"p50_us\":80.0,\"p99_us\":90.0}}\n"
        )
    };
    rates.iter().enumerate().map(line).collect()
}

fn gate(paying: &str, p50: f64) -> String {
    let time = format!("{{\"min\":1.0,\"p50\":{p50}}}");
    format!(
        "{{\"kind\":\"gate\",\"paying\":\"{paying}\",\"gate_us\":{time},\"authorize_us\":{time},\"complete_us\":{time}}}\n"
    )
}

fn complete_run() -> String {
    let subjects = [
        "direct",
        "plain",
        "nginx",
        "relay",
        "routed",
        "gated",
        "federated",
        "held",
        "held_ahead",
        "prepaid",
        "prepaid_ahead",
        "nginx_paying",
        "x402",
    ];
    let load =
        subjects.map(|subject| slices(subject, 32, &[1.0, 1.0]) + &slices(subject, 1, &[1.0, 1.0])).concat();
    let footprints = [
        "half_load_p99_to_p50",
        "idle_mb",
        "idle_connection_kb",
        "call_in_flight_kb",
        "start_ms",
        "binary_mb",
        "first_event_nginx_us",
        "first_event_plain_us",
        "first_event_gated_us",
        "later_event_nginx_us",
        "later_event_plain_us",
        "later_event_gated_us",
        "first_of_hundred_nginx_us",
        "first_of_hundred_plain_us",
        "first_of_hundred_gated_us",
        "first_of_hundred_and_request_nginx_us",
        "first_of_hundred_and_request_plain_us",
        "first_of_hundred_and_request_gated_us",
        "hundred_events_nginx_us",
        "hundred_events_plain_us",
        "hundred_events_gated_us",
    ];
    let footprints =
        footprints.map(|what| format!("{{\"kind\":\"footprint\",\"what\":\"{what}\",\"value\":2.5}}\n"));
    let books = [
        "apply",
        "file_hot",
        "file_spread",
        "file_bare_hot",
        "file_bare_spread",
        "file_share_hot",
        "file_growth",
        "holds",
        "claims",
        "database_hot",
        "database_spread",
        "database_hot_to_spread",
    ];
    let books = books.map(|what| format!("{{\"kind\":\"ledger\",\"what\":\"{what}\",\"value\":2.5}}\n"));
    let others = ["p99_beside_slow", "p99_beside_flood"]
        .map(|what| format!("{{\"kind\":\"others\",\"what\":\"{what}\",\"value\":1.1}}\n"));
    load + &books.concat()
        + &others.concat()
        + &["prepaid", "l402", "x402"].map(|paying| gate(paying, 9.0)).concat()
        + &footprints.concat()
}

fn read(text: &str) -> Figures {
    let mut figures = Figures::default();
    figures.read(text).unwrap();
    figures
}

const PAIR: Pair = Pair { subject: "plain", beside: "nginx", connections: 32 };

#[test]
fn a_ratio_compares_neighbours_of_one_round_only() {
    let text = slices("plain", 32, &[90.0, 400.0, 30.0]) + &slices("nginx", 32, &[100.0, 200.0, 100.0, 1.0]);
    let spread = read(&text).ratio(PAIR, |slice| slice.requests_per_second).unwrap();
    assert_eq!(spread, Spread { median: 0.9, lowest: 0.3, highest: 2.0, rounds: 3 });
    let alone = read(&slices("plain", 32, &[1.0]));
    assert!(alone.ratio(PAIR, |slice| slice.requests_per_second).is_err());
    let added = read(&text).excess(PAIR, |slice| slice.requests_per_second).unwrap();
    assert_eq!(added, Spread { median: -10.0, lowest: -70.0, highest: 200.0, rounds: 3 });
    let other = read(&(slices("plain", 1, &[1.0]) + &slices("nginx", 32, &[1.0])));
    assert!(other.ratio(PAIR, |slice| slice.requests_per_second).is_err());
}

#[test]
fn the_median_of_an_even_number_lies_between_the_middle_two() {
    assert_eq!(Spread::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
    assert_eq!(Spread::of(vec![7.0]).unwrap().median, 7.0);
    assert_eq!(Spread::of(Vec::new()), None);
}

#[test]
fn a_goal_is_missed_beyond_a_tenth() {
    let ratio = |median| Outcome {
        what: "",
        goal: Goal::AtLeast(0.30),
        unit: Unit::Times("nginx"),
        measured: Measured::Ratio(Spread { median, lowest: 0.0, highest: 1.0, rounds: 5 }),
    };
    for (median, verdict) in
        [(0.31, Verdict::Met), (0.30, Verdict::Met), (0.28, Verdict::Close), (0.26, Verdict::Missed)]
    {
        assert_eq!(ratio(median).verdict(), verdict, "{median}");
    }
    let time = |p50| Outcome {
        what: "",
        goal: Goal::AtMost(10.0),
        unit: Unit::Microseconds,
        measured: Measured::Microseconds { p50, min: 1.0 },
    };
    for (p50, verdict) in [(9.0, Verdict::Met), (10.9, Verdict::Close), (11.1, Verdict::Missed)] {
        assert_eq!(time(p50).verdict(), verdict, "{p50}");
    }
}

#[test]
fn the_page_has_every_figure_and_no_empty_place() {
    let figures = read(&complete_run());
    let results = goals::results(&figures).unwrap();
    let machine = Machine {
        date: "2026-01-02".to_owned(),
        kernel: "6.0".to_owned(),
        processor: "2 × Some CPU".to_owned(),
        commit: "abc".to_owned(),
        real_time: false,
    };
    let page = page::text(&results, &figures, &machine, Build::Dist).unwrap();
    assert!(!page.contains("{{"), "{page}");
    assert!(
        page.contains("Measured 2026-01-02 on 2 × Some CPU, Linux 6.0, scheduling class normal"),
        "{page}"
    );
    assert!(page.contains("the program in the\nprofile `dist`."), "{page}");
    assert!(page.contains("| time in the gate, prepaid | ≤ 10 µs | 9.0 µs (fastest 1.0) | met |"), "{page}");
    assert!(page.contains("| … without any policy | 1.00 | 1.00 – 1.00 | 2 |"), "{page}");
    assert!(
        page.contains("after the upstream's own answer | ≤ 250 µs | 0.0 µs (0.0 – 0.0) | met |"),
        "{page}"
    );
    assert!(page.contains("| memory at rest | ≤ 20 MB | 2.5 MB | met |"), "{page}");
    assert!(page.contains("× bare relay | 1.00 (1.00 – 1.00) | met |"), "{page}");
}

#[test]
fn what_was_not_measured_is_an_error_and_not_a_goal_met() {
    let complete = complete_run();
    assert!(goals::results(&read(&complete)).is_ok());
    for subject in [
        "plain",
        "nginx",
        "relay",
        "gated",
        "federated",
        "held",
        "held_ahead",
        "prepaid",
        "prepaid_ahead",
        "x402",
        "nginx_paying",
        "l402",
        "start_ms",
    ] {
        let without: String = complete
            .lines()
            .filter(|line| !line.contains(&format!("\"{subject}\"")))
            .map(|l| format!("{l}\n"))
            .collect();
        assert!(goals::results(&read(&without)).is_err(), "{subject}");
    }
    assert!(Figures::default().read("plain 3\n").is_err());
}

#[test]
fn the_processor_is_named_as_the_kernel_names_it() {
    assert_eq!(model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), Some("Some CPU @ 2 GHz"));
    assert_eq!(model("processor : 0\nCPU part : 0xd0c\n"), Some("0xd0c"));
    assert_eq!(model(""), None);
}
