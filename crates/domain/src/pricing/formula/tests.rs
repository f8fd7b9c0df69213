use proptest::prelude::*;

use super::*;

fn value(text: &str, n: u64) -> Result<u128, FormulaError> {
    let formula: Formula = text.parse()?;
    formula.value(&|name| (name == "n").then_some(n)).map(Amount::get)
}

#[test]
fn formulas_mean_what_arithmetic_says() {
    for (text, expected) in [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 2 - 3", 5),
        ("100 / 5 / 2", 10),
        ("n", 10),
        ("max(1, n, 7)", 10),
        ("min(5, n) + max(n, 20)", 25),
        ("250 + n * 3", 280),
    ] {
        assert_eq!(value(text, 10), Ok(expected), "{text}");
    }
}

#[test]
fn p13_a_division_rounds_up_and_never_under_the_price() {
    for (text, expected) in
        [("n / 3", 4), ("n / 5", 2), ("1 / n", 1), ("20 - n / 3", 16), ("20 + (0 - n) / 3", 17)]
    {
        assert_eq!(value(text, 10), Ok(expected), "{text}");
    }
}

#[test]
fn a_formula_names_what_it_counts() {
    let names = |text: &str| text.parse::<Formula>().unwrap().names().join(" ");
    assert_eq!(names("max(rows, 2) * columns / rows"), "rows columns rows");
    assert_eq!(names("1 + 2"), "");
}

#[test]
fn what_has_no_whole_value_is_refused_with_the_reason() {
    let most = "170141183460469231731687303715884105727";
    for (text, expected) in [
        ("n / (n - 10)", FormulaError::DivisionByZero),
        ("n - 11", FormulaError::BelowZero),
        (&format!("{most} + n"), FormulaError::Overflow),
        (&format!("{most} * n"), FormulaError::Overflow),
        (&format!("{most}0"), FormulaError::Overflow),
        ("other", FormulaError::UnknownName("other".to_owned())),
        ("n * 0.5", FormulaError::Fraction("0.5".to_owned())),
    ] {
        assert_eq!(value(text, 10), Err(expected), "{text}");
    }
    for text in
        ["", "1 +", "(1", "1)", "max(1)", "max 1", "1 2", "-1", "n ^ 2", "n % 2", "min(,1)", "é", "1,2"]
    {
        assert!(matches!(value(text, 10), Err(FormulaError::Syntax { .. })), "{text}: {:?}", value(text, 10));
    }
    let at = value("1 + $", 0);
    assert_eq!(
        at.unwrap_err().to_string(),
        "the formula has \"$\" at character 5, where a number, a name, min, max or \"(\" should stand"
    );
}

#[test]
fn a_formula_has_bounds() {
    let deep = |depth: usize| format!("{}n{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(value(&deep(DEPTH_MAX - 1), 7), Ok(7));
    assert_eq!(value(&deep(DEPTH_MAX), 7), Err(FormulaError::TooLarge));
    let long = |terms: usize| vec!["n"; terms].join("+");
    assert_eq!(value(&long(NODES_MAX / 2), 1), Ok(32));
    assert_eq!(value(&long(NODES_MAX / 2 + 1), 1), Err(FormulaError::TooLarge));
    assert_eq!(value(&format!("n{}", " ".repeat(CHARS_MAX)), 1), Err(FormulaError::TooLarge));
    assert_eq!(value(&format!("n{}", " ".repeat(CHARS_MAX - 1)), 1), Ok(1), "control");
}

/// Texts of formulas, most of them well formed.
fn formulas() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("n".to_owned()), (0_u64..1_000_000).prop_map(|number| number.to_string())];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop_oneof![Just('+'), Just('-'), Just('*'), Just('/')])
                .prop_map(|((left, right), sign)| format!("({left}) {sign} ({right})")),
            (two, prop_oneof![Just("min"), Just("max")])
                .prop_map(|((left, right), name)| format!("{name}({left}, {right})")),
        ]
    })
}

proptest! {
    #[test]
    fn print_and_parse_agree(text in formulas(), n in any::<u64>()) {
        let Ok(formula) = text.parse::<Formula>() else { return Ok(()) };
        let printed = formula.to_string();
        let again: Formula = printed.parse().unwrap();
        prop_assert_eq!(&again, &formula);
        let count = |name: &str| (name == "n").then_some(n);
        prop_assert_eq!(again.value(&count), formula.value(&count));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}|[n0-9+*/(), minax.-]{0,80}", n in any::<u64>()) {
        let _value = value(&text, n);
    }

    #[test]
    fn a_division_is_the_least_whole_number_that_covers(left in any::<u64>(), right in 1_u64..) {
        let up = value(&format!("n / {right}"), left).unwrap();
        prop_assert!(up * u128::from(right) >= u128::from(left));
        prop_assert!(up == 0 || (up - 1) * u128::from(right) < u128::from(left));
    }
}
