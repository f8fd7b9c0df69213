//! What travels with the client at the federated door: cursors and sealed sessions.

use tollgate_domain::UnixMillis;
use tollgate_federation::{Cursor, Features, Keys, Kind, Member, Principal, Session};

pub(crate) const WORDS: &[&str] =
    &["[\"tools\",[[\"a\",\"\"]]]", "WyJ0b29scyIs", "[\"a\",\"1\"]", "AAAA", "==", "-_", "\"b\""];

/// Once read, a cursor prints to something that reads back as itself, and belongs to one list alone.
pub(crate) fn cursor(input: &[u8]) {
    let texts = [String::from_utf8_lossy(input).into_owned(), base64_url(input)];
    for text in texts {
        let Ok(cursor) = Cursor::decode(Kind::Tools, &text) else { continue };
        assert_eq!(Cursor::decode(Kind::Tools, &cursor.encode(Kind::Tools)), Ok(cursor));
        assert!(Cursor::decode(Kind::Prompts, &text).is_err(), "a cursor of one list is none of another");
    }
}

/// Nothing that was not sealed opens, and nothing that was sealed and changed in one bit.
pub(crate) fn session(input: &[u8]) {
    let Some(keys) = Keys::derive(&[7; 32]) else { return };
    let (principal, other) = (Principal::of(Some("tgk_a")), Principal::of(Some("tgk_b")));
    let now = UnixMillis::new(1);
    for text in [String::from_utf8_lossy(input).into_owned(), base64_url(input)] {
        assert!(Session::open(&text, &keys, "mcp", &principal, now).is_err(), "opened, and nobody sealed it");
    }
    let ids = String::from_utf8_lossy(input.get(2..).unwrap_or_default()).into_owned();
    let Ok(server) = "files".parse() else { return };
    let member =
        Member { server, session: Some(ids), version: "2025-11-25".to_owned(), features: Features::TOOLS };
    let session = Session { expires: UnixMillis::new(2), members: vec![member] };
    let Ok(sealed) = session.seal(&keys, "mcp", &principal, [9; 12]) else { return };
    assert_eq!(Session::open(&sealed, &keys, "mcp", &principal, now).as_ref(), Ok(&session), "control");
    assert!(Session::open(&sealed, &keys, "mcp", &other, now).is_err(), "another caller");
    assert!(Session::open(&sealed, &keys, "other", &principal, now).is_err(), "another door");
    let place = input.iter().take(2).fold(0_usize, |place, byte| place * 256 + usize::from(*byte));
    for bit in 0..8 {
        let mut changed = sealed.clone().into_bytes();
        let place = place % changed.len();
        if let Some(byte) = changed.get_mut(place) {
            *byte ^= 1 << bit;
        }
        // A header carries any visible text.
        let changed = String::from_utf8_lossy(&changed).into_owned();
        assert!(
            Session::open(&changed, &keys, "mcp", &principal, now).is_err(),
            "bit {bit} of byte {place} was changed"
        );
    }
}

/// Unpadded base64 of the URL alphabet, written here so that a fault of the library's would not hide.
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group
            .iter()
            .enumerate()
            .fold(0_usize, |number, (index, byte)| number | usize::from(*byte) << (16 - 8 * index));
        for index in 0..=group.len() {
            let letter = ALPHABET.get(number >> (18 - 6 * index) & 63).copied().unwrap_or_default();
            text.push(char::from(letter));
        }
    }
    text
}
