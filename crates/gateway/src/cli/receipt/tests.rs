use serde_json::json;

use super::*;

#[test]
fn what_was_kept_of_a_price_and_what_went_back_is_said_beside_it() {
    let whole = json!({ "charged": true, "settlement": "settled", "price": { "amount": "1000", "asset": "a", "rail": "credit" } });
    let said_of = |more: Value| {
        let mut payload = whole.clone();
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said(&payload)
    };
    let part = said_of(json!({ "amount_charged": "300", "refunded": "700" }));
    assert!(part.contains("of it kept 300 atomic units\nwent back  700 atomic units\n"), "{part}");
    let back = said_of(json!({ "charged": false, "settlement": "refunded", "refunded": "1000" }));
    assert!(back.contains("not charged") && back.contains("went back  1000 atomic units\n"), "{back}");
    let held = said_of(json!({ "settlement": "escrowed", "escrow_id": "esc_1" }));
    assert!(held.contains("\nescrow     esc_1\n"), "{held}");
    // Control: of what was charged whole nothing else is said.
    let all = said(&whole);
    assert!(
        all.contains("1000 atomic units of a by credit")
            && !all.contains("kept")
            && !all.contains("went back"),
        "{all}"
    );
    assert!(!all.contains("escrow"), "{all}");
}
