use proptest::prelude::*;

use super::*;

fn decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

#[test]
fn t5_what_has_a_meaning_in_a_url_is_encoded() {
    assert_eq!(encode("a/b?c#d&e=f;g:h@i%2e"), "a%2Fb%3Fc%23d%26e%3Df%3Bg%3Ah%40i%252e");
    assert_eq!(encode("ø \r\n\0"), "%C3%B8%20%0D%0A%00");
    assert_eq!(encode("a-b.c_d~9"), "a-b.c_d~9");
}

#[test]
fn t5_steps_out_of_the_path_are_seen_whatever_slash_they_stand_between() {
    for bad in ["", ".", "..", "../x", "x/..", "a/../b", "a\\..\\b", "./x", "..\\"] {
        assert!(leaves_its_place(bad), "{bad:?}");
    }
    for good in ["a", "a/b", "...", "a..b", "..a", "~", " "] {
        assert!(!leaves_its_place(good), "{good:?}");
    }
}

proptest! {
    #[test]
    fn encoding_is_undone_by_decoding_and_leaves_only_safe_characters(text in any::<String>()) {
        let encoded = encode(&text);
        prop_assert_eq!(decode(&encoded), text.as_bytes());
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
    }
}
