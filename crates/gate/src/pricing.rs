//! A price list as answers show it: the rules in JSON, the plain price of every call first of all forms.

use serde_json::{Map, Value, json};
use tollgate_domain::pricing::{Bounds, Measure, UnitPrice};
use tollgate_domain::{Amount, Asset, Money, Price, Pricing};

/// The rules of a price: `{"type":"per_call","price":"500000",…}`, or the rule with the rules in it. Amounts are decimal texts of
/// atomic units; `display` is for people.
pub fn pricing(rules: &Pricing) -> Value {
    match rules {
        Pricing::PerCall(price) => per_call(price),
        Pricing::FreeTier { calls, per, then } => json!({
            "type": "free_tier", "calls": calls, "per": per.to_string(), "then": pricing(then),
        }),
        Pricing::Volume { per, tiers } => {
            let tiers = tiers.iter().map(|(from, rules)| json!({ "from": from, "price": pricing(rules) }));
            json!({ "type": "volume", "per": per.to_string(), "tiers": tiers.collect::<Vec<_>>() })
        }
        Pricing::Standing { grades, otherwise } => {
            let grades = grades
                .iter()
                .map(|(least, rules)| json!({ "min_reputation": least, "price": pricing(rules) }));
            json!({
                "type": "standing", "grades": grades.collect::<Vec<_>>(), "otherwise": pricing(otherwise),
            })
        }
        Pricing::PerUnit { measure, size, options } => json!({
            "type": "per_unit", "measure": counted(measure), "size": size, "options": units(options),
        }),
        Pricing::PerResult(rule) => {
            json!({ "type": "per_result", "size": rule.bytes(), "options": units(rule.options()) })
        }
        Pricing::Formula { measures, options } => {
            let measures: Map<String, Value> =
                measures.iter().map(|(name, measure)| (name.clone(), counted(measure))).collect();
            let options = options.iter().map(|option| {
                let mut shown = bounded(&option.asset, &option.bounds);
                shown.insert("formula".to_owned(), json!(option.formula.to_string()));
                shown
            });
            json!({ "type": "formula", "measures": measures, "options": options.collect::<Vec<_>>() })
        }
        Pricing::Windows { windows, otherwise } => {
            let windows = windows.iter().map(|(window, rules)| {
                let [from, to] = window.times();
                json!({ "days": window.days(), "from": from, "to": to, "price": pricing(rules) })
            });
            json!({
                "type": "windows", "windows": windows.collect::<Vec<_>>(), "otherwise": pricing(otherwise),
            })
        }
    }
}

fn units(options: &[UnitPrice]) -> Vec<Map<String, Value>> {
    let shown = |option: &UnitPrice| {
        let mut shown = bounded(&option.asset, &option.bounds);
        shown.insert("base".to_owned(), json!(option.base));
        shown.insert("each".to_owned(), json!(option.each));
        shown.insert("display".to_owned(), json!(shown_each(&option.asset, option.base, option.each)));
        shown
    };
    options.iter().map(shown).collect()
}

/// `type`, `price` in atomic units of the first asset, and every option in both forms.
fn per_call(price: &Price) -> Value {
    let options: Vec<Map<String, Value>> = price
        .options()
        .iter()
        .map(|option| {
            let mut shown = named(&option.asset);
            shown.insert("amount".to_owned(), json!(option.amount));
            shown.insert("display".to_owned(), json!(option.to_string()));
            shown
        })
        .collect();
    match price.options().first() {
        None => json!({ "type": "free" }),
        Some(first) => json!({ "type": "per_call", "price": first.amount, "options": options }),
    }
}

fn named(asset: &Asset) -> Map<String, Value> {
    let members = [
        ("asset", json!(asset.id())),
        ("symbol", json!(asset.symbol())),
        ("decimals", json!(asset.decimals())),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn bounded(asset: &Asset, bounds: &Bounds) -> Map<String, Value> {
    let mut shown = named(asset);
    shown.insert("minimum".to_owned(), json!(bounds.minimum));
    if let Some(maximum) = bounds.maximum {
        shown.insert("maximum".to_owned(), json!(maximum));
    }
    shown
}

fn shown_each(asset: &Asset, base: Amount, each: Amount) -> String {
    let money = |amount| Money { amount, asset: asset.clone() };
    if base.is_zero() {
        return format!("{} each", money(each));
    }
    format!("{} and {} each", money(base), money(each))
}

fn counted(measure: &Measure) -> Value {
    let Measure { pointer, of, absent } = measure;
    match absent {
        Some(absent) => json!({ "argument": pointer, "of": of.to_string(), "absent": absent }),
        None => json!({ "argument": pointer, "of": of.to_string() }),
    }
}
