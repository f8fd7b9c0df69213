use proptest::prelude::*;

use super::*;

#[test]
fn an_id_of_another_kind_is_refused() {
    let id = Id::<Call>::new(UnixMillis::new(1_795_219_260_000), [7; 10]);
    let text = id.to_string();
    assert_eq!(text.parse::<Id<Call>>(), Ok(id), "control");
    assert!(text.parse::<Id<Receipt>>().is_err());
    assert!(text.replace("_1", "_2").parse::<Id<Call>>().is_err(), "another codec version");
    assert!(format!("{text}0").parse::<Id<Call>>().is_err());
    assert!("call_1zzzzzzzzzzzzzzzzzzzzzz".parse::<Id<Call>>().is_err(), "beyond 128 bits");
}

proptest! {
    #[test]
    fn text_form_round_trips_and_keeps_order(a: [u8; 16], b: [u8; 16]) {
        let (a, b) = (Id::<Call>::from_bytes(a), Id::<Call>::from_bytes(b));
        prop_assert_eq!(a.to_string().parse::<Id<Call>>(), Ok(a));
        prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
    }
}
