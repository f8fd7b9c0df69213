//! What travels with the client at the federated door: cursors and sealed sessions.

use tollgate_domain::{ServerName, UnixMillis};
use tollgate_federation::{
    Cursor, EventId, Features, Keys, Kind, Member, Names, Pattern, Principal, Separator, Session, TaskIds,
    foreign_id, home_id,
};
use tollgate_mcp::RequestId;

pub(crate) const WORDS: &[&str] =
    &["[\"tools\",[[\"a\",\"\"]]]", "WyJ0b29scyIs", "[\"a\",\"1\"]", "AAAA", "==", "-_", "\"b\""];

pub(crate) const ID_WORDS: &[&str] = &[
    "files",
    "shop",
    "__",
    ".",
    ":",
    "://",
    "/",
    "*",
    "\"a\"",
    "[\"r\",[[\"files\",\"7\"]]]",
    "-1",
    "WyJyIixb",
];

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

/// What carries the name of a server comes back to that server, whatever it calls its own things.
pub(crate) fn ids(input: &[u8]) {
    let text = &*String::from_utf8_lossy(input);
    for text in [text.to_owned(), base64_url(input)] {
        let id = EventId::decode(&text);
        if let Some(again) = id.as_ref().and_then(EventId::encode) {
            assert_eq!(EventId::decode(&again), id);
        }
    }
    let (Ok(files), Ok(shop)) = ("files".parse::<ServerName>(), "shop".parse::<ServerName>()) else { return };
    if let Ok(id) = RequestId::from_raw(text) {
        for server in [&files, &shop] {
            let there = foreign_id(server, &id);
            assert!(
                there.is_none() || there.as_ref().and_then(home_id) == Some((server.clone(), id.clone()))
            );
        }
    }
    let (separator, own) = text.split_at(text.char_indices().nth(2).map_or(text.len(), |(at, _)| at));
    let separators = [Separator::default()].into_iter().chain(separator.parse::<Separator>());
    for (separator, plain) in separators.flat_map(|one| [(one.clone(), None), (one, Some(shop.clone()))]) {
        let names = Names::new(separator, [files.clone(), shop.clone()], plain);
        go_home(&names, &files, own);
        go_home(&names, &shop, own);
    }
    if let Some((line, names)) = text.split_once('\n')
        && let Some((_, stars)) = line.split_once('/')
        && let Ok(pattern) = line.parse::<Pattern>()
    {
        for name in names.lines().take(8) {
            let selected = pattern.selects(pattern.server(), name);
            assert_eq!(selected, fits(stars.as_bytes(), name.as_bytes()), "{stars:?} and {name:?}");
        }
    }
}

fn go_home(names: &Names, server: &ServerName, own: &str) {
    let Some(keys) = Keys::derive(&[7; 32]) else { return };
    if own.is_empty() {
        return;
    }
    let public = names.public(server, own);
    assert_eq!(names.resolve(&public), Some((server, own)), "{public:?}");
    let uri = names.public_uri(server, own);
    // A text without a scheme may get one by a separator that starts with a dot.
    if !uri.contains('.') {
        assert_eq!(names.resolve_uri(&uri), Some((server, own.into())), "{uri:?}");
    }
    let tasks = TaskIds { keys: &keys, principal: Principal::of(Some("tgk_a")) };
    let other = TaskIds { keys: &keys, principal: Principal::of(Some("tgk_b")) };
    let id = tasks.public(names, server, own);
    assert_eq!(tasks.resolve(names, &id), Some((server, own)), "{id:?}");
    assert_eq!(other.resolve(names, &id), None, "another caller's");
    assert_eq!(tasks.resolve(names, own), None, "nobody was given {own:?}");
}

/// Whether a text fits a pattern with stars, by trying every place.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let mut open = vec![false; text.len() + 1];
    if let Some(first) = open.first_mut() {
        *first = true;
    }
    for letter in pattern {
        let mut next = vec![false; open.len()];
        for (at, place) in next.iter_mut().enumerate() {
            *place = if *letter == b'*' {
                open.iter().take(at + 1).any(|open| *open)
            } else {
                at > 0 && open.get(at - 1) == Some(&true) && text.get(at - 1) == Some(letter)
            };
        }
        open = next;
    }
    open.last() == Some(&true)
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
